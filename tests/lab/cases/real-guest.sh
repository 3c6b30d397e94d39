# a VM with a real kernel sees its device at its boot, releases it when asked, and sees it again
# only with ALL=1: the emulation of virtualization can hang for good
rules 50-frigate.rules <<END
on vm frigate started, reconnect attach $CORAL_ID as vfio
END
define_linux "$FRIGATE" frigate
start "$FRIGATE"
check_until "the device is attached while the guest boots" logged attached frigate "$CORAL"
check "it is on vfio-pci" driver_is "$CORAL" vfio-pci
check_until "the guest is up" guest_up "$FRIGATE"
check_until "it sees the device" guest_told "$FRIGATE" "(boot|add) pci .* $CORAL_ID"
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
check "virt-rules status says so" virt-rules status frigate

check_until "the engine, which looks again after the boot, has ended" no_engine

line=$(guest_now "$FRIGATE")
check "virt-rules detach takes it out" virt-rules detach frigate "$CORAL"
check_until "the guest saw it go" guest_told "$FRIGATE" "remove pci .* $CORAL_ID" "$line"
check_until "the device is back on its host driver" on_host "$CORAL"
check "it is not in the VM" hostdevs_are "$FRIGATE" 0

line=$(guest_now "$FRIGATE")
check "the same rule gives it again" deliver "$FRIGATE" reconnect
check_until "the log says attached once more" logged_times 2 attached frigate "$CORAL"
check_until "the guest, which is up, saw it come" guest_told "$FRIGATE" "add pci .* $CORAL_ID" "$line"
check_not "nothing failed" logged failed
