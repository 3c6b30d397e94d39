# Disks behind an Intel VMD controller are in a PCI domain of their own, above those that qemu takes.
cp -R "$HOSTS/dual-tpu" vmd-host
vmd=sys/devices/pci0000:d7/0000:d7:05.5
device() { # ADDRESS PARENT ID CLASS GROUP DRIVER
    mkdir -p "vmd-host/$2/$1" vmd-host/sys/bus/pci/drivers/"$6" "vmd-host/sys/kernel/iommu_groups/$5/devices"
    echo "0x${3%:*}" >"vmd-host/$2/$1/vendor"
    echo "0x${3#*:}" >"vmd-host/$2/$1/device"
    echo "0x$4" >"vmd-host/$2/$1/class"
    ln -s "../../../../$2/$1" "vmd-host/sys/bus/pci/devices/$1"
    ln -s "/sys/bus/pci/drivers/$6" "vmd-host/$2/$1/driver"
    ln -s "/sys/kernel/iommu_groups/$5" "vmd-host/$2/$1/iommu_group"
}
device 0000:d7:05.5 sys/devices/pci0000:d7 8086:201d 010400 40 vmd
device 10001:02:00.0 $vmd/pci10001:00 8086:0a54 010802 40 nvme
device 10001:03:00.0 $vmd/pci10001:00 8086:0a54 010802 40 nvme
device 0000:09:00.0 sys/devices/pci0000:00 8086:0a54 010802 41 nvme
plan() {
    cat >vmd.rules
    virt-rules check --host --sysroot vmd-host vmd.rules
    mkdir -p vmd && cp vmd.rules vmd
    virt-rules plan db started --rules vmd --sysroot vmd-host --domain-xml vmd.xml
    echo "status $?"
}
cat >vmd.xml <<'XML'
<domain type='kvm'>
  <name>db</name>
  <uuid>4f0b1d1e-0000-4000-8000-00000000cafe</uuid>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
  </devices>
</domain>
XML
echo 'on vm db started attach 8086:0a54 at 10001:02:00.0 as vfio' | plan
echo 'on vm db started attach any 8086:0a54 as vfio' | plan
echo 'on vm db started attach 8086:201d as vfio' | plan
printf 'on vm db started attach 8086:201d as vfio\nnever attach 10001:*\n' | plan
virt-rules devices --all --sysroot vmd-host | grep -A 10 'IOMMU group 40'
virt-rules explain db started 10001:02:00.0 --rules vmd --sysroot vmd-host --domain-xml vmd.xml
