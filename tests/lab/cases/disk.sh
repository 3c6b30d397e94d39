# a USB stick as a disk: the guest reads and writes it, a stick that is pulled out leaves the VM; a disk and a tape as SCSI devices
# only with ALL=1: the guest is a real kernel, and the emulation of virtualization can hang for good
lab_folder=$(dirname "$(cat /lab/gadget-socket)")/lab # as the qemu that plays this PC sees /lab
make_stick() { # its content is a file of /lab
    truncate -s 8M /lab/stick.img
    printf 'written by the host\n' | dd of=/lab/stick.img conv=notrunc status=none
    ask_hardware blockdev-add "{\"driver\": \"raw\", \"node-name\": \"marked\", \"file\":
        {\"driver\": \"file\", \"filename\": \"$lab_folder/stick.img\"}}" && [[ $answer = *'"return"'* ]]
}
plug_stick() { plug stick usb-storage,bus=usb.0,drive=marked,serial=MARKED; }
disks() { xpath "$FRIGATE" "count(//devices/disk)"; }
disks_are() { [ "$(disks)" = "$1" ]; }
sector() { dd if=/lab/stick.img bs=512 skip=1 count=1 status=none | head -n 1; } # the second one
guest_wrote() { [ "$(sector)" = guest ]; }

for module in sd_mod sg st; do modprobe $module; done
rules 50-disk.rules <<END
on vm frigate started, plugged attach usb serial "MARKED" as disk
END
define_linux "$FRIGATE" frigate q35 drivers=1
start "$FRIGATE"
check_until "the guest is up" guest_up "$FRIGATE"
virt-rules watch >/tmp/watch 2>&1 &
echo $! >/tmp/watcher

stage "a stick as a virtio disk"
check "the stick is made" make_stick
check "it is plugged in" plug_stick
check_until "the guest reads what the host wrote" \
    guest_told "$FRIGATE" 'disk vda 16384 rw read "written by the host"'
check_until "and writes" guest_told "$FRIGATE" "wrote vda"
check "the XML has the disk, with an alias of ours" \
    xpath "$FRIGATE" "//disk[@type='block'][target/@dev='vda'][starts-with(alias/@name, 'ua-virt-rules-disk-')]"
check "it is no <hostdev>" hostdevs_are "$FRIGATE" 0
check_until "the log says attached" logged attached frigate

stage "a stick that is pulled out"
unplug stick
check_until "the guest loses the disk" guest_told "$FRIGATE" "remove disk vda"
check_until "the XML is clean" disks_are 0
check_until "the host reads what the guest wrote" guest_wrote
settle
line=$(guest_now "$FRIGATE")
check "it is plugged in again" plug_stick
check_until "the guest has it again, by the same name" guest_told "$FRIGATE" "wrote vda" "$line"

stage "detach, and readonly on a SCSI controller that is plugged in"
check "virt-rules detach takes it out" virt-rules detach frigate "$(cd /sys/bus/usb/devices && dirname "$(grep -l MARKED ./*/serial)" | xargs basename)"
check_until "the XML is clean" disks_are 0
rules 50-disk.rules <<END
on vm frigate started, plugged attach usb serial "MARKED" as disk readonly bus scsi
END
line=$(guest_now "$FRIGATE")
check "the rule gives it" virt-rules apply
check_until "the guest reads it, and cannot write" guest_told "$FRIGATE" "kept sda: Read-only file system" "$line"
check "the controller is a virtio one" xpath "$FRIGATE" "//controller[@type='scsi'][@model='virtio-scsi']"

stage "what another VM has is held"
define "$CAMERA" camera
start "$CAMERA"
rules 60-camera.rules <<END
on vm camera started, reconnect attach usb serial "MARKED" as usb
END
check_not "the plan refuses it as usb" virt-rules plan camera started
check "with the reason" bash -c "virt-rules plan camera started | grep -F '[held]'"
unplug stick
check_until "the XML is clean again" disks_are 0
rm "$RULES/60-camera.rules"

stage "a tape"
check "scsi_debug plays it" modprobe scsi_debug ptype=1
tape=$(basename "$(echo /sys/bus/scsi/devices/*:0:0:0)")
rules 50-disk.rules <<END
on vm frigate started, plugged attach scsi "$tape" as scsi
END
line=$(guest_now "$FRIGATE")
check "the rule gives it" virt-rules apply
check_until "the guest finds a tape" guest_told "$FRIGATE" "add scsi .* type 1 scsi_debug" "$line"
check "the XML has it" xpath "$FRIGATE" "//hostdev[@type='scsi'][source/adapter/@name='scsi_host${tape%%:*}']"
check "virt-rules detach takes it out" virt-rules detach frigate "$tape"
check_until "the guest loses it" guest_told "$FRIGATE" "remove scsi" "$line"
check_until "the VM has none" hostdevs_are "$FRIGATE" 0
check "scsi_debug ends" rmmod scsi_debug
kill "$(cat /tmp/watcher)"
