# Unraid, part of tests/install/run: / is RAM, /boot a FAT drive on which nothing can be executed, /etc/libvirt an image that
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

boots() {
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
        [ ! -x "$file" ] || on_host timeout 60 "${file#"$root"}" "$1"
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
    SOURCE_DATE_EPOCH=$1 hook/plugin "$work/archive.tar.gz" "$(basename "$unpacked")" 0.1.0 >"$2"
}

plugin_of_unraid() {
    unraid
    check 'make dist writes the plugin file' cmp -s build/virt-rules.plg <(SOURCE_DATE_EPOCH=1700000000 hook/plugin "$work/archive.tar.gz" "$(basename "$unpacked")" 0.1.0)
    make_plugin 1800000000 "$root/tmp/virt-rules.plg"
    check 'that the manager can read: a text has less than 10 MB' [ "$(stat -c %s "$root/tmp/virt-rules.plg")" -lt 9000000 ]
    check 'its version is a time' grep -q 'version="2027.01.15.0800"' "$root/tmp/virt-rules.plg"
    cp "$root/tmp/virt-rules.plg" "$work/virt-rules.plg"
    snapshot >"$work/before"
    flash_snapshot >"$work/flash-before"

    check 'Unraid: installing the plugin' plugin install /tmp/virt-rules.plg
    check 'says where rules are' said 'write rules into /boot/config/plugins/virt-rules/rules.d'
    check 'and how to keep the log' said "'state = /mnt/POOL/virt-rules'"
    check 'the programs are there' has_programs
    check 'udev is told' grep -q 'udevadm control --reload' "$root/tmp/syslog"
    check 'the manager knows it' [ -L "$root/var/log/plugins/virt-rules.plg" ]
    check 'VMs are off, so no hook is in RAM' [ ! -e "$root/etc/libvirt/hooks" ]
    check 'go is not touched' cmp -s "$root/boot/config/go" "$work/flash/config/go"
    check 'the archive is on the drive once' [ "$(find "$root/boot" -name '*.tar.gz' | wc -l)" = 1 ]
    check 'and not unpacked there' [ ! -e "$flash/archive" ]
    echo 'on vm frigate started attach any 1ac1:089a as vfio' >"$flash/rules.d/50-frigate.rules"
    check 'rules on the drive are seen' sees_rules
    check 'turning VMs on' vms_are_on
    check 'puts the hook into libvirt.img' until_true the_hook_is_in_the_image
    check 'and tells libvirt' hangups 1
    be_fat
    written "$flash"/* "$root/boot/config/go" >"$work/times"

    check 'Unraid boots' boots
    check 'the plugin is installed again' said 'plugin: virt-rules.plg installed'
    check 'with its programs' has_programs
    check 'and the rules' sees_rules
    check 'udev is told' grep -q 'udevadm control --reload' "$root/tmp/syslog"
    check 'the hook waited in libvirt.img' cmp -s "$our_hook" "$work/image/hooks/qemu.d/virt-rules"
    check 'emhttpd was started' grep -q '^emhttp' "$root/tmp/syslog"
    rm "$root/usr/local/libvirt/bin/virt-rules"
    put_recorder "$root/usr/local/libvirt/bin/virt-rules"
    chmod 755 "$root/usr/local/libvirt/bin/virt-rules"
    check 'VMs are turned on' vms_are_on
    check 'and get their devices' until_true called apply
    check 'libvirt needs no telling' hangups 0
    check 'the hook has not changed' the_hook_is_in_the_image
    rm "$root/etc/libvirt/hooks/qemu.d/virt-rules" "$root/tmp/calls"
    vms_are_off
    check 'an image without the hook' vms_are_on
    check 'gets it' until_true the_hook_is_in_the_image
    check 'and libvirt is told' hangups 1
    until_true called apply
    check 'a file of the manager is the same' cmp -s "$root/boot/config/plugins/virt-rules.plg" "$work/virt-rules.plg"

    make_plugin 1800000060 "$root/tmp/virt-rules.plg"
    check 'a newer plugin' plugin install /tmp/virt-rules.plg
    check 'replaces the programs' eval 'has_programs && cmp -s "$unpacked/bin/virt-rules" "$root/usr/local/libvirt/bin/virt-rules"'
    check 'and its archive' [ "$(cd "$flash" && echo *.tar.gz)" = virt-rules-2027.01.15.0801.tar.gz ]
    check 'the rules stay' sees_rules
    make_plugin 1800000120 "$root/tmp/virt-rules.plg"
    mkdir -p "$root/tmp/plugins"
    mv "$root/tmp/virt-rules.plg" "$root/tmp/plugins/"
    check 'an update by the manager' plugin update virt-rules.plg
    check 'does, too' [ "$(cd "$flash" && echo *.tar.gz)" = virt-rules-2027.01.15.0802.tar.gz ]
    check 'the archive by hand is refused' not install --yes
    check 'which says what to do' said 'update it with the new virt-rules.plg'
    make_plugin 1800000060 "$root/tmp/virt-rules.plg"
    check 'an older one is not installed' not plugin install /tmp/virt-rules.plg
    rm "$root/tmp/virt-rules.plg"

    check 'Unraid boots again' boots
    check 'with the newest' eval 'has_programs && [ "$(cd "$flash" && echo *.tar.gz)" = virt-rules-2027.01.15.0802.tar.gz ]'
    echo damaged >"$flash/virt-rules-2027.01.15.0802.tar.gz"
    check 'a damaged archive on the drive' boots
    check 'is replaced from the plugin file' has_programs
    check 'VMs are on' vms_are_on
    until_true grep -q . "$work/hangups" &
    check 'removing the plugin' plugin remove virt-rules.plg
    wait $!
    check 'removes the programs' [ ! -e "$root/usr/local/libvirt/bin" ]
    check 'and the hook, with its directory' [ ! -e "$root/etc/libvirt/hooks" ]
    check 'but not the rules' grep -q frigate "$flash/rules.d/50-frigate.rules"
    check 'and nothing else on the drive' [ "$(cd "$flash" && find . -type f)" = ./rules.d/50-frigate.rules ]
    rm -rf "$flash" "$root/boot/config/plugins-removed"
    vms_are_off
    rm -rf "$root/usr/local/libvirt" "$root/tmp/plugins"
    check 'the drive is as before' cmp "$work/flash-before" <(flash_snapshot)
    rm -f "$root/var/tmp/go"
    check 'and so is RAM' eval 'snapshot | diff "$work/before" - >"$output"'
}

go_of_unraid() {
    unraid
    snapshot >"$work/before"
    flash_snapshot >"$work/flash-before"
    cp "$root/boot/config/go" "$work/go"
    check 'Unraid without the plugin' install --yes
    check 'says what keeps the log' said "write 'state = /mnt/POOL/virt-rules'"
    check 'puts a line into go' [ "$(grep -c 'sh /boot/config/plugins/virt-rules/archive/install.sh --boot' "$root/boot/config/go")" = 1 ]
    check 'after the first one' grep -q '^#!/bin/bash' "$root/boot/config/go"
    check 'and keeps the archive' cmp -s "$unpacked/bin/virt-rules" "$flash/archive/bin/virt-rules"
    check 'the programs are there' has_programs
    check 'no hook is in RAM' [ ! -e "$root/etc/libvirt/hooks" ]
    check 'again' eval 'install --yes; said "in place already"'
    check 'another prefix' not install --yes --prefix /mnt/cache/virt-rules
    check 'is refused, with what to do' said 'leave --prefix away'
    be_fat
    echo 'on vm frigate started attach any 1ac1:089a as vfio' >"$flash/rules.d/50-frigate.rules"
    put_recorder "$flash/archive/bin/virt-rules"
    (cd "$flash/archive" && find . -type f ! -name SHA256SUMS -exec sha256sum {} + >"$work/sums" && cp "$work/sums" SHA256SUMS)
    written "$flash"/* "$flash"/archive/* >"$work/times"

    check 'Unraid boots' boots
    check 'the programs are back' has_programs
    check 'with their rules' on_host cat /usr/local/libvirt/rules.d/50-frigate.rules
    check 'the host is prepared' until_true called boot
    check 'emhttpd was started' grep -q '^emhttp' "$root/tmp/syslog"
    check 'nothing is applied without libvirt' not called apply
    check 'VMs are turned on' vms_are_on
    check 'the hook gets into libvirt.img' until_true the_hook_is_in_the_image
    check 'the rules are applied' until_true called apply
    cp "$root/boot/config/go" "$work/go-line"
    boots
    check 'at the next boot go is the same' cmp -s "$root/boot/config/go" "$work/go-line"
    check 'and so is the manifest' [ "$(sort "$flash/installed" | uniq -d)" = '' ]

    check 'a new archive' install --yes
    check 'replaces the programs' cmp -s "$unpacked/bin/virt-rules" "$root/usr/local/libvirt/bin/virt-rules"
    check 'and the copy on the drive' cmp -s "$unpacked/bin/virt-rules" "$flash/archive/bin/virt-rules"
    echo x >>"$flash/archive/QUICKSTART.txt"
    check 'a damaged copy' boots
    check 'is not installed' [ ! -e "$root/usr/local/libvirt/bin" ]
    check 'which is in the syslog' grep -q 'err.*the files in /boot/config/plugins/virt-rules/archive differ' "$root/tmp/syslog"
    install --yes
    make_plugin 1800000000 "$root/tmp/virt-rules.plg"
    check 'the plugin' plugin install /tmp/virt-rules.plg
    check 'takes the place of the line in go' cmp -s "$root/boot/config/go" "$work/go"
    check 'and of the copy' [ -z "$(find "$flash/archive" -type f)" ]
    check 'and is removed' plugin remove virt-rules.plg
    rm -rf "$root/boot/config/plugins-removed" "$root/tmp/virt-rules.plg"
    install --yes
    check 'uninstalling while VMs are off' installed --uninstall --yes
    check 'says that the hook is still in the image' said 'a hook in libvirt.img is still there'
    check 'and keeps the rules' grep -q frigate "$flash/rules.d/50-frigate.rules"
    rm "$flash/rules.d/50-frigate.rules"
    rmdir "$flash/rules.d" "$flash" 2>/dev/null
    check 'the drive is as before' cmp "$work/flash-before" <(flash_snapshot)
    rmdir "$root/usr/local/libvirt/state" "$root/usr/local/libvirt" 2>/dev/null
    rm -f "$root/var/tmp/go"
    check 'and so is RAM' eval 'snapshot | diff "$work/before" - >"$output"'
    hook_without_engine "$work/image/hooks/qemu.d/virt-rules"
}

# The hook stays in libvirt.img; the programs are gone.
hook_without_engine() { # HOOK
    local operation
    mkdir -p "$root/etc/libvirt/hooks/qemu.d"
    cp "$1" "$root/etc/libvirt/hooks/qemu.d/virt-rules"
    for operation in 'prepare begin' 'start begin' 'started begin' 'stopped end' 'release end' 'migrate begin' 'restore begin' 'reconnect begin'; do
        # shellcheck disable=SC2086 # two words
        check "without the programs the hook does not stop a VM: $operation" \
            eval '"$chroot" "$root" /etc/libvirt/hooks/qemu.d/virt-rules frigate $operation - <tests/cli/usb-vm.xml >"$output" 2>&1'
        check 'and says nothing to libvirt' [ ! -s "$output" ]
    done
    check 'it creates nothing' [ ! -e "$root/usr/local/libvirt" ]
}

unsafe_unraid() {
    unraid
    chmod 777 "$root/boot" "$root/boot/config"
    snapshot >"$work/before"
    check 'a flash drive that all users can write' not install --yes
    check 'is refused' said 'users other than root could change the rules'
    check 'with what to do' said 'update Unraid, which mounts it with dmask=77,fmask=177'
    check 'nothing is changed' cmp "$work/before" <(snapshot)
    unraid
    rm -rf "$root/boot/config"
    check 'no flash drive' not install --yes
    check 'is said' said 'must be mounted at /boot'
    unraid
    rm "$root/boot/config/go"
    check 'a drive without go' install --yes
    check 'gets one that starts emhttpd' grep -qx /usr/local/sbin/emhttp "$root/boot/config/go"
    check 'after us' [ "$(sed -n 2p "$root/boot/config/go" | grep -c install.sh)" = 1 ]
    check 'which goes again' installed --uninstall --yes
    check 'as it came' [ ! -e "$root/boot/config/go" ]
    unraid
    mkdir -p "$root/usr/local/libvirt/rules.d"
    echo '# mine' >"$root/usr/local/libvirt/rules.d/10-mine.rules"
    check 'rules that are in RAM' install --yes
    check 'move to the drive' grep -qx '# mine' "$flash/rules.d/10-mine.rules"
    be_foreign "$root/tmp/archive/bin/virt-rules"
    sum_up
    tar -czf "$work/foreign.tar.gz" -C "$root/tmp/archive/.." archive
    unraid
    SOURCE_DATE_EPOCH=1800000000 hook/plugin "$work/foreign.tar.gz" archive 0.1.0 >"$root/tmp/virt-rules.plg"
    check 'a plugin whose programs do not start here' not plugin install /tmp/virt-rules.plg
    check 'says so' said 'Exec format error'
    check 'and leaves nothing' [ -z "$(find "$root/boot" "$root/usr/local/libvirt" -type f -path '*virt-rules*' 2>/dev/null)" ]
}

if [ "$in_chroot" = yes ]; then
    plugin_of_unraid
    go_of_unraid
    unsafe_unraid
    vms_are_off
else
    skip 'Unraid: needs a root directory'
fi
