printf 'on vm a started run "/x"\n' >unsafe.rules && chmod 666 unsafe.rules
virt-rules check unsafe.rules; echo "status $?"
virt-rules check --strict unsafe.rules
echo "status $?"
mkdir refused && mv unsafe.rules refused
virt-rules check --ignore unsafe-file refused; echo "status $?"
virt-rules fmt refused; echo "status $?"; cat refused/unsafe.rules
