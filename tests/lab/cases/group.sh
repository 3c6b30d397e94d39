# two devices of one IOMMU group, which go to a VM together or not at all
both_on_host() { on_host "$NIC" && on_host "$NIC_USB"; }
rule() { # the words behind the device
    rules 50-group.rules <<END
on vm frigate started attach 15ad:07b0 $1 as vfio
END
}
start_anew() {
    rm -f "$LOG"
    start "$FRIGATE"
}
check_both_in_vm() {
    local device
    for device in "$NIC" "$NIC_USB"; do
        check_until "the log says that $device is attached" logged attached frigate "$device"
        check "$device is in the VM" has_device "$FRIGATE" "$device"
        check "$device is on vfio-pci" driver_is "$device" vfio-pci
    done
    check "nothing else is in the VM" hostdevs_are "$FRIGATE" 2
    check_not "nothing failed" logged failed
}

check "two drivers of the host have them" both_on_host
define "$FRIGATE" frigate

stage "Without 'with group'"
rule ""
start_anew
check_until "the log says refused" logged refused frigate "$NIC"
check "and names the other one" logged refused frigate "$NIC_USB"
check "and its driver" logged refused frigate xhci_hcd
settle
check "the VM runs" running "$FRIGATE"
check "it has no device" hostdevs_are "$FRIGATE" 0
check "both are on their host drivers" both_on_host
virsh -q destroy "$FRIGATE"

stage "With it"
rule "with group"
start_anew
check_both_in_vm
virsh -q destroy "$FRIGATE"
check_until "both are back on their host drivers after virsh destroy" both_on_host

stage "The VM crashes"
start_anew
check_both_in_vm
pkill -KILL -f "guest=$FRIGATE"
check_until "the VM is gone" stopped "$FRIGATE"
check_until "both are back on their host drivers" both_on_host
# The engine of the VM's end comes after libvirt's own giving back, and would give back what is taken next.
check_until "nothing is kept of that life" nothing_kept

stage "The engine was killed after it had taken one from the host"
echo "$NIC_USB" >"/sys/bus/pci/devices/$NIC_USB/driver/unbind"
check_not "that one has no driver" driver "$NIC_USB"
start_anew
check_both_in_vm
virsh -q destroy "$FRIGATE"
check_until "both are back on their host drivers" both_on_host

stage "The second cannot go"
break_device "$NIC_USB"
start_anew
check_until "the log says that the first was attached" logged attached frigate "$NIC"
check_until "and the second failed" logged failed frigate "$NIC_USB"
settle
check "the first was taken out again" logged detached frigate "$NIC"
check "the VM runs" running "$FRIGATE"
check "it has none of them" hostdevs_are "$FRIGATE" 0
check "both are back on their host drivers" both_on_host

stage "The first cannot go"
virsh -q destroy "$FRIGATE"
mend_devices
break_device "$NIC"
start_anew
check_until "the log says that it failed" logged failed frigate "$NIC"
settle
check_not "nothing was attached" logged attached
check "the VM runs" running "$FRIGATE"
check "it has none of them" hostdevs_are "$FRIGATE" 0
check "both are back on their host drivers" both_on_host
