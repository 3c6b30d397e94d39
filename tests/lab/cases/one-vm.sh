# one VM and one device: everything that is promised of them; also the demo

# The fastest of several starts counts, as other work on the machine only ever makes one slower.
without='' with=''
fastest() { # NUMBER ...
    printf '%s\n' "$@" | sort -n | head -n 1
}
start_without() { # NUMBER: as many starts with no hook
    local i
    put_aside "$HOOK"
    libvirt_restart
    forget_hook_calls
    for ((i = 0; i < $1; i++)); do
        start_and_destroy "$FRIGATE"
        without=$(fastest ${without:+"$without"} "$start_took")
    done
    ! hook_calls . || fail "libvirt calls no hook when there is none"
    put_back
    libvirt_restart
}
start_with() { # NUMBER
    local i
    for ((i = 0; i < $1; i++)); do
        start_and_destroy "$FRIGATE"
        with=$(fastest ${with:+"$with"} "$start_took")
    done
}
close_enough() { [ $((with - without)) -le 1000000 ]; }

stage "A rule"
rules 50-frigate.rules <<END
# Give the Coral to the VM that its user calls frigate.
on vm frigate started attach $CORAL_ID as vfio
END
say "It stands in a file that ends in .rules:"
show cat "$RULES/50-frigate.rules"
check "virt-rules check finds no mistake in it" virt-rules check

stage "The device, while no VM has it"
show lspci -nnk -s "$CORAL"
say "${HOST_DRIVER[$CORAL]} is its host driver here, a stand-in for the real one, which Debian does not have."
check "the device is on its host driver" on_host "$CORAL"

stage "A VM"
define "$FRIGATE" frigate
say "libvirt knows it by a UUID, as on a Synology; its title, which the rule uses, is frigate."
show virsh list --all --title
say "What virt-rules would do when it starts (a dry run, nothing is touched):"
show virt-rules plan frigate started

stage "How long the VM takes to start without virt-rules"
start_without "$STARTS"
say "$(seconds "$without") s, the fastest of $STARTS starts"

stage "virsh start"
check "the hook, libvirt's call to us at a VM's start, is the file that was installed" hook_is_installed
start "$FRIGATE"
with=$start_took
check_not "the VM has started and the attach goes on behind it" logged attached frigate
say "virsh start took $(seconds "$with") s"
check "libvirt called the hook" hook_calls "$FRIGATE started begin"
check "the VM runs" running "$FRIGATE"

stage "The attach"
check_within 90 "the engine's log says attached" logged attached frigate "$CORAL"
ended=$(log_time)
show tail -n 1 "$LOG"
check "it ended $(seconds $((ended - returned))) s after virsh start had returned" at_most "$returned" "$ended"
check "libvirt's live description of the VM has the device" has_device "$FRIGATE" "$CORAL"
check "and no other" hostdevs_are "$FRIGATE" 1
show_hostdevs "$FRIGATE"
check "its driver is vfio-pci, which hands devices to VMs" driver_is "$CORAL" vfio-pci
show lspci -nnk -s "$CORAL"
check_within 60 "the system in the VM runs" guest_up "$FRIGATE"

stage "virsh destroy"
check "the VM is gone" virsh -q destroy "$FRIGATE"
check_within 30 "the device is back on its host driver" on_host "$CORAL"
show lspci -nnk -s "$CORAL"

stage "How long the VM takes to start with virt-rules"
start_with $((STARTS - 1))
rounds=0
until close_enough || [ $((rounds += 1)) -gt 4 ]; do
    say "$(seconds "$with") s against $(seconds "$without") s: once more, for the machine may just be busy"
    start_with 1
    close_enough || start_without 1
done
say "$(seconds "$with") s, the fastest of the starts; $(seconds "$without") s without"
check "the difference, $(seconds $((with - without))) s, is a second at most" close_enough
