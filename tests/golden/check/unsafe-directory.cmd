mkdir unsafe && chmod 777 unsafe
printf 'not looked at\n' >unsafe/a.rules
virt-rules check unsafe
