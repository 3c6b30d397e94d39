# Rules of the host and of a VM that is about to start: what explain says of them, and plan of 'wait'.
mkdir before && cat >before/a.rules <<'RULES'
device gpu is 10de:*
on host boot {
    create 4 vf of 8086:1572
    bind gpu, class 0c03 to driver pci-stub
    run "/bin/true" boot
}
on vm game prepare run "/bin/true" wait 20s or stop
on vm game defined attach gpu class 03 with group as vfio ports 2 boot display
RULES
cat >game.xml <<'XML'
<domain type='kvm'><name>game</name><uuid>8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e</uuid>
<os><type machine='pc-q35-7.2'>hvm</type></os><devices/></domain>
XML
virt-rules explain game started --rules before --sysroot "$HOSTS/gpus" --domain-xml game.xml; echo "status $?"
virt-rules plan game boot --rules before --sysroot "$HOSTS/gpus" --domain-xml game.xml 2>&1 | head -1
virt-rules plan game prepare --rules before --sysroot "$HOSTS/gpus" --domain-xml game.xml; echo "status $?"
virt-rules plan game prepare --rules before --sysroot "$HOSTS/gpus" --domain-xml game.xml --json |
    sed -n '/"action": "run"/,/or_stop/p'
