# What cannot be read counts as in use: the host of tests/hosts/usb without its /proc.
cp -R "$HOSTS/usb" unknown-host
rm -r unknown-host/proc
mkdir unknown-use
cat >unknown-use/50-example.rules <<'RULES'
on vm frigate started attach class 0106 as vfio
RULES
cat >unknown-use.xml <<'XML'
<domain type='kvm'>
  <name>frigate</name>
  <uuid>4f0b1d1e-0000-4000-8000-00000000cafe</uuid>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
  </devices>
</domain>
XML
virt-rules plan frigate started --rules unknown-use --sysroot unknown-host --domain-xml unknown-use.xml; echo "status $?"
virt-rules explain frigate started 0000:00:12.0 --rules unknown-use --sysroot unknown-host --domain-xml unknown-use.xml; echo "status $?"
virt-rules check --host unknown-use --sysroot unknown-host; echo "status $?"
virt-rules devices --all --sysroot unknown-host
