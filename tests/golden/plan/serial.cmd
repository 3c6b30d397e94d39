mkdir -m 755 serial
cat >serial/a.rules <<'END'
on vm ha started attach 10c4:ea60 as serial
on vm ha started attach 0403:6011 as serial # four ports
on vm ha started attach 067b:2303 as serial pci # udev has no link to it
on vm ha started attach 1a86:7523 as serial # no driver
on vm ha started attach 1cf1:0030 as serial # the class of its interfaces says which
on vm ha started attach 046d:c077 as serial # a mouse
END
chmod 644 serial/a.rules
head="<domain type='kvm' id='3'><name>ha</name><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>
    <controller type='pci' index='0' model='pcie-root'/>"
port="<controller type='pci' index='1' model='pcie-root-port'/>"
usb="<controller type='usb' index='0' model='piix3-uhci'/><controller type='usb' index='1' model='qemu-xhci' ports='15'/>"
printf '%s\n' "$head$port$usb</devices></domain>" >ha.xml
plan() { virt-rules plan ha started --rules serial --sysroot "$HOSTS/ports" --domain-xml "$@"; }
plan ha.xml
plan ha.xml --json | python3 -c '
import json, sys
for entry in json.load(sys.stdin)["steps"]:
    if entry.get("xml"):
        print(entry["device"]["address"], entry["xml"], sep="\n")'

# The first of the quad adapter is in the VM, by a path of the kernel; so is a port of the Zigbee stick, from before it
# was plugged in again.
printf '%s\n' "$head$port$usb
    <serial type='dev'><source path='/dev/ttyUSB1'/><target type='usb-serial' port='1'/><alias name='serial1'/>
        <address type='usb' bus='1' port='1'/></serial>
    <serial type='dev'><source path='/dev/serial/by-id/usb-Silicon_Labs_Sonoff_0001-if00-port0'/>
        <target type='usb-serial' port='2'/><alias name='ua-virt-rules-serial-1-1-1-0'/>
        <address type='usb' bus='1' port='2'/></serial></devices></domain>" >part.xml
plan part.xml | sed '/1a86/,$d'
plan part.xml --json | python3 -c '
import json, sys
for entry in json.load(sys.stdin)["steps"][:3]:
    print(entry["device"]["address"], entry["xml"], sep="\n")'

# No USB controller; none of the ports runs at 12 Mbit/s; fewer ports than ttys; no root port.
printf '%s\n' "$head<controller type='usb' model='none'/></devices></domain>" >no-usb.xml
printf '%s\n' "$head<controller type='usb' index='0' model='ehci'/></devices></domain>" >fast.xml
printf '%s\n' "$head<controller type='usb' index='0' model='qemu-xhci' ports='3'/></devices></domain>" >small.xml
for vm in no-usb fast small; do
    echo "== $vm"
    plan $vm.xml | sed -n '/10c4:ea60/,/a.rules:3/p'
done

# A VM that has it as usb leaves the host without a tty: it is held, so that a rule with 'freed' gets its turn.
cp -r "$HOSTS/ports" serial-host
mkdir -p serial-host/run/libvirt/qemu
rm serial-host/sys/class/tty/ttyUSB0
cat >serial-host/run/libvirt/qemu/other.xml <<'XML'
<domstatus state='running' pid='4242'><domain type='kvm' id='4'><name>other</name><devices>
  <hostdev mode='subsystem' type='usb'><source><vendor id='0x10c4'/><product id='0xea60'/><address bus='1' device='2'/>
  </source></hostdev></devices></domain></domstatus>
XML
virt-rules plan ha started --rules serial --sysroot "$PWD/serial-host" --domain-xml ha.xml | sed -n '/10c4:ea60/,/a.rules:1/p'
