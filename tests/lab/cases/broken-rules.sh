# a rule file with an error hinders neither the VM nor the other files
rules 10-broken.rules <<END
on vm frigate strated attach 1b36:0010 as vfio
END
rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio
END
check_not "virt-rules check finds the mistake" virt-rules check
define "$FRIGATE" frigate
start "$FRIGATE"
check_until "the rule of the other file works" logged attached frigate "$CORAL"
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
check "and nothing else" hostdevs_are "$FRIGATE" 1
check "the log names the file with the mistake" grep -F 10-broken.rules "$LOG"
check "the VM runs" running "$FRIGATE"
