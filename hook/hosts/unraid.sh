#!/bin/sh
# Unraid. Read in unraid/webgui (etc/rc.d/rc.S, rc.local, rc.libvirt, sbin/emhttp_event, the plugin manager), 6.12 to 7.3:
# - / is a RAM disk and /usr an overlay over one. Only the flash drive, /boot, stays: FAT, mounted with dmask=77,fmask=177
#   since 2023 at least, so that all in it belongs to root, who alone can write it, and nothing can be executed; from 7.3
#   on it may be ZFS. It is to be written seldom.
# - At boot, rc.local has the plugin manager install each /boot/config/plugins/*.plg again, and then runs a copy of
#   /boot/config/go without carriage returns, which starts emhttpd. If there is no such file, it starts emhttpd itself.
# - When the array has started, emhttpd mounts libvirt.img at /etc/libvirt, starts libvirt, and then runs
#   /usr/local/emhttp/plugins/*/event/libvirt_started. So a hook stays in libvirt.img, and is there before libvirt starts.
#   Nothing runs between the mount and the start of libvirt.
# So the programs are put into /usr/local/libvirt at each boot, by the plugin or from a copy of the archive beside the
# rules. Rules, virt-rules.conf and the manifest are on the flash drive.
# shellcheck disable=SC2034,SC2154 # hook/install.sh has the variables
go=/boot/config/go
started=/usr/local/emhttp/plugins/virt-rules/event/libvirt_started

unraid_is_here() {
    [ -f "$root/etc/unraid-version" ]
}

unraid_place() {
    echo "$compiled"
}

unraid_calls() {
    :
}

unraid_runs_unit() {
    return 1
}

unraid_paths() {
    [ "$kind" = archive ] && [ "$stage" = no ] || return 0
    rulesdir=$flash/rules.d manifest=$flash/installed
}

unraid_check() {
    [ "$prefix" = "$compiled" ] || fail "nothing was changed, because on Unraid the programs are in $compiled, which is \
filled again at each boot, and the rules on the flash drive, in $rulesdir: leave --prefix away. To keep the log, write \
'state = /mnt/POOL/virt-rules' into $flash/virt-rules.conf"
    if [ ! -d "$root/boot/config" ] || [ ! -w "$root/boot/config" ]; then
        fail "nothing was changed, because /boot/config cannot be written: the flash drive must be mounted at /boot"
    fi
    why=$(why_unsafe /boot/config)
    [ -z "$why" ] || fail "nothing was changed, because users other than root could change the rules on the flash drive: \
${why%%;*}. FAT has no owners and modes, so the mount decides, and FAT ignores such options in a remount: update Unraid, which \
mounts it with dmask=77,fmask=177 since 2023"
    [ "$action" = plugin ] || ! unraid_has_plugin || [ "$here" = "$root$prefix" ] ||
        fail "nothing was changed, because virt-rules is installed as a plugin: update it with the new virt-rules.plg, or \
remove it with 'plugin remove virt-rules.plg'"
}

# The plugin manager writes the archive of the plugin before it runs us, and the plugin file afterwards.
unraid_has_plugin() {
    for file in "$root$flash.plg" "$root$flash"/virt-rules-*.tar.gz; do
        [ ! -f "$file" ] || return 0
    done
    return 1
}

unraid_keep() {
    [ "$kind" = archive ] && [ "$stage" = no ] || return 0
    unraid_link rules.d
    unraid_link virt-rules.conf
    if unraid_has_plugin; then
        remove_call "$go" "$emhttp"
        forget "call $go"
    else
        unraid_keep_archive
        add_call "$go" "sh $flash/archive/install.sh --boot </dev/null >/dev/null 2>&1" "$emhttp"
    fi
    note_once "log and state are in RAM: to keep them, write 'state = /mnt/POOL/virt-rules' into $flash/virt-rules.conf"
}

# What was in RAM before is moved to the flash drive.
unraid_link() { # NAME
    record link "$prefix/$1"
    [ "$(link_target "$root$prefix/$1")" != "$flash_link/$1" ] || return 0
    step "link $prefix/$1 to $flash/$1" || return 0
    if [ -d "$root$prefix/$1" ]; then
        for file in "$root$prefix/$1"/*; do
            [ ! -e "$file" ] || [ -e "$root$flash/$1/${file##*/}" ] || mv "$file" "$root$flash/$1/"
        done
        rmdir "$root$prefix/$1" || fail "$prefix/$1 has files that are in $flash/$1, too: remove them in one of the two"
    elif [ -f "$root$prefix/$1" ] && [ ! -e "$root$flash/$1" ]; then
        mv "$root$prefix/$1" "$root$flash/$1"
    fi
    rm -f "$root$prefix/$1"
    ln -s "$flash_link/$1" "$root$prefix/$1"
}

unraid_keep_archive() {
    while read -r _ file _; do
        [ ! -f "$here/$file" ] || install_file "$here/$file" "$flash/archive/$file" 644
    done <"$here/files"
}

# Without libvirt.img, /etc/libvirt is an empty directory in RAM. The hook in the image still counts as installed.
unraid_waits_for_image() {
    [ "$host" = unraid ] && [ "$kind" = archive ] && [ "$stage" = no ] || return 1
    ! grep -qs '^[^ ]* /etc/libvirt ' "$root/proc/mounts" || return 1
    note_once "VMs are off; the hook is put into libvirt.img when they are turned on"
    ! [ -f "$root$manifest" ] || current="$current$(sed -n "\\,^[a-z]* $hooks/,p" "$root$manifest")$newline"
}

unraid_says_what_stays() {
    ! unraid_waits_for_image >/dev/null ||
        echo "VMs are off, so a hook in libvirt.img is still there. Without the programs it only writes to the syslog; to \
remove it, turn VMs on and delete $extra"
}

# Fills RAM: from the archive of the plugin, or from its copy on the flash drive.
unraid_fill() {
    pass=act
    make_manifest_directory
    install_all
    reload_udev
}

unraid_plugin() {
    [ "$host" = unraid ] || fail "--plugin is for Unraid's plugin manager"
    check_archive
    check_alone
    unraid_check
    check_programs
    unraid_fill
    unraid_go_on
    echo "virt-rules is installed; write rules into $rulesdir (examples: $examples), then run: virt-rules check, virt-rules doctor"
    echo "Log and state are in RAM: to keep them, write 'state = /mnt/POOL/virt-rules' into $flash/virt-rules.conf"
}

# In the background: what may wait for devices or for libvirt.
unraid_go_on() {
    [ -n "$root" ] || "$started" libvirt_started
}

# Called by $go, from the flash drive, or by the event, from $prefix. libvirt may start much later, or never; then there is
# another event.
unraid_boot() {
    if [ "$here" != "$root$prefix" ]; then
        check_archive
        unraid_fill
        unraid_go_on
    elif [ -z "$(daemon_process)" ]; then
        prepare_host
    elif wait_for_libvirt; then
        restore_rest
        install_hook
        [ "$hook_changed" = no ] || signal_libvirt >/dev/null
        apply_rules
    fi
    exit 0
}
