# 'boot display': the console leaves the graphics card for the VM, and is back on it when the VM has ended
# needs vga
VGA=0000:05:00.0 # with a root port and an IOMMU group of its own
HOST_DRIVER[$VGA]=bochs-drm

text_console() { # STATE: "1" bound to a framebuffer, "0" not bound, "none"
    local console state=none
    for console in /sys/class/vtconsole/vtcon*; do
        ! grep -q 'frame buffer' "$console/name" || state=$(cat "$console/bind")
    done
    echo "the console of framebuffers: $state"
    [ "$state" = "$1" ]
}
has_framebuffer() { grep -q bochs /proc/fb; }
console_is_back() { on_host "$VGA" && has_framebuffer && text_console 1; }
console_is_away() { driver_is "$VGA" vfio-pci && text_console none && ! has_framebuffer; }
is_noted() { grep -r "setting $VGA 1234:1111" /usr/local/libvirt/state/vms; }
not_noted() { ! is_noted; }

modprobe bochs
check_until "the host's text console is on the card" console_is_back
define "$FRIGATE" frigate
rules 50-gpu.rules <<END
on vm frigate started attach 1234:1111 as vfio
END
check "without the option the host keeps it" says 'shows its console on it' virt-rules plan frigate started
check "and the plan says what helps" says "'boot display' in the rule" virt-rules plan frigate started
start "$FRIGATE"
check_until "the log refuses it" logged refused frigate "$VGA"
check "the console stays" console_is_back
virsh -q destroy "$FRIGATE"
settle

rules 50-gpu.rules <<END
on vm frigate started attach 1234:1111 as vfio boot display
END
check "the plan says what is unbound" says 'the host unbinds console vtcon1 first' virt-rules plan frigate started
check "devices says so as well" says '"boot_display"' virt-rules devices --json
stage "a program has the card open"
sleep 1000 3<>/dev/dri/card0 &
HOLDER=$!
rm -f "$LOG"
start "$FRIGATE"
check_until "the device is refused" logged refused frigate "$VGA"
check "the log names the program" grep -F "sleep (process $HOLDER: /dev/dri/card0)" "$LOG"
check "and what to stop" grep -F "kill $HOLDER" "$LOG"
check "the console stays" console_is_back
kill "$HOLDER"
virsh -q destroy "$FRIGATE"
settle

stage "nobody has it open"
rm -f "$LOG"
start "$FRIGATE"
check_until "the device is attached" logged attached frigate "$VGA"
check "the VM has it" has_device "$FRIGATE" "$VGA"
check "the console is off it" console_is_away
check "the state says what the host gets back" is_noted
virsh -q destroy "$FRIGATE"
check_until "the console is back when the VM has ended" console_is_back
settle
check "the log says so" grep -F "text console is back" "$LOG"
check "nothing is noted any more" not_noted


stage "the engine is killed at many points of an attach"
calls=write,writev,sendto,sendmsg,rename,renameat,unlink
define "$FRIGATE" frigate
rules 50-gpu.rules <<END
on vm frigate reconnect attach 1234:1111 as vfio boot display
END
for ((i = 1; i <= ROUNDS; i++)); do
    start "$FRIGATE"
    settle
    virsh dumpxml "$FRIGATE" >/tmp/live
    for name in rename sendto write; do
        strace -qq -f -o /tmp/trace -e trace=$calls -e "inject=$name:signal=KILL:when=$((i * 2))" \
            /usr/local/bin/virt-rules run "$FRIGATE" reconnect begin - </tmp/live && say "it ended before" || :
    done
    virsh -q destroy "$FRIGATE"
    settle
    check "virt-rules apply finds nothing wrong" virt-rules apply
    check_until "the console is back" console_is_back
    check "nothing is noted any more" not_noted
done
