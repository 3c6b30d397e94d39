# None, and one that is a file; the list says so in one run.
VIRT_RULES_DIR=missing virt-rules check; echo "status $?"
touch file
VIRT_RULES_DIR=file virt-rules check
