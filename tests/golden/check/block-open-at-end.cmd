printf 'on vm a started {\n  run "/x"\n' | virt-rules check -
printf 'on vm a started { run "/x"' | virt-rules check -
printf 'on vm a started {' | virt-rules check -
printf 'on vm a started {\n  foo' | virt-rules check -
