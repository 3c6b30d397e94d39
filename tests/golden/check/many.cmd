# Of each file a thousand are shown, and how many more there are.
yes 'on vm a strated run "/x"' | head -n 1002 >many.rules
printf 'on vm a strated run "/x"\n' >more.rules
virt-rules check many.rules more.rules 2>&1 | grep -v '^ ' | tail -n 4
