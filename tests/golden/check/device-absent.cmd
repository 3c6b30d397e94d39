# On the sample NAS, with two VMs that are defined there.
mkdir -p absent-host/etc/libvirt/qemu && cp -R "$HOSTS/nas/." absent-host
for vm in frigate ha; do
    echo "<domain type='kvm'><name>$vm</name><title>VM $vm</title></domain>" >absent-host/etc/libvirt/qemu/$vm.xml
done
virt-rules check --host --sysroot absent-host - <<'RULES'
on vm frigate started attach 1234:5678 as vfio
on vm frigate started attach 1234:5679 as vfio optional
on vm frigate started attach at 0000:0f:00.0 as vfio
on vm frigate started attach all 1a6e:* as usb
on vm frigate started attach 1ac1:089a as vfio
RULES
