# one VM with two devices
rules 50-two.rules <<END
on vm frigate started {
    attach $CORAL_ID as vfio
    attach 1b36:0010 as vfio
}
END
define "$FRIGATE" frigate
start "$FRIGATE"
for device in "$CORAL" "$NVME"; do
    check_until "the log says that $device is attached" logged attached frigate "$device"
    check "$device is in the VM" has_device "$FRIGATE" "$device"
    check "$device is on vfio-pci" driver_is "$device" vfio-pci
done
check "nothing else is in the VM" hostdevs_are "$FRIGATE" 2

virsh -q destroy "$FRIGATE"
for device in "$CORAL" "$NVME"; do
    check_until "$device is back on its host driver" on_host "$device"
done
