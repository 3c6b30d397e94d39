# virtual functions of a network card: address, VLAN and trust are the VM's while it has one, and the host's afterwards
# only with ALL=1: qemu before 8.0 plays no such card, and a newer one is fetched
# needs igb
PF=0000:05:00.0 # a root port and IOMMU groups of its own; three functions, every second address
FIRST=0000:05:10.0
SECOND=0000:05:10.2
MAC=52:54:00:12:34:56
HOST_DRIVER[$FIRST]=igbvf HOST_DRIVER[$SECOND]=igbvf

function_is() { # NUMBER PATTERN: what 'ip link show' says of the function; the number of a bridge or card is not shown
    ip link show "$pf" | grep -E "^ *vf $1 .*" | grep -E -- "$2" || { ip link show "$pf" && false; }
}
has_interface() { # VM ADDRESS [CONDITION]: in the live XML, CONDITION as of XPath
    local domain bus slot function
    IFS=:. read -r domain bus slot function <<<"$2"
    xpath "$1" "//devices/interface[@type='hostdev' and @managed='yes'][source/address[@domain='0x$domain' and
        @bus='0x$bus' and @slot='0x$slot' and @function='0x$function']]${3:+[$3]}"
}
mac_of() { # VM ADDRESS
    has_interface "$1" "$2" | xmllint --xpath 'string(/interface/mac/@address)' -
}
cleared() { # NUMBER
    function_is "$1" 'trust off' && ! function_is "$1" 'vlan' && ! function_is "$1" "$MAC"
}

modprobe igb
modprobe igbvf
pf=$(basename /sys/bus/pci/devices/$PF/net/*)
rules 50-net.rules <<END
device uplink is vf of 8086:10c9 at $PF
on vm frigate started, reconnect attach vf 1 of 8086:10c9 as net mac "$MAC" vlan 10 trust
on vm frigate started, reconnect attach any 2 uplink as net
END
define_linux "$FRIGATE" frigate q35 drivers=1
check "without functions the plan says how many there can be, and how to make them" \
    says 'at most 7' virt-rules plan frigate started

echo 3 >/sys/bus/pci/devices/$PF/sriov_numvfs
check_until "the host has them" on_host "$SECOND"
check "the host's own function is no obstacle for others" ip address add 192.0.2.5/24 dev "$(ls /sys/bus/pci/devices/$FIRST/net)"
ip link set "$(ls /sys/bus/pci/devices/$FIRST/net)" up
start "$FRIGATE"
check_until "the card is down, and the log says what helps" logged refused frigate "$SECOND"
check "with the command" grep -F "ip link set dev $pf up" "$LOG"
virsh -q destroy "$FRIGATE"
settle
ip link set "$pf" up
rm "$LOG"

start "$FRIGATE"
check_until "the function is attached" logged attached frigate "$SECOND"
check "as an interface with its address and VLAN" has_interface "$FRIGATE" "$SECOND" \
    "mac/@address='$MAC' and vlan/tag/@id='10'"
check "it is on vfio-pci" driver_is "$SECOND" vfio-pci
check "the card has the address" function_is 1 "link/ether $MAC"
check "the VLAN" function_is 1 'vlan 10,'
check "and trust" function_is 1 'trust on'
check_until "the guest has a network card with that address" guest_told "$FRIGATE" "add net .* $MAC"
check_until "another function is attached" logged_times 2 attached frigate
third=$(xpath "$FRIGATE" "string(//interface[@type='hostdev'][mac/@address!='$MAC']/mac/@address)")
check "with an address that is locally administered" grep -qE '^.2(:[0-9a-f]{2}){5}$' <<<"$third"
check_until "which the guest sees" guest_told "$FRIGATE" "add net .* $third"
check "the host's own function stays" on_host "$FIRST"
check "it has no trust" function_is 2 'trust off'
check "status shows them" says "$SECOND" virt-rules status frigate
settle

line=$(guest_now "$FRIGATE")
check "virt-rules detach takes the function out" virt-rules detach frigate "$SECOND"
check_until "the guest saw it go" guest_told "$FRIGATE" "remove net .*" "$line"
check_until "it is back on its host driver" on_host "$SECOND"
check_until "without the VM's address, VLAN and trust" cleared 1
check_not "it is not in the VM" has_interface "$FRIGATE" "$SECOND"
check "the same rule gives it again" deliver "$FRIGATE" reconnect
check_until "the log says attached once more" logged_times 2 attached frigate "$SECOND"
check "with trust" function_is 1 'trust on'
settle

virsh -q destroy "$FRIGATE"
check_until "when the VM ends, the function goes back" on_host "$SECOND"
settle
check_until "without the VM's address, VLAN and trust" cleared 1

rm "$LOG"
start "$FRIGATE"
check_until "the next start attaches both" logged_times 2 attached frigate
check "the address that was not given is the same" has_interface "$FRIGATE" 0000:05:10.4 "mac/@address='$third'"
settle

say "libvirtd, the VM and every engine are killed at once"
pkill -KILL -f 'virt-rules run'
pkill -KILL -x libvirtd
pkill -KILL -f "qemu-system.*$FRIGATE"
mv "$HOOK" /root/hook
wait_for libvirt_gone
libvirt_start
check_until "the function goes back to its host driver" on_host "$SECOND"
check "nobody has taken the trust away" function_is 1 'trust on'
mv /root/hook "$HOOK"
libvirt_restart
check "virt-rules apply does" virt-rules apply
check "the function is as before" cleared 1
check "nothing is kept of the VM" nothing_kept
echo 0 >/sys/bus/pci/devices/$PF/sriov_numvfs
