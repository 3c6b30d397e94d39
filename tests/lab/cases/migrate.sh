# 'virsh migrate --live' between two libvirt daemons with one rule set: park, migrate, and the rules attach there
#
# The device is the same one on both sides, as both daemons are on one kernel: the source has given it back by then.
KEYBOARD=0627:0001 # qemu's
rules 50-frigate.rules <<END
on vm frigate started {
    attach $CORAL_ID as vfio optional then reset
    attach $KEYBOARD as usb optional
}
END
BACK_URI="qemu+unix:///system?socket=/proc/1/root/run/libvirt/libvirt-sock" # as the other daemon sees it
FILL=/tmp/fill # what the VM's memory holds: at 1 MiB/s, a migration that takes longer than libvirt's 30 s for a job
define_full() { # NAME TITLE: with USB, and a memory that is not empty
    head -c 44M /dev/urandom >$FILL
    sed "s|<domain type='qemu'>|<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>|
        s|<controller type='usb' model='none'/>|<controller type='usb' model='qemu-xhci'/>|
        s|</domain>|<qemu:commandline><qemu:arg value='-device'/>\
<qemu:arg value='loader,file=$FILL,addr=0x1000000,force-raw=on'/></qemu:commandline></domain>|" \
        /lab/inside/domain.xml >/tmp/full.xml
    define_from /tmp/full.xml "$1" "$2"
}
has_usb() { xpath "$1" "//hostdev[@type='usb']"; }                      # VM
incoming() { virsh domstate --reason "$1" | grep 'paused (migrating)'; } # VM
is_slow() { virsh domjobinfo "$1" | grep -E 'Memory processed: +[1-9]'; } # VM
absent() { ! virsh domstate "$1"; }                                      # VM
MIGRATED=/tmp/migrated # the status of virsh, when it has ended
migrate_slowly() {
    rm -f $MIGRATED
    (
        virsh migrate --live --bandwidth 1 "$FRIGATE" "$OTHER_URI" >/tmp/migrate 2>&1
        echo $? >$MIGRATED
    ) &
}
migrated() { [ "$(cat $MIGRATED)" = 0 ]; }
not_migrated() { [ "$(cat $MIGRATED)" != 0 ]; }
goes_on_for() { # SECONDS: the migration, at least
    sleep "$1"
    [ ! -e $MIGRATED ]
}

stage "Two hosts"
check "a second daemon answers" other_host_start
check_not "they are two hosts" test "$(virsh capabilities | xmllint --xpath '//host/uuid' -)" = \
    "$(virsh -c "$OTHER_URI" capabilities | xmllint --xpath '//host/uuid' -)"
check "a keyboard is plugged in" plug keyboard usb-kbd,bus=usb.0,port=1
define_full "$FRIGATE" frigate
start "$FRIGATE"
check_until "the VM has the PCI device" has_device "$FRIGATE" "$CORAL"
check_until "and the keyboard" has_usb "$FRIGATE"
check_until "the guest is up" guest_up "$FRIGATE"
settle

stage "Without park"
show virsh migrate --live "$FRIGATE" "$OTHER_URI"
check_not "libvirt refuses to migrate a VM with a PCI device" virsh migrate --live "$FRIGATE" "$OTHER_URI"
check "the VM runs" running "$FRIGATE"
check "with its device" has_device "$FRIGATE" "$CORAL"

stage "A migration that is cancelled"
show virt-rules park frigate
check "the devices are out of the VM" hostdevs_are "$FRIGATE" 0
check_until "the PCI device is the host's" on_host "$CORAL"
migrate_slowly
check_until "the other host's engine waits" other_host logged waiting frigate
show virt-rules log --state "$OTHER/state"
check "for the VM's memory" other_host incoming "$FRIGATE"
check_until "which is on its way" is_slow "$FRIGATE"
check "nothing is attached there" other_host hostdevs_are "$FRIGATE" 0
check "the device is the host's" on_host "$CORAL"
check "it is cancelled" virsh domjobabort "$FRIGATE"
check_until "virsh migrate fails" not_migrated
show cat /tmp/migrate
check_until "the VM is gone from the other host" other_host absent "$FRIGATE"
check_until "its engine ends" no_work
check "quietly" other_host logged absent frigate
check_not "nothing failed there" other_host logged failed
check "the VM runs here" running "$FRIGATE"
check "without devices: it is parked" hostdevs_are "$FRIGATE" 0
show virt-rules unpark frigate
check_until "unpark attaches the device again" has_device "$FRIGATE" "$CORAL"
check_until "and the keyboard" has_usb "$FRIGATE"
settle

stage "A migration that takes longer than libvirt waits for a job"
rm -f "$OTHER/state/virt-rules.log"
check "park" virt-rules park frigate
check_until "the PCI device is the host's" on_host "$CORAL"
migrate_slowly
check_until "the other host's engine waits" other_host logged waiting frigate
check "the migration takes longer" goes_on_for 35
check_not "nothing failed meanwhile" other_host logged failed
check "nothing is attached there" other_host hostdevs_are "$FRIGATE" 0
check "the brake is released" virsh migrate-setspeed "$FRIGATE" 1000
check_until "virsh migrate succeeds" migrated
arrived=$(now)
check_until "the VM has the PCI device there" other_host has_device "$FRIGATE" "$CORAL"
check_until "and the keyboard" other_host has_usb "$FRIGATE"
other_host settle
check "it runs there" other_host running "$FRIGATE"
check "it is off here" stopped "$FRIGATE"
check_not "its guest did not boot there" guest_up "$FRIGATE" # the other qemu truncated the file
check "and was not reset for its device" other_host logged already frigate
show virt-rules log --state "$OTHER/state"
say "from the end of 'virsh migrate' to the last 'attached': $(seconds $(($(other_host attached_time frigate) - arrived))) s"
check_until "nothing is kept of it on the source" nothing_kept
check_not "nothing failed on the source" logged failed

stage "And back, by the two daemons alone"
check "park there" on_other_host virt-rules park frigate
check_until "the PCI device is the host's" on_host "$CORAL"
check "virsh migrate --p2p" virsh -c "$OTHER_URI" migrate --live --p2p "$FRIGATE" "$BACK_URI"
check_until "the VM has the PCI device here" has_device "$FRIGATE" "$CORAL"
check_until "and the keyboard" has_usb "$FRIGATE"
settle
check "it runs here" running "$FRIGATE"
check_until "nothing is kept of it there" other_host nothing_kept
check_not "nothing failed there" other_host logged failed
check_not "nor here" logged failed
