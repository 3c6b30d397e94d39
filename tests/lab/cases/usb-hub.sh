# USB: which controller of its VM a device gets, and a hub with what is behind it
#
# The VM has a slow controller with one free port, and a fast one.
KEYBOARD=0627:0001 STICK=46f4:0001
TABLET="<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>"
define_with_two_controllers() {
    sed "s|<controller type='usb' .*|<controller type='usb' index='0' model='piix3-uhci'/>\
        <controller type='usb' index='1' model='qemu-xhci'/>$TABLET|" /lab/inside/domain.xml >/tmp/usb.xml
    define_from /tmp/usb.xml "$FRIGATE" frigate
}
host_port() { # PRODUCT: where the host has it, "1-1"
    local file
    file=$(grep -lx "$1" /sys/bus/usb/devices/*/product) && basename "$(dirname "$file")"
}
has_only() { # ID ...: these USB devices, in the order of their ids
    local found
    found=$(virsh dumpxml "$FRIGATE" | sed -n '/<hostdev/,/<\/hostdev>/s/.*<\(vendor\|product\) id=.0x\([0-9a-f]*\).*/\2/p' |
        paste -d : - - | sort | xargs)
    echo "the VM has: $found"
    [ "$found" = "$*" ]
}

define_with_two_controllers
start "$FRIGATE"
virt-rules watch >/tmp/watch 2>&1 &
echo $! >/tmp/watcher

stage "the controller"
rules 50-usb.rules <<END
on vm frigate plugged {
    attach $KEYBOARD as usb controller 0
    attach $STICK as usb controller 0
}
END
check "a keyboard is plugged in" plug keyboard usb-kbd,bus=usb.0,port=4
check_until "it is on the controller that the rule names" \
    xpath "$FRIGATE" "//hostdev[source/product/@id='0x${KEYBOARD#*:}']/address[@type='usb' and @bus='0' and @port='2']"
check "a stick is plugged in" plug stick usb-storage,drive=stick,bus=usb.0,port=2
check_until "the controller has no port for it" logged refused frigate "$STICK"
check "the log says what to do" grep -F "has no free port" "$LOG"
check "libvirt was not asked" has_only "$KEYBOARD"
unplug keyboard
unplug stick
check_until "the VM has none" has_only

stage "a hub with what is behind it"
check "a hub is plugged in" plug hub usb-hub,bus=usb.0,port=3
check_until "the host has it" host_port "QEMU USB Hub"
rules 50-usb.rules <<END
on vm frigate started, plugged attach all usb below port $(host_port "QEMU USB Hub") as usb
END
check "a keyboard is plugged into it" plug keyboard usb-kbd,bus=usb.0,port=3.1
check_until "the VM has it" has_only "$KEYBOARD"
check "and a stick" plug stick usb-storage,drive=stick,bus=usb.0,port=3.2
check_until "the VM has both, and not the hub" has_only "$KEYBOARD" "$STICK"
check "the keyboard is unplugged" unplug keyboard
check_until "the VM has the stick" has_only "$STICK"
check "the keyboard is plugged in" plug keyboard usb-kbd,bus=usb.0,port=3.3
check_until "the VM has both" has_only "$KEYBOARD" "$STICK"
check "the hub is unplugged" unplug hub
check_until "the VM has nothing of it" has_only
check "the VM runs" running "$FRIGATE"
