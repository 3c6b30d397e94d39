printf 'on vm a, \\\n      b \\  \t\n   strated \\\n  run "/x"\n' | virt-rules check -
printf '# a comment ends at its own line \\\non vm c strated run "/x"\n' | virt-rules check -
printf 'on vm d started # here too \\\n  run "/x"\n' | virt-rules check -
printf 'device \\\n\\\n\\\n is x\n' | virt-rules check -
printf 'on vm fri\\\ngate started run "/x"\n' | virt-rules check -
