# Three VMs: a name that is another's title, and a title that two have.
mkdir -p several/etc/libvirt/qemu && cp -R "$HOSTS/nas/." several
vm() { # NAME DIGIT TITLE
    echo "<domain type='kvm'><name>$1</name><uuid>8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4$2</uuid><title>$3</title></domain>" \
        >several/etc/libvirt/qemu/"$1".xml
}
vm nvr 1 Recorder
vm old-nvr 2 nvr
vm spare 3 Recorder
virt-rules check --host --sysroot several - <<'RULES'
on vm nvr started run "/x"
on vm Recorder, spare started run "/x" 2
on vm name nvr, uuid 8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d43, any started run "/x" 3
never attach class 0106 to vm nvr, Recorder
RULES
