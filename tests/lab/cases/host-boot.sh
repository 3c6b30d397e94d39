# the host's own boot: virtual functions and drivers before libvirt starts, the same after each boot, and through a VM
# only with ALL=1: qemu before 8.0 plays no card with virtual functions, and a newer one is fetched
# needs igb
PF=0000:05:00.0 # a network card with up to 7 virtual functions
FIRST=0000:05:10.0
SECOND=0000:05:10.2
DISK=0000:00:02.0 # this host boots from it
HOST_DRIVER[$FIRST]=igbvf HOST_DRIVER[$SECOND]=igbvf
unit=/etc/systemd/system/virt-rules-boot.service

functions_are() { [ "$(cat /sys/bus/pci/devices/$PF/sriov_numvfs)" = "$1" ]; } # NUMBER
bound() { # as the rules want it
    functions_are 2 && driver_is "$FIRST" vfio-pci && driver_is "$SECOND" igbvf && driver_is "$NVME" vfio-pci &&
        driver_is "$NIC" vfio-pci && driver_is "$NIC_USB" xhci_hcd
}
# What the kernel makes again when it binds a device or creates one.
bindings() { stat -c '%n %i' /sys/bus/pci/drivers/*/0000:*; }
unchanged_by() { # COMMAND ...
    bindings >/tmp/before
    "$@" && bindings | diff /tmp/before -
}
write_rules() {
    rules 50-host.rules <<END
device card is 8086:10c9 at $PF
on host boot {
    create 2 vf of card
    bind vf 0 of card, at $NVME to vfio
    bind at $NIC to vfio
    run "/bin/touch" "/tmp/the-host-booted"
}
on vm frigate started attach at $NVME as vfio
END
}
# What systemd runs, by the unit's own line; there is no systemd here.
boots_so() {
    cat >/root/boot <<END
#!/bin/sh
modprobe igb
pgrep -x libvirtd >/tmp/libvirtd-at-boot
$(sed -n 's/^ExecStart=//p' $unit) >/tmp/host-boot 2>&1
echo \$? >/tmp/host-boot-status
END
    chmod 755 /root/boot
}
through_a_vm() {
    rm -f "$LOG"
    start "$FRIGATE"
    check_until "the VM gets the disk, which was bound at boot" logged attached frigate "$NVME"
    check "it has it" has_device "$FRIGATE" "$NVME"
    settle
    check "a run meanwhile changes nothing" unchanged_by virt-rules boot
    check "virt-rules detach takes it out" virt-rules detach frigate "$NVME"
    settle
    check "it is on vfio-pci still" driver_is "$NVME" vfio-pci
    check "the VM gets it again" virt-rules apply frigate
    check_until "as the log says" logged_times 2 attached frigate "$NVME"
    settle
    virsh -q destroy "$FRIGATE"
    settle
    check_until "after the VM's end all is as at boot" bound
    check "and stays" unchanged_by virt-rules apply
    check_not "nothing failed" logged failed
}

case $PART in
1)
    modprobe igb
    modprobe igbvf
    check "the unit is there" grep -q '^Before=libvirtd.service' $unit
    mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -s $unit /etc/systemd/system/multi-user.target.wants/
    check "no rule: nothing to do" says 'nothing to do' virt-rules boot
    write_rules
    check "the plan says what it creates" says "create +2 vf of $PF" virt-rules boot --dry-run
    check "and that others are bound then" says 'the virtual functions that .* creates' virt-rules boot --dry-run
    check "and changes nothing" functions_are 0
    check "virt-rules boot does it" virt-rules boot
    check "two functions, one of them and two devices on vfio-pci, the rest of the group as it was" bound
    check "the program was run" [ -e /tmp/the-host-booted ]
    check "a second run changes nothing" unchanged_by virt-rules boot
    check "doctor says how it went" says 'boot .* did all that the rules want' virt-rules doctor --all
    check "a driver that is loaded later does not get it" eval "modprobe -r nvme; modprobe nvme; driver_is $NVME vfio-pci"

    stage "What stays"
    pf=$(basename /sys/bus/pci/devices/$PF/net/*)
    mkdir -p /root/rules && chmod 755 /root/rules
    refuses() { # SENTENCE RULE PATTERN
        echo "$2" >/root/rules/a.rules
        chmod 644 /root/rules/a.rules
        check_not "$1" virt-rules boot --rules /root/rules
        check "with the reason" says "$3" virt-rules boot --rules /root/rules --dry-run
    }
    refuses "the controller of the boot disk" "on host boot bind at $DISK to vfio" 'mounts /'
    check "it is where it was" driver_is $DISK virtio-pci
    ip address add 192.0.2.7/24 dev "$pf"
    ip link set "$pf" up
    ip route add default dev "$pf"
    refuses "the uplink" "on host boot bind at $PF to vfio" 'default route'
    check "it is where it was" driver_is $PF igb
    refuses "another number of functions" "on host boot create 3 vf of at $PF" 'echo 0 >.*sriov_numvfs'
    refuses "more than the card can have" "on host boot create 8 vf of at $PF" 'at most 7'
    check "the number is as before" functions_are 2
    check "from 0 the uplink may have functions" eval "echo 0 >/sys/bus/pci/devices/$PF/sriov_numvfs; \
        echo 'on host boot create 2 vf of at $PF' >/root/rules/a.rules; virt-rules boot --rules /root/rules"
    check "it keeps its address" grep -q 192.0.2.7 <(ip address show dev "$pf")
    check "and the route" grep -q "dev $pf" <(ip route show default)
    check "all is bound again" virt-rules boot
    check "as before" bound

    stage "Through a VM"
    define "$FRIGATE" frigate
    through_a_vm

    stage "The host boots"
    boots_so
    reboot_host
    ;;
2)
    check "virt-rules boot ran at boot" [ "$(cat /tmp/host-boot-status)" = 0 ]
    check_not "before libvirt" test -s /tmp/libvirtd-at-boot
    modprobe igbvf
    check "all is as before" bound
    check "the program was run" [ -e /tmp/the-host-booted ]
    check "a second run changes nothing" unchanged_by virt-rules boot
    through_a_vm
    check "doctor says so" says 'boot .* did all that the rules want' virt-rules doctor --all
    ;;
esac
