# event nodes: a keyboard and a mouse of one device, and a keyboard alone; keys arrive; unplug, replug, detach
# only with ALL=1: its VM has a real kernel, and the emulation of virtualization can hang for good
KEYBOARD=0627:0001
check "udevd starts" /lib/systemd/systemd-udevd --daemon
inputs_are() { [ "$(xpath "$FRIGATE" "count(//devices/input[@type='passthrough'])")" = "$1" ]; } # NUMBER
told() { guest_told "$FRIGATE" "$1" "$line"; } # PATTERN
pressed() { # CODE COMMAND ...: the command presses the key, and the guest gets it
    local code=$1
    shift
    "$@" && told "key event[0-9]+ $code 1"
}
qemu_rests() { # it does not read from a node that is gone for ever
    local process before
    process=$(pgrep -f "guest=$FRIGATE") || return
    before=$(cut -d ' ' -f 14,15 "/proc/$process/stat" | tr ' ' +)
    sleep 3
    [ $(($(cut -d ' ' -f 14,15 "/proc/$process/stat" | tr ' ' +) - (before))) -lt 200 ]
}
plan_says() { virt-rules plan frigate plugged | grep -F "$1"; } # TEXT
press_a() { send_keys /dev/hidg0 '\0\0\4\0\0\0\0\0' && send_keys /dev/hidg0 '\0\0\0\0\0\0\0\0'; }
click() { send_keys /dev/hidg1 '\1\0\0' && send_keys /dev/hidg1 '\0\0\0'; }

rules 50-input.rules <<END
on vm frigate started, plugged {
    attach $COMPOSITE_ID as input
    attach $KEYBOARD as input
}
END
define_linux "$FRIGATE" frigate q35 drivers=1
start "$FRIGATE"
virt-rules watch >/tmp/watch 2>&1 &
echo $! >/tmp/watcher
check_until "the guest is up" guest_up "$FRIGATE"

stage "a receiver: two nodes"
line=$(guest_now "$FRIGATE")
check "it is made" make_composite hid.keyboard hid.mouse
check "it is plugged in" plug_composite
check_until "the VM has both nodes" inputs_are 2
check "by the links that stay" xpath "$FRIGATE" "//input/source[contains(@evdev, '/dev/input/by-id/') and contains(@evdev, 'event-mouse')]"
check_until "the guest opened two" sh -c "[ \$(tail -n +$line /tmp/$FRIGATE.serial | grep -c 'open event.* Lab') = 2 ]"
check_until "a key arrives" pressed 30 press_a
check_until "a button arrives" pressed 272 click

stage "unplugged and plugged in"
line=$(guest_now "$FRIGATE")
check "it is unplugged" unplug_composite
check_until "the guest gives it up" inputs_are 0
check "qemu does not look for it" qemu_rests
check "it is plugged in" plug_composite
check_until "the VM has both nodes" inputs_are 2
check_until "a key arrives" pressed 30 press_a
check "virt-rules detach takes it out" virt-rules detach frigate "$COMPOSITE_ID"
check_until "the VM has none" inputs_are 0

stage "a keyboard of the emulated PC"
line=$(guest_now "$FRIGATE")
check "it is plugged in" plug keyboard usb-kbd,bus=usb.0
check_until "the VM has it" inputs_are 1
check_until "a key arrives" pressed 48 hardware sendkey b
check "it is unplugged" unplug keyboard
check_until "the VM has none" inputs_are 0

stage "grab needs libvirt 10.4"
version=$(virsh version --daemon | sed -n 's/^Running against daemon: //p')
rules 50-input.rules <<END
on vm frigate plugged attach $COMPOSITE_ID as input grab
END
if [ "$(printf '%s\n' 10.4.0 "$version" | sort -V | head -n 1)" = 10.4.0 ]; then
    say "not here: libvirt $version plugs it in"
else
    check "the plan refuses it" plan_says "needs libvirt 10.4.0"
fi
check "the VM runs" running "$FRIGATE"
