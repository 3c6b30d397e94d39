# A file with an error contributes nothing; who needs its definitions is told, over several files.
mkdir broken
printf 'device coral is 1ac1:089a\non vm a strated run "/x"\n' >broken/10-first.rules
printf 'device tpu is coral\n' >broken/20-second.rules
printf 'on vm a started attach tpu as vfio\n' >broken/30-third.rules
printf 'on vm a started run "/x"\n' >broken/40-fine.rules
virt-rules check broken
