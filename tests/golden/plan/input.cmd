mkdir -m 755 input
cat >input/a.rules <<'END'
on vm desktop started attach 046d:c52b as input # a receiver: keyboard, mouse, and a third node
on vm desktop started attach 046d:c077 as input grab
on vm desktop started attach 10c4:ea60 as input
END
chmod 644 input/a.rules
head="<domain type='kvm' id='3'><name>desktop</name><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>
    <controller type='pci' index='0' model='pcie-root'/>"
ports=$(for i in 1 2 3; do echo "<controller type='pci' index='$i' model='pcie-root-port'/>"; done)
printf '%s\n' "$head$ports</devices></domain>" >desktop.xml
plan() { virt-rules plan desktop started --rules input --sysroot "$HOSTS/ports" --domain-xml "$@"; }
plan desktop.xml
plan desktop.xml --json | python3 -c '
import json, sys
for entry in json.load(sys.stdin)["steps"]:
    if entry.get("xml"):
        print(entry["device"]["address"], entry["xml"], sep="\n")'
echo "== one root port, of three that the receiver needs"
printf '%s\n' "$head<controller type='pci' index='1' model='pcie-root-port'/></devices></domain>" >small.xml
plan small.xml | sed -n '/046d:c52b/,/a.rules:1/p'
echo "== other machines"
printf '%s\n' "<domain type='kvm' id='3'><name>desktop</name><os><type machine='s390-ccw-virtio-7.2'>hvm</type></os></domain>" >s390.xml
printf '%s\n' "<domain type='kvm' id='3'><name>desktop</name><os><type machine='microvm'>hvm</type></os></domain>" >micro.xml
for vm in s390 micro; do plan $vm.xml | sed -n '/046d:c52b/,/a.rules:1/p'; done
