# a device whose BAR is larger than what the firmware reserves for an empty port, as a VM's kernel sees it
# only with ALL=1: it needs a PC of its own, and the emulation of virtualization can hang for good
# needs large-bar
LARGE=0000:05:00.0
HOST_DRIVER[$LARGE]=nvme
NO_SPACE='BAR 2(: no space| .*no space)' # the older words, and those since Linux 6.9

kernel_said() { # PATTERN [SINCE]: the VM's, since that line of its serial port
    tail -n "+${2:-1}" "/tmp/$FRIGATE.serial" | grep -aE -- "$1" || ! tail -n 30 "/tmp/$FRIGATE.serial"
}
reserve() { # PROPERTY BYTES: of the second root port, which is the first free one
    virsh dumpxml --inactive "$FRIGATE" >/tmp/reserve.xml
    sed -i "s|^<domain |&xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' |
        s|</domain>|<qemu:override><qemu:device alias='pci.2'><qemu:frontend><qemu:property name='$1' type='unsigned'\
 value='$2'/></qemu:frontend></qemu:device></qemu:override></domain>|" /tmp/reserve.xml
    virsh -q define /tmp/reserve.xml
}

rules 50-large.rules <<END
on vm frigate reconnect attach 1b36:0010 at $LARGE as vfio
END
define_linux "$FRIGATE" frigate q35 loglevel=7
check "the host knows its size" says 'BARs .*256M 64-bit prefetchable' virt-rules devices --all
check "the plan says that it may not fit, and what to write" \
    says "note: .*256M 64-bit prefetchable.*memReserve='[0-9]+'.* index='2'" virt-rules plan frigate reconnect
# At the start it would depend on who comes first, the engine or the firmware.
start "$FRIGATE"
check_until "the guest is up, without the device" guest_up "$FRIGATE"
deliver "$FRIGATE" reconnect
check_until "it is attached all the same" logged attached frigate "$LARGE"
check "the log has the note" grep -F memReserve "$LOG"
check_until "the guest's kernel found no addresses for it" kernel_said "$NO_SPACE"
cp "/tmp/$FRIGATE.serial" /tmp/first.serial
grep -aE 'pci 0000:0[0-9].*(BAR|window)' /tmp/first.serial
check_until "the engine has ended" no_engine

line=$(guest_now "$FRIGATE")
virsh -q reset "$FRIGATE"
check_until "after a reboot of the guest its firmware has made room" \
    kernel_said '(reg 0x18:|BAR 2) \[mem 0x[0-9a-f]*[1-9a-f][0-9a-f]*-0x[0-9a-f]* 64bit pref' "$line"
check_until "the guest is up again" guest_boot_ended "$FRIGATE" 2
check_not "the kernel finds addresses" kernel_said "$NO_SPACE" "$line"
tail -n "+$line" "/tmp/$FRIGATE.serial" | grep -aE 'pci 0000:0[0-9].*(BAR|window|reg 0x18)'
virsh -q destroy "$FRIGATE"
settle

for property in mem-reserve pref64-reserve; do
    virsh -q undefine "$FRIGATE"
    rm -f "$LOG"
    define_linux "$FRIGATE" frigate q35 loglevel=7
    reserve $property $((514 << 20))
    check_not "with $property the plan says nothing" says 'may find no addresses' virt-rules plan frigate reconnect
    start "$FRIGATE"
    check_until "the guest is up" guest_up "$FRIGATE"
    deliver "$FRIGATE" reconnect
    check_until "it is attached" logged attached frigate "$LARGE"
    check_until "its kernel sees it" kernel_said "^GUEST (boot|add) pci .* 1b36:0010"
    check_until "and finds addresses" kernel_said 'BAR 2(: assigned| .*: assigned)'
    grep -aE 'pci 0000:0[0-9].*(BAR|window|reg 0x18)' "/tmp/$FRIGATE.serial"
    virsh -q destroy "$FRIGATE"
    settle
done
