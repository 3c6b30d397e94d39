# Files that are disabled are named: to a person where no file was read, and in the document.
mkdir off && touch off/20-gpu.rules.disabled && virt-rules check off; echo "status $?"
touch off/10-nic.rules.disabled off/30-tpu.rules off/40-tpu.rule.disabled && virt-rules check off; echo "status $?"
virt-rules check --json off/ off/30-tpu.rules; echo "status $?"
VIRT_RULES_DIR=off virt-rules check --json; echo "status $?"
