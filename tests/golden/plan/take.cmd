# A keyboard that another VM has: taken at 'started', waited for at 'plugged' and without 'take'.
cp -r "$HOSTS/dock" take-host
mkdir -p take-host/run/libvirt/qemu
cat >take-host/run/libvirt/qemu/laptop.xml <<'XML'
<domstatus state='running' pid='42'>
  <domain type='kvm' id='7'><name>laptop</name><uuid>77777777-2222-4333-8444-555555555555</uuid><devices>
    <hostdev mode='subsystem' type='usb'><source><address bus='1' device='4'/></source></hostdev>
  </devices></domain>
</domstatus>
XML
printf '%s\n' "<domain type='kvm' id='3'><name>desktop</name><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>" \
    "<devices><controller type='usb' model='piix3-uhci'/><controller type='usb' index='1' model='qemu-xhci' ports='15'/>" \
    "</devices></domain>" >take-desktop.xml
sed 's/>desktop</>spare</' take-desktop.xml >take-spare.xml
mkdir -m 755 take-rules
cat >take-rules/a.rules <<'RULES'
on vm desktop started, plugged, freed attach 046d:c52b as usb take
on vm laptop, spare started, plugged, freed attach 046d:c52b as usb
RULES
chmod 644 take-rules/a.rules
on_host() { virt-rules "$@" --rules take-rules --sysroot take-host; echo "status $?"; }
on_host plan desktop started --domain-xml take-desktop.xml
on_host plan desktop plugged 1-1.1 --domain-xml take-desktop.xml
on_host plan spare started --domain-xml take-spare.xml
on_host explain desktop started --domain-xml take-desktop.xml
