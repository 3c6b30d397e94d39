#!/bin/sh
# Alpine, Gentoo and other hosts with OpenRC. Its two services are in the list `files`; a link in a runlevel starts a
# service at boot, as rc-update makes it (OpenRC's own manual). On a host with another init OpenRC may be installed, too:
# /run/openrc is there where it runs.
# shellcheck disable=SC2034,SC2154 # hook/install.sh has the variables
runlevel=/etc/runlevels/default

openrc_is_here() {
    [ -d "$root/run/openrc" ] ||
        { { [ -x "$root/sbin/openrc-run" ] || [ -x "$root/usr/sbin/openrc-run" ]; } && ! systemd_is_here; }
}

openrc_check() {
    check_prefix
}

openrc_place() {
    echo "$compiled"
}

openrc_keep() {
    case $kind:$stage in archive:no | apk:no) ;; *) return 0 ;; esac
    enable_service "$runlevel/virt-rules" "$services/virt-rules" "prepares the host and calls install.sh at boot"
    openrc_has_udev || enable_service "$runlevel/virt-rules-watch" "$services/virt-rules-watch" "reports devices, because there is no udev"
}

# A package of ours brings a directory of udev's itself.
openrc_has_udev() {
    [ "$kind" != apk ] || [ -x "$root/sbin/udevd" ] || [ -x "$root/usr/sbin/udevd" ] || return 1
    has udev
}

openrc_calls() {
    called_in "$services/virt-rules"
}

# The service runs `virt-rules boot` itself, because libvirt has to wait for it.
openrc_runs_unit() { # NAME
    [ "$1" = virt-rules-boot.service ] && ! lost "$services/virt-rules" && exists "$runlevel/virt-rules"
}
