# On the sample NAS, with two VMs that are defined there.
mkdir -p vm-host/etc/libvirt/qemu && cp -R "$HOSTS/nas/." vm-host
for vm in frigate ha; do
    echo "<domain type='kvm'><name>$vm</name><title>VM $vm</title></domain>" >vm-host/etc/libvirt/qemu/$vm.xml
done
virt-rules check --host --sysroot vm-host - <<'RULES'
on vm frigate started run "/x"
on vm fregate started run "/x" 2
on vm "VM ha", h*, any started run "/x" 3
on vm gone, x* started run "/x" 4
never attach class 0106 to vm nobody
RULES
