# Mediated devices: spread over two GPUs, one that the administrator made, none left, a type that is not offered.
mkdir mdev
cat >mdev/50-vgpu.rules <<'RULES'
device half is at 61:00.0
on vm cad started attach any 3 10de:1eb8 as mdev "nvidia-63"
on vm cad started, freed attach half as mdev uuid "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d40"
on vm cad started attach half as mdev "nvidia-99"
on vm cad started attach 1ac1:089a or at 01:00.0 as mdev "nvidia-63"
on vm office started {
    attach all 10de:1eb8 as mdev "nvidia-64"
    attach half as mdev uuid "8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d49"
}
on vm many started attach any 20 10de:1eb8 as mdev "nvidia-63"
RULES
vm() { # NAME DEVICES
    cat >"$1.xml" <<XML
<domain type='kvm' id='3'>
  <name>$1</name>
  <uuid>4f0b1d1e-0000-4000-8000-00000000cafe</uuid>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
$(for i in 1 2 3 4; do echo "    <controller type='pci' index='$i' model='pcie-root-port'/>"; done)
$2
  </devices>
</domain>
XML
}
vm cad
vm office "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d41'/></source></hostdev>"
vm many
for name in cad office many; do
    virt-rules plan $name started --rules mdev --sysroot "$HOSTS/vgpu" --domain-xml $name.xml --xml; echo "status $?"
done
virt-rules plan cad started --rules mdev --sysroot "$HOSTS/vgpu" --domain-xml cad.xml --json | python3 -c '
import json, sys
for step in json.load(sys.stdin)["steps"]:
    print(step["backend"], step["device"]["address"], step["xml"], sep="\n")'
virt-rules devices --all --sysroot "$HOSTS/vgpu" | sed -n '/10de/,/or as/p'
virt-rules devices --sysroot "$HOSTS/vgpu" --json | python3 -c '
import json, sys
for device in json.load(sys.stdin)["devices"]:
    if device["mdev"]:
        print(device["address"], device["attach_as"], device["mdev"], sep="\n  ")'
