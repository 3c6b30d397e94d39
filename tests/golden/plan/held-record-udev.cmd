# A host recorded without /dev: udev's database tells what a VM's serial port is, and where it does not, the port may be any USB device; a record of that says the same.
cp -r "$HOSTS/usb" udev-host
chmod -R u+w udev-host
mkdir -p udev-host/run/libvirt/qemu udev-host/run/udev/data udev-host/sys/class/tty udev-host/sys/dev/char
usb=sys/devices/$(readlink udev-host/sys/bus/usb/devices/1-1.2 | sed 's,.*devices/,,')
tty="$usb/1-1.2:1.0/tty/ttyACM1"
mkdir -p "udev-host/$tty"
ln -s "../../../$tty" udev-host/sys/class/tty/ttyACM1
ln -s "../../../$tty" udev-host/sys/dev/char/166:1
echo S:serial/by-id/usb-secret-if00 >udev-host/run/udev/data/c166:1
cat >udev-host/run/libvirt/qemu/ha.xml <<'XML'
<domstatus state='running'><domain type='kvm' id='3'><name>ha</name><devices>
<serial type='dev'><source path='/dev/serial/by-id/usb-secret-if00'/></serial></devices></domain></domstatus>
XML
mkdir udev-rules
echo 'on vm frigate started attach all 1cf1:0030 as usb' >udev-rules/a.rules
echo "<domain><name>frigate</name></domain>" >udev-vm.xml
virt-rules devices --sysroot udev-host --record udev-record >/dev/null
grep -ri secret udev-record
virt-rules plan frigate started --rules udev-rules --sysroot udev-host --domain-xml udev-vm.xml
virt-rules plan frigate started --rules udev-rules --sysroot udev-record --domain-xml udev-vm.xml
rm udev-host/run/udev/data/c166:1
virt-rules devices --sysroot udev-host --record udev-unknown >/dev/null
grep -ri secret udev-unknown
virt-rules plan frigate started --rules udev-rules --sysroot udev-host --domain-xml udev-vm.xml
virt-rules plan frigate started --rules udev-rules --sysroot udev-unknown --domain-xml udev-vm.xml
