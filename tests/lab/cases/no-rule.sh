# a VM that no rule names is left alone
rules 50-other.rules <<END
on vm windows started attach $CORAL_ID as vfio
END
define "$FRIGATE" frigate
start "$FRIGATE"
check "libvirt called the hook" hook_calls "$FRIGATE started begin"
settle
check "the VM runs" running "$FRIGATE"
check "it has no device" hostdevs_are "$FRIGATE" 0
check "the device is on its host driver" on_host "$CORAL"
check_not "the log tells of no attach" logged attached
check_not "nor of a failure" logged failed
