# On the sample NAS, with a directory of programs; without --host nothing is said of them.
mkdir -p file-host/opt && cp -R "$HOSTS/nas/." file-host && mkdir -p file-host/etc/libvirt/qemu
echo "<domain type='kvm'><name>frigate</name></domain>" >file-host/etc/libvirt/qemu/frigate.xml
touch file-host/opt/plain && chmod 644 file-host/opt/plain
touch "file-host/opt/plain&simple" && chmod 644 "file-host/opt/plain&simple"
touch file-host/opt/good && chmod 755 file-host/opt/good
printf '#!/opt/shell\n' >file-host/opt/script && chmod 755 file-host/opt/script
cat >files.rules <<'RULES'
on vm frigate started attach 1ac1:089a as vfio rom "/opt/gpu&sound.rom"
on vm frigate stopped {
    run "/opt/good"
    run "/opt/plain" frigate
    run "/opt/script"
    run "/opt"
    run "/opt/plain&simple"
    run "/opt/none&nowhere"
}
RULES
virt-rules check files.rules
virt-rules check --host --sysroot file-host files.rules
