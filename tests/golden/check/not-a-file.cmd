# What may be meant: a VM, its file in the directory of rules, or a file whose name does not end in .rules.
mkdir given given/rules given/misnamed given/guards given/both && cd given
echo 'on vm frigate started attach 1ac1:089a as vfio' | tee rules/50-frigate.rules >misnamed/frigate
cp misnamed/frigate 60-windows.rule && cp misnamed/frigate both/gpu && cp misnamed/frigate both/10-a.rules
echo 'never attach class 03' >guards/none
export VIRT_RULES_DIR=rules
virt-rules check frigate Frigat pfsense 'Home Assistant'; echo "status $?"
virt-rules check 60-windows.rules windows rules/50-frigat.rules rules/x other.rules; echo "status $?"
virt-rules check misnamed guards both; echo "status $?"
mkdir 'two words' && cp rules/* 'two words' && chmod 777 'two words' && virt-rules check 'two words'
virt-rules check - <&-; echo "status $?"
