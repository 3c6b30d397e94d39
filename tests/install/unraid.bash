# An Unraid host: / is RAM, /boot a FAT drive on which nothing can be executed, /etc/libvirt an image that
# is mounted while VMs are on. tests/install/plugin-manager does what Unraid's plugin manager does with the plugin file.
# shellcheck shell=bash disable=SC2154,SC2034,SC2016

flash=$root/boot/config/plugins/virt-rules
emhttp_plugin=$root/usr/local/emhttp/plugins/virt-rules

unraid() { # a host that has booted up to rc.local, with an empty flash drive
    new_host
    rm -rf "$work/flash" "$work/image"
    mkdir -p "$work/flash/config/plugins" "$work/image"
    printf '#!/bin/bash\r\n# Start the Management Utility\r\n/usr/local/sbin/emhttp\r\n' >"$work/flash/config/go"
    starts_up
}

starts_up() { # what the ramdisk has, at each boot
    local name
    vms_are_off
    new_host
    mkdir -p "$root/etc/udev/rules.d" "$root/etc/libvirt" "$root/usr/local/sbin" "$root/usr/local/emhttp/plugins" "$root/var/log/plugins" \
        "$root/var/tmp" "$root/boot" "$root/run/udev"
    : >"$root/run/udev/control"
    echo 'version="7.2.0"' >"$root/etc/unraid-version"
    echo 'rootfs / rootfs rw 0 0' >"$root/proc/mounts"
    echo '/dev/sda1 /boot vfat rw,noatime,nodiratime,fmask=0177,dmask=0077,shortname=mixed,flush 0 0' >>"$root/proc/mounts"
    for name in logger udevadm emhttp; do
        rm -f "$root/bin/$name"
        printf '#!/bin/sh\necho "%s $*" >>/tmp/syslog\n' $name >"$root/bin/$name"
        chmod 755 "$root/bin/$name"
    done
    mv "$root/bin/emhttp" "$root/usr/local/sbin/emhttp"
    libvirt_is 11.2.0
    : >"$root/tmp/syslog"
    cp -r "$work/flash/." "$root/boot"
    be_fat
}

be_fat() { # no modes and no links
    check 'the flash drive has no links' [ -z "$(find "$root/boot" -type l)" ]
    find "$root/boot" -type d -exec chmod 700 {} +
    find "$root/boot" -type f -exec chmod 600 {} +
}

goes_off() { # all but the flash drive and libvirt.img is lost
    be_fat
    rm -rf "$work/flash"
    cp -r "$root/boot" "$work/flash"
    vms_are_off
}

plugin() { # install|update|remove FILE
    tests/install/plugin-manager "$root" "$@" >"$output" 2>&1
}

runs_rc_local() {
    local file
    for file in "$root"/boot/config/plugins/*.plg; do
        [ ! -f "$file" ] || tests/install/plugin-manager "$root" install "${file#"$root"}" >>"$output" 2>&1
    done
    if [ -f "$root/boot/config/go" ]; then
        tr -d '\r' <"$root/boot/config/go" >"$root/var/tmp/go"
        on_host sh /var/tmp/go
    else
        on_host /usr/local/sbin/emhttp
    fi
}

on_host() { # COMMAND ...
    env -i PATH=/bin:/usr/bin:/usr/local/bin "$chroot" "$root" "$@" >>"$output" 2>&1 </dev/null
}

unraid_boots() {
    goes_off
    starts_up
    : >"$output"
    runs_rc_local
}

vms_are_on() { # emhttpd mounts the image, starts libvirt and waits for the events
    rmdir "$root/etc/libvirt"
    cp -a "$work/image" "$root/etc/libvirt"
    echo '/dev/loop2 /etc/libvirt btrfs rw,noatime 0 0' >>"$root/proc/mounts"
    daemon_runs libvirtd
    emhttp_event libvirt_started
}

emhttp_event() { # EVENT: as sbin/emhttp_event
    local file
    for file in "$root"/usr/local/emhttp/plugins/*/event/"$1"; do
        [ ! -x "$file" ] || on_host timeout 600 "${file#"$root"}" "$1"
    done
}

vms_are_off() {
    without_libvirt
    [ -f "$root/proc/mounts" ] && grep -q ' /etc/libvirt ' "$root/proc/mounts" || return 0
    rm -rf "$work/image"
    mv "$root/etc/libvirt" "$work/image"
    mkdir "$root/etc/libvirt"
    sed -i '/ \/etc\/libvirt /d' "$root/proc/mounts"
}

flash_snapshot() {
    (cd "$root/boot" && find . -printf '%p %y\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

written() { # FILE ...: their times, which change when they are written
    stat -c '%n %y' "$@" 2>&1
}

put_recorder() { # an engine that records its calls, in the archive that is on the flash drive
    printf '#!/bin/sh\ncase $1 in --version) ;; *) echo "$*" >>/tmp/calls ;; esac\n' >"$1"
}

called() { # ARGUMENT
    grep -qsx "$1" "$root/tmp/calls"
}

has_programs() {
    [ -x "$root/usr/local/libvirt/bin/virt-rules" ] && [ -x "$root/usr/local/libvirt/libexec/virt-rules-plug" ] &&
        [ -f "$root/etc/udev/rules.d/90-virt-rules.rules" ] && [ -L "$root/usr/local/bin/virt-rules" ]
}

sees_rules() { # the engine finds what is on the flash drive
    on_host virt-rules check && on_host cat /usr/local/libvirt/rules.d/50-frigate.rules
}

the_hook_is_in_the_image() {
    cmp -s "$our_hook" "$root/etc/libvirt/hooks/qemu.d/virt-rules"
}

make_plugin() { # SECONDS FILE
    SOURCE_DATE_EPOCH=$1 hook/plugin "$archive" "$(basename "$unpacked")" 0.1.0 >"$2"
}
