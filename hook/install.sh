#!/bin/sh
# install.sh [--yes] [--dry-run] [--uninstall] [--prefix DIR] [--root DIR | --destdir DIR]
# Installs virt-rules from the unpacked archive that contains it. The host needs no compiler and no
# package manager, only `sh` and the tools of busybox. Prints what it will do, and asks.
#   --yes          do not ask
#   --dry-run      only print what would be done
#   --uninstall    remove what was installed; your rules and the log are kept
#   --prefix DIR   install to DIR instead of /usr/local/libvirt, for hosts that keep nothing there over a boot
#   --root DIR     install to the host below DIR instead of this one
#   --destdir DIR  install to a tree for any host, with all files that a host may need
# The host calls --boot at each boot, in the way of its kind (hook/hosts): it runs `virt-rules boot`, waits for libvirt,
# restores what the host has lost, and runs `virt-rules apply`. A Synology calls --put-hook before libvirt starts, and
# Unraid's plugin manager --plugin. None of them asks; errors go to syslog.
# `make install` and the packages run it as well; see hook/layout. A package manager owns the files of its package, so
# there --destdir installs these alone, and without it everything else is installed.
#
# libvirt starts no VM while its hook cannot be executed. So each program is run once (--version)
# before the hook is installed, and again at boot: an update may have changed the C library.
#
# The programs look for their rules and their state beside themselves first, and the hook has a link to its engine; the
# paths in texts are replaced here. $manifest, beside this script, has a line for everything that was installed:
# `file`, `link`, `dir` (created by us, removed when empty), `before` (an existing hook, renamed),
# `call` and `profile` (a line of ours in a file of another package), `new` (we created such a file), `executable` (we
# made such a file executable), `keeper` (what calls us at boot; a kind of host).
set -eu
umask 022
export LC_ALL=C
# The paths of the archive; hook/layout replaces them by those of another build.
kind=archive # or make, or a package: deb, rpm, pacman, apk
prefix=/usr/local/libvirt
bindir=/usr/local/libvirt/bin
libexecdir=/usr/local/libvirt/libexec
rulesdir=/usr/local/libvirt/rules.d
statedir=/usr/local/libvirt/state
examples=/usr/local/libvirt/examples
manifest=/usr/local/libvirt/installed
hooks=/etc/libvirt/hooks
unitdir=/etc/systemd/system
rules_link=/etc/virt-rules # of a package: where its users look first
link=/usr/local/bin/virt-rules # so that the shell finds it; empty if $bindir is in PATH
# The kinds of hosts. The first that this host is decides; each has its file hook/hosts/KIND.sh.
kinds='dsm unraid truenas qnap openrc systemd rc_local other'
compiled=$prefix compiled_rulesdir=$rulesdir compiled_statedir=$statedir
main=$hooks/qemu
extra=$hooks/qemu.d/virt-rules
before=$hooks/qemu.before-virt-rules
beside=$hooks/virt-rules-hook # AppArmor allows libvirtd to run programs in this directory
hook_mark='@(#)virt-rules-hook '      # in hook.c
wrapper_mark='@(#)virt-rules-wrapper' # in the wrapper below
package=/var/packages/Virtualization # Synology's
services=/etc/init.d # OpenRC's
flash=/boot/config/plugins/virt-rules flash_link=../../..$flash # Unraid's, and from $prefix, so that --root does not matter
emhttp=/usr/local/sbin/emhttp # Unraid's
engine_link=$hooks/virt-rules-engine # the hook finds its engine by it
older_state=/var/lib/virt-rules # the state directory of older `make install`s
call_mark='# virt-rules: puts its hook back'
unfinished=/etc/virt-rules.uninstall # while uninstalling: what is still to be removed, in this order
manifests="/usr/local/libvirt/installed $older_state/installed" # of every kind of installation
newline='
'
root='' stage=no open_parents=no action=install yes=no dry=no
wanted_prefix='' earlier=''

usage() {
    sed -n '2s/^# /usage: /p' "$0" >&2
    exit 2
}

note() { # PRIORITY TEXT
    logger -t virt-rules -p "daemon.$1" "$2" 2>/dev/null || :
}

fail() { # WHAT IS WRONG, AND WHAT TO DO
    echo "install.sh: $*" >&2
    case $action in put-hook | boot | plugin) note err "$*" ;; esac # nobody reads their output
    exit 1
}

# ---- the tools of this host

can_run() { # TOOL: a shell may list an applet that its busybox does not have; missing arguments give a status below 126
    status=0
    "$1" </dev/null >/dev/null 2>&1 || status=$?
    [ $status -lt 126 ]
}

check_tools() {
    missing=''
    for tool in cat chmod cp dirname grep ln ls mkdir mv rm rmdir sed sleep tr; do can_run $tool || missing="$missing $tool"; done
    for compare in cmp cksum md5sum sha1sum none; do ! can_run $compare || break; done
    [ -z "$missing" ] || fail "this host does not have all tools that the installer needs; nothing was changed; install them (busybox has them all):$missing"
}

is_root() {
    if can_run id; then [ "$(id -u)" = 0 ]; else grep -q '^Uid:[[:space:]]*[0-9][0-9]*[[:space:]][[:space:]]*0[[:space:]]' /proc/self/status; fi
}

link_target() { # FILE: prints nothing if it is not a link
    [ -L "$1" ] || return 0
    if can_run readlink; then
        readlink "$1"
    else
        target=$(ls -ld "$1")
        echo "${target#* -> }"
    fi
}

is_same_file() { # FILE FILE: a wrong `no` only costs a write
    case $compare in
    cmp) [ -f "$2" ] && cmp -s "$1" "$2" ;;
    none) return 1 ;;
    *) [ -f "$2" ] && [ "$($compare <"$1")" = "$($compare <"$2")" ] ;;
    esac
}

words=''
[ $# = 0 ] || words=" $*"
while [ $# -gt 0 ]; do
    case $1 in
    --yes) yes=yes ;;
    --dry-run) dry=yes ;;
    --uninstall | --put-hook | --boot | --plugin) action=${1#--} ;;
    --prefix)
        [ -n "${2-}" ] || usage
        wanted_prefix=$2
        shift
        ;;
    --root | --destdir)
        [ $# -ge 2 ] || usage
        root=${2%/}
        [ "$1" = --root ] || stage=yes
        shift
        ;;
    -h | --help)
        sed -n '2,13s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) usage ;;
    esac
    shift
done
case $root in /* | '') ;; *) root=$PWD/$root ;; esac
# shellcheck disable=SC3013 # dash and busybox have it
if [ "$root/" -ef / ]; then root=''; fi # another path of this host's root
[ -n "$root" ] || stage=no
check_tools
script=$0
while target=$(link_target "$script") && [ -n "$target" ]; do
    case $target in /*) script=$target ;; *) script=$(dirname "$script")/$target ;; esac
done
here=$(cd "$(dirname "$script")" && pwd -P)
[ $stage = no ] || mkdir -p "$root"
[ -z "$root" ] || [ -d "$root" ] || fail "$root is not a directory"
[ -z "$root" ] || root=$(cd "$root" && pwd -P)
as_root=yes
[ -n "$root" ] || is_root || as_root=no
[ $as_root = yes ] || [ $dry = yes ] || fail "this needs root; run: sudo sh $here/${0##*/}$words"

# Whether the files of the list belong to a package manager.
is_package() {
    case $kind in archive | make) return 1 ;; esac
}

is_package_tree() { # one that becomes a package
    is_package && [ $stage = yes ]
}

# ---- the prefix

# Everything that this script uses is below it, but rules of an installation of before, which stay where they are.
use_prefix() { # DIRECTORY
    prefix=$1 bindir=$1/bin libexecdir=$1/libexec rulesdir=$1/rules.d statedir=$1/state examples=$1/examples
    manifest=$1/installed
    [ ! -d "$root$rulesdir" ] || return 0
    # Also while an installed virt-rules has no rules there.
    if has_rules "$compiled_rulesdir" && is_kept "$compiled_rulesdir" || [ -f "$root$manifest" ] && [ -d "$root$compiled_rulesdir" ]; then
        rulesdir=$compiled_rulesdir statedir=$compiled_statedir
    fi
}

has_rules() { # DIRECTORY
    for rule_file in "$root$1"/*.rules; do
        ! exists "${rule_file#"$root"}" || return 0
    done
    return 1
}

# Prints DIRECTORY without links, because the installed copy of this script sees itself there.
real_path() { # DIRECTORY, which may not exist yet
    path=$1 rest=''
    case $path in /*) ;; *) path=$PWD/$path ;; esac
    while [ ! -d "$root$path" ] && [ -n "${path%/*}" ]; do
        case ${path##*/} in '') ;; *) rest=/${path##*/}$rest ;; esac
        path=${path%/*}
    done
    [ -d "$root$path" ] || { echo "$path$rest"; return; }
    real=$(cd "$root$path/" && pwd -P)
    case $real/ in "$root"/*) path=${real#"$root"} ;; esac
    path=${path%/}$rest
    echo "${path:-/}"
}

# Prints the prefix of the installation that this host has, or that its boot calls; nothing if there is none.
earlier_prefix() {
    ! [ -f "$root$compiled/installed" ] || { echo "$compiled"; return; }
    for place in "$(link_target "$root$engine_link")" "$(link_target "$root$link")"; do
        case $place in */bin/virt-rules) ;; *) continue ;; esac
        ! [ -f "$root${place%/bin/virt-rules}/installed" ] || { echo "${place%/bin/virt-rules}"; return; }
    done
    [ -f "$root$older_state/installed" ] || "${host}_calls" | sed -n 1p # that of a package is none
}

# The prefix of a file of the host that calls install.sh.
called_in() { # FILE
    ! [ -f "$root$1" ] || sed -n 's|^[^#]*[[:space:]=]\(/[^[:space:]]*\)/install\.sh --boot.*|\1|p' "$root$1"
}

# Prints DIRECTORY, or the usual prefix if a link, such as /usr/local on Fedora's image-based hosts, leads from there to it.
own_path() { # DIRECTORY, without links
    if [ "$1" = "$(real_path "$compiled")" ]; then echo "$compiled"; else echo "$1"; fi
}

check_letters() { # DIRECTORY
    case $1 in *[!A-Za-z0-9/._+@,=~-]*) fail "--prefix $1: use a path of letters, digits and the characters ._+@,=~- only" ;; esac
}

choose_prefix() {
    if [ $kind != archive ]; then
        [ -z "$wanted_prefix" ] || fail "--prefix is for the archive of 'make dist'; build for another place with make PREFIX=$wanted_prefix"
        return 0
    fi
    if [ -f "$here/installed" ]; then
        case $here in "$root"/*) earlier=$(own_path "${here#"$root"}") ;; esac # this is the installed copy of the script
    fi
    [ -n "$earlier" ] || earlier=$(earlier_prefix)
    if [ -n "$wanted_prefix" ]; then
        check_letters "$wanted_prefix"
        case $wanted_prefix/ in */./* | */../*) fail "--prefix $wanted_prefix: use a path without '.' and '..'" ;; esac
        wanted_prefix=$(own_path "$(real_path "$wanted_prefix")")
        check_letters "$wanted_prefix"
        if [ -n "$earlier" ] && [ "$earlier" != "$wanted_prefix" ] && [ -f "$root$earlier/installed" ]; then
            fail "virt-rules is already installed in $earlier: leave --prefix away to update it, or uninstall it first with 'sh $earlier/install.sh --uninstall'"
        fi
    elif [ -n "$earlier" ] && [ "$earlier" != "$compiled" ]; then
        [ -f "$root$earlier/installed" ] ||
            fail "this host calls $earlier/install.sh at boot, which is not there: mount the file system of $earlier, or give --prefix"
        wanted_prefix=$earlier
        case $action in install | uninstall) [ "$here" = "$root$earlier" ] || echo "virt-rules is installed in $earlier" ;; esac
    fi
    [ "${wanted_prefix:-$compiled}" = "$compiled" ] || use_prefix "$wanted_prefix"
}

# Prints "POINT TYPE OPTIONS" of the mount of a directory that may not exist yet; nothing if that is not known.
mount_of() { # DIRECTORY
    [ -r "$root/proc/mounts" ] || return 0
    found='' longest='' wanted=$(real_path "$1")
    while read -r _ point type options _; do
        case $wanted/ in "${point%/}"/*) ;; *) continue ;; esac
        [ ${#point} -lt ${#longest} ] || { longest=$point found="$point $type $options"; }
    done <"$root/proc/mounts"
    echo "$found"
}

file_system() { # DIRECTORY: "TYPE OPTIONS" of it
    mount=$(mount_of "$1")
    echo "${mount#* }"
}

# Prints why DIRECTORY is gone after a boot; nothing if it stays or that is not known.
why_lost() { # DIRECTORY
    mounted=$(file_system "$1")
    case $mounted in
    rootfs\ * | tmpfs\ * | ramfs\ * | devtmpfs\ *) echo "it is on a RAM disk (${mounted%% *}) and gone after a boot" ;;
    overlay\ *upperdir=*)
        upper=${mounted#*upperdir=}
        upper=${upper%%,*}
        case $(file_system "$upper") in
        rootfs\ * | tmpfs\ * | ramfs\ *) echo "what is written there is in RAM (overlay over $upper) and gone after a boot" ;;
        esac
        ;;
    esac
}

is_kept() { # DIRECTORY
    [ -z "$(why_lost "$1")" ]
}

# Prints why the programs cannot be in DIRECTORY; nothing if they can.
why_unfit() { # DIRECTORY
    mounted=$(file_system "$1")
    case ${mounted%% *} in
    vfat | msdos | exfat | fat | ntfs | ntfs3 | fuseblk | hfsplus | cifs | smb3)
        echo "its file system (${mounted%% *}) has no owners, modes and links as programs of root need them"
        return
        ;;
    esac
    ! is_read_only "$1" || { echo "its file system is read-only"; return; }
    case ,${mounted#* }, in
    *,noexec,*) echo "its file system is mounted noexec, so no program can run there" ;;
    *) why_lost "$1" ;;
    esac
}

is_read_only() { # DIRECTORY
    case "$(file_system "$1")," in
    *\ ro,* | *,ro,*) ;;
    *) return 1 ;;
    esac
}

existing_parent() { # PATH: itself, or the nearest directory above that exists
    path=$1
    while [ ! -d "$root$path" ] && [ -n "$path" ]; do path=${path%/*}; done
    echo "${path:-/}"
}

# Others who can write there, or in a directory above, could put their programs in place of ours, which root runs.
why_unsafe() { # DIRECTORY
    directory=$(real_path "$1")
    path=$(existing_parent "$directory")
    me=0 # who installs to this host is root, or looks what root would do
    [ -z "$root" ] || ! can_run id || me=$(id -u)
    while :; do
        # shellcheck disable=SC2012,SC2046 # the first words of one line
        set -- $(ls -ldn "$root$path")
        if [ "$3" != 0 ] && [ "$3" != "$me" ]; then
            echo "$path belongs to user $3 and not to root; first run: chown root $path"
            return
        fi
        who=$(writers "$1" "$4")
        case $1:$path in
        ?????????[tT]*:"$directory" | ?????????[!tT]*:*) ;;
        *) who='' ;; # in a sticky directory others cannot rename what root has there
        esac
        if [ -n "$who" ] && { [ "$path" = "$directory" ] || [ $open_parents = no ]; }; then
            echo "$path can be written by $who; first run: chmod go-w $path"
            return
        fi
        [ -n "${path%/}" ] || return 0
        path=${path%/*}
        path=${path:-/}
    done
}

writers() { # MODE GROUP: who else than root, by a mode such as drwxrwxr-x
    case $1 in
    ????????w*) echo "all users" ;;
    ?????w*) [ "$2" = 0 ] || echo "group $2" ;;
    esac
}

refuse_prefix() { # WHY
    place=$("${host}_place")
    [ "$place" != "$prefix" ] || place=DIRECTORY
    fail "nothing was changed, because virt-rules cannot be in $prefix: $1; choose a directory that this host keeps: sh install.sh --prefix $place"
}

# Before anything is asked. Each kind of host calls it, or looks for itself.
check_prefix() {
    why=$(why_unfit "$prefix")
    if [ -z "$why" ] && [ $as_root = yes ] && [ ! -w "$root$(existing_parent "$prefix")" ]; then why='nothing can be written there'; fi
    [ -z "$why" ] || refuse_prefix "$why"
    [ $kind = archive ] || return 0
    ! is_read_only "$hooks" ||
        fail "nothing was changed, because $hooks, where libvirt looks for its hook, is on a read-only file system: mount it writable"
    why=$(why_unsafe "$prefix")
    [ -z "$why" ] || fail "nothing was changed, because virt-rules would not be safe in $prefix: $why"
    [ "$prefix" = "$compiled" ] || is_own_directory "$prefix" ||
        fail "nothing was changed, because $prefix has other files: use a directory of its own, such as --prefix $prefix/virt-rules"
}

is_own_directory() { # DIRECTORY: not there, empty, or with files of ours
    [ -d "$root$1" ] && [ "$root$1" != "$here" ] || return 0
    ! grep -qsxF -- "$1" "$root$unfinished" || return 0
    for name in installed rules.d state virt-rules.conf libexec/virt-rules-hook; do
        ! exists "$1/$name" || return 0
    done
    for file in "$root$1"/* "$root$1"/.[!.]*; do
        ! exists "${file#"$root"}" || return 1
    done
}

# Prints the first mount point that PATTERN names and that is fit for programs, or else FALLBACK.
kept_mount() { # PATTERN FALLBACK
    while read -r _ point _; do
        # shellcheck disable=SC2254 # a pattern
        case $point in $1) ;; *) continue ;; esac
        [ -n "$(why_unfit "$point")" ] || { echo "$point"; return; }
    done <"$(if [ -r "$root/proc/mounts" ]; then echo "$root/proc/mounts"; else echo /dev/null; fi)"
    echo "$2"
}

# ---- every change is a step: printed in the pass `plan`, done in the pass `act`

pass=plan changes=0 done_steps='' hook_changed=no current='' grouping='' grouped=''

step() { # WHAT: returns true if it is to be done now
    changes=$((changes + 1))
    done_steps="$done_steps${done_steps:+, }$*"
    if [ "$pass" = plan ]; then
        echo "  $*"
        return 1
    fi
}

# As step, for one of the many files of virt-rules itself: say_files prints the first few of a directory, or their number.
step_file() { # WHAT FILE
    if [ "$pass" = act ] || [ -z "$grouping" ]; then
        step "$*"
        return
    fi
    changes=$((changes + 1)) grouped="$grouped$*$newline"
    return 1
}

say_files() {
    [ -n "$grouped" ] || { grouping=''; return 0; }
    for top in "$prefix" /usr/local/share /usr/share; do
        below=$(printf '%s' "$grouped" | grep "^[a-z]* $top/" || :)
        grouped=$(printf '%s' "$grouped" | grep -v "^[a-z]* $top/" || :)$newline
        count=$(printf '%s\n' "$below" | grep -c .) || continue
        if [ "$count" -le 3 ]; then
            printf '%s\n' "$below" | sed 's/^/  /'
        else
            echo "  ${below%% *} $count files below $top"
        fi
    done
    printf '%s' "$grouped" | sed -n 's/./  &/p'
    grouping='' grouped=''
}

recorded='' # the lines of the manifest, once they are read
has_lines() { # LINE: whether the manifest has it
    [ -n "$recorded" ] || { recorded=$(cat "$root$manifest" 2>/dev/null || :) && recorded=$newline$recorded$newline; }
    case $recorded in *"$newline$1$newline"*) ;; *) return 1 ;; esac
}

record() { # KIND PATH: called before the change, so that after a power cut every change is in the manifest
    current="$current$1 $2$newline"
    [ "$pass" = act ] && ! is_package_tree || return 0
    ! has_lines "$1 $2" || return 0
    echo "$1 $2" >>"$root$manifest"
    recorded="$recorded$1 $2$newline"
}

forget() { # LINE
    [ "$pass" = act ] && has_lines "$1" || return 0
    new=$root$manifest.new.$$
    grep -vxF -- "$1" "$root$manifest" >"$new" || :
    mv -f "$new" "$root$manifest"
    new='' recorded=''
}

lost=''
lost() { # FILE: whether it was not there before this run
    case $lost in *" $1 "*) ;; *) return 1 ;; esac
}

make_directory() { # DIRECTORY, and its parents
    if [ -z "$1" ] || [ -d "$root$1" ]; then return; fi
    make_directory "${1%/*}"
    record dir "$1"
    [ "$pass" = plan ] || mkdir "$root$1"
}

# The manifest records that its own directory was created, which must exist first.
make_manifest_directory() {
    finish_uninstall
    recorded='' made='' directory=${manifest%/*}
    while [ -n "$directory" ] && [ ! -d "$root$directory" ]; do
        made="dir $directory$newline$made"
        directory=${directory%/*}
    done
    mkdir -p "$root${manifest%/*}"
    [ -n "$made" ] || return 0
    [ "${manifest%/*}" != "$statedir" ] || chmod 700 "$root$statedir"
    printf '%s' "$made" >>"$root$manifest"
}

new=''
trap '[ -z "$new" ] || rm -f "$new"' EXIT

# install_file FILE TARGET MODE [DIRECTORY]: replaces TARGET atomically, because libvirt may be running the old file.
# The new file is written in DIRECTORY, so that libvirt never finds an incomplete file in qemu.d. Its name has our
# process, because two of us may run at boot: a Synology calls --put-hook and --boot.
install_file() {
    record file "$2"
    if [ ! -L "$root$2" ] && is_same_file "$1" "$root$2" && { [ "$3" = 644 ] || [ -x "$root$2" ]; }; then return; fi
    step_file write "$2" || return 0
    write_file "$2" "$3" "${4:-}" <"$1"
}

write_file() { # TARGET MODE [DIRECTORY]: writes standard input
    make_directory "${1%/*}"
    new=$root${3:-${1%/*}}/.virt-rules.new.$$
    ! exists "${new#"$root"}" || rm -f "$new"
    cat >"$new"
    [ "$2" = 644 ] || chmod "$2" "$new" # 644 by the umask
    mv -f "$new" "$root$1"
    new=''
}

remove_file() { # FILE
    [ -e "$root$1" ] || [ -L "$root$1" ] || return 0
    step_file remove "$1" || return 0
    rm -f "$root$1"
}

marked() { # MARK FILE
    [ -f "$root$2" ] && tr '\000' '\n' <"$root$2" | grep -qF -- "$1" # busybox stops at a NUL
}

exists() { # FILE, or a link to nowhere
    [ -e "$root$1" ] || [ -L "$root$1" ]
}

# rewrite FILE COMMAND ...: replaces a file of another package by what the command prints; keeps its owner and mode
rewrite() {
    rewritten=$root$1
    shift
    new=$rewritten.virt-rules.new.$$
    rm -f "$new"
    cp -p "$rewritten" "$new"
    "$@" >"$new"
    mv -f "$new" "$rewritten"
    new=''
}

edit() { # FILE SED-SCRIPT
    rewrite "$1" sed "$2" "$root$1"
}

note_once() { # TEXT
    [ "$pass" = act ] || echo "  note: $*"
}

# Adds a line to a script that the host runs: after its #! line, and before any line that may exit it. A script that
# does not exist gets REST as well.
add_call() { # SCRIPT COMMAND [REST]
    record call "$1"
    call="$2 $call_mark" called=${2%%/install.sh *}
    quoted=$(printf '%s\n' "$call" | sed 's/[&,\\]/\\&/g')
    case " $(grep -sF -- "$call_mark" "$root$1" || :)" in # busybox 1.30 would lose a newline there
    ' ') ;;
    ' #'* | *[[:space:]]"${called##* }/install.sh "*) return 0 ;; # an administrator may have turned it off
    *) # of a prefix that is gone
        step "change the call of install.sh in $1" || return 0
        edit "$1" "s,^.*$call_mark.*,$quoted,"
        return
        ;;
    esac
    exists "$1" || record new "$1"
    step "add a call of install.sh to $1" || return 0
    if ! exists "$1"; then
        printf '%s\n' '#!/bin/sh' "$call" ${3+"$3"} | write_file "$1" 755
    elif [ ! -s "$root$1" ]; then
        printf '%s\n' "$call" >"$root$1"
    else
        case $(sed -n 1p "$root$1") in
        '#!'*) edit "$1" "1s,\$,\\$newline$quoted," ;;
        *) edit "$1" "1s,^,$quoted\\$newline," ;;
        esac
    fi
}

remove_call() { # SCRIPT [REST]
    marked "$call_mark" "$1" || return 0
    step "remove the call of install.sh from $1" || return 0
    edit "$1" "/$call_mark/d"
    if has_lines "new $1" && ! grep -Fqvx -e '#!/bin/sh' -e "${2-}" "$root$1"; then rm -f "$root$1"; fi
}

# Enables a service by a link, but not again after the administrator disabled it; once lost with its file, it is.
enable_service() { # LINK SERVICE WHAT-IT-DOES
    ! is_masked "$2" || return 0
    if ! exists "$2" && is_read_only "${2%/*}"; then
        note_once "let this host do it in its own way: ${1##*/}, which $3; $prefix/install.sh --boot as root at each boot does all of it"
        return 0
    fi
    if exists "$1" || { has_lines "link $1" && ! lost "$2"; }; then
        record link "$1"
        return 0
    fi
    record link "$1"
    step "enable ${1##*/}, which $3" || return 0
    make_directory "${1%/*}"
    ln -s "$2" "$root$1"
}

# ---- libvirt

# Prints the first libvirt daemon that root runs: a user's own daemon has no hooks.
daemon_process() {
    for process in "$root"/proc/[0-9]*; do
        read -r name 2>/dev/null <"$process/comm" || continue
        case $name in libvirtd | virtqemud) ;; *) continue ;; esac
        ! grep -q '^Uid:[[:space:]]*[1-9]' "$process/status" 2>/dev/null || continue
        echo "${process##*/}"
        return
    done
}

catches_hangup() { # PROCESS: SIGHUP would kill a process that does not catch it
    grep -q '^SigCgt:.*[13579bdf]$' "$root/proc/$1/status" 2>/dev/null
}

signal_libvirt() {
    process=$(daemon_process)
    if [ -z "$process" ]; then
        [ "$pass" = plan ] || [ $stage = yes ] || [ "$action" = uninstall ] || echo "no libvirtd or virtqemud runs now; libvirt looks for hooks when it starts"
        return 0
    fi
    step "tell libvirt (process $process) to look for hooks (SIGHUP; VMs keep running)" || return 0
    if ! catches_hangup "$process"; then
        echo "process $process does not handle SIGHUP: restart libvirt yourself" >&2
        return 0
    fi
    age_directory
    if kill -HUP "$process" && within 10 has_taken_hangup "$process" && within 5 has_looked; then
        echo "libvirt (process $process) was told to look for hooks: it $looked"
    elif [ "$(daemon_process)" = "$process" ]; then
        echo "libvirt (process $process) was told to look for hooks but has not done it: restart it yourself; VMs keep running" >&2
    else
        echo "libvirt (process $process) was told to look for hooks and has exited: read its log, then start it again" >&2
    fi
}

within() { # SECONDS COMMAND ...
    tries=$1
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 1
    done
}

has_taken_hangup() { # PROCESS: it is still running, and no SIGHUP is pending
    [ "$(daemon_process)" = "$1" ] && ! grep -Eq '^(SigPnd|ShdPnd):.*[13579bdf]$' "$root/proc/$1/status"
}

# Reading a directory updates its access time, unless the file system does not store it. The time is set far
# back, so that the first read shows; nothing else may read the directory meanwhile.
access_time() {
    stat -c %X "$root$hooks/qemu.d" 2>/dev/null || echo none
}

age_directory() {
    looked='handled the signal and keeps running' expected=none
    runs_directory && [ -d "$root$hooks/qemu.d" ] && touch -a -t 200001010000 "$root$hooks/qemu.d" 2>/dev/null || return 0
    old=$(access_time)
    [ "$old" -lt 1000000000 ] 2>/dev/null && keeps_access_times || return 0
    touch -a -t 200001010000 "$root$hooks/qemu.d"
    expected=$old looked='has looked, and keeps running'
}

keeps_access_times() {
    (cd "$root$hooks/qemu.d" && for file in *; do :; done) 2>/dev/null
    [ "$(access_time)" != "$old" ]
}

has_looked() {
    [ "$expected" = none ] || [ "$(access_time)" != "$expected" ]
}

version_of() { # PROGRAM: prints "9 0", or nothing
    "$@" --version 2>/dev/null </dev/null |
        sed -n 's/^\(.*[^0-9.]\)\{0,1\}\([0-9][0-9]*\)\.\([0-9][0-9]*\)\.[0-9][0-9]*.*/\2 \3/p' | sed -n 1p
}

# Where libvirt can be: the usual places, then those of a NAS, which has its libraries beside it: Synology's package,
# QNAP's Virtualization Station (/QVS; older ones /KVM/opt).
libvirt_tops="/usr /usr/local $package/target/usr/local $package/target/usr $package/target /QVS/usr /QVS /KVM/opt /KVM/usr /KVM"

# The version of the daemon that runs, or else of one that is there, or else of virsh from the same package.
libvirt_version() {
    running=$(daemon_process)
    [ -n "$root" ] || [ -z "$running" ] || program_version "$(link_target "/proc/$running/exe")" || return 0
    for name in sbin/libvirtd sbin/virtqemud bin/virsh; do
        for top in $libvirt_tops; do program_version "$root$top/$name" || return 0; done
    done
}

program_version() { # PROGRAM: returns false once it has printed one
    [ -x "$1" ] || return 0
    above=${1%/*/*}
    version=$(version_of "$1")
    [ -n "$version" ] || version=$(export LD_LIBRARY_PATH="$above/lib64:$above/lib" && version_of "$1")
    [ -n "$version" ] || return 0
    echo "$version"
    return 1
}

runs_directory() { # whether libvirt runs the programs in qemu.d: 6.5 and later
    version=$(libvirt_version)
    major=${version% *} minor=${version#* }
    [ -n "$version" ] && { [ "$major" -gt 6 ] || { [ "$major" = 6 ] && [ "$minor" -ge 5 ]; }; }
}

# ---- the hook

# The earlier hook relies on the arguments and input that libvirt gives it.
wrapper_text() {
    cat <<TEXT
#!/bin/sh
# $wrapper_mark: runs the hook that was here before, then virt-rules-hook, each with the same
# arguments and input. libvirt gets the status and output of the first one; and of the second
# one, if a rule stops the start of a VM, the status 1 and the reason.
# install.sh --uninstall restores the first one.
xml=\$(cat && echo .) # the dot keeps the newlines at the end
status=0
if [ -x '$before' ]; then
    printf %s "\${xml%.}" 2>/dev/null | '$before' "\$@" || status=\$?
fi
if [ "\$status" = 0 ] && [ "\${2-}" = prepare ]; then
    printf %s "\${xml%.}" 2>/dev/null | '$beside' "\$@" >/dev/null
    [ \$? != 1 ] || status=1
else
    printf %s "\${xml%.}" 2>/dev/null | '$beside' "\$@" >/dev/null 2>&1
fi
exit \$status
TEXT
}

install_text() { # TEXT TARGET MODE
    record file "$2"
    if [ ! -L "$root$2" ] && [ -f "$root$2" ] && { [ "$3" = 644 ] || [ -x "$root$2" ]; } &&
        [ "$(cat "$root$2")" = "$1" ]; then return; fi
    step_file write "$2" || return 0
    printf '%s\n' "$1" | write_file "$2" "$3"
}

keep_earlier_hook() {
    record before "$before"
    step "keep the existing hook as $before and call it first" || return 0
    new=$root$hooks/.virt-rules.new.$$
    rm -f "$new"
    ln "$root$main" "$new" 2>/dev/null || cp -pP "$root$main" "$new"
    mv -f "$new" "$root$before"
    rm -f "$new"
    new=''
}

restore_earlier_hook() {
    exists "$before" || return 0
    # Killed while it kept the hook, or somebody has put the same one there again.
    if is_same_file "$root$before" "$root$main" && ! [ -L "$root$main" ] && ! [ -L "$root$before" ] ||
        [ -n "$(link_target "$root$main")" ] && [ "$(link_target "$root$main")" = "$(link_target "$root$before")" ]; then
        step "remove $before, which is the hook in place" || return 0
        rm -f "$root$before"
        return
    fi
    if exists "$main" && ! marked "$wrapper_mark" "$main"; then
        echo "$main is new and is kept; the hook from before virt-rules is $before" >&2
        return 0
    fi
    step "restore the earlier hook: $main" || return 0
    mv -f "$root$before" "$root$main"
}

# Only one of the two places: libvirt would run both hooks.
use_directory() {
    install_file "$our_hook" "$extra" 755 "$hooks"
    if marked "$wrapper_mark" "$main"; then restore_earlier_hook; fi
    if marked "$hook_mark" "$main" || marked "$wrapper_mark" "$main"; then remove_file "$main"; fi
    forget "file $main"
}

use_main() {
    if exists "$main" && ! marked "$hook_mark" "$main"; then
        marked "$wrapper_mark" "$main" || keep_earlier_hook
        record before "$before"
        install_file "$our_hook" "$beside" 755
        install_text "$(wrapper_text)" "$main" 755
    else
        install_file "$our_hook" "$main" 755
    fi
    if marked "$hook_mark" "$extra"; then remove_file "$extra"; fi
    forget "file $extra"
}

install_hook() {
    [ ! -d "$root$main" ] || fail "$main is a directory; libvirt expects a program there: move the directory away"
    ! unraid_waits_for_image || return 0
    install_engine_link
    change_hook choose_hook
}

choose_hook() {
    if runs_directory; then use_directory; else use_main; fi
}

change_hook() { # COMMAND
    changes_before=$changes
    "$1"
    [ "$changes" = "$changes_before" ] || hook_changed=yes
}

# A hook stays a copy, so that libvirt can run it even while the file system of the prefix is not mounted.
install_engine_link() {
    [ $kind = archive ] && [ "$prefix" != "$compiled" ] || return 0
    record link "$engine_link"
    [ "$(link_target "$root$engine_link")" != "$bindir/virt-rules" ] || return 0
    step "link $engine_link to $bindir/virt-rules" || return 0
    make_directory "$hooks"
    rm -f "$root$engine_link"
    ln -s "$bindir/virt-rules" "$root$engine_link"
}

# ---- what else a kind of host needs

has() { # FOR: whether this host needs such files; a tree for any host (--destdir) gets those of each
    case $1 in
    udev) [ $stage = yes ] || [ -d "$root/etc/udev" ] || [ -d "$root/usr/lib/udev" ] || [ -d "$root/lib/udev" ] ;;
    systemd) [ $stage = yes ] || [ "$host" = systemd ] ;;
    *) [ "$1" = "$host" ] ;;
    esac
}

# hook/layout puts hook/hosts/*.sh here. Each has, for its KIND of host:
#   KIND_is_here        whether this host is one
#   KIND_place          prints a prefix that such a host keeps
#   KIND_check          before anything is asked: fails if the prefix does not do there
#   KIND_keep           installs the keeper, which calls `install.sh --boot` at each boot
#   KIND_remove_keeper  removes it, if its line in the manifest is `keeper KIND`
#   KIND_calls          prints the prefix that an installed keeper calls
#   KIND_runs_unit NAME whether the host's boot runs the programs by that unit
@hosts@
find_host() {
    for host in $kinds; do
        ! "${host}_is_here" || return 0
    done
}

reload_systemd() {
    [ -z "$root" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null || return 0
    systemctl daemon-reload || echo "run this yourself: systemctl daemon-reload" >&2
    ! command -v systemd-tmpfiles >/dev/null || [ "$action" = uninstall ] || systemd-tmpfiles --create virt-rules.conf || :
}

# SELinux's policy decides by the label of a file what a daemon may run, and has a label for libvirt's hooks.
relabel() {
    [ -z "$root" ] && [ -e /sys/fs/selinux/enforce ] || return 0
    if command -v restorecon >/dev/null; then
        { echo "$hooks" && printf '%s' "$current" | sed -n 's/^file //p'; } | while read -r path; do restorecon -R "$path" || :; done
    fi
    hooks_switch=/sys/fs/selinux/booleans/virt_hooks_unconfined
    ! grep -q '^0' $hooks_switch 2>/dev/null ||
        echo "note: SELinux does not allow libvirt's hooks to do anything until you run: setsebool -P virt_hooks_unconfined on" >&2
}

# udev reloads its rules by itself within seconds; this is for an event that arrives before that.
reload_udev() {
    [ -z "$root" ] && [ -e /run/udev/control ] && command -v udevadm >/dev/null || return 0
    udevadm control --reload || echo "run this yourself: udevadm control --reload" >&2
}

# Debian's and Ubuntu's profile allows libvirtd to run programs in a few directories; it also confines the hook.
each_profile() { # COMMAND: calls it with each profile of a libvirt daemon and its local part
    for profile in usr.sbin.libvirtd usr.sbin.virtqemud libvirtd virtqemud; do
        [ ! -f "$root/etc/apparmor.d/$profile" ] || "$1" "/etc/apparmor.d/$profile" "/etc/apparmor.d/local/$profile"
    done
}

reload_profile() { # PROFILE
    [ -z "$root" ] && [ -d /sys/kernel/security/apparmor ] || return 0
    apparmor_parser -r "$1" || echo "run this yourself: apparmor_parser -r $1" >&2
}

allow_engine() { # PROFILE LOCAL
    record profile "$2"
    ! grep -Eqs "^[[:space:]]*$bindir/(\*|virt-rules)[[:space:]]+[a-zA-Z]*x" "$root$1" "$root$2" || return 0
    if ! grep -q "local/${1##*/}" "$root$1"; then
        [ "$pass" = act ] || echo "  note: AppArmor does not allow libvirt to run the engine; add \"$engine_line\" to $1 yourself"
        return 0
    fi
    [ -e "$root$2" ] || record new "$2"
    step "add \"$engine_line\" to $2, for AppArmor" || return 0
    make_directory "${2%/*}"
    echo "$engine_line" >>"$root$2"
    reload_profile "$1"
}

disallow_engine() { # LOCAL
    if grep -qsxF "$engine_line" "$root$1"; then
        step "remove \"$engine_line\" from $1" || return 0
        edit "$1" "\\|^$engine_line\$|d"
        reload_profile "/etc/apparmor.d/${1##*/}"
    fi
    if has_lines "new $1" && [ -e "$root$1" ] && [ ! -s "$root$1" ]; then rm -f "$root$1"; fi
}

# ---- at boot

# The manifest keeps its lines about the hook: the hook is restored once the programs start again.
remove_hook() {
    if marked "$wrapper_mark" "$main"; then
        if exists "$before"; then restore_earlier_hook; else remove_file "$main"; fi
    fi
    for file in "$main" "$extra" "$beside"; do
        if marked "$hook_mark" "$file"; then remove_file "$file"; fi
    done
    [ "$changes" = 0 ] || hook_changed=yes
}

# Before libvirt starts: uses the previous place of the hook, because getting libvirt's version takes time.
restore_hook() {
    install_engine_link
    if has_lines "file $extra"; then use_directory; else use_main; fi
}

# What the host has lost, but the hook.
restore_rest() {
    install_files host
    "${host}_keep"
    install_link
    install_rules_link
    each_profile allow_engine
}

wait_for_libvirt() {
    process='' tries=900
    [ -z "$root" ] || return 0 # it runs on that host
    while process=$(daemon_process); [ -z "$process" ] || ! catches_hangup "$process"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 1
    done
}

# A daemon that has just started may not answer yet.
apply_rules() {
    [ -z "$root" ] || return 0 # the programs act on the running host only
    for _ in 1 2 3 4 5 6; do
        said=$("$root$bindir/virt-rules" apply 2>&1) && return
        case $said in *"failed to connect"* | *"cannot connect"*) sleep 5 ;; *) break ;; esac
    done
    note warning "virt-rules apply: $(printf '%s' "$said" | tr '\n' ' ')"
}

# What the rules want of the host itself, before libvirt starts VMs.
prepare_host() {
    [ -z "$root" ] || return 0
    said=$("$root$bindir/virt-rules" boot 2>&1 </dev/null) || note warning "virt-rules boot: $(printf '%s' "$said" | tr '\n' ' ')"
}

# Tests the programs before libvirt can find the hook. Where /etc/libvirt is there before libvirt starts, the hook is
# restored first; where it is created later, or again, once libvirt runs.
boot() {
    programs_start || give_up
    [ "$host" != unraid ] || unraid_boot
    # A Synology has lost it at each boot, and calls --put-hook for that right before libvirt starts.
    [ "$host" = dsm ] || [ ! -d "$root${hooks%/*}" ] || change_hook restore_hook
    restore_rest
    "${host}_runs_unit" virt-rules-boot.service || prepare_host
    if wait_for_libvirt; then
        install_hook
        restore_rest
        [ "$hook_changed" = no ] || signal_libvirt >/dev/null
    elif ! [ -d "$root${hooks%/*}" ]; then
        note warning "libvirt did not start within 15 minutes; the hook is not restored: run $prefix/install.sh when it runs"
        exit 0
    fi
    [ "$changes" = 0 ] || note warning "restored what was missing, perhaps after an update: $done_steps"
    [ -z "$process" ] || "${host}_runs_unit" virt-rules.service || apply_rules
}

give_up() {
    why="the hook of virt-rules was removed so that VMs can start, without devices: $program does not start on this host: $said; \
$(what_to_do), then run its install.sh"
    remove_hook
    note err "$why"
    echo "install.sh: $why" >&2
    [ "$hook_changed" = no ] || [ "$action" = put-hook ] || ! wait_for_libvirt || signal_libvirt >/dev/null
    exit 1
}

# ---- all of it

check_archive() {
    [ $kind = archive ] || return 0
    [ -f "$here/SHA256SUMS" ] || fail "$here/SHA256SUMS does not exist: unpack the whole archive and run its install.sh"
    can_run sha256sum || return 0
    (cd "$here" && sha256sum -c SHA256SUMS >/dev/null 2>&1) ||
        fail "the files in $here differ from the packed ones: unpack the archive again"
}

# The program in this archive, or else the installed one.
program_file() { # DIRECTORY-IN-THE-ARCHIVE PATH
    if [ -f "$here/$1/${2##*/}" ]; then echo "$here/$1/${2##*/}"; else echo "$root$2"; fi
}
engine_file() { program_file bin "$bindir/virt-rules"; }

machine_of() { # FILE: processor, word size and byte order from its ELF header; nothing if it has none
    # shellcheck disable=SC2046 # a list of bytes
    set -- $(od -An -v -tu1 -N20 "$1" 2>/dev/null || :)
    [ "${1:-} ${2:-} ${3:-} ${4:-} $#" = '127 69 76 70 20' ] || return 0
    if [ "$6" = 2 ]; then echo "$((${19} * 256 + ${20})) $5 $6"; else echo "$((${19} + ${20} * 256)) $5 $6"; fi
}

machines_here() { # one line for the shell, one for the kernel; nothing if neither is known
    machine_of /proc/$$/exe
    case $(uname -m 2>/dev/null) in
    x86_64) echo 62 2 1 ;;
    aarch64) echo 183 2 1 ;;
    i?86) echo 3 1 1 ;;
    armv*l) echo 40 1 1 ;;
    esac
}

processor() { # MACHINE
    case $1 in
    '62 2 1') echo x86_64 ;;
    '183 2 1') echo aarch64 ;;
    '3 1 1') echo i386 ;;
    '40 1 1') echo arm ;;
    '243 2 1') echo riscv64 ;;
    '21 2 1') echo ppc64le ;;
    '22 2 2') echo s390x ;;
    *) echo "processor ${1%% *} of ELF" ;;
    esac
}

# Runs PROGRAM --version; $said is the output if it did not start. Some shells would run a program for another
# processor as a script, so the ELF header is checked first. The archive may be on a file system mounted noexec.
starts() { # PROGRAM TARGET
    [ -z "$root" ] || return 0 # for another host
    file=$1 said='' here_are=$(machines_here) machine=$(machine_of "$1")
    if [ -n "$machine" ] && [ -n "$here_are" ] && ! printf '%s\n' "$here_are" | grep -qxF "$machine"; then
        said="Exec format error: it is for $(processor "$machine"), and this host is $(processor "$(printf '%s\n' "$here_are" | sed -n 1p)")"
        return 1
    fi
    if [ -f "$file" ] && [ ! -x "$file" ]; then
        [ $as_root = yes ] || return 0
        directory=${2%/*}
        while [ ! -d "$directory/" ]; do directory=${directory%/*}; done
        file=$directory/.virt-rules.new.$$
        new=$file
        said=$({ rm -f "$file" && cat "$1" >"$file" && chmod 700 "$file"; } 2>&1) || return 1
    fi
    status=0
    said=$("$file" --version 2>&1 </dev/null) || status=$?
    [ -z "$new" ] || rm -f "$new"
    new=''
    [ $status != 0 ] || return 0
    said=$(printf '%s' "${said:-it ended with status $status}" | tr '\n' ' ')
    return 1
}

hook_starts() {
    program=$our_hook
    [ ! -e "$program" ] || starts "$program" "$libexecdir/virt-rules-hook"
}

# $program is the first program that does not start, and $said the reason.
programs_start() {
    hook_starts || return 1
    program=$(program_file libexec "$libexecdir/virt-rules-plug")
    [ ! -e "$program" ] || starts "$program" "$libexecdir/virt-rules-plug" || return 1
    program=$(engine_file)
    starts "$program" "$bindir/virt-rules"
}

what_to_do() {
    case $said in
    *GLIBC_*) echo "the C library of this host is older than the one it was built with; build virt-rules on this host or on an older one, or update this host" ;;
    *'not found'*) echo "this host does not have the GNU C library: build virt-rules on this host" ;;
    *'ermission denied'*) echo "mount its file system without noexec, or choose another directory with --prefix" ;;
    *'xec format'*) echo "get or build virt-rules for this processor" ;;
    *) echo "build virt-rules for this host" ;;
    esac
}

check_programs() {
    [ -f "$our_hook" ] || fail "$our_hook does not exist: install from the whole archive"
    [ -z "$root" ] || { check_for_other_host; return; }
    programs_start || fail "nothing was changed, because $program does not start on this host: $said; $(what_to_do)"
}

# The programs of another host cannot be run here, so their ELF headers are compared with ours.
check_for_other_host() {
    program=$(engine_file) machine=$(machine_of "$(engine_file)")
    [ -n "$machine" ] || return 0
    for file in usr/lib/systemd/systemd usr/bin/bash usr/bin/dash usr/bin/busybox bin/busybox bin/bash bin/dash bin/ls; do
        # a link may point out of the tree
        if [ -L "$root/$file" ] || [ -L "$root/${file%%/*}" ]; then continue; fi
        theirs=$(machine_of "$root/$file")
        [ -n "$theirs" ] || continue
        [ "$theirs" = "$machine" ] ||
            fail "nothing was changed, because $program is for $(processor "$machine"), and $root/$file for $(processor "$theirs"); get or build virt-rules for that processor"
        break
    done
    said=''
    for file in "$root"/lib/libc.so.6 "$root"/lib64/libc.so.6 "$root"/usr/lib/libc.so.6 "$root"/usr/lib64/libc.so.6 \
        "$root"/lib/*/libc.so.6 "$root"/usr/lib/*/libc.so.6; do
        case $(link_target "$file") in /*) continue ;; esac
        [ "$(machine_of "$file")" = "$machine" ] || continue
        said=$(missing_version "$file")
        [ -n "$said" ] || return 0
    done
    [ -z "$said" ] || fail "nothing was changed, because $program does not start below $root: version $said not found in its C library; $(what_to_do)"
}

missing_version() { # C-LIBRARY: the first version that the engine needs and the library does not have
    for version in $(tr '\000' '\n' <"$program" | grep -x 'GLIBC_[0-9.]*'); do
        tr '\000' '\n' <"$1" | grep -qxF "$version" || { echo "$version"; return; }
    done
}

# Each installation has its own manifest: two of them would remove each other's hook.
check_alone() {
    by_link=$(link_target "$root$engine_link") # of an archive at another prefix
    for other in $manifests "${by_link%/bin/virt-rules}/installed"; do
        [ "$other" = "$manifest" ] || ! [ -f "$root$other" ] ||
            fail "virt-rules is already installed in another way ($other): uninstall that first, with $(remover_of "$other")"
    done
}

remover_of() { # MANIFEST
    case $1 in "$older_state"/*) ;; *) echo "'sh ${1%/*}/install.sh --uninstall'"; return ;; esac
    owner=$(sed -n 's/^kind=\([a-z]*\).*/\1/p' "$root/usr/libexec/virt-rules/install.sh" "$root/usr/lib/virt-rules/install.sh" 2>/dev/null || :)
    case $owner in
    deb) echo "'apt remove virt-rules'" ;;
    rpm) echo "'rpm --erase virt-rules'" ;;
    pacman) echo "'pacman -R virt-rules'" ;;
    apk) echo "'apk del virt-rules'" ;;
    make) echo "'make uninstall PREFIX=/usr' in its source" ;;
    *) echo "the package manager (apt remove, rpm --erase, pacman -R or apk del virt-rules) or 'make uninstall PREFIX=/usr'" ;;
    esac
}

is_masked() { # FILE: the administrator masked it for udev or systemd
    [ "$(link_target "$root$1")" = /dev/null ]
}

# Installs the files of the list `files`: a line "MODE SOURCE TARGET FOR". FOR is `any`, `text` (for any host, with its
# paths), `udev` or a kind of host.
install_files() { # any | host
    ! is_package || is_package_tree || return 0
    while read -r mode file target for; do
        case $1:$for in
        any:any | any:text) ;;
        any:* | host:any | host:text) continue ;;
        *) has "$for" || continue ;;
        esac
        case $target in "$compiled"/*) target=$prefix/${target#"$compiled"/} ;; esac
        if is_masked "$target"; then continue; fi
        case $target in
        "$prefix"/*) ;;
        *) ! cannot_have "$target" || continue ;;
        esac
        exists "$target" || lost="$lost $target "
        if [ -f "$here/$file" ]; then
            case $for:$prefix:$root$target in
            any:* | *:"$compiled":* | *:"$here/$file") install_file "$here/$file" "$target" "$mode" ;;
            *) install_text "$(placed "$here/$file")" "$target" "$mode" ;;
            esac
        else # this is the installed copy of the script: some files exist only at their target
            record file "$target"
            exists "$target" || [ "$pass" = plan ] || echo "$target is missing; install it again from the archive or the source" >&2
        fi
    done <"$here/files"
}

# Prints a text file with the paths of this installation. The sums of texts no longer hold there.
placed() { # FILE
    case $1 in
    */SHA256SUMS) sed -n 's/^[^ ]* \([^ ]*\) [^ ]* text$/  \1/p' "$here/files" | grep -vF -f - "$1" ;;
    *)
        sed -e "s|$compiled|$prefix|g" -e "s|$prefix/rules\.d|$rulesdir|g" -e "s|$prefix/state|$statedir|g" \
            -e "s|$prefix/virt-rules\.conf|${rulesdir%/*}/virt-rules.conf|g" "$1"
        ;;
    esac
}

cannot_have() { # FILE: the host builds its directory, as NixOS does
    ! has_lines "file $1" && is_read_only "${1%/*}" || return 1
    note_once "${1%/*} is read-only, so $1 is not installed"
}

create_directories() {
    if [ "$prefix" != "$compiled" ] && [ "$rulesdir" = "$compiled_rulesdir" ]; then
        [ "$pass" = act ] || echo "  note: there are rules in $rulesdir already: rules and state stay there"
    elif [ "$prefix" != "$compiled" ] && [ ! -d "$root$rulesdir" ] && has_rules "$compiled_rulesdir"; then
        copy_rules
    fi
    make_directory "$rulesdir"
    [ "$pass" = act ] || [ -d "$root$rulesdir" ] || step "create $rulesdir" || :
    [ ! -d "$root$statedir" ] || return 0
    make_directory "$statedir"
    [ "$pass" = plan ] || chmod 700 "$root$statedir"
}

# The older place of the rules is gone after a boot.
copy_rules() {
    step "copy the rules in $compiled_rulesdir to $rulesdir, because $(why_lost "$compiled_rulesdir")" || return 0
    make_directory "$rulesdir"
    cp -p "$root$compiled_rulesdir"/*.rules "$root$rulesdir/"
}

has_state() { # DIRECTORY
    [ -e "$root$1/locks" ] || [ -e "$root$1/lock" ] || [ -e "$root$1/virt-rules.log" ] || [ -e "$root$1/virt-rules.events" ]
}

# The state of running VMs is still needed.
move_older_state() {
    [ "$statedir" != $older_state ] && has_state $older_state && ! has_state "$statedir" || return 0
    step "move the log and the state in $older_state to $statedir" || return 0
    make_directory "${statedir%/*}"
    rmdir "$root$statedir" 2>/dev/null || :
    mv "$root$older_state" "$root$statedir"
}

is_engine() { # FILE: a regular file, not a link
    [ ! -L "$root$1" ] && [ -f "$root$1" ] && tr '\000' '\n' <"$root$1" | grep -q '^virt-rules [0-9]'
}

leads_nowhere() { # LINK: to the engine of a prefix that is gone
    case $(link_target "$root$1") in
    /*/bin/virt-rules) ! exists "$(link_target "$root$1")" ;;
    *) return 1 ;;
    esac
}

install_link() {
    [ -n "$link" ] && [ "$link" != "$bindir/virt-rules" ] || return 0
    if [ "$(link_target "$root$link")" = "$bindir/virt-rules" ]; then
        record link "$link"
    elif exists "$link" && ! is_engine "$link" && ! leads_nowhere "$link"; then
        [ "$pass" = act ] || echo "  note: $link is another program and is kept"
    elif is_read_only "${link%/*}"; then
        [ "$pass" = act ] || echo "  note: ${link%/*} is read-only, so the shell does not find virt-rules by itself: call $bindir/virt-rules"
    else
        record link "$link"
        step "link $link to $bindir/virt-rules" || return 0
        make_directory "${link%/*}"
        rm -f "$root$link"
        ln -s "$bindir/virt-rules" "$root$link"
    fi
}

install_rules_link() {
    is_package || return 0
    if [ "$(link_target "$root$rules_link")" = "$rulesdir" ]; then
        record link "$rules_link"
        return
    fi
    if exists "$rules_link" || is_read_only "${rules_link%/*}"; then return; fi
    record link "$rules_link"
    step "link $rules_link to $rulesdir" || return 0
    make_directory "${rules_link%/*}"
    ln -s "$rulesdir" "$root$rules_link"
}

shell_name() { # of the engine
    if [ -z "$link" ] || [ "$(link_target "$root$link")" = "$bindir/virt-rules" ]; then echo virt-rules; else echo "$bindir/virt-rules"; fi
}

install_all() {
    install_engine_link # the first, because the prefix is found by it
    grouping=yes
    install_files any
    say_files
    ! is_package_tree || { install_files host; return; }
    move_older_state
    create_directories
    restore_rest
    install_hook
    [ "$hook_changed" = no ] || signal_libvirt
    remove_stale
}

# Removes files that an earlier version, or the same version for another libvirt, installed and this one does not.
remove_stale() {
    [ -f "$root$manifest" ] || return 0
    stale=$(grep '^file ' "$root$manifest" | while read -r _ path; do
        case $current in *"file $path$newline"*) ;; *) echo "$path" ;; esac
    done)
    for path in $stale; do
        remove_ours "$path"
        forget "file $path"
    done
}

remove_ours() { # FILE: somebody may have replaced the hook
    case $1 in
    "$hooks"/*) marked "$hook_mark" "$1" || marked "$wrapper_mark" "$1" || return 0 ;;
    esac
    remove_file "$1"
}

undo() { # KIND PATH
    case $1 in
    before) restore_earlier_hook ;;
    file) remove_ours "$2" ;;
    link) case $(link_target "$root$2") in
        "$bindir/virt-rules" | "$rulesdir" | "$unitdir"/virt-rules*.service | "$services"/virt-rules* | "$flash_link"/*) remove_file "$2" ;;
        esac ;;
    profile) disallow_engine "$2" ;;
    keeper) "${2}_remove_keeper" ;;
    call) remove_call "$2" "$emhttp" ;;
    executable) rc_local_unmake_executable "$2" ;;
    esac
}

uninstall_all() {
    finish_uninstall
    [ -f "$root$manifest" ] || return 0
    had_hook=$(grep -c "^file $hooks/" "$root$manifest" || :)
    for line in before call executable keeper file profile link; do
        paths=$(sed -n -e "\\|^link $engine_link\$|d" -e "s/^$line //p" "$root$manifest")
        [ $line != file ] || grouping=yes
        for path in $paths; do undo $line "$path"; done
        say_files
    done
    [ "$had_hook" = 0 ] || signal_libvirt
    step "remove $manifest" || return 0
    remove_unfinished
    remove_rest "$(last_paths)"
}

# The prefix is found by the link to the engine, and the directories by the manifest.
last_paths() {
    case $(link_target "$root$engine_link") in
    "$bindir/virt-rules") ! has_lines "link $engine_link" || echo "$engine_link" ;;
    esac
    echo "$manifest"
    sed -n 's/^dir //p' "$root$manifest" | sed '1!G;h;$!d'
    echo /run/virt-rules
}

# Removes these files and, if they are empty, directories. We may be killed when the manifest is gone already, so their
# list is kept outside of them until the last one is done.
remove_rest() { # PATHS
    case $newline$1$newline in
    *"$newline${unfinished%/*}$newline"*) ;;
    *) [ ! -w "$root${unfinished%/*}" ] || keep_rest "$1" ;;
    esac
    for path in $1 "$unfinished"; do
        if [ -d "$root$path" ] && [ ! -L "$root$path" ]; then rmdir "$root$path" 2>/dev/null || :; else rm -f "$root$path"; fi
    done
}

keep_rest() { # PATHS
    new=$root$unfinished.new
    printf '%s\n' "$1" >"$new"
    mv -f "$new" "$root$unfinished"
    new=''
}

finish_uninstall() {
    [ -f "$root$unfinished" ] || return 0
    step "remove what an earlier uninstallation has left" || return 0
    remove_rest "$(cat "$root$unfinished")"
}

# Files that one of us was writing when it was killed.
remove_unfinished() {
    while read -r line path; do
        case $line in
        file) remove_each "$root${path%/*}"/.virt-rules.new* ;;
        call | profile) remove_each "$root$path".virt-rules.new* ;;
        esac
    done <"$root$manifest"
    remove_each "$root$hooks"/.virt-rules.new* "$root$manifest".new*
}

remove_each() { # FILE ...: of patterns, which stay as they are if there is none
    for file; do
        [ ! -f "$file" ] || rm -f "$file"
    done
}

confirm() {
    [ "$yes" = no ] || return 0
    printf 'Do this? [y/N] '
    read -r answer || answer=
    case $answer in y | Y | yes) ;; *) fail "nothing was changed; use --yes to skip the question" ;; esac
}

plan_and_do() { # COMMAND MESSAGE-IF-NOTHING-IS-TO-DO: plan, ask, do
    echo "On the host $(uname -n 2>/dev/null)${root:+, below $root}:"
    "$1"
    if [ "$changes" = 0 ]; then
        echo "  $2"
        exit 0
    fi
    [ "$dry" = no ] || {
        [ $as_root = yes ] || echo "this is what a user can see; root may see more: sudo sh $here/${0##*/}$words"
        exit 0
    }
    confirm
    pass=act changes=0 hook_changed=no current='' lost='' recorded=''
    [ "$1" = uninstall_all ] || is_package_tree || make_manifest_directory
    "$1"
    reload_udev
    reload_systemd
}

find_host
choose_prefix
[ "$host" != unraid ] || unraid_paths
our_hook=$here/libexec/virt-rules-hook
[ -f "$our_hook" ] || our_hook=$root$libexecdir/virt-rules-hook # this is the installed copy of the script
engine_line="$bindir/virt-rules PUx,"
case $action in
put-hook)
    pass=act
    programs_start || give_up
    restore_hook || :
    marked "$hook_mark" "$main" || marked "$hook_mark" "$extra" || marked "$wrapper_mark" "$main" ||
        note warning "the hook could not be restored: $main"
    ;;
boot)
    pass=act
    boot
    ;;
plugin)
    unraid_plugin
    ;;
install)
    check_archive
    check_alone
    is_package || [ $stage = yes ] || "${host}_check"
    check_programs
    plan_and_do install_all "everything is in place already"
    relabel
    [ $stage = yes ] || echo "installed. Next: $(shell_name) doctor says whether the host is ready, $(shell_name) add writes a rule into $rulesdir (examples: $examples)"
    ;;
uninstall)
    plan_and_do uninstall_all "install.sh has installed nothing here"
    [ "$host" != unraid ] || unraid_says_what_stays
    for kept in "$rulesdir" "${rulesdir%/*}/virt-rules.conf" "$statedir"; do [ ! -e "$root$kept" ] || echo "kept: $kept"; done
    if has_rules "$rulesdir"; then echo "removed; your rules are in $rulesdir"; else echo "removed; there were no rules of yours"; fi
    ;;
esac
