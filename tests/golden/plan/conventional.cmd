# A device without an Express capability gets a guest address: libvirt takes no root port for it by itself.
cp -r "$HOSTS/usb" conventional-host
chmod -R u+w conventional-host
config() { # ADDRESS CAPABILITY: the first 256 bytes, with a list of two capabilities
    printf '%b' '\x86\x80\x34\x12\x06\x04\x10\x00' >config
    head -c 44 /dev/zero >>config
    printf '%b' '\x40' >>config
    head -c 11 /dev/zero >>config
    printf '%b' "\\x01\\x50" >>config
    head -c 14 /dev/zero >>config
    printf '%b' "\\x$2\\x00" >>config
    head -c 174 /dev/zero >>config
    cat config >"conventional-host/sys/bus/pci/devices/$1/config"
}
cat >conventional.xml <<'XML'
<domain type='kvm' id='7'><name>nas</name><os><type machine='pc-q35-7.2'>hvm</type></os><devices>
  <controller type='pci' index='0' model='pcie-root'/>
  <controller type='pci' index='1' model='pcie-root-port'/>
  <controller type='pci' index='2' model='pcie-root-port'/>
  <memballoon><address type='pci' bus='1' slot='0'/></memballoon>
</devices></domain>
XML
sed "s,<memballoon,<controller type='pci' index='3' model='pcie-to-pci-bridge'/>&," conventional.xml >conventional-bridge.xml
mkdir conventional
echo 'on vm nas started attach 8086:5aa8 as vfio' >conventional/a.rules
config 0000:00:15.0 05
virt-rules plan nas started --rules conventional --sysroot conventional-host --domain-xml conventional.xml --xml
virt-rules plan nas started --rules conventional --sysroot conventional-host --domain-xml conventional-bridge.xml --xml | grep "address type"
config 0000:00:15.0 10
virt-rules plan nas started --rules conventional --sysroot conventional-host --domain-xml conventional.xml --xml | grep -c "address type"
