# Synology's Virtual Machine Manager writes the definition of a VM again at each start; another host does not.
mkdir -p dsm/var/packages/Virtualization dsm/etc/libvirt/qemu plain/var && cp -R "$HOSTS/nas/." dsm && cp -R "$HOSTS/nas/." plain
echo "<domain type='kvm'><name>frigate</name></domain>" >dsm/etc/libvirt/qemu/frigate.xml
cat >dsm.rules <<'RULES'
on vm frigate started, defined attach 1ac1:089a as vfio
on vm frigate started attach 10c4:ea60 as usb
RULES
virt-rules check --host --sysroot dsm dsm.rules
virt-rules check --host --sysroot plain dsm.rules
