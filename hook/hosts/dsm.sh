#!/bin/sh
# Synology DSM with Virtual Machine Manager. DSM creates /etc/libvirt again at each boot, after boot scripts have
# started (read in published set-ups, DSM 7.2.1). It runs the scripts in /usr/local/etc/rc.d at boot and keeps them and
# /usr/local over updates. If a unit of ours were ordered relative to the package's units, DSM would report a broken
# dependency; so a call in the package's own script puts the hook back before libvirt starts, until the package is
# updated.
# shellcheck disable=SC2034,SC2154 # hook/install.sh has the variables
ko_script=$package/conf/systemd/insert_libvirtd_ko.sh # run before libvirtd; an update replaces it

dsm_is_here() {
    [ -d "$root$package" ]
}

dsm_check() {
    check_prefix
}

dsm_place() {
    echo "$compiled"
}

# The boot script is in the list `files`.
dsm_keep() {
    if [ ! -f "$root$ko_script" ]; then
        [ "$pass" = act ] || echo "  note: there is no $ko_script; after a boot the hook is restored only when libvirt runs"
        return 0
    fi
    add_call "$ko_script" "$prefix/install.sh --put-hook </dev/null >/dev/null 2>&1 || :"
}

dsm_calls() {
    called_in /usr/local/etc/rc.d/virt-rules.sh
}

dsm_runs_unit() {
    return 1
}
