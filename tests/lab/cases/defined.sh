# a 'defined' rule puts a device into the definition of a VM, which has it from its start on, and takes it out again
definition() { virsh dumpxml --inactive "$1"; } # VM
keep_definition() { definition "$1" >"/tmp/$1.before"; }
as_before() { # VM: libvirt before 11 leaves an empty <metadata/> behind
    diff "/tmp/$1.before" <(definition "$1" | grep -vx '  <metadata/>')
}
defines() { # VM ADDRESS: the definition has the device, and says that it is ours
    local domain bus slot function
    IFS=:. read -r domain bus slot function <<<"$2"
    definition "$1" | xmllint --xpath "//devices/hostdev[@type='pci']/source/address[@domain='0x$domain' and
        @bus='0x$bus' and @slot='0x$slot' and @function='0x$function']" - &&
        definition "$1" | grep -F "<vr:hostdev " | grep -F "$2"
}
ports() { definition "$1" | xmllint --xpath "count(//controller[@model='pcie-root-port'])" -; } # VM
start_says() { virsh start "$1" >/tmp/start 2>&1; } # VM

define "$FRIGATE" frigate
define "$CAMERA" camera
libvirt_restart # the order of the controllers is another one when libvirt has read its own file
keep_definition "$FRIGATE"
keep_definition "$CAMERA"
ports_before=$(ports "$FRIGATE")

stage "put in"
rules 50-frigate.rules <<END
on vm frigate, camera defined attach $CORAL_ID as vfio
on vm frigate defined attach 1b36:0010 as vfio ports 2
END
check "apply" virt-rules apply
check "frigate's definition has the device" defines "$FRIGATE" "$CORAL"
check "and the other" defines "$FRIGATE" "$NVME"
check "and two root ports more" [ "$(ports "$FRIGATE")" = $((ports_before + 2)) ]
check "camera's definition has the device too" defines "$CAMERA" "$CORAL"
check "but not the other" [ "$(definition "$CAMERA" | grep -c '<hostdev')" = 1 ]
check "no device has left its host driver" on_host "$CORAL"
definition "$FRIGATE" >/tmp/with
check "apply again" virt-rules apply
check "changes nothing" cmp /tmp/with <(definition "$FRIGATE")
show virt-rules plan frigate defined

stage "the VM has it at its start"
rm -f "$LOG"
start "$FRIGATE"
check "the live XML has the device when the start returns" has_device "$FRIGATE" "$CORAL"
check "it is on vfio-pci" driver_is "$CORAL" vfio-pci
settle
check_not "nothing was attached to the running VM" logged attached
check_not "the other VM cannot start with it" start_says "$CAMERA"
check "as libvirt says" grep -F "in use" /tmp/start
virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
settle
check "the definition is as it was" cmp /tmp/with <(definition "$FRIGATE")
start "$CAMERA"
check "now the other VM has it" has_device "$CAMERA" "$CORAL"
virsh -q destroy "$CAMERA"
check_until "and it is back again" on_host "$CORAL"
settle

stage "edited meanwhile"
check "somebody gives the VM more memory" env EDITOR="sed -i s/65536/131072/" virsh edit "$FRIGATE"
sed -i s/65536/131072/ "/tmp/$FRIGATE.before"
check "apply" virt-rules apply
check "the device is still there" defines "$FRIGATE" "$CORAL"
check "the memory too" grep -F 131072 <(definition "$FRIGATE")

stage "a rule file that cannot be read"
rules 60-broken.rules <<<"on vm frigate defined attach"
mv "$RULES/50-frigate.rules" /tmp
virt-rules apply >/tmp/apply 2>&1
check "nothing is taken out, as its rules may want it" defines "$FRIGATE" "$CORAL"
rm "$RULES/60-broken.rules"
mv /tmp/50-frigate.rules "$RULES"

stage "the rule goes while the VM runs"
start "$FRIGATE"
rm "$RULES/50-frigate.rules"
check "apply" virt-rules apply
check "the running VM keeps the device" has_device "$FRIGATE" "$CORAL"
check "camera's definition is as before" as_before "$CAMERA"
virsh -q destroy "$FRIGATE"
check_until "after its end frigate's is too" as_before "$FRIGATE"
check_until "the device is on its host driver" on_host "$CORAL"
settle

stage "a transient VM"
rules 50-frigate.rules <<END
on vm frigate defined attach $CORAL_ID as vfio
END
virsh -q undefine "$FRIGATE"
virsh -q create "/tmp/$FRIGATE.xml"
settle
check_not "apply says that it is refused" virt-rules apply frigate
check "for that reason" logged_lines refused frigate
check "the VM runs without it" hostdevs_are "$FRIGATE" 0
