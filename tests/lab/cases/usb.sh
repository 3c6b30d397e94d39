# USB: what a guest's reset does to a device that re-enumerates
# only with ALL=1: it takes five minutes and more on a busy machine
#
# The gadget is a Coral USB: it re-enumerates when it is reset, with the other of its two ids (tests/lab/gadget). The
# guest resets each USB device that it finds, as the driver of such a device may do it. Its first controller is slow and
# has one free port, and the guest has no driver for it.
TABLET="<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>"
define_with_two_controllers() {
    sed "s|<controller type='usb' .*|<controller type='usb' index='0' model='piix3-uhci'/>\
        <controller type='usb' index='1' model='qemu-xhci'/>$TABLET|" /lab/inside/domain-linux.xml >/tmp/linux-usb.xml
    define_from /tmp/linux-usb.xml "$FRIGATE" frigate q35 usb_resets=1
}
gadget_rule() { # [OPTION ...]
    rules 50-usb.rules <<END
device gadget is 1a6e:089a or 18d1:9302 # one thing with two ids
on vm frigate started, plugged attach gadget as usb $*
END
}
host_port() { # PRODUCT: where the host has it, "1-1"
    local file
    file=$(grep -lx "$1" /sys/bus/usb/devices/*/product) && basename "$(dirname "$file")"
}
number_of() { # PRODUCT: its number on the host, "1/5"
    local folder
    folder=/sys/bus/usb/devices/$(host_port "$1") && echo "$(cat "$folder/busnum")/$(cat "$folder/devnum")"
}
has_number() { # BUS/DEVICE [CONDITION]: in the live XML
    xpath "$FRIGATE" "//hostdev[source/address[@bus='${1%/*}' and @device='${1#*/}']${2:+ and $2}]"
}
# No attach follows a loss any more. A device that is unplugged while the host resets it can leave its port unusable.
keep_lost() {
    rules 50-usb.rules <<END
device gadget is 1a6e:089a or 18d1:9302
on vm frigate started attach gadget as usb
END
    wait_for hostdevs_are "$FRIGATE" 0 || fail "the VM loses it"
    settle
    wait_for number_of Gadget || fail "the host has it"
}
plug_anew() { # OPTION ...: the gadget, for a rule with these; sets `line` and `number`
    unplug gadget
    wait_for hostdevs_are "$FRIGATE" 0 || fail "the VM has no device"
    rm -f "$STATE/devices"/* # or the engine would wait before it attaches
    gadget_rule "$@"
    line=$(guest_now "$FRIGATE")
    plug_gadget bus=usb.0,port=1 || fail "the stick is plugged in"
    wait_for number_of Gadget || fail "the host has it"
    number=$(number_of Gadget)
}
re_enumerated() { [ "$(number_of Gadget)" != "$number" ]; }

gadget_rule
define_with_two_controllers
start "$FRIGATE"
check_until "the guest is up" guest_up "$FRIGATE"
virt-rules watch >/tmp/watch 2>&1 &
echo $! >/tmp/watcher

stage "a guest that resets its stick"
check "the stick is plugged in" plug_gadget bus=usb.0,port=1
check_until "the guest finds it, and with its speed: it is on the second controller" \
    guest_told "$FRIGATE" "add usb .* 1a6e:089a 480"
check_until "the guest resets it, it re-enumerates, and the guest loses it" \
    guest_told "$FRIGATE" "remove usb .* 1a6e:089a"
check_until "it is attached with its other id" guest_told "$FRIGATE" "add usb .* 18d1:9302"

stage "guest reset off"
line=$(guest_now "$FRIGATE")
gadget_rule guest reset off
check_until "the next attach says so" xpath "$FRIGATE" "//hostdev/source[@guestReset='off']"
number=$(number_of Gadget)
check_until "the guest resets it" guest_told "$FRIGATE" "reset usb" "$line"
check "the VM has it with the same number" has_number "$number" "source/@guestReset='off'"
check "the host has it with that number" [ "$(number_of Gadget)" = "$number" ]

stage "guest reset uninitialized"
plug_anew guest reset uninitialized
check_until "the guest finds it" guest_told "$FRIGATE" "add usb" "$line"
check_until "the reset of its driver reaches it, and the guest loses it" guest_told "$FRIGATE" "remove usb" "$line"
keep_lost

stage "guest reset on"
plug_anew guest reset on
check_until "the guest resets it before it finds it, and never does" re_enumerated
check_not "it was not there" guest_told "$FRIGATE" "add usb" "$line"
keep_lost
unplug gadget
