virt-rules devices --all --sysroot "$HOSTS/dock" | sed -n '/^USB/,$p'
virt-rules devices --sysroot "$HOSTS/dock" --json | python3 -c '
import json, sys
keys = "drivers", "interfaces", "manufacturer", "product", "speed", "selector"
for device in json.load(sys.stdin)["devices"]:
    if device["address"] in ("0000:01:00.0", "1-1.2", "1-10"):
        print(device["address"], *(f"{key}={json.dumps(device[key])}" for key in keys), sep="\n  ")'
mkdir -m 755 rules
echo 'on vm desktop started, plugged attach all not class 08 below port 1-1 as usb' >rules/a.rules
chmod 644 rules/a.rules
printf '%s\n' "<domain type='kvm' id='3'><name>desktop</name><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>" \
    "<devices><controller type='usb' model='qemu-xhci' ports='15'/></devices></domain>" >desktop.xml
virt-rules plan desktop started --rules rules --sysroot "$HOSTS/dock" --domain-xml desktop.xml | grep -v xml
