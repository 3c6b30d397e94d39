# serial ports: both of a device, read and written on both sides; it re-enumerates; as PCI ports; detach
# only with ALL=1: its VM has a real kernel, and the emulation of virtualization can hang for good
check "udevd starts" /lib/systemd/systemd-udevd --daemon
serials_are() { # TYPE NUMBER
    [ "$(xpath "$FRIGATE" "count(//devices/serial[@type='dev' and target/@type='$1'])")" = "$2" ]
}
of_number() { # NUMBER: both ports are of the device that has it now
    [ "$(xpath "$FRIGATE" "count(//devices/serial/alias[contains(@name, '-$1-')])")" = 2 ]
}
is_another() { # NUMBER
    local number
    number=$(composite_number) && [ "$number" != "$1" ]
}
status_has() { virt-rules status frigate | grep -F "$1"; } # TEXT
opened() { # NUMBER
    [ "$(guest_told "$FRIGATE" "open tty" "$line" | grep -c open)" -ge "$1" ]
}
# The host's ends of both ports. They stay open, for what arrives at a closed one is lost.
open_ends() {
    exec 7<>/dev/ttyGS0 8<>/dev/ttyGS1
    stty -F /dev/ttyGS0 raw -echo && stty -F /dev/ttyGS1 raw -echo
}
guest_hears() { # WORD: what the host writes into both ports, the guest reads
    echo "${1}0" >&7
    echo "${1}1" >&8
    wait_for guest_told_line "read tty[^ ]* ${1}0" && wait_for guest_told_line "read tty[^ ]* ${1}1"
}
guest_told_line() { guest_told "$FRIGATE" "$1" "$line" | grep -q "^GUEST read"; } # PATTERN
host_hears() { # WORD
    local text
    while IFS= read -r -t 60 -u 7 text; do
        [ "$text" != "guest read $1" ] || return 0
        echo "$text"
    done
    return 1
}

rules 50-serial.rules <<END
on vm frigate started, plugged attach $COMPOSITE_ID as serial
END
define_linux "$FRIGATE" frigate q35 drivers=1
start "$FRIGATE"
virt-rules watch >/tmp/watch 2>&1 &
echo $! >/tmp/watcher
check_until "the guest is up" guest_up "$FRIGATE"

stage "plugged"
line=$(guest_now "$FRIGATE")
check "a device with two serial ports is made" make_composite acm.0 acm.1
check "it is plugged in" plug_composite
check_until "the VM has both ports" serials_are usb-serial 2
check "by the links that stay" xpath "$FRIGATE" "//serial/source[contains(@path, '/dev/serial/by-id/') and contains(@path, 'if02')]"
check_until "the guest opened both" opened 2
open_ends
check "the guest reads what the host writes" guest_hears hello
check "the host reads what the guest writes" host_hears hello0
check "virt-rules status knows them" status_has "$COMPOSITE_ID"

stage "it re-enumerates"
line=$(guest_now "$FRIGATE")
before=$(composite_number)
check "it is unplugged" unplug_composite
check "and plugged in" plug_composite
check_until "it has another number" is_another "$before"
check_until "the VM has the ports of now" of_number "$(composite_number)"
check_until "and no others" serials_are usb-serial 2
check_until "the guest opened both" opened 2
open_ends # they were hung up
check "the guest reads what the host writes" guest_hears again
check "the host reads what the guest writes" host_hears again0

stage "detach"
line=$(guest_now "$FRIGATE")
check "virt-rules detach takes it out" virt-rules detach frigate "$COMPOSITE_ID"
check_until "the VM has no port" serials_are usb-serial 0
check_until "the guest saw it go" guest_told "$FRIGATE" "remove usb .* 0403:6001" "$line"
check "the host still has it" test -e /dev/serial/by-id/usb-Lab_Composite_LAB1-if00

stage "as PCI ports"
line=$(guest_now "$FRIGATE")
rules 50-serial.rules <<END
on vm frigate started, plugged attach $COMPOSITE_ID as serial pci
END
check "virt-rules apply attaches them" virt-rules apply frigate
check_until "the VM has both" serials_are pci-serial 2
check_until "the guest opened both" opened 2
open_ends
check "the guest reads what the host writes" guest_hears pci
check "the host reads what the guest writes" host_hears pci0
check "it is unplugged" unplug_composite
check_until "they leave the VM" serials_are pci-serial 0
check "the VM runs" running "$FRIGATE"
