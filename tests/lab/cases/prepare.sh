# a start waits for what a rule requires, and is stopped with the reason; otherwise it is as quick as with an empty hook
RIVAL=22222222-2222-4222-8222-222222222222
said() { grep -F -- "$1" /tmp/virsh.said; } # TEXT: by libvirt, to who started the VM
refuses() { ! virsh -q start "$FRIGATE" >/tmp/virsh.said 2>&1; }
tool() { # NAME: a program of a rule, from stdin
    { echo '#!/bin/sh' && cat; } >"/root/$1" && chmod 755 "/root/$1"
}

stage "The device is the other VM's"
rules 50-rival.rules <<END
on vm rival started attach $CORAL_ID as vfio
END
define "$FRIGATE" frigate
define "$RIVAL" rival
start "$RIVAL"
check_until "the rival has the device" logged attached rival "$CORAL"
rules 60-frigate.rules <<END
on vm frigate prepare require $CORAL_ID
END
check "virsh start fails" refuses
show cat /tmp/virsh.said
check "libvirt's error has the exit status" said "unexpected exit status 1: virt-rules: VM 'frigate' is not started"
check "and the reason" said "VM 'rival' has it"
check "the log says it" logged stopped frigate
check "the VM does not run" stopped "$FRIGATE"
check "virsh destroy of the rival" virsh -q destroy "$RIVAL"
check_until "the device is back on its host driver" on_host "$CORAL"
start "$FRIGATE"
check "the next start works" running "$FRIGATE"
virsh -q destroy "$FRIGATE"

stage "The start waits for the device"
start "$RIVAL"
check_until "the rival has the device again" has_device "$RIVAL" "$CORAL"
rules 60-frigate.rules <<END
on vm frigate prepare require $CORAL_ID within 55s
END
virsh -q start "$FRIGATE" >/tmp/virsh.said 2>&1 &
starting=$!
check_until "the log says what it waits for" logged waiting frigate
check "virsh destroy of the rival" virsh -q destroy "$RIVAL"
wait $starting || fail "virsh start succeeds" "$(cat /tmp/virsh.said)"
passed "virsh start succeeds"
check "the VM runs" running "$FRIGATE"
virsh -q destroy "$FRIGATE"

stage "A program"
rm -f "$RULES"/*.rules "$LOG"
tool good <<END
echo "\$VIRT_RULES_EVENT" >/tmp/good.ran
END
tool bad <<END
echo the desktop does not stop
exit 4
END
rules 60-frigate.rules <<END
on vm frigate prepare run "/root/good" wait 30s or stop
on vm frigate prepare run "/root/bad" wait 30s or stop
END
check "virsh start fails" refuses
show cat /tmp/virsh.said
check "with the program's last line" said "/root/bad ended with status 4: the desktop does not stop"
check "the first program ran" grep -qx prepare /tmp/good.ran
rules 60-frigate.rules <<END
on vm frigate prepare run "/root/good" wait 30s or stop
on vm frigate prepare run "/root/bad" wait 30s
END
start "$FRIGATE"
check "without 'or stop' the VM starts" running "$FRIGATE"
virsh -q destroy "$FRIGATE"

stage "The engine is killed while libvirt waits"
tool slow <<END
echo \$\$ >/tmp/slow.pid
exec sleep 50
END
rules 60-frigate.rules <<END
on vm frigate prepare run "/root/slow" wait 55s or stop
END
rm -f /tmp/slow.pid
virsh -q start "$FRIGATE" >/tmp/virsh.said 2>&1 &
starting=$!
check_until "the program runs" test -s /tmp/slow.pid
engine=$(awk '{print $4}' "/proc/$(cat /tmp/slow.pid)/stat")
check "the engine is killed" kill -9 "$engine"
wait $starting || fail "virsh start succeeds" "$(cat /tmp/virsh.said)"
passed "virsh start succeeds"
check "the VM runs" running "$FRIGATE"
kill "$(cat /tmp/slow.pid)"
virsh -q destroy "$FRIGATE"
settle

stage "Without such a rule"
rules 60-frigate.rules <<END
on vm frigate started attach dead:beef as vfio optional
END
put_aside "$HOOK"
printf '#!/bin/sh\nexec cat >/dev/null\n' >"$HOOK" && chmod 755 "$HOOK"
libvirt_restart
fastest_empty='' fastest_ours=''
faster() { if [ -z "$2" ] || [ "$1" -lt "$2" ]; then echo "$1"; else echo "$2"; fi; } # TIME FASTEST
one_pair() {
    start_and_destroy "$FRIGATE"
    fastest_empty=$(faster "$start_took" "$fastest_empty")
    mv "$HOOK" /tmp/empty-hook && cp /lab/virt-rules-hook "$HOOK"
    start_and_destroy "$FRIGATE"
    fastest_ours=$(faster "$start_took" "$fastest_ours")
    mv /tmp/empty-hook "$HOOK"
    say "fastest: $(seconds "$fastest_empty") s with an empty hook, $(seconds "$fastest_ours") s with ours"
    pairs=$((pairs + 1))
}
pairs=0
is_as_quick() { [ $((10 * fastest_ours)) -le $((12 * fastest_empty)) ]; }
one_pair
until is_as_quick || [ "$pairs" -ge 9 ]; do one_pair; done
put_back
check "a start is as quick as with an empty hook, but for a fifth" is_as_quick
libvirt_restart
check_nothing_left
