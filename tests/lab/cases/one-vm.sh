# one VM and one device: everything that is promised of them; also the demo

# The same start with a hook that does nothing and with ours, in turn. Other work of the machine only ever makes a time
# longer, so the fastest of each are compared, and more starts are made while they are too far apart.
declare -A fastest=()
pairs=0
keep_fastest() { # WHAT MICROSECONDS
    if [ -z "${fastest[$1]:-}" ] || [ "$2" -lt "${fastest[$1]}" ]; then fastest[$1]=$2; fi
}
measure_start() { # WHAT
    libvirt_restart
    forget_hook_calls
    start "$FRIGATE"
    waited=$(hook_time)
    hook_calls "$FRIGATE started begin" >/dev/null || fail "libvirt calls the hook"
    keep_fastest "$1 start" "$start_took"
    keep_fastest "$1 hook" "$waited"
    say "$1: $(seconds "$start_took") s, of which libvirt waited $(seconds "$waited") s for the hook"
    settle
    virsh -q destroy "$FRIGATE"
}
compare_starts() {
    put_aside "$HOOK"
    printf '#!/bin/sh\n' >"$HOOK"
    chmod 755 "$HOOK"
    measure_start "an empty script"
    put_back
    measure_start "our hook"
    pairs=$((pairs + 1))
}
start_is_as_fast() { [ $((2 * fastest["our hook start"])) -le $((3 * fastest["an empty script start"])) ]; }
hook_is_as_fast() { [ "${fastest["our hook hook"]}" -le $((TIMES * fastest["an empty script hook"])) ]; }
TIMES=2 # times what the shell takes to do nothing: our hook reads the VM's XML and starts a process, which is not waited for

stage "A rule"
rules 50-frigate.rules <<END
# Give the Coral to the VM that its user calls frigate.
on vm frigate started attach $CORAL_ID as vfio
END
say "The file's name ends in .rules:"
show cat "$RULES/50-frigate.rules"
check "virt-rules check finds no mistake in it" virt-rules check

stage "The device, while no VM has it"
show lspci -nnk -s "$CORAL"
say "${HOST_DRIVER[$CORAL]} is its host driver here, a stand-in for the real one, which Debian does not have."
check "the device is bound to its host driver" on_host "$CORAL"

stage "A VM"
define "$FRIGATE" frigate
say "libvirt knows it by a UUID, as on a Synology; its title, which the rule uses, is frigate."
show virsh list --all --title
say "What virt-rules would do when it starts (a dry run, nothing is touched):"
show virt-rules plan frigate started

stage "virsh start"
check "the hook, libvirt's call to us at a VM's start, is the file that was installed" hook_is_installed
forget_hook_calls
start "$FRIGATE"
check "libvirt called the hook" hook_calls "$FRIGATE started begin"
check "the VM runs" running "$FRIGATE"

stage "The attach"
check_until "the engine's log says attached" logged attached frigate "$CORAL"
ended=$(log_time)
show tail -n 1 "$LOG"
check "the VM had started before: virsh start returned $(seconds $((ended - returned))) s earlier" at_most "$returned" "$ended"
check "libvirt's live description of the VM has the device" has_device "$FRIGATE" "$CORAL"
check "and no other" hostdevs_are "$FRIGATE" 1
show_hostdevs "$FRIGATE"
check "its driver is vfio-pci, which assigns devices to VMs" driver_is "$CORAL" vfio-pci
show lspci -nnk -s "$CORAL"
check_until "the guest runs" guest_up "$FRIGATE"

stage "virsh destroy"
check "the VM is gone" virsh -q destroy "$FRIGATE"
check_until "the device is bound to its host driver again" on_host "$CORAL"
show lspci -nnk -s "$CORAL"

stage "Does virt-rules make a start longer?"
compare_starts
until { start_is_as_fast && hook_is_as_fast; } || [ "$pairs" -ge 9 ]; do compare_starts; done
check "the fastest takes at most half as long again as the fastest with a hook that does nothing" start_is_as_fast
check "libvirt waits for our hook at most $TIMES times as long as for a shell that does nothing" hook_is_as_fast
