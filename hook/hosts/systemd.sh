#!/bin/sh
# Any host with systemd, without a NAS's own ways. Its units are in the list `files`. The host keeps them where it keeps
# /etc; one that keeps /etc/systemd and not all of /etc/libvirt gets the hook back from virt-rules-keeper.service.
# shellcheck disable=SC2034,SC2154 # hook/install.sh has the variables
wants=/etc/systemd/system/multi-user.target.wants

systemd_is_here() {
    [ -d "$root/run/systemd/system" ] || [ -x "$root/usr/lib/systemd/systemd" ] || [ -x "$root/lib/systemd/systemd" ]
}

systemd_check() {
    check_prefix
}

systemd_place() {
    echo "$compiled"
}

# For a tree (--destdir) its host decides.
systemd_keep() {
    [ "$kind" != deb ] && [ "$stage" = no ] || return 0
    enable_service "$wants/virt-rules.service" "$unitdir/virt-rules.service" "runs virt-rules apply at boot, after libvirt"
    enable_service "$wants/virt-rules-boot.service" "$unitdir/virt-rules-boot.service" "runs virt-rules boot at boot, before libvirt"
    [ "$kind" != archive ] || enable_service "$wants/virt-rules-keeper.service" "$unitdir/virt-rules-keeper.service" "puts back at boot what the host has lost"
}

systemd_calls() {
    called_in "$unitdir/virt-rules-keeper.service"
}

# One that was lost, and that this boot did not run, does not count.
systemd_runs_unit() { # NAME
    ! lost "$unitdir/$1" && exists "$wants/$1"
}
