#!/bin/sh
# A host whose init runs the script rc.local at boot, if it is executable: Slackware (/etc/rc.d/rc.M runs
# /etc/rc.d/rc.local), Debian and Devuan with sysvinit (/etc/init.d/rc.local runs /etc/rc.local), OpenWrt (runs
# /etc/rc.local with sh, executable or not).
# shellcheck disable=SC2034,SC2154 # hook/install.sh has the variables

# Prints the script that this host runs, which may not exist yet; nothing if it runs none.
rc_local_script() {
    for script in /etc/rc.d/rc.local /etc/rc.local; do
        target=$(link_target "$root$script")
        case $target in
        '') ;;
        /*) script=$target ;;
        *) script=${script%/*}/$target ;;
        esac
        ! [ -f "$root$script" ] || [ -L "$root$script" ] || { echo "$script"; return; }
    done
    if [ -f "$root/etc/rc.d/rc.M" ]; then echo /etc/rc.d/rc.local; fi
    if [ -f "$root/etc/init.d/rc.local" ]; then echo /etc/rc.local; fi
}

rc_local_is_here() {
    [ -n "$(rc_local_script)" ]
}

rc_local_place() {
    echo "$compiled"
}

rc_local_check() {
    check_prefix
}

rc_local_keep() {
    [ "$kind" = archive ] && [ "$stage" = no ] || return 0
    script=$(rc_local_script | sed -n 1p)
    if exists "$script" && ! runs_in_shell "$script"; then
        note_once "$script is not a shell script: let it run $prefix/install.sh --boot in the background"
        return 0
    fi
    # It waits for libvirt, which the script may start further down.
    add_call "$script" "(trap '' HUP; exec $prefix/install.sh --boot) </dev/null >/dev/null 2>&1 &"
    make_executable "$script"
}

runs_in_shell() { # SCRIPT: whether its interpreter understands the call
    first=$(sed -n 1p "$root$1")
    case $first in
    '#!'*) ;;
    *) return 0 ;;
    esac
    first=${first#'#!'}
    for word in $first; do
        case ${word##*/} in
        sh | ash | bash | dash | ksh | mksh | zsh) return 0 ;;
        esac
    done
    return 1
}

has_commands() { # SCRIPT: beside our call
    grep -vF -- "$call_mark" "$root$1" | grep -Eqv '^[[:space:]]*(#.*|exit([[:space:]]+[0-9]+)?)?[[:space:]]*$'
}

# Whoever made the script not executable turned off what is in it.
make_executable() { # SCRIPT
    exists "$1" && [ ! -x "$root$1" ] || return 0
    if has_commands "$1"; then
        note_once "$1 is not executable, so the host does not run it, and it has other commands: if they may run at boot, run: chmod u+x $1"
        return 0
    fi
    record executable "$1"
    step "make $1 executable" || return 0
    chmod u+x "$root$1"
}

rc_local_unmake_executable() { # SCRIPT: of the manifest's line `executable`
    [ -x "$root$1" ] && ! has_commands "$1" || return 0
    step "make $1 not executable again" || return 0
    chmod a-x "$root$1"
}

rc_local_calls() {
    called_in "$(rc_local_script | sed -n 1p)"
}

rc_local_runs_unit() {
    return 1
}
