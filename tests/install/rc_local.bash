# Hosts that run rc.local at boot, part of tests/install/run: in the way of Slackware or of Debian with sysvinit.
# shellcheck shell=bash disable=SC2154,SC2016

# A table: what the script is, its path, its mode, its text for printf.
rc_local_scripts='
Slackware|/etc/rc.d/rc.local|755|#!/bin/bash\n# Put any local startup commands in here.\ntouch /tmp/went-on\n
a script without a first line|/etc/rc.d/rc.local|755|touch /tmp/went-on\n
Debian with exit 0|/etc/rc.local|755|#!/bin/sh -e\n#\n# By default this script does nothing.\ntouch /tmp/went-on\nexit 0\n
without a newline at its end|/etc/rc.local|755|#!/bin/sh\ntouch /tmp/went-on\nexit 0
an earlier exit|/etc/rc.local|755|#!/bin/sh -e\ntouch /tmp/went-on\n[ ! -e /tmp ] || exit 3\nexit 0\n
not executable, without a command|/etc/rc.d/rc.local|644|#!/bin/sh\n# nothing here\n\nexit 0\n
not executable, for root alone|/etc/rc.local|600|#!/bin/sh\nexit\n
an empty one|/etc/rc.local|644|
'

rc_local_host() { # PATH MODE TEXT
    new_host
    mkdir -p "$root${1%/*}" "$root/etc/libvirt"
    # shellcheck disable=SC2059 # a format
    printf "$3" >"$root$1"
    chmod "$2" "$root$1"
    libvirt_is 9.0.0
    printf '#!/bin/sh\necho "$*" >>/tmp/syslog\n' >"$root/bin/logger.new"
    chmod 755 "$root/bin/logger.new"
    mv -f "$root/bin/logger.new" "$root/bin/logger"
}

runs_script() { # PATH: as init does it, if it is executable
    [ -x "$root$1" ] || return 0
    timeout 60 env -i PATH=/bin:/usr/bin "$chroot" "$root" /bin/sh ${2:+"$2"} "$1" >"$output" 2>&1 </dev/null
    return 0
}

one_script() { # WHAT PATH MODE TEXT
    local what=$1 path=$2
    rc_local_host "$2" "$3" "$4"
    daemon_runs libvirtd
    snapshot >"$work/before"
    check "rc.local: $what" install --yes
    check 'it has the call once' [ "$(grep -c 'install.sh --boot' "$root$path")" = 1 ]
    check 'it can be run' [ -x "$root$path" ]
    check 'again' eval 'install --yes; said "in place already"'
    put_engine
    without_libvirt
    rm -f "$second"
    check 'at boot' runs_script "$path"
    case $4 in *went-on*) check 'the script goes on' [ -e "$root/tmp/went-on" ] ;; esac
    check 'the host is prepared' until_true prepared
    check 'the hook is back' until_true cmp -s "$our_hook" "$second"
    daemon_runs libvirtd
    check 'then the rules are applied' until_true applied
    echo '# newer' >>"$root/tmp/archive/QUICKSTART.txt"
    sum_up
    check 'an update' install --yes
    check 'keeps the call' [ "$(grep -c 'install.sh --boot' "$root$path")" = 1 ]
    check 'uninstalling' installed --uninstall --yes
    check 'leaves the host as it was' eval 'snapshot | diff "$work/before" - >"$output"'
}

if [ "$in_chroot" = yes ]; then
    while IFS='|' read -r what path mode text <&5; do
        [ -z "$what" ] || one_script "$what" "$path" "$mode" "$text"
    done 5<<<"$rc_local_scripts"

    rc_local_host /etc/rc.d/rc.M 755 '#!/bin/sh\n'
    snapshot >"$work/before"
    check 'Slackware without rc.local' install --yes
    check 'gets one' [ -x "$root/etc/rc.d/rc.local" ]
    check 'that works' sh -n "$root/etc/rc.d/rc.local"
    check 'and loses it' installed --uninstall --yes
    check 'again' eval 'snapshot | diff "$work/before" - >"$output"'

    rc_local_host /etc/rc.local 644 '#!/bin/sh\ntouch /tmp/forbidden\n'
    check 'a script that was turned off' install --yes
    check 'stays so' [ ! -x "$root/etc/rc.local" ]
    check 'and this is said' said 'is not executable, so the host does not run it'

    rc_local_host /etc/rc.d/rc.local 755 '#!/bin/sh\n'
    ln -s rc.d/rc.local "$root/etc/rc.local"
    snapshot >"$work/before"
    check 'a link to it' install --yes
    check 'stays a link' [ -L "$root/etc/rc.local" ]
    installed --uninstall --yes
    check 'afterwards, too' eval 'snapshot | diff "$work/before" - >"$output"'

    rc_local_host /etc/rc.local 755 '#!/usr/bin/perl\nprint 1;\n'
    cp "$root/etc/rc.local" "$work/script"
    check 'a script of another language' install --yes
    check 'is left alone' cmp -s "$work/script" "$root/etc/rc.local"
    check 'and this is said' said 'is not a shell script'
    without_libvirt
else
    skip 'rc.local: needs a root directory'
fi
