# a restart of libvirtd, which calls the hook as well, leaves VM and device as they are
rules 50-frigate.rules <<END
on vm frigate started, reconnect attach $CORAL_ID as vfio
END
define "$FRIGATE" frigate
start "$FRIGATE"
check_until "the device is attached" logged attached frigate "$CORAL"
forget_hook_calls
check "libvirtd restarts" libvirt_restart
check_until "libvirt called the hook" hook_calls "$FRIGATE reconnect begin"
check_until "the log says already" logged already frigate "$CORAL"
check_not "nothing failed" logged failed
check "the VM runs" running "$FRIGATE"
check "the device is in it" has_device "$FRIGATE" "$CORAL"
check "once" hostdevs_are "$FRIGATE" 1
check "on vfio-pci" driver_is "$CORAL" vfio-pci

virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
