mkfifo fifo.rules
mkdir directory.rules
virt-rules check fifo.rules missing.rules /dev/null; echo "status $?"
mkdir rules && mv fifo.rules directory.rules rules
printf 'on vm a started run "/x" {\n' >rules/open.rules && chmod 666 rules/open.rules
printf 'on vm a started run "/x"\n' >rules/good.rules
virt-rules check rules
