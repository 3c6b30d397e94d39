# A record has the running VMs, without what people would not show, and says the same of what they have.
cp -r "$HOSTS/usb" recorded
chmod -R u+w recorded
mkdir -p recorded/run/libvirt/qemu recorded/sys/class/tty recorded/dev/serial/by-id
usb=sys/devices/$(readlink recorded/sys/bus/usb/devices/1-1.2 | sed 's,.*devices/,,')
tty="$usb/1-1.2:1.0/tty/ttyACM1"
mkdir -p "recorded/$tty"
ln -s "../../../$tty" recorded/sys/class/tty/ttyACM1
ln -s ../../ttyACM1 recorded/dev/serial/by-id/usb-secret-if00
cat >recorded/run/libvirt/qemu/johanna.xml <<'XML'
<domstatus state='running' reason='booted' pid='4242'>
  <monitor path='/var/lib/libvirt/qemu/secret/monitor.sock' type='unix'/>
  <domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
    <name>johanna</name><uuid>99999999-2222-4333-8444-555555555555</uuid><title>Secret office</title>
    <description>secret</description><metadata><a:b xmlns:a='urn:secret'>secret</a:b></metadata>
    <devices>
      <emulator>/usr/bin/secret</emulator>
      <disk type='file'><source file='/home/johanna/secret.qcow2'/><auth username='secret'/>
        <target dev='vda' bus='virtio'/></disk>
      <interface type='bridge'><mac address='52:54:00:5e:c2:e7'/><source bridge='br0'/></interface>
      <serial type='dev'><source path='/dev/serial/by-id/usb-secret-if00'/></serial>
      <hostdev mode='subsystem' type='usb'><source><address bus='1' device='3'/></source></hostdev>
      <graphics type='vnc' passwd='secret' listen='192.0.2.77'/>
    </devices>
    <qemu:commandline><qemu:arg value='-secret'/><qemu:arg value='vfio-pci,host=00:12.0,id=secret'/></qemu:commandline>
  </domain>
</domstatus>
XML
mkdir recorded-any recorded-coral
echo 'on vm frigate started attach any 1cf1:0030 as usb' >recorded-any/a.rules
echo 'on vm frigate started attach 1a6e:089a as usb' >recorded-coral/a.rules
echo "<domain><name>frigate</name></domain>" >recorded.xml
virt-rules devices --sysroot recorded --record record >/dev/null
cat record/run/libvirt/qemu/*
grep -ri -e secret -e johanna -e 99999999 -e 52:54 -e 192.0.2.77 record
virt-rules plan frigate started --rules recorded-any --sysroot recorded --domain-xml recorded.xml
virt-rules plan frigate started --rules recorded-any --sysroot record --domain-xml recorded.xml
echo '<domstatus state="running"><domain' >recorded/run/libvirt/qemu/secret.xml
virt-rules devices --sysroot recorded --record broken >/dev/null
virt-rules plan frigate started --rules recorded-coral --sysroot broken --domain-xml recorded.xml
