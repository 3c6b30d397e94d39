# A name that begins with '-' is not an option where a command is proposed: '--' is before it.
mkdir -m 755 dash-rules dash-run
cp -R "$HOSTS/nas" dash-host
mkdir -p dash-host/run/libvirt/qemu
cat >dash-rules/a.rules <<'RULES'
on vm "-frigate" started attach 1ac1:089a as vfio
on vm "-two words" defined attach 1ac1:089a as vfio boot order 1
RULES
chmod 644 dash-rules/a.rules
cd dash-run || exit
run() { # COMMAND ARGUMENT ...
    echo "== $*"
    virt-rules "$@" 2>&1
}
run plan frigate started --rules ../dash-rules --sysroot ../dash-host
cat >two.xml <<'XML'
<domain type='kvm' id='1'>
  <name>-two words</name>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/></os>
  <devices><controller type='pci' index='0' model='pcie-root'/></devices>
</domain>
XML
run plan --rules ../dash-rules --sysroot ../dash-host --domain-xml two.xml -- '-two words' defined
echo '<domstatus state=' >../dash-host/run/libvirt/qemu/-broken.xml
run plan --rules ../dash-rules --sysroot ../dash-host -- -frigate started
rm ../dash-host/run/libvirt/qemu/-broken.xml
run plan --rules ../dash-rules --sysroot ../dash-host -- -two words started | head -n 2
cp ../dash-rules/a.rules -- -a.rules
run disable -- -a.rules:1
run disable ./-a.rules
run enable -- -a.rules.disabled
