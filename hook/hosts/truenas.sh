#!/bin/sh
# TrueNAS SCALE: /usr and /opt are read-only, and an update of the system keeps nothing in /etc and /var (read in
# truenas/scale-build). Everything is on a pool, and an init script of the middleware, which is kept in its database,
# calls us at each boot. "Pre Init" scripts run once pools are imported and before VMs start (read in the unit
# ix-preinit.service). The middleware runs `sh -c COMMAND` and waits until its output is closed, for 10 s at most, so the
# command goes to the background (read in its plugin init_shutdown_script). Each call of midclt ends after 60 s.
# No script is run when an encrypted pool is unlocked after the boot, so the command itself waits for the pool, for a
# day: a VM may start before it has seen that, and then gets its devices by `virt-rules apply`.
# shellcheck disable=SC2154 # hook/install.sh has the variables

truenas_is_here() {
    [ -e "$root/data/freenas-v1.db" ] || [ -x "$root/usr/bin/midclt" ] ||
        grep -qis truenas "$root/etc/version" "$root/etc/os-release"
}

truenas_check() {
    case $prefix in
    /mnt/*) ;;
    *) refuse_prefix "TrueNAS keeps only what is on a pool: /usr and /opt are read-only, and an update brings a new /etc and /var" ;;
    esac
    case $(mount_of "$prefix") in
    '' | /mnt/*) ;;
    *) refuse_prefix "no pool is mounted there, so an update of TrueNAS would not keep it" ;;
    esac
    check_prefix
}

truenas_place() {
    echo "$(kept_mount '/mnt/[!.]*' /mnt/POOL)/virt-rules"
}

truenas_runs_unit() { # NAME
    return 1
}

truenas_calls() {
    truenas_scripts | sed -n 's|^[0-9][0-9]* \(.* \)\{0,1\}\(/[^ ]*\)/install\.sh --boot.*|\2|p'
}

# Prints "ID COMMAND" for each init script that calls an install.sh; false if the middleware does not answer.
truenas_scripts() {
    [ -z "$root" ] || return 1 # of this host
    scripts=$(midclt call initshutdownscript.query 2>/dev/null </dev/null) || return 1
    # One object a line. The order of its keys differs by version.
    printf '%s\n' "$scripts" | sed 's/": */":/g' | tr '{' '\n' | while IFS= read -r script; do
        case $script in *'/install.sh --boot'*) ;; *) continue ;; esac
        id=${script#*'"id":'} call=${script#*'"command":"'}
        echo "${id%%[!0-9]*} ${call%%'"'*}"
    done
}

truenas_command() { # PREFIX
    echo "(n=0; until [ -e $1/install.sh ] || [ \$n = 8640 ]; do sleep 10; n=\$((n + 1)); done; exec $1/install.sh --boot) </dev/null >/dev/null 2>&1 &"
}

truenas_keep() {
    [ "$kind" = archive ] && [ "$stage" = no ] || return 0
    call=$(truenas_command "$prefix")
    record keeper truenas
    if ! scripts=$(truenas_scripts); then
        [ "$pass" = act ] || truenas_manual_step "the middleware cannot be asked (midclt)"
        return 0
    fi
    for id in $(printf '%s\n' "$scripts" | truenas_outdated); do truenas_delete "$id"; done
    case "$newline$scripts$newline" in *" $call$newline"*) return 0 ;; esac
    step "add an init script to TrueNAS, which runs $prefix/install.sh --boot before VMs start" || return 0
    midclt call initshutdownscript.create "{\"type\": \"COMMAND\", \"command\": \"$call\", \"when\": \"PREINIT\", \
\"enabled\": true, \"timeout\": 10, \"comment\": \"virt-rules: puts back its hook\"}" >/dev/null </dev/null ||
        truenas_manual_step "the middleware took no init script" >&2
}

truenas_manual_step() { # WHY
    echo "  note: $1; add it yourself, or after a boot VMs have no devices:"
    echo "    System, Advanced Settings, Init/Shutdown Scripts, Add. Type: Command. When: Pre Init. Command: $call"
}

truenas_remove_keeper() {
    if ! scripts=$(truenas_scripts); then
        [ "$pass" = act ] || echo "  note: the middleware cannot be asked (midclt); remove the init script with $prefix/install.sh yourself: System, Advanced Settings"
        return 0
    fi
    for id in $(printf '%s\n' "$scripts" | sed -n "s|^\([0-9]*\) \(.* \)\{0,1\}$prefix/install\.sh --boot.*|\1|p"); do truenas_delete "$id"; done
}

# Of scripts with a command just as we wrote it, prints the ID of each whose prefix is another and is gone, and of one that
# an earlier version of ours made for this prefix.
truenas_outdated() {
    while read -r id command; do
        other=${command%'/install.sh --boot'*}
        other=${other##* }
        case $command in
        "$call") continue ;;
        "$(truenas_command "$other")" | "$other/install.sh --boot </dev/null >/dev/null 2>&1 &") ;;
        *) continue ;;
        esac
        if [ "$other" = "$prefix" ] || ! [ -f "$root$other/installed" ]; then echo "$id"; fi
    done
}

truenas_delete() { # ID
    step "remove the init script $1 from TrueNAS" || return 0
    midclt call initshutdownscript.delete "$1" >/dev/null </dev/null ||
        echo "init script $1 could not be removed: remove it yourself in System, Advanced Settings" >&2
}
