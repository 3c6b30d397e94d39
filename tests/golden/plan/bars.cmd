# BARs that a port which was empty at boot may not have addresses for: what to write into the VM, as far as that helps.
port() { # INDEX ATTRIBUTES
    echo "<controller type='pci' index='$1' model='pcie-root-port'><target chassis='$1'$2/></controller>"
}
{
    echo "<domain type='kvm' id='7'><name>game</name><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
    echo "<controller type='pci' index='0' model='pcie-root'/>"
    port 1
    port 2
    port 3
    echo "<memballoon><address type='pci' bus='1' slot='0'/></memballoon></devices></domain>"
} >bars.xml
mkdir bars
echo 'on vm game started attach 10de:2484 with group as vfio' >bars/a.rules
virt-rules plan game started --rules bars --sysroot "$HOSTS/gpus" --domain-xml bars.xml
sed "s,<target chassis='2'/>,<target chassis='2' memReserve='573440'/>," bars.xml >bars-reserved.xml
virt-rules plan game started --rules bars --sysroot "$HOSTS/gpus" --domain-xml bars-reserved.xml
sed "s,<os>,<os firmware='efi'>," bars.xml >bars-efi.xml
virt-rules plan game started --rules bars --sysroot "$HOSTS/gpus" --domain-xml bars-efi.xml --json | grep '"note"'
echo 'on vm game defined attach 10de:2484 with group as vfio' >bars/a.rules
virt-rules plan game defined --rules bars --sysroot "$HOSTS/gpus" --domain-xml bars.xml
echo 'on vm game started attach 1002:73bf as vfio' >bars/a.rules
virt-rules plan game started --rules bars --sysroot "$HOSTS/gpus" --domain-xml bars.xml
virt-rules explain game started --rules bars --sysroot "$HOSTS/gpus" --domain-xml bars.xml
sed 's,q35,i440fx,; /pcie/d' bars.xml | sed "s,<devices>,&<controller type='pci' index='0' model='pci-root'/>," >bars-pc.xml
virt-rules plan game started --rules bars --sysroot "$HOSTS/gpus" --domain-xml bars-pc.xml
virt-rules devices --all --sysroot "$HOSTS/gpus" | grep -B 2 BARs
virt-rules devices --sysroot "$HOSTS/gpus" --json | grep -c '"size": 17179869184'
# A card that only computes, with more addresses than a port has; and a reset method that a rule wants. The short lists
# say the same as the long ones.
cp -a "$HOSTS/rack" compute
printf '%s\n' '0x00000000d0000000 0x00000000d0ffffff 0x0000000000040200' \
    '0x0000382000000000 0x00003827ffffffff 0x000000000014220c' >compute/sys/bus/pci/devices/0000:03:00.0/resource
virt-rules devices --sysroot compute 03:00.0
virt-rules devices --sysroot compute 03:00.0 --json | grep -o 'on vm NAME defined attach.* as vfio'
for method in flr bus; do
    echo "on vm game started attach 1ac1:089a at 0000:03:00.0 as vfio reset method $method" >bars/a.rules
    virt-rules status game --rules bars --state state --sysroot "$HOSTS/dual-tpu" --domain-xml bars.xml
done
