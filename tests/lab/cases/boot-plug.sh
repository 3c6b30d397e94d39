# a device that a guest with native hot-plug lets go while it boots ends up in the VM
rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio
END
# Before 6.1 this machine's ports have no ACPI hot-plug: the attach presses the port's attention button, and so
# does the detach.
define_linux "$FRIGATE" frigate pc-q35-6.0
start "$FRIGATE"
check_within 90 "the device is attached while the guest boots" logged attached frigate "$CORAL"
check_within 300 "the guest is up" guest_up "$FRIGATE"
