# A home server with Debian 11, Linux 5.10: no reset_method, no power_state, control groups of both versions.
mkdir linux-5.10 linux-5.10-more
cat >linux-5.10/50-home.rules <<'RULES'
on vm home started attach 1ac1:089a as vfio awake
on vm home started attach 10de:2484 with group as vfio optional
on vm home started attach usb 18d1:9302 as usb
RULES
cat >linux-5.10-more/50-home.rules <<'RULES'
on vm home started attach 1ac1:089a as vfio reset method bus
on vm home started attach 8086:3e98 as vfio
RULES
cat >linux-5.10.xml <<'XML'
<domain type='kvm' id='2'>
  <name>home</name>
  <uuid>3b1c5d0e-8a58-4a8c-9d31-2f7d1b0c4e11</uuid>
  <os><type arch='x86_64' machine='pc-q35-5.2'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' index='0' model='qemu-xhci' ports='15'>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </controller>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <controller type='pci' index='3' model='pcie-root-port'/>
  </devices>
</domain>
XML
said() { echo "--- $1"; shift; "$@"; echo "status $?"; }
asked='kernel|iommu|vfio-pci|groups|remapping|ports|bars|idle-d3|devices'
options="--rules linux-5.10 --sysroot $HOSTS/linux-5.10"
said devices virt-rules devices --all --sysroot "$HOSTS/linux-5.10"
said plan virt-rules plan home started $options --domain-xml linux-5.10.xml --xml
said explain virt-rules explain home started 01:00.0 $options --domain-xml linux-5.10.xml
said refused virt-rules plan home started --rules linux-5.10-more --sysroot "$HOSTS/linux-5.10" --domain-xml linux-5.10.xml
said check virt-rules check --host --sysroot "$HOSTS/linux-5.10" linux-5.10-more
said status virt-rules status home $options --domain-xml linux-5.10.xml
virt-rules doctor --all $options | grep -E -A1 "^[a-z]+ +($asked) " | grep -E "^[a-z]+ +($asked) |^ +hint: "
