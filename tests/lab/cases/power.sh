# what a rule sets of a device's power and reset holds while the VM has it, and is set back afterwards
SYS=/sys/bus/pci/devices/$CORAL

setting_is() { # FILE VALUE
    local now
    now=$(cat "$SYS/$1")
    echo "$1 is '$now'"
    [ "$now" = "$2" ]
}

methods=$(cat "$SYS/reset_method")
one=${methods##* } # not the kernel's own choice, where there are several
d3cold=$(cat "$SYS/d3cold_allowed")
echo "reset methods: $methods; d3cold_allowed: $d3cold"

rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio
END
echo on >"$SYS/power/control"
define "$FRIGATE" frigate
start "$FRIGATE"
check_until "the device is attached" logged attached frigate "$CORAL"
check "vfio-pci has given its power to the kernel, whatever it was before" setting_is power/control auto
virsh -q destroy "$FRIGATE"
check_until "the device is back" on_host "$CORAL"
settle
rm "$LOG"

rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio awake reset method $one
END
echo auto >"$SYS/power/control"
echo 1 >"$SYS/d3cold_allowed"
check "the plan says what is written" says "'on' to power/control, '0' to d3cold_allowed" virt-rules plan frigate started
start "$FRIGATE"
check_until "the device is attached again" logged attached frigate "$CORAL"
check "it is on vfio-pci" driver_is "$CORAL" vfio-pci
check_until "its power management stays off" setting_is power/control on
check "so does D3cold" setting_is d3cold_allowed 0
check "it is reset as the rule says" setting_is reset_method "$one"
check "it is awake" setting_is power_state D0
virsh -q destroy "$FRIGATE"
check_until "the device is back again" on_host "$CORAL"
check_until "its power management is what it was" setting_is power/control auto
check_until "D3cold too" setting_is d3cold_allowed 1
check_until "all reset methods are back" setting_is reset_method "$methods"
check_until "the engine has ended" no_engine
echo "$d3cold" >"$SYS/d3cold_allowed"

rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio reset method af_flr
END
check "a method that the device does not have is refused" says 'no reset method af_flr.*\[no-reset-method\]' \
    virt-rules plan frigate started
check "with those that it has" says "the kernel offers $methods" virt-rules plan frigate started
