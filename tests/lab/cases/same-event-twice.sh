# the same event again while the VM runs, and twice at the same time
deliver() { # what libvirt does at `started`
    "$HOOK" "$FRIGATE" started begin - </tmp/live
}
deliver_twice() {
    deliver &
    deliver
    wait $!
}

define "$FRIGATE" frigate
start "$FRIGATE"
settle
virsh dumpxml "$FRIGATE" >/tmp/live
check "without a rule the VM has no device" hostdevs_are "$FRIGATE" 0

rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio
END
check "the hook ends well when called twice at once" deliver_twice
check_until "one of the two finds the device attached" logged already frigate "$CORAL"
settle
check "the other attached it" logged_times 1 attached frigate "$CORAL"
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
check "once" hostdevs_are "$FRIGATE" 1

virsh dumpxml "$FRIGATE" >/tmp/live
check "the hook ends well when called again" deliver
check_until "the log says already" logged_times 2 already frigate "$CORAL"
settle
check "it says attached no second time" logged_times 1 attached frigate
check_not "nothing failed" logged failed
virsh dumpxml "$FRIGATE" >/tmp/now
check "the live XML is what it was" cmp /tmp/live /tmp/now
check "the device is still on vfio-pci" driver_is "$CORAL" vfio-pci
check "the VM runs" running "$FRIGATE"

virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
