printf 'on vm a started run "/x"\n' >unsafe.rules && chmod 666 unsafe.rules
virt-rules check unsafe.rules; echo "status $?"
virt-rules check --strict unsafe.rules
