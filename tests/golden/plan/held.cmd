# The running VMs of a copy of a host are those of libvirt's own files; what they have is held, and what is
# behind a controller goes with it.
cp -r "$HOSTS/usb" held-host
mkdir -p held-host/run/libvirt/qemu
cat >held-host/run/libvirt/qemu/ha.xml <<'XML'
<domstatus state='paused' reason='user' pid='4242'>
  <domain type='kvm' id='3'><name>ha</name><uuid>99999999-2222-4333-8444-555555555555</uuid><title>Home</title><devices>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1cf1'/><product id='0x0030'/>
      <address bus='1' device='3'/></source></hostdev>
  </devices></domain>
</domstatus>
XML
cat >held-host/run/libvirt/qemu/frigate.xml <<'XML'
<domstatus state='running'>
  <domain type='kvm' id='7'><name>frigate</name><uuid>11111111-2222-4333-8444-555555555555</uuid>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='usb' index='0' model='piix3-uhci'/>
    <hostdev mode='subsystem' type='usb'><source><address bus='1' device='5'/></source></hostdev>
  </devices></domain>
</domstatus>
XML
cat >held-host/run/libvirt/qemu/off.xml <<'XML'
<domstatus state='shutoff'><domain type='kvm'><name>off</name><devices>
  <hostdev type='usb'><source><address bus='1' device='4'/></source></hostdev></devices></domain></domstatus>
XML
mkdir held-any held-controller held-rule held-own
echo 'on vm frigate started attach any 1cf1:0030 as usb' >held-any/a.rules
echo 'on vm frigate started attach 8086:5aa8 as vfio' | tee held-controller/a.rules >held-own/a.rules
cat >held-rule/a.rules <<'RULES'
on vm frigate started attach 8086:5aa8 as vfio
on vm nas, gh* started, plugged attach 1cf1:0030 port 1-1.2 as usb
RULES
virt-rules plan frigate started --rules held-any --sysroot held-host; echo "status $?"
virt-rules plan frigate started --rules held-controller --sysroot held-host; echo "status $?"
rm held-host/run/libvirt/qemu/ha.xml
virt-rules plan frigate started --rules held-own --sysroot held-host; echo "status $?"
sed -i '/<hostdev/d' held-host/run/libvirt/qemu/frigate.xml
virt-rules plan frigate started --rules held-rule --sysroot held-host; echo "status $?"
virt-rules plan frigate started --rules held-own --sysroot held-host | head -n 2
echo '<domstatus state=' >held-host/run/libvirt/qemu/broken.xml
virt-rules plan frigate started --rules held-own --sysroot held-host; echo "status $?"
virt-rules devices --all --sysroot held-host | tail -n 4
