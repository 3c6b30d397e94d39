# one VM and one device: everything that is promised of them; also the demo

# The same start without and with the hook, in turn. Other work of the machine only ever makes a start longer, so the
# fastest of each are compared, and more starts are made while they are too far apart.
fastest_without='' fastest_with='' pairs=0
faster() { # TIME FASTEST: the lesser; FASTEST may be empty
    if [ -z "$2" ] || [ "$1" -lt "$2" ]; then echo "$1"; else echo "$2"; fi
}
compare_starts() {
    local without
    put_aside "$HOOK"
    libvirt_restart
    forget_hook_calls
    start_and_destroy "$FRIGATE"
    without=$start_took
    ! hook_calls . || fail "libvirt calls no hook when there is none"
    put_back
    libvirt_restart
    start_and_destroy "$FRIGATE"
    say "$(seconds "$without") s without, $(seconds "$start_took") s with"
    fastest_without=$(faster "$without" "$fastest_without")
    fastest_with=$(faster "$start_took" "$fastest_with")
    pairs=$((pairs + 1))
}
is_as_fast() { [ $((2 * fastest_with)) -le $((3 * fastest_without)) ]; }
is_small_part() { [ $((2 * $1)) -le "$2" ]; } # PART WHOLE: what would wait for the attach is most of it

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
forget_hook_calls
check "the hook, libvirt's call to us at a VM's start, is the file that was installed" hook_is_installed
start "$FRIGATE"
waited=$(hook_time)
say "virsh start took $(seconds "$start_took") s, of which libvirt waited $(seconds "$waited") s for the hook"
check "that is the smaller part of it" is_small_part "$waited" "$start_took"
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
until is_as_fast || [ "$pairs" -ge 9 ]; do compare_starts; done
check "the fastest with it takes at most half as long again as the fastest without" is_as_fast
