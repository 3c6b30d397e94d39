printf 'on vm a\001 started run "/x"\non vm b started\033 run "/x"\n# \001 is nothing in a comment\n\177\n' | virt-rules check -
