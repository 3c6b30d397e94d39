# mediated devices: two of one device for a VM, seen in its guest, and none left when it ends or something is killed
# only with ALL=1: builds a sample driver from the kernel's source package
# only without --host: the driver is compiled with this machine's own compiler and packages
modprobe mdev
insmod /lab/mtty.ko "parent=$NVME"
TYPE=/sys/bus/pci/devices/$NVME/mdev_supported_types/nvme-1

instances() { ls /sys/bus/mdev/devices; }
instances_are() { # NUMBER
    local found
    found=$(instances | wc -l)
    echo "there are $found mediated devices"
    [ "$found" = "$1" ]
}
some_instance() { [ -n "$(instances)" ]; }
left_are() { [ "$(cat "$TYPE/available_instances")" = "$1" ]; } # NUMBER
mdevs_are() { [ "$(xpath "$FRIGATE" "count(//devices/hostdev[@type='mdev']/source/address[@uuid])")" = "$1" ]; } # NUMBER

rules 50-vgpu.rules <<END
on vm frigate started attach any 2 1b36:0010 as mdev "nvme-1"
END
define_linux "$FRIGATE" frigate
stage "started"
start "$FRIGATE"
check_until "the VM has two" mdevs_are 2
check "the kernel made them" instances_are 2
check "the type has one left" left_are 1
check "the device is still on its host driver" on_host "$NVME"
show_hostdevs "$FRIGATE"
UUIDS=$(instances)
for uuid in $UUIDS; do
    check "$uuid is in the live XML" xpath "$FRIGATE" "//devices/hostdev[@type='mdev']/source/address[@uuid='$uuid']"
done
check_until "the guest sees them" guest_told "$FRIGATE" '(boot|add) pci .* 4348:3253'
check_until "the guest is up" guest_boot_ended "$FRIGATE" 1
settle

stage "taken out by hand, and applied again"
since=$(guest_now "$FRIGATE")
check "it is detached" virt-rules detach frigate "${UUIDS%%[[:space:]]*}"
check_until "the guest saw it go" guest_told "$FRIGATE" 'remove pci .* 4348:3253' "$since"
check_until "it is removed" instances_are 1
check "apply gives it back" virt-rules apply frigate
check_until "the VM has two again" mdevs_are 2
check "with the same UUIDs" [ "$(instances)" = "$UUIDS" ]

stage "qemu is killed"
pkill -KILL -f "guest=$FRIGATE"
check_until "the VM is off" stopped "$FRIGATE"
check_until "none is left" instances_are 0
check_until "the type has all again" left_are 3
settle

stage "the engine is killed when the first is there"
start "$FRIGATE"
check_until "one is there" some_instance
pkill -KILL -f 'virt-rules run'
virsh -q destroy "$FRIGATE"
check_until "none is left" instances_are 0
settle

stage "libvirtd and qemu are killed"
start "$FRIGATE"
check_until "the VM has two" mdevs_are 2
check "they have the UUIDs of its first start" [ "$(instances)" = "$UUIDS" ]
settle
libvirt_stop KILL
pkill -KILL -f "guest=$FRIGATE"
check "they are left" instances_are 2
libvirt_start
check_until "the VM is off" stopped "$FRIGATE"
settle
virt-rules apply
check_until "none is left" instances_are 0
check_until "nothing is noted" nothing_kept
rmmod mtty
