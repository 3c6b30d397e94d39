# What forbids to pass a device, and uses that leave no mount, swap, holder or address.
cp -R "$HOSTS/dual-tpu" obstacle-host
mkdir obstacles
cat >obstacles/50-example.rules <<'RULES'
on vm frigate started attach 1ac1:089a at 0000:03:00.0 as vfio
on vm frigate started attach 1ac1:089a at 0000:04:00.0 as vfio
RULES
cat >obstacles.xml <<'XML'
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
group=$(basename "$(readlink -f obstacle-host/sys/bus/pci/devices/0000:03:00.0/iommu_group)")
plan() { virt-rules plan frigate started --rules obstacles --sysroot obstacle-host --domain-xml obstacles.xml; echo "status $?"; }
printf '0x00000000bdf6f000 0x00000000bdf6ffff direct\n' >"obstacle-host/sys/kernel/iommu_groups/$group/reserved_regions"
plan
rm "obstacle-host/sys/kernel/iommu_groups/$group/reserved_regions"
head -c 64 /dev/zero | tr '\0' '\377' >obstacle-host/sys/bus/pci/devices/0000:03:00.0/config
mkdir -p obstacle-host/sys/bus/pci/devices/0000:04:00.0/apex/apex_1 obstacle-host/sys/class/apex obstacle-host/proc/70/fd
ln -s ../../bus/pci/devices/0000:04:00.0/apex/apex_1 obstacle-host/sys/class/apex/apex_1
echo frigate >obstacle-host/proc/70/comm
ln -s /dev/apex_1 obstacle-host/proc/70/fd/7
plan
