# A definition of a copied host: q35 without a free root port; then with what is marked as ours.
mkdir -p defined-rules defined/etc/libvirt/qemu && cp -R "$HOSTS/server/." defined
rm -f defined/etc/libvirt/qemu/*
vm() { # NAME DIGIT MARK DEVICES
    cat >defined/etc/libvirt/qemu/"$1".xml <<XML
<domain type='kvm'>
  <name>$1</name>
  <uuid>8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4$2</uuid>
  <metadata>$3</metadata>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'>
      <model name='pcie-root-port'/>
      <target chassis='1' port='0x10'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>
    </controller>
    <memballoon model='virtio'><address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></memballoon>
    $4
  </devices>
</domain>
XML
}
hostdev() { # BUS SLOT FUNCTION GUEST
    echo "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='$1' slot='$2'" \
        "function='$3'/></source><address type='pci' domain='0x0000' bus='$4' slot='0x00' function='0x0'/></hostdev>"
}
cat >defined-rules/a.rules <<'RULES'
on vm router defined, started attach 8086:1521 at 0000:01:00.1 as vfio ports 1
on vm router defined attach 8086:1521 at 0000:01:00.2 as vfio boot order 1
on vm router defined attach 1ac1:089a as vfio optional
RULES
vm other 1 "" "$(hostdev 0x01 0x00 0x1 0x00)"
vm router 2 "" ""
virt-rules plan --rules defined-rules --sysroot defined --xml router defined
vm router 2 '<vr:defined xmlns:vr="urn:virt-rules:defined:1"><vr:hostdev as="vfio" address="0000:09:00.0"/><vr:hostdev as="vfio" address="0000:01:00.3"/><vr:controller index="2"/></vr:defined>' \
    "$(hostdev 0x09 0x00 0x0 0x02) $(hostdev 0x01 0x00 0x3 0x00) <controller type='pci' index='2' model='pcie-root-port'/>"
echo >defined-rules/a.rules
virt-rules plan --rules defined-rules --sysroot defined --xml router defined
virt-rules plan --rules defined-rules --sysroot defined --json router defined
virt-rules status --rules defined-rules --domain-xml defined/etc/libvirt/qemu/router.xml --sysroot defined
# While the VM runs its definition counts, not what it has now; a running VM without one has only that.
mkdir -p defined/run/libvirt/qemu
running() { # NAME DEVICES
    {
        echo "<domstatus state='running' reason='booted' pid='4242'>"
        vm "$1" 2 "" "$2"
        sed "s/<domain type='kvm'>/<domain type='kvm' id='3'>/" defined/etc/libvirt/qemu/"$1".xml
        echo "</domstatus>"
    } >defined/run/libvirt/qemu/"$1".xml
}
echo 'on vm router defined attach 8086:1521 at 0000:01:00.1 as vfio' >defined-rules/a.rules
running router "$(hostdev 0x01 0x00 0x1 0x00)"
vm router 2 "" ""
virt-rules plan --rules defined-rules --sysroot defined router defined
virt-rules explain --rules defined-rules --sysroot defined router defined 01:00.1 | grep -i definition
virt-rules plan --rules defined-rules --sysroot defined router started
virt-rules plan --rules defined-rules --domain-xml <(sed '1d;$d' defined/run/libvirt/qemu/router.xml) --sysroot defined router defined 2>&1 |
    sed 's,/dev/fd/[0-9]*,FILE,'
rm defined/etc/libvirt/qemu/router.xml
virt-rules plan --rules defined-rules --sysroot defined router defined
