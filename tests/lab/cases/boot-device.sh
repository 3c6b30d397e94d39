# 'then reset': a guest that must find its device at its boot is reset once, and finds it
rules 50-gpu.rules <<END
on vm frigate started attach $CORAL_ID as vfio then reset
END
count_resets
define_linux "$FRIGATE" frigate
start "$FRIGATE"
check_until "the device is attached" logged attached frigate "$CORAL"
check_until "the log says that the guest was reset" logged ran frigate
check_until "the guest found the device at its boot" guest_told "$FRIGATE" "boot pci .* $CORAL_ID"
check "libvirt says that it was reset" grep "reboot.*$FRIGATE" /tmp/resets
resets=$(resets_of "$FRIGATE") # the VM's firmware makes two of each
boots=$(grep -c GUEST-BOOT "/tmp/$FRIGATE.serial")

check "the same event comes again" deliver "$FRIGATE" started
check_until "the log says already" logged already frigate "$CORAL"
settle
check "the guest was reset once" logged_times 1 ran frigate
check "libvirt saw no other since" [ "$(resets_of "$FRIGATE")" = "$resets" ]
check "it has not booted since" guest_boots_are "$FRIGATE" "$boots"
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
check "once" hostdevs_are "$FRIGATE" 1
check "the VM runs" running "$FRIGATE"
