mkdir none && virt-rules check none; echo "status $?"
touch none/20-gpu.rule && virt-rules check none; echo "status $?"
VIRT_RULES_DIR=none virt-rules check --json; echo "status $?"
touch none/20-gpu.rules && virt-rules check none
