# What cannot be done is refused with the reason, and the rest is done.
mkdir refusals
cat >refusals/50-example.rules <<'RULES'
on vm frigate started {
    attach 1234:5678 as vfio
    attach 1234:5679 as vfio optional
    attach 8086:* as vfio
    attach class 0106 as vfio
    attach class 0604 at 0000:00:01.1 as vfio
    attach 1ac1:089a as vfio within 5s after 500ms
    attach 1ac1:089a as vfio
}
never attach 8086:* class 02
RULES
cat >refusals.xml <<'XML'
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
virt-rules plan frigate started --rules refusals --sysroot "$HOSTS/nas" --domain-xml refusals.xml; echo "status $?"
virt-rules plan frigate started --json --rules refusals --sysroot "$HOSTS/nas" --domain-xml refusals.xml
