# A NAS gives its VMs a UHCI controller first, where libvirt would put a Coral by itself: at 12 Mbit/s.
vm() { # FILE DEVICES...
    printf '%s' "<domain type='kvm' id='3'><name>ha</name><title>HA</title>" \
        "<os><type machine='pc-i440fx-7.2'>hvm</type></os><devices>" "$2" "</devices></domain>" >"$1"
}
uhci="<controller type='usb' index='0' model='piix3-uhci'/>"
xhci="<controller type='usb' index='1' model='nec-xhci' ports='1'/>"
tablet="<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>"
keyboard="<input type='keyboard' bus='usb'><address type='usb' bus='0' port='2'/></input>"
disk="<disk><target dev='sda' bus='usb'/><address type='usb' bus='1' port='1'/></disk>"
ehci="<controller type='usb' index='0' model='ehci'/>"
vm usb-nas.xml "$uhci$xhci$tablet"
vm usb-slow.xml "$uhci$xhci$tablet$disk"
vm usb-full.xml "$uhci$xhci$tablet$keyboard$disk"
vm usb-one.xml "$uhci$tablet"
vm usb-ehci.xml "$ehci"
vm usb-companion.xml "$ehci<controller type='usb' index='1' model='pci-ohci'/>$(
    for port in 1 2 3; do echo "<input type='mouse' bus='usb'><address type='usb' bus='1' port='$port'/></input>"; done)"
vm usb-unknown.xml "<controller type='usb' index='0' model='usb9'/>"
vm usb-none.xml "<controller type='usb' index='0' model='none'/>"
host() { # NAME SAMPLE SPEED: a host with the Coral at that many Mbit/s
    cp -r "$HOSTS/$2" "usb-host-$1" && chmod -R u+w "usb-host-$1"
    find "usb-host-$1" -name speed -path '*1-1.4/*' | while read -r file; do echo "$3" >"$file"; done
}
host coral usb 480
host after usb-after 5000
host stick usb 12
host keyboard usb 1.5
rule() { mkdir -p usb-controller && echo "on vm any started, plugged attach 1a6e:089a or 18d1:9302 as usb $1" >usb-controller/a.rules; }
plan() { # VM HOST OPTIONS
    virt-rules plan HA started --rules usb-controller --sysroot "usb-host-$2" --domain-xml "usb-$1.xml" $3
}
rule ""
plan nas coral --xml
plan nas after
plan nas stick
plan slow coral
plan slow after
plan one coral --xml | grep -c "type='usb' bus"
plan full coral
plan none coral
plan slow coral --json | grep -E '"(controller|note|guest_reset)":'
virt-rules explain HA started --rules usb-controller --sysroot usb-host-coral --domain-xml usb-slow.xml | grep controller
plan ehci stick
plan ehci keyboard
plan companion stick
rule "controller 0"
plan nas coral
plan full coral
plan ehci stick
plan ehci keyboard
rule "controller 1"
plan unknown stick
rule "controller 7"
plan nas coral
plan full coral --json | grep -E '"(reason|controller|message|hint)":'
rule "controller 0 guest reset off"
plan ehci coral --xml
plan ehci coral --json | grep -E '"(controller|note|guest_reset)":'
