# On the sample NAS, with two VMs that are defined there.
mkdir -p unpassable-host/etc/libvirt/qemu && cp -R "$HOSTS/nas/." unpassable-host
for vm in frigate ha; do
    echo "<domain type='kvm'><name>$vm</name><title>VM $vm</title></domain>" >unpassable-host/etc/libvirt/qemu/$vm.xml
done
virt-rules check --host --sysroot unpassable-host - <<'RULES'
on vm frigate started attach class 0604 at 0000:00:01.1 as vfio
on vm frigate started attach class 0106 as vfio
RULES
