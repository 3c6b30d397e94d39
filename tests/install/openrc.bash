# Alpine, part of tests/install/run: OpenRC runs the services in the runlevel `default`, in the order of depend().
# shellcheck shell=bash disable=SC2154,SC2016

alpine() { # a host with OpenRC, with no udev but mdev
    new_host
    mkdir -p "$root/sbin" "$root/etc/init.d" "$root/etc/runlevels/default" "$root/etc/libvirt" "$root/run/openrc"
    printf '#!/bin/sh\n' >"$root/sbin/openrc-run"
    chmod 755 "$root/sbin/openrc-run"
    libvirt_is 9.0.0
    printf '#!/bin/sh\necho "$*" >>/tmp/syslog\n' >"$root/bin/logger.new"
    chmod 755 "$root/bin/logger.new"
    mv -f "$root/bin/logger.new" "$root/bin/logger"
    : >"$root/tmp/syslog"
}

# What openrc-run does with a service of the runlevel: it reads it and calls start(), or starts `command`.
openrc_starts() { # SERVICE
    cat >"$root/tmp/openrc-run" <<'TEXT'
ebegin() { echo "begin $*"; }
eend() { return "$1"; }
for word in need use after before; do eval "$word() { echo \"$word \$*\"; }"; done
command='' command_args='' command_background=no
. "/etc/runlevels/default/$1"
depend
if [ -n "$command" ]; then echo "runs $command $command_args background=$command_background"; else start; fi
TEXT
    # shellcheck disable=SC2024
    timeout 60 env -i PATH=/bin:/usr/bin "$chroot" "$root" /bin/sh /tmp/openrc-run "$1" >"$output" 2>&1 </dev/null
}

if [ "$in_chroot" = yes ]; then
    alpine
    daemon_runs libvirtd
    snapshot >"$work/before"
    check 'Alpine' install --yes
    check 'has a service' [ "$(readlink "$root/etc/runlevels/default/virt-rules")" = /etc/init.d/virt-rules ]
    check 'that can be run' [ -x "$root/etc/init.d/virt-rules" ]
    check 'and one that listens, because it has no udev' [ "$(readlink "$root/etc/runlevels/default/virt-rules-watch")" = /etc/init.d/virt-rules-watch ]
    check 'and the hook' cmp -s "$our_hook" "$second"
    check 'again' eval 'install --yes; said "in place already"'
    put_engine
    without_libvirt
    rm "$second"
    check 'at boot' openrc_starts virt-rules
    check 'before libvirt starts' said 'before libvirtd virtqemud'
    check 'the host is prepared, and libvirt waits for that' [ "$(cat "$root/tmp/prepared")" = boot ]
    check 'the hook is back, for libvirt to find it' until_true cmp -s "$our_hook" "$second"
    check 'nothing is applied without libvirt' not applied
    daemon_runs libvirtd
    check 'then the rules are applied' until_true applied
    check 'the host was prepared once' prepared
    check 'the other service' openrc_starts virt-rules-watch
    check 'listens in the background' said 'runs /usr/local/libvirt/bin/virt-rules watch background=yes'
    rm "$root/etc/runlevels/default/virt-rules"
    install --yes
    check 'a service that was turned off stays so' [ ! -e "$root/etc/runlevels/default/virt-rules" ]
    echo '# newer' >>"$root/tmp/archive/boot/virt-rules.openrc"
    sum_up
    check 'an update' install --yes
    check 'replaces it' grep -q '^# newer' "$root/etc/init.d/virt-rules"
    check 'uninstalling' installed --uninstall --yes
    check 'leaves the host as it was' eval 'snapshot | diff "$work/before" - >"$output"'
    check 'Alpine again' install --yes
    check 'whose services were lost' rm -rf "$root/etc/init.d/virt-rules" "$root/etc/runlevels/default/virt-rules"
    check 'has them' install --yes
    check 'enabled' [ -L "$root/etc/runlevels/default/virt-rules" ]

    alpine
    mkdir -p "$root/etc/udev/rules.d" "$root/media/disk"
    check 'Alpine with udev, and another prefix' install --yes --prefix /media/disk/virt-rules
    check 'needs no listener' [ ! -e "$root/etc/runlevels/default/virt-rules-watch" ]
    check 'its service calls that' grep -q 'exec /media/disk/virt-rules/install.sh --boot' "$root/etc/init.d/virt-rules"
    check 'and nothing else' not grep -q /usr/local/libvirt "$root/etc/init.d/virt-rules"
    alpine
    mkdir -p "$root/run/systemd/system" "$root/usr/lib/systemd"
    rmdir "$root/run/openrc"
    printf '#!/bin/sh\n' >"$root/usr/lib/systemd/systemd"
    chmod 755 "$root/usr/lib/systemd/systemd"
    check 'OpenRC that does not run' install --yes
    check 'gets no service' [ ! -e "$root/etc/init.d/virt-rules" ]
    without_libvirt
else
    skip 'OpenRC: needs a root directory'
fi
