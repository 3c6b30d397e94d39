# The main job: one Coral card for one VM, named by its title.
mkdir frigate
cat >frigate/50-example.rules <<'RULES'
device coral is 1ac1:089a
on vm frigate started attach coral as vfio
on vm "frigate" stopped run "/usr/local/libvirt/notify" "frigate stopped"
on vm other started attach 8086:* as vfio
never attach class 0106
RULES
cat >frigate.xml <<'XML'
<domain type='kvm'>
  <name>4f0b1d1e-0000-4000-8000-00000000cafe</name>
  <uuid>4f0b1d1e-0000-4000-8000-00000000cafe</uuid>
  <title>frigate</title>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <controller type='usb' index='0' model='qemu-xhci'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <controller type='pci' index='3' model='pcie-root-port'/>
  </devices>
</domain>
XML
virt-rules plan frigate started --rules frigate --sysroot "$HOSTS/nas" --domain-xml frigate.xml --xml; echo "status $?"
virt-rules plan frigate stopped --rules frigate --sysroot "$HOSTS/nas" --domain-xml frigate.xml; echo "status $?"
virt-rules plan frigate migrate --rules frigate --sysroot "$HOSTS/nas" --domain-xml frigate.xml
