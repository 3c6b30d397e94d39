# without its engine the hook still lets the VM start, and says so in the log
rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio
END
put_aside /usr/local/libvirt/bin/virt-rules
define "$FRIGATE" frigate
start "$FRIGATE"
check "libvirt called the hook" hook_calls "$FRIGATE started begin"
check_until "the log says what is missing" grep -F /usr/local/libvirt/bin/virt-rules "$LOG"
check "the VM runs" running "$FRIGATE"
check "it has no device" hostdevs_are "$FRIGATE" 0
check "the device is on its host driver" on_host "$CORAL"
