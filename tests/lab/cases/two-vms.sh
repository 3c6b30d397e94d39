# two VMs that start at the same time, each with a device of its own
rules 50-two.rules <<END
on vm frigate started attach $CORAL_ID as vfio
on vm camera started attach 1b36:0010 as vfio
END
define "$FRIGATE" frigate
define "$CAMERA" camera
virsh -q start "$FRIGATE" &
virsh -q start "$CAMERA"
wait
check "the first VM runs" running "$FRIGATE"
check "the second VM runs" running "$CAMERA"
check_until "the first has its device" logged attached frigate "$CORAL"
check_until "the second has its device" logged attached camera "$NVME"
check "the first device is in the first VM" has_device "$FRIGATE" "$CORAL"
check "the second device is in the second VM" has_device "$CAMERA" "$NVME"
check "and nothing else in the first" hostdevs_are "$FRIGATE" 1
check "and nothing else in the second" hostdevs_are "$CAMERA" 1
check "the first device is on vfio-pci" driver_is "$CORAL" vfio-pci
check "the second device is on vfio-pci" driver_is "$NVME" vfio-pci

virsh -q destroy "$FRIGATE"
check_until "the first device is back" on_host "$CORAL"
check "the second stays where it is" driver_is "$NVME" vfio-pci
check "in its VM, which runs" has_device "$CAMERA" "$NVME"
virsh -q destroy "$CAMERA"
check_until "the second device is back" on_host "$NVME"
