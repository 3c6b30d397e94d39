mkdir twice
printf 'device coral is 1ac1:089a\non vm a started attach coral as vfio\n' >twice/10-a.rules
printf '# again\n  device coral is 18d1:9302\n' >twice/20-b.rules
virt-rules check twice
