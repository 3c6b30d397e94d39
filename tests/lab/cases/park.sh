# a VM is parked for a save and for a snapshot, which libvirt refuses while it has a PCI device; then it has its devices again
KEYBOARD=0627:0001 # qemu's
SAVED=/tmp/frigate.save DISK=/tmp/frigate.qcow2
rules 50-park.rules <<END
on vm frigate started attach $CORAL_ID as vfio
on vm frigate started attach $KEYBOARD as usb
END
bytes() { # OFFSET HEX ...: into the image
    local offset=$1
    shift
    printf '%b' "$(printf '\\x%s' "$@")" | dd of="$DISK" bs=1 seek=$((offset)) conv=notrunc status=none
}
make_disk() { # an empty qcow2 of 1 MiB: header, a table of counts, the counts of its 4 clusters, a table of data
    rm -f "$DISK"
    truncate -s 256K "$DISK"
    bytes 0 51 46 49 fb 00 00 00 02 # magic, version
    bytes 20 00 00 00 10 00 00 00 00 00 10 00 00 # clusters of 2^16, size
    bytes 36 00 00 00 01 00 00 00 00 00 03 00 00 # one entry of data at 0x30000
    bytes 48 00 00 00 00 00 01 00 00 00 00 00 01 # one cluster of counts at 0x10000
    bytes 0x10000 00 00 00 00 00 02 00 00
    bytes 0x20000 00 01 00 01 00 01 00 01
}
define_with_disk() {
    define "$FRIGATE" frigate
    virsh -q undefine "$FRIGATE" # libvirt gives a definition without a UUID a new one
    sed -i "s|<controller type='usb' model='none'/>|<controller type='usb' model='qemu-xhci' ports='15'/>\
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='$DISK'/>\
<target dev='vdb' bus='virtio'/></disk>|" "/tmp/$FRIGATE.xml"
    virsh -q define "/tmp/$FRIGATE.xml"
}
both_in_vm() { has_device "$FRIGATE" "$CORAL" && hostdevs_are "$FRIGATE" 2; }
refused() { # COMMAND ...: by libvirt, for the PCI device
    if "$@" >/tmp/refusal 2>&1; then
        echo "$* succeeded"
        return 1
    fi
    sed -i '/^$/d' /tmp/refusal
    cat /tmp/refusal
    grep -qiE 'hostdev|host device|vfio' /tmp/refusal
}

check "a keyboard is plugged in" plug keyboard usb-kbd,bus=usb.0,port=1
make_disk
define_with_disk
start "$FRIGATE"
check_until "the VM has both devices" both_in_vm
settle
check "libvirt refuses to save it" refused virsh save "$FRIGATE" "$SAVED"
show cat /tmp/refusal
check "libvirt refuses a snapshot with its memory" refused virsh snapshot-create "$FRIGATE"
show cat /tmp/refusal
check "the VM runs" running "$FRIGATE"
check "it has both devices" both_in_vm

stage "Save and restore"
check "it is parked" virt-rules park frigate --wait 5m
check "it has no device" hostdevs_are "$FRIGATE" 0
check "the PCI device is back on its host driver" on_host "$CORAL"
check "apply leaves it alone" virt-rules apply frigate
check "it still has none" hostdevs_are "$FRIGATE" 0
check "status says parked" grep parked <(virt-rules status frigate)
check "it is saved" virsh save "$FRIGATE" "$SAVED"
check_until "nothing is kept of that start" nothing_kept
check "it is restored" virsh restore "$SAVED"
check_until "its rules apply, and it has both devices again" both_in_vm
settle
check "unpark has nothing to do" virt-rules unpark frigate
check "it still has both" both_in_vm

stage "Snapshot"
check "it is parked" virt-rules park frigate --wait 5m
check "it has no device" hostdevs_are "$FRIGATE" 0
check "a snapshot with its memory is made" virsh snapshot-create "$FRIGATE"
check "the VM runs" running "$FRIGATE"
check "it has no device" hostdevs_are "$FRIGATE" 0
check "it is parked no more" virt-rules unpark frigate
check "it has both devices again" both_in_vm
virsh -q snapshot-delete "$FRIGATE" --current
virsh -q destroy "$FRIGATE"
rm -f "$SAVED" "$DISK"
check_until "the PCI device is back on its host driver" on_host "$CORAL"
