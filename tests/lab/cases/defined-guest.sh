# a guest finds the device of a 'defined' rule at its first boot: no hot-plug, no reset, also when the host starts the VM
# only with ALL=1: the emulation of virtualization can hang for good
before=/root/frigate.before # where a reboot leaves it
definition() { virsh dumpxml --inactive "$FRIGATE" | grep -vx '  <metadata/>'; }
check_first_boot() {
    check "libvirt's live XML has the device" has_device "$FRIGATE" "$CORAL"
    check "it is on vfio-pci" driver_is "$CORAL" vfio-pci
    check_until "the guest is up" guest_up "$FRIGATE"
    check "its kernel found the device when it booted" guest_told "$FRIGATE" "boot pci .* $CORAL_ID"
    check_not "nothing was plugged" grep -E "^GUEST (add|remove) pci" "/tmp/$FRIGATE.serial"
    check "it has booted once" guest_boots_are "$FRIGATE" 1
    settle
    check_not "the engine attached nothing" grep -E '"event": ?"(prepare|start|started)".*"result": ?"attached"' "$LOG"
}

case $PART in
1)
    define_linux "$FRIGATE" frigate
    libvirt_restart # the controllers have another order when libvirt has read its own file
    definition >$before
    rules 50-frigate.rules <<END
on vm frigate defined attach $CORAL_ID as vfio
END
    check "apply" virt-rules apply
    check "frigate starts when the host does" virsh autostart "$FRIGATE"

    stage "virsh start"
    count_resets
    start "$FRIGATE"
    check_first_boot
    check_not "libvirt says that it was not reset" grep "'reboot'.*$FRIGATE" /tmp/resets
    virsh -q destroy "$FRIGATE"
    check_until "the device is back on its host driver" on_host "$CORAL"

    stage "a reboot of the host"
    printf '#!/bin/sh\n' >/root/boot
    chmod 755 /root/boot
    rm -f "$LOG"
    reboot_host
    ;;
2)
    check_until "frigate has started by itself" running "$FRIGATE"
    check_first_boot
    virsh -q destroy "$FRIGATE"
    check_until "the device is back on its host driver" on_host "$CORAL"
    settle

    stage "no rule"
    rm "$RULES/50-frigate.rules"
    check "apply" virt-rules apply
    check "the definition is as before" diff $before <(definition)
    ;;
esac
