# One device in several ways: what a VM has as a serial port another one cannot have as a USB device, and the reverse.
cp -r "$HOSTS/ports" kinds-host
mkdir -p kinds-host/run/libvirt/qemu
uuid=11111111-2222-4333-8444-555555555555
cat >kinds-host/run/libvirt/qemu/ha.xml <<'XML'
<domstatus state='running'>
  <domain type='kvm' id='3'><name>ha</name><uuid>99999999-2222-4333-8444-555555555555</uuid><devices>
    <serial type='dev'><source path='/dev/ttyUSB0'/><target type='usb-serial' port='1'/></serial>
    <serial type='dev'><source path='/dev/ttyUSB2'/><target type='usb-serial' port='2'/></serial>
    <hostdev mode='subsystem' type='usb'><source><address bus='1' device='7'/></source></hostdev>
  </devices></domain>
</domstatus>
XML
put_vm() {
    printf '%s\n' "<domstatus state='running'><domain type='kvm' id='7'><name>frigate</name><uuid>$uuid</uuid>
        <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>
        <controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='1' model='pcie-root-port'/>
        <controller type='usb' index='0' model='qemu-xhci' ports='15'/>$1</devices></domain></domstatus>" \
        >kinds-host/run/libvirt/qemu/frigate.xml
}
plan() {
    mkdir -m 755 "$1"
    cat >"$1/a.rules"
    chmod 644 "$1/a.rules"
    echo "== $1"
    virt-rules plan frigate "$2" --rules "$1" --sysroot kinds-host
}

put_vm ""
plan kinds-held started <<'END'
on vm frigate started attach 10c4:ea60 as usb
on vm frigate started attach 0403:6011 as usb # one of its four ports
on vm frigate started attach 046d:c077 as input
END
plan kinds-take started <<'END'
on vm frigate started attach 10c4:ea60 as usb take
END

# Which of many.
plan kinds-all started <<'END'
on vm frigate started attach all usb as serial
END
plan kinds-any started <<'END'
on vm frigate started attach any 2 not driver ftdi_sio usb as serial optional
on vm frigate started attach 046d:c52b or 046d:c077 as input
on vm frigate started attach 1a86:7523 as serial within 30s
on vm frigate started attach 1234:5678 as serial optional
on vm frigate started attach any 3 046d:* as serial
END

# The VM has it in another way; and a part of it in the same way.
put_vm "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='5'/></source></hostdev>
    <input type='passthrough' bus='virtio'><source evdev='/dev/input/event5'/></input>"
plan kinds-own started <<'END'
on vm frigate started attach 067b:2303 as serial
on vm frigate started detach 067b:2303
END

# Both ports of an adapter that is gone are one step, whatever the event; a disk of its own stays.
put_vm "<serial type='dev'><source path='/dev/ttyUSB8'/><target type='usb-serial' port='1'/>
        <alias name='ua-virt-rules-serial-1-9-4-31-0'/></serial>
    <serial type='dev'><source path='/dev/ttyUSB9'/><target type='usb-serial' port='2'/>
        <alias name='ua-virt-rules-serial-1-9-4-31-1'/></serial>
    <disk type='block'><source dev='/dev/sdx'/><target dev='vda' bus='virtio'/></disk>"
plan kinds-gone plugged <<'END'
on vm frigate started attach usb port 1-9.4 as serial
END
virt-rules plan frigate plugged --rules kinds-gone --sysroot kinds-host --json | python3 -c '
import json, sys
for entry in json.load(sys.stdin)["steps"]:
    print(entry["action"], entry["device"]["address"], entry["xml"], sep="\n")'
