# how long an attach takes, from the event 'started' to the log's 'attached', beside 'virsh attach-device' by hand
# only with ALL=1: it measures, for make bench
#
# Both are of the same device to the same VM, which runs and does nothing, in turn: by the hook, from its call to the
# time in the log's line; by hand, from virsh's start to its end. A real start of the VM is measured, too, but compares
# with nothing: there libvirt's hook call, the end of the start and the guest's firmware are in between.
rules 50-frigate.rules <<END
on vm frigate started attach $CORAL_ID as vfio
END
ours=() by_hand=() real=()

wait_for_log() { # with next to no work of its own
    local end=$((SECONDS + PATIENCE))
    until [ -s "$LOG" ]; do
        [ $SECONDS -lt $end ] || fail "the log says something"
        sleep 0.5
    done
}
take_it_back() {
    take_out "$FRIGATE" "$CORAL" || fail "the device is taken out"
    wait_for hostdevs_are "$FRIGATE" 0 || fail "the VM has it no longer" "$(cat /tmp/wait_for)"
    wait_for on_host "$CORAL" || fail "the device is back on its host driver" "$(cat /tmp/wait_for)"
    settle
}
by_hook() { # sets `took`
    local since
    rm -f "$LOG"
    since=$(now)
    "$HOOK" "$FRIGATE" started begin - </tmp/live || fail "the hook ends well"
    wait_for_log
    logged attached frigate "$CORAL" || fail "the log says attached" "$(cat "$LOG")"
    took=$(($(attached_time frigate) - since))
    has_device "$FRIGATE" "$CORAL" >/dev/null || fail "the device is in the VM"
    take_it_back
}
by_virsh() { # sets `took`; take_out has written what is to be attached
    local since
    since=$(now)
    virsh -q attach-device "$FRIGATE" /tmp/hostdev.xml --live || fail "virsh attaches the device"
    took=$(($(now) - since))
    has_device "$FRIGATE" "$CORAL" >/dev/null || fail "the device is in the VM"
    take_it_back
}
started_time() { # of libvirt's last hook call for that event, in microseconds
    local time
    time=$(date -d "$(grep "About to run .*$HOOK $FRIGATE started" "$LIBVIRT_LOG" | tail -n 1 | cut -d ' ' -f 1,2 | sed 's/: *$//')" +%s.%6N) &&
        echo "${time/./}"
}
real_start() {
    virsh -q destroy "$FRIGATE"
    settle
    rm -f "$LOG" "/tmp/$FRIGATE.serial"
    start "$FRIGATE"
    wait_for_log
    logged attached frigate "$CORAL" || fail "the log says attached" "$(cat "$LOG")"
    real+=($(($(attached_time frigate) - $(started_time))))
    say "$(seconds "${real[-1]}") s of a real start"
}
one_pair() {
    by_hook && ours+=("$took")
    by_virsh && by_hand+=("$took")
    say "$(seconds "${ours[-1]}") s by the hook, $(seconds "${by_hand[-1]}") s by hand"
}

define "$FRIGATE" frigate
start "$FRIGATE"
check_until "the device is attached at a real start" logged attached frigate "$CORAL"
check_until "the guest is up, and answers" guest_up "$FRIGATE"
check "the engine, which looks again after the boot, has ended" wait_for no_engine
virsh dumpxml "$FRIGATE" >/tmp/live
take_it_back
export VIRT_RULES_BOOT_MS=none # no look at what the guest has after half a minute: it would bring what is taken out

say "Once each that does not count:"
one_pair
ours=() by_hand=()
say "$ROUNDS times each:"
while [ ${#ours[@]} -lt "$ROUNDS" ]; do one_pair; done
while [ ${#real[@]} -lt 3 ]; do real_start; done
say "medians: $(seconds "$(median "${ours[@]}")") s by the hook, $(seconds "$(median "${by_hand[@]}")") s by hand," \
    "$(seconds "$(median "${real[@]}")") s of a real start"
figure started-to-attached ours by_hand
passed "the device came and went $ROUNDS times each way"
