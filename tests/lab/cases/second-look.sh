# what a guest lets go in the half minute after the attach, as one may that boots, is attached again, once
define "$FRIGATE" frigate
start "$FRIGATE"
check_until "the guest is up, and answers" guest_up "$FRIGATE"
rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio
END
check "the event of the start comes" deliver "$FRIGATE" started
check_until "the device is attached" logged attached frigate "$CORAL"
check "the guest lets it go" take_out "$FRIGATE" "$CORAL"
check_until "the log says attached once more" logged_times 2 attached frigate "$CORAL"
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
check "once" hostdevs_are "$FRIGATE" 1
virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
check_nothing_left
