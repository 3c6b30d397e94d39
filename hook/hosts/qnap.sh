#!/bin/sh
# QNAP QTS and QuTS hero with Virtualization Station: / is in RAM, and /etc/config and the volumes below /share are
# kept. At boot QTS calls the script Shell of each section of qpkg.conf with `start`, if it is enabled and its files are
# there. A section without a package's file does, as published set-ups show (the section [autorun] of QNAP's wiki);
# without the line QPKG_File one of them was turned off. App Center can turn it off and on.
# shellcheck disable=SC2034,SC2154 # hook/install.sh has the variables
qpkg_conf=/etc/config/qpkg.conf

qnap_is_here() {
    [ -f "$root$qpkg_conf" ] || [ -f "$root/etc/config/uLinux.conf" ]
}

# A volume's own directory is open to all users there, who get to it by shares only.
qnap_check() {
    open_parents=yes
    case $prefix in
    /share/?* | /mnt/?*) ;;
    *) refuse_prefix "QTS keeps only what is on a volume: / is in RAM" ;;
    esac
    check_prefix
}

# Packages are in .qpkg on the volume of the system.
qnap_place() {
    echo "$(kept_mount '/share/*_DATA' /share/VOLUME_DATA)/.qpkg/virt-rules"
}

qnap_runs_unit() { # NAME
    return 1
}

qnap_calls() {
    qnap_section | sed -n 's|^[[:space:]]*Install_Path *= *\(/[^[:space:]]*\).*|\1|p'
}

qnap_without_section() {
    sed '/^\[virt-rules\]/,/^\[/{
        /^\[virt-rules\]/d
        /^\[/!d
    }' "$root$qpkg_conf"
}

qnap_section() {
    sed -n '/^\[virt-rules\]/,/^\[/{
        /^\[virt-rules\]/p
        /^\[/!p
    }' "$root$qpkg_conf" 2>/dev/null
}

qnap_with_section() {
    qnap_without_section
    ! has_lines "unended $qpkg_conf" || echo
    cat <<TEXT
[virt-rules]
Name = virt-rules
Display_Name = virt-rules
Version = 1
Author = virt-rules
QPKG_File = virt-rules.qpkg
Date = 2026-11-29
Shell = $prefix/virt-rules.sh
Install_Path = $prefix
Enable = TRUE
Status = complete
Visible = 0
RC_Number = 101
TEXT
}

# The script is in the list `files`.
qnap_keep() {
    [ "$kind" = archive ] || return 0
    record keeper qnap
    if ! [ -f "$root$qpkg_conf" ]; then
        [ "$pass" = act ] || echo "  note: there is no $qpkg_conf; let this NAS run $prefix/virt-rules.sh at boot (Control Panel, Hardware, autorun.sh)"
        return 0
    fi
    [ "$(qnap_calls)" != "$prefix" ] || return 0 # one of a prefix that is gone is replaced
    [ -z "$(tail -c 1 "$root$qpkg_conf" 2>/dev/null)" ] || record unended $qpkg_conf
    step "add a section to $qpkg_conf, which runs $prefix/virt-rules.sh at boot" || return 0
    rewrite "$qpkg_conf" qnap_with_section
}

qnap_remove_keeper() {
    [ -f "$root$qpkg_conf" ] && [ -n "$(qnap_section)" ] || return 0
    step "remove the section of virt-rules from $qpkg_conf" || return 0
    last=$(sed -n '/^\[/p' "$root$qpkg_conf" | sed '$!d')
    kept=$(qnap_without_section && echo .)
    kept=${kept%.}
    if has_lines "unended $qpkg_conf" && [ "$last" = '[virt-rules]' ]; then kept=${kept%"$newline"}; fi
    rm -f "$root$qpkg_conf".virt-rules.new* # one of us may have been killed
    rewrite "$qpkg_conf" printf '%s' "$kept"
}
