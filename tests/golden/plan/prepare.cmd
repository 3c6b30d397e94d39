# What a start waits for comes first; what refuses stops it.
mkdir prepare
cat >prepare/50-example.rules <<'RULES'
device tpu is 1ac1:089a
on vm frigate prepare {
    run "/bin/true" later
    require tpu
    require 8086:*
    require 1234:5678 within 5s
    run "/bin/sh" -c "exit 0" wait 20s or stop
    require any 2 class 0108
}
on vm frigate defined attach tpu with group as vfio
on vm other prepare require 1234:5679
never attach 8086:* class 02
RULES
cat >prepare.xml <<'XML'
<domain type='kvm'>
  <name>4f0b1d1e-0000-4000-8000-00000000cafe</name>
  <uuid>4f0b1d1e-0000-4000-8000-00000000cafe</uuid>
  <title>frigate</title>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
  </devices>
</domain>
XML
virt-rules plan frigate prepare --rules prepare --sysroot "$HOSTS/nas" --domain-xml prepare.xml; echo "status $?"
virt-rules plan frigate prepare --json --rules prepare --sysroot "$HOSTS/nas" --domain-xml prepare.xml |
    sed -n '/"steps"/,/"skipped"/p' | grep -E '"(action|address|reason|message|xml|within_ms)"'
virt-rules explain frigate prepare --rules prepare --sysroot "$HOSTS/nas" --domain-xml prepare.xml
