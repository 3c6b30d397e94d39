# faults in the middle of an attach: libvirtd killed, the VM destroyed, the device pulled; and what may be in the way
rule() { # the words behind the device
    rules 50-faults.rules <<END
on vm frigate, camera started, reconnect attach $CORAL_ID as vfio $1
END
}
start_anew() {
    rm -f "$LOG"
    start "$FRIGATE"
}
# libvirt gives the device to vfio-pci first, and seconds later to the VM.
in_the_middle() { # COMMAND ...: as soon as the attach is there
    local end=$((SECONDS + PATIENCE))
    start_anew
    until driver_is "$CORAL" vfio-pci >/dev/null; do
        [ $SECONDS -lt $end ] || fail "the attach begins"
    done
    "$@" || fail "in the middle of the attach: $*"
    check_not "that was in the middle of the attach" logged attached
}
pulled() { [ ! -e "/sys/bus/pci/devices/$CORAL" ]; }
no_ports() { # VM: but the one that its disk is at
    sed -i "/model='pcie-root-port'/{/index='1'/!d}" "/tmp/$1.xml"
    virsh -q undefine "$1" && virsh -q define "/tmp/$1.xml"
}

rule ""
define "$FRIGATE" frigate

# qemu then has the device and libvirt does not know of it, for as long as this VM runs: no attach can help, and the
# device stays on vfio-pci after the VM's end, unless the kill came very early, until the engine of that end gives it
# back. Or the daemon that comes back gets the answer that was meant for the dead one ("Unexpected JSON reply" in its
# log), and ends the VM.
told_its_end() { logged '(attached|failed)' frigate "$CORAL" || logged failed frigate "the VM has stopped"; }
stage "libvirtd is killed"
in_the_middle libvirt_stop KILL
libvirt_start
check_until "the log says how it ended" told_its_end
settle
if logged failed frigate "the VM has stopped"; then
    check "the VM has stopped, as the log says" stopped "$FRIGATE"
else
    check "the VM runs" running "$FRIGATE"
    virsh -q destroy "$FRIGATE"
fi
check_until "the device is back on its host driver" on_host "$CORAL"
check_nothing_left
start_anew
check_until "the next start gives it to the VM" logged attached frigate "$CORAL"
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
check "once" hostdevs_are "$FRIGATE" 1
check "virt-rules status finds nothing amiss" virt-rules status frigate

stage "Another VM wants it, too"
define "$CAMERA" camera
start "$CAMERA"
check_until "the log says who has it" logged refused camera "VM 'frigate' has it"
check "the other VM runs" running "$CAMERA"
virsh -q destroy "$CAMERA"
virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
check_nothing_left

stage "No port is free"
no_ports "$CAMERA"
start "$CAMERA"
check_until "the log says what to add" logged refused camera "<controller type='pci' model='pcie-root-port'/>"
check "the VM runs" running "$CAMERA"
check "the device is on its host driver" on_host "$CORAL"
virsh -q destroy "$CAMERA"

stage "The VM is destroyed"
in_the_middle virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
check_nothing_left

stage "The device is pulled"
virt-rules watch >/tmp/watch 2>&1 &
echo $! >/tmp/watcher
in_the_middle unplug coral
check_until "it is gone from the host" pulled
check_until "the engine has done what it does then" unplugged_is_done "$CORAL"
settle
check "the VM runs" running "$FRIGATE"
check_until "and has it no longer" hostdevs_are "$FRIGATE" 0

stage "It comes back while the rule waits for it"
rule "within 10m"
rm -f "$LOG"
check "the event comes again" deliver "$FRIGATE" reconnect
check_until "the engine waits" engine_sleeps
check "it is plugged in" plug coral "$CORAL_DEVICE"
check_until "the log says attached" logged attached frigate "$CORAL"
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
check "once" hostdevs_are "$FRIGATE" 1
virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
check_nothing_left
