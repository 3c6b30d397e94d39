mkdir once && printf 'on vm a started run "/x"\n' >once/a.rules
virt-rules check once once/a.rules ./once/a.rules; echo "status $?"
printf 'on vm a started run "x"\n' >once/b.rules
virt-rules check once/b.rules once
