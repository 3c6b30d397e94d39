# the engine is killed at many points of an attach; virt-rules apply then brings what the rules want
# only with ALL=1: tests/faults kills the engine before each call, with a stand-in for libvirt
calls=write,writev,sendto,sendmsg,rename,renameat,unlink
traced() { # OPTION ...: the engine's work, under strace
    strace -qq -o /tmp/trace -e trace=$calls "$@" /usr/local/bin/virt-rules run "$FRIGATE" reconnect begin - </tmp/live
}
# strace counts the calls of a name, so the Nth of all is the Mth of its name.
kill_before() { # NUMBER: of the call. A run may make fewer calls than the one that was counted, and end well.
    local name number status
    name=$(sed -n "$1s/(.*//p" /tmp/calls)
    number=$(head -n "$1" /tmp/calls | grep -c "^$name(")
    traced -e "inject=$name:signal=KILL:when=$number" && status=0 || status=$?
    case $status in
    137) killed=$((killed + 1)) && say "killed before call $1, $name $number" ;;
    0) say "it made no call $1, $name $number" ;;
    *) fail "the engine is killed before call $1, $name $number" "status $status" ;;
    esac
}

define "$FRIGATE" frigate
start "$FRIGATE"
check_until "the guest is up" guest_up "$FRIGATE"
rules 50-killed.rules <<END
on vm frigate started, reconnect attach $CORAL_ID as vfio
END
virsh dumpxml "$FRIGATE" >/tmp/live
check "the engine works under strace" traced
check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
mv /tmp/trace /tmp/calls
steps=$(grep -c . /tmp/calls)
say "It makes $steps calls that others can see."
killed=0
for ((i = 1; i <= ROUNDS; i++)); do
    check "the device is taken out" take_out "$FRIGATE" "$CORAL"
    rm -f "$LOG"
    kill_before $((1 + (steps - 1) * i / (ROUNDS + 1)))
    check "virt-rules apply brings it" virt-rules apply frigate
    check "the device is in the VM" has_device "$FRIGATE" "$CORAL"
    check "once" hostdevs_are "$FRIGATE" 1
done
check "it was killed $killed times of $ROUNDS" [ "$killed" -gt $((ROUNDS / 2)) ]
virsh -q destroy "$FRIGATE"
check_until "the device is back on its host driver" on_host "$CORAL"
check_nothing_left
