# On the sample NAS, with two VMs that are defined there.
mkdir -p ambiguous-host/etc/libvirt/qemu && cp -R "$HOSTS/nas/." ambiguous-host
for vm in frigate ha; do
    echo "<domain type='kvm'><name>$vm</name><title>VM $vm</title></domain>" >ambiguous-host/etc/libvirt/qemu/$vm.xml
done
virt-rules check --host --sysroot ambiguous-host - <<'RULES'
on vm frigate started attach 8086:* as vfio
on vm frigate started attach any 8086:* class 02 as vfio
RULES
