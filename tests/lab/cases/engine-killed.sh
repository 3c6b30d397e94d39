# the engine is killed at many points of an attach; the same event again brings what the rules want
POINTS=12
rules 50-killed.rules <<END
on vm frigate reconnect attach $CORAL_ID as vfio
END
calls=write,writev,sendto,sendmsg,rename,renameat,fcntl,ppoll,poll
traced() { # OPTION ...: the engine's work, under strace
    strace -qq -o /tmp/trace -e trace=$calls "$@" /usr/local/bin/virt-rules run "$FRIGATE" reconnect begin - </tmp/live
}
attached() {
    local output
    has_device "$FRIGATE" "$CORAL" && output=$(hostdevs_are "$FRIGATE" 1) || echo "$output"
}
killed_at() { # NUMBER: of the call before which it dies
    traced -e "inject=$calls:signal=KILL:when=$1"
    [ $? = 137 ]
}
again() { virt-rules run "$FRIGATE" reconnect begin - </tmp/live; }

define "$FRIGATE" frigate
start "$FRIGATE"
check_within 60 "the guest is up" guest_up "$FRIGATE"
virsh dumpxml "$FRIGATE" >/tmp/live
check "the engine works under strace" traced
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
steps=$(grep -c . /tmp/trace)
say "It makes $steps calls that others can see."
for ((i = 1; i <= POINTS; i++)); do
    step=$((1 + (steps - 1) * i / (POINTS + 1)))
    check "the device is taken out" take_out "$FRIGATE" "$CORAL"
    rm -f "$LOG"
    check "killed before call $step: $(sed -n "${step}s/(.*//p" /tmp/trace)" killed_at "$step"
    check "the event comes again" again
    check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
    check "once" hostdevs_are "$FRIGATE" 1
done
virsh -q destroy "$FRIGATE"
check_within 30 "the device is back on its host driver" on_host "$CORAL"
check_nothing_left
