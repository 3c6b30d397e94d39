printf 'on vm a\0 started run "/x"\n# a comment \0 here\non vm "a\0b" started run "/x"\n\0\0\0\n' | virt-rules check -
