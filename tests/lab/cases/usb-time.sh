# how long a USB device takes from the kernel's event to its attach, beside an empty RUN program of udev and the call by hand
# only with ALL=1: it measures, for make bench
#
# Both begin when the kernel makes the device's node, which it does just before it sends the event, and both end when the
# call to attach the device has returned: by the rule, at the time in the log's line; by hand, at the end of a virsh that is
# started as soon as udev runs a static program that does nothing but write a byte into a FIFO. The keyboard, the port, the
# VM and udev's other rules are the same. They take turns.
KEYBOARD=0627:0001
UDEV_RULE=/etc/udev/rules.d/90-virt-rules.rules RAN=/run/usb-time
rules 50-usb.rules <<END
on vm frigate plugged attach $KEYBOARD as usb
END
cat >/tmp/keyboard.xml <<END
<hostdev mode='subsystem' type='usb' managed='yes'>
  <source><vendor id='0x${KEYBOARD%:*}'/><product id='0x${KEYBOARD#*:}'/></source>
</hostdev>
END
ours=() without_call=() by_hand=() program=()

define_with_usb() {
    sed "s|<controller type='usb' .*|<controller type='usb' model='qemu-xhci'/>|" /lab/inside/domain.xml >/tmp/usb.xml
    define_from /tmp/usb.xml "$FRIGATE" frigate
}
has_keyboard() { xpath "$FRIGATE" "//hostdev/source[vendor/@id='0x${KEYBOARD%:*}' and product/@id='0x${KEYBOARD#*:}']"; }
event_time() { # when the kernel made the node of the device that the VM has, in microseconds
    local bus device time
    bus=$(xpath "$FRIGATE" 'string(//hostdev/source/address/@bus)')
    device=$(xpath "$FRIGATE" 'string(//hostdev/source/address/@device)')
    time=$(stat -c %.6W "$(printf '/dev/bus/usb/%03d/%03d' "$bus" "$device")") && echo "${time/./}"
}
use_program() { # PROGRAM: what udev's rule runs
    sed "s|RUN+=\"[^\"]*\"|RUN+=\"$1\"|" "$ASIDE$UDEV_RULE" >"$UDEV_RULE"
    udevadm control --reload || fail "udev reads its rules again"
}
plug_keyboard() { plug keyboard usb-kbd,bus=usb.0,port=1 || fail "the keyboard is plugged in"; }
take_it_back() {
    virsh -q detach-device "$FRIGATE" /tmp/keyboard.xml --live || fail "the keyboard is taken out"
    wait_for hostdevs_are "$FRIGATE" 0 || fail "the VM has it no longer" "$(cat /tmp/wait_for)"
    unplug keyboard || fail "the keyboard is unplugged"
    wait_for no_keyboard || fail "the host has it no longer"
    udevadm settle --timeout="$PATIENCE" || fail "udev has handled the events"
    wait_for no_plug || fail "the engine ends its work" "$(cat /tmp/wait_for)"
    rm -f "$LOG" "$STATE/devices"/* # or the engine would wait before it attaches a device that is lost so often
}
no_keyboard() { ! grep -x 'QEMU USB Keyboard' /sys/bus/usb/devices/*/product; }
no_plug() { ! pgrep -af 'virt-rules plug'; }
number_in_log() { logged_lines attached frigate "$KEYBOARD" | grep -o "\"$1\": *[0-9]*" | grep -o '[0-9]*$'; } # KEY
by_rule() {
    local took
    use_program /usr/local/libvirt/libexec/virt-rules-plug
    plug_keyboard
    wait_for logged attached frigate "$KEYBOARD" || fail "the log says attached" "$(cat "$LOG")"
    has_keyboard >/dev/null || fail "the keyboard is in the VM"
    took=$(($(attached_time frigate) - $(event_time)))
    ours+=("$took")
    without_call+=($((took - 1000 * $(number_in_log call_ms))))
    take_it_back
}
by_virsh() {
    local ran attached event
    use_program "/bin/busybox dd if=/etc/hosts of=$RAN bs=1 count=1"
    while read -r -n 1 -t 0.1 -u "$fifo"; do :; done # of the device that was unplugged last
    plug_keyboard
    read -r -n 1 -t "$PATIENCE" -u "$fifo" || fail "udev runs its program"
    ran=$(now)
    virsh -q attach-device "$FRIGATE" /tmp/keyboard.xml --live || fail "virsh attaches the keyboard"
    attached=$(now)
    has_keyboard >/dev/null || fail "the keyboard is in the VM"
    event=$(event_time)
    by_hand+=($((attached - event)))
    program+=($((ran - event)))
    take_it_back
}
one_pair() {
    by_rule
    by_virsh
    say "$(seconds "${ours[-1]}") s by the rule, $(seconds "${without_call[-1]}") s of them before libvirt's part;" \
        "$(seconds "${by_hand[-1]}") s by hand, $(seconds "${program[-1]}") s of them until udev's program runs"
}

define_with_usb
start "$FRIGATE"
settle
put_aside $UDEV_RULE
rm -f $RAN && mkfifo $RAN && exec {fifo}<>$RAN
check "udevd starts" /lib/systemd/systemd-udevd --daemon

say "Once each that does not count:"
one_pair
ours=() without_call=() by_hand=() program=()
say "$ROUNDS times each:"
while [ ${#ours[@]} -lt "$ROUNDS" ]; do one_pair; done
say "medians: $(seconds "$(median "${ours[@]}")") s by the rule, $(seconds "$(median "${without_call[@]}")") s of them" \
    "before libvirt's part; $(seconds "$(median "${by_hand[@]}")") s by hand, $(seconds "$(median "${program[@]}")") s of" \
    "them until udev's program runs"
figure usb-event-to-attached ours by_hand
passed "the keyboard came and went $ROUNDS times each way"
