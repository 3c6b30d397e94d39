# An Alpine host: OpenRC runs the services in the runlevel `default`, in the order of depend().
# shellcheck shell=bash disable=SC2154,SC2016

alpine() { # a host with OpenRC, with no udev but mdev
    new_host
    mkdir -p "$root/sbin" "$root/etc/init.d" "$root/etc/runlevels/default" "$root/etc/libvirt" "$root/run/openrc"
    printf '#!/bin/sh\n' >"$root/sbin/openrc-run"
    chmod 755 "$root/sbin/openrc-run"
    libvirt_is 9.0.0
    logs
    : >"$root/tmp/syslog"
}
