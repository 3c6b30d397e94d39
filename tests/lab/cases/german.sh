# a libvirt that speaks German: the result of an attach and a detach depends on what the VM has, not on words
# What it says in German is shown first, where the release has libvirt's translations.
german_restart() { (unset LC_ALL && export LANG=de_DE.UTF-8 && libvirt_restart); }
language_is() { # of the daemon's process
    tr '\0' '\n' <"/proc/$(pgrep -ox libvirtd)/environ" | grep -x "LANG=$1"
}
in_the_middle() { # COMMAND ...: as soon as libvirt has given the device to vfio-pci, seconds before the VM has it
    start "$FRIGATE"
    wait_for driver_is "$CORAL" vfio-pci || fail "the attach begins"
    "$@" || fail "in the middle of the attach: $*"
    check_not "that was in the middle of the attach" logged attached
}
detach_gives() { # STATUS PATTERN: of the command
    local status=0
    virt-rules detach frigate "$CORAL" >/tmp/detach 2>&1 || status=$?
    cat /tmp/detach
    [ $status = "$1" ] && grep -qE -- "$2" /tmp/detach
}
no_system() { # VM: nothing in it answers when it is to release a device
    sed -i '/<disk/,/<\/disk>/d' "/tmp/$1.xml"
    virsh -q undefine "$1" && virsh -q define "/tmp/$1.xml"
}
rules 50-german.rules <<END
on vm frigate, camera started attach $CORAL_ID as vfio
END
define "$FRIGATE" frigate
define "$CAMERA" camera
german_restart
check "the daemon's language is German" language_is de_DE.UTF-8
take_out "$FRIGATE" "$CORAL" >/tmp/words 2>&1
show cat /tmp/words
if [ -e /usr/share/locale/de/LC_MESSAGES/libvirt.mo ]; then
    check "and it says 'not running' in German" grep 'läuft nicht' /tmp/words
else
    say "this release has no German translation of libvirt"
fi

stage "An attach, and another VM that wants the device"
start "$FRIGATE"
check_until "the log says attached" logged attached frigate "$CORAL"
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
start "$CAMERA"
check_until "the log says who has it" logged refused camera "VM 'frigate' has it"
check "the other VM runs" running "$CAMERA"
check "without a device" hostdevs_are "$CAMERA" 0
virsh -q destroy "$CAMERA"

stage "A detach"
check_until "the guest is up" guest_up "$FRIGATE"
check "virt-rules detach takes it out" detach_gives 0 'the guest released it'
check "the VM does not have it" hostdevs_are "$FRIGATE" 0
check_until "the device is back on its host driver" on_host "$CORAL"
virsh -q destroy "$FRIGATE"
settle

stage "The VM ends in the middle of the attach"
rm -f "$LOG"
in_the_middle virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
check_nothing_left

stage "A guest that does not release the device"
rm -f "$LOG"
check "the VM has no system" no_system "$FRIGATE"
start "$FRIGATE"
check_until "the log says attached" logged attached frigate "$CORAL"
check "virt-rules detach says that the guest did not release it" detach_gives 1 'the guest did not release the device'
check "the device is in the VM still" has_device "$FRIGATE" "$CORAL"
virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
settle
check_nothing_left
check "libvirt speaks English again" libvirt_restart
