virt-rules check --list
