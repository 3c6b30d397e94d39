# A NAS with Linux 4.4, as DSM 7: no reset_method, no power_state, no reserved_regions, control groups of version 1.
mkdir linux-4.4 linux-4.4-more
cat >linux-4.4/50-home.rules <<'RULES'
on vm home started attach 1ac1:089a as vfio awake
on vm home started attach 051d:0002 as usb optional
on vm home started attach 10c4:ea60 as serial optional
RULES
cat >linux-4.4-more/50-home.rules <<'RULES'
on vm home started attach 1ac1:089a as vfio reset method bus
on vm home started attach 8086:1533 as vfio
RULES
cat >linux-4.4.xml <<'XML'
<domain type='kvm' id='2'>
  <name>3b1c5d0e-8a58-4a8c-9d31-2f7d1b0c4e11</name>
  <uuid>3b1c5d0e-8a58-4a8c-9d31-2f7d1b0c4e11</uuid>
  <title>home</title>
  <os><type arch='x86_64' machine='pc-i440fx-2.6'>hvm</type></os>
  <devices>
    <emulator>/var/packages/Virtualization/target/bin/qemu-system-x86_64</emulator>
    <controller type='usb' index='0' model='piix3-uhci'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x2'/>
    </controller>
    <controller type='usb' index='1' model='nec-xhci'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/>
    </controller>
    <controller type='pci' index='0' model='pci-root'/>
  </devices>
</domain>
XML
said() { echo "--- $1"; shift; "$@"; echo "status $?"; }
asked='kernel|iommu|vfio-pci|groups|remapping|ports|bars|idle-d3|devices'
options="--rules linux-4.4 --sysroot $HOSTS/linux-4.4"
said devices virt-rules devices --all --sysroot "$HOSTS/linux-4.4"
said plan virt-rules plan home started $options --domain-xml linux-4.4.xml --xml
said explain virt-rules explain home started 1-1 $options --domain-xml linux-4.4.xml
said refused virt-rules plan home started --rules linux-4.4-more --sysroot "$HOSTS/linux-4.4" --domain-xml linux-4.4.xml
said check virt-rules check --host --sysroot "$HOSTS/linux-4.4" linux-4.4-more
said status virt-rules status home $options --domain-xml linux-4.4.xml
virt-rules doctor --all $options | grep -E -A1 "^[a-z]+ +($asked) " | grep -E "^[a-z]+ +($asked) |^ +hint: "
