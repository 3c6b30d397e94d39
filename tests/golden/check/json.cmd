printf 'device coral is 1ac1:089a\ndevice coral is "1ac1:89a"\non vm "B\374ro", a, a strated run "/x"\non vm a started attach coral as vfio\n' >json.rules
virt-rules check --json json.rules missing.rules; echo "status $?"
printf 'on vm a started run "/x"\n' | virt-rules check --json -
