# A host with arm64 processors, with its SMMU and without: what to turn on there, and the names of its packages.
mkdir arm64
cat >arm64/50-home.rules <<'RULES'
on vm home started attach 1ac1:089a as vfio
on vm home started attach 10c4:ea60 as usb
RULES
cat >arm64.xml <<'XML'
<domain type='kvm' id='2'>
  <name>home</name>
  <uuid>3b1c5d0e-8a58-4a8c-9d31-2f7d1b0c4e11</uuid>
  <os>
    <type arch='aarch64' machine='virt-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/AAVMF/AAVMF_CODE.fd</loader>
  </os>
  <features><acpi/><gic version='3'/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
    <controller type='usb' index='0' model='qemu-xhci' ports='15'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
  </devices>
</domain>
XML
said() { echo "--- $1"; shift; "$@"; echo "status $?"; }
for host in arm64 arm64-no-smmu; do
    options="--rules arm64 --sysroot $HOSTS/$host"
    said devices virt-rules devices --all --sysroot "$HOSTS/$host"
    said plan virt-rules plan home started $options --domain-xml arm64.xml
    said check virt-rules check --host --sysroot "$HOSTS/$host" arm64
    said status virt-rules status home $options --domain-xml arm64.xml
    asked='kernel|iommu|vfio-pci|groups|remapping|devices'
    virt-rules doctor --all $options | grep -E -A1 "^[a-z]+ +($asked) " | grep -E "^[a-z]+ +($asked) |^ +hint: "
done
# A record does not copy the files that tell, and says it in its own way.
virt-rules devices --sysroot "$HOSTS/arm64-no-smmu" --record arm64-record >/dev/null
virt-rules plan home started --rules arm64 --sysroot arm64-record --domain-xml arm64.xml | grep hint
