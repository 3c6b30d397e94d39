#!/bin/sh
# install.sh [--yes] [--dry-run] [--uninstall] [--root DIR | --destdir DIR]
# Installs virt-rules from the unpacked archive that contains it. The host needs no compiler and no
# package manager, only `sh` and the tools of busybox. Prints what it will do, and asks.
#   --yes          do not ask
#   --dry-run      only print what would be done
#   --uninstall    remove what was installed; your rules and the log are kept
#   --root DIR     install to the host below DIR instead of this one
#   --destdir DIR  install to a tree for any host, with all files that a host may need
# A NAS calls --put-hook (before libvirt starts) and --boot (waits for libvirt, restores what an
# update removed, runs `virt-rules apply`). Neither asks; errors go to syslog.
# `make install` and the Debian package run it as well; see hook/layout.
#
# libvirt starts no VM while its hook cannot be executed. So each program is run once (--version)
# before the hook is installed, and again at boot: an update may have changed the C library.
#
# The programs have their paths compiled in. $manifest has a line for everything that was installed:
# `file`, `link`, `dir` (created by us, removed when empty), `before` (an existing hook, renamed),
# `call` and `profile` (a line of ours in a file of another package), `new` (we created such a file).
set -eu
umask 022
export LC_ALL=C
# The paths of the archive; hook/layout replaces them by those of another build.
kind=archive # or make, or deb (dpkg installs the files)
prefix=/usr/local/libvirt
bindir=/usr/local/libvirt/bin
libexecdir=/usr/local/libvirt/libexec
rulesdir=/usr/local/libvirt/rules.d
statedir=/usr/local/libvirt/state
examples=/usr/local/libvirt/examples
manifest=/usr/local/libvirt/installed
hooks=/etc/libvirt/hooks
unitdir=/etc/systemd/system
link=/usr/local/bin/virt-rules # so that the shell finds it; empty if $bindir is in PATH
main=$hooks/qemu
extra=$hooks/qemu.d/virt-rules
before=$hooks/qemu.before-virt-rules
beside=$hooks/virt-rules-hook # AppArmor allows libvirtd to run programs in this directory
package=/var/packages/Virtualization
ko_script=$package/conf/systemd/insert_libvirtd_ko.sh # run before libvirtd; an update replaces it
hook_mark='@(#)virt-rules-hook '      # in hook.c
wrapper_mark='@(#)virt-rules-wrapper' # in the wrapper below
call_mark='# virt-rules: puts its hook back'
call_line="$prefix/install.sh --put-hook </dev/null >/dev/null 2>\&1 || : $call_mark"
engine_line="$bindir/virt-rules PUx,"
older_state=/var/lib/virt-rules # the state directory of older `make install`s
manifests="/usr/local/libvirt/installed $older_state/installed" # of every kind of installation
wants=/etc/systemd/system/multi-user.target.wants/virt-rules.service
newline='
'
root='' stage=no action=install yes=no dry=no
case $0 in */*) here=$(cd "${0%/*}" && pwd -P) ;; *) here=$(pwd -P) ;; esac
our_hook=$here/libexec/virt-rules-hook

usage() {
    sed -n '2s/^# /usage: /p' "$0" >&2
    exit 2
}

note() { # PRIORITY TEXT
    logger -t virt-rules -p "daemon.$1" "$2" 2>/dev/null || :
}

fail() { # WHAT IS WRONG, AND WHAT TO DO
    echo "install.sh: $*" >&2
    case $action in put-hook | boot) note err "$*" ;; esac # nobody reads their output
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
    for tool in cat chmod cp dirname grep ln mkdir mv rm rmdir sed sleep tr; do can_run $tool || missing="$missing $tool"; done
    cmp=$(if can_run cmp; then echo yes; fi)
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
    if [ -n "$cmp" ]; then cmp -s "$1" "$2"; else [ -f "$2" ] && [ "$(cksum <"$1")" = "$(cksum <"$2")" ]; fi
}

while [ $# -gt 0 ]; do
    case $1 in
    --yes) yes=yes ;;
    --dry-run) dry=yes ;;
    --uninstall | --put-hook | --boot) action=${1#--} ;;
    --root | --destdir)
        [ $# -ge 2 ] || usage
        root=${2%/}
        [ "$1" = --root ] || stage=yes
        shift
        ;;
    -h | --help)
        sed -n '2,12s/^# \{0,1\}//p' "$0"
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
[ $stage = no ] || mkdir -p "$root"
[ -f "$our_hook" ] || our_hook=$root$libexecdir/virt-rules-hook # this is the installed copy of the script
[ -z "$root" ] || [ -d "$root" ] || fail "$root is not a directory"
[ -n "$root" ] || is_root || fail "this needs root: use sudo"

# ---- every change is a step: printed in the pass `plan`, done in the pass `act`

pass=plan changes=0 done_steps='' hook_changed=no current=''

step() { # WHAT: returns true if it is to be done now
    changes=$((changes + 1))
    done_steps="$done_steps${done_steps:+, }$*"
    if [ "$pass" = plan ]; then
        echo "  $*"
        return 1
    fi
}

has_lines() { # LINE: whether the manifest has it
    [ -f "$root$manifest" ] && grep -qxF -- "$1" "$root$manifest"
}

record() { # KIND PATH: called before the change, so that after a power cut every change is in the manifest
    current="$current$1 $2$newline"
    [ "$pass" = act ] || return 0
    has_lines "$1 $2" || echo "$1 $2" >>"$root$manifest"
}

forget() { # LINE
    [ "$pass" = act ] && has_lines "$1" || return 0
    new=$root$manifest.new
    grep -vxF -- "$1" "$root$manifest" >"$new" || :
    mv -f "$new" "$root$manifest"
    new=''
}

make_directory() { # DIRECTORY, and its parents
    [ ! -d "$root$1" ] || return 0
    make_directory "$(dirname "$1")"
    record dir "$1"
    [ "$pass" = plan ] || mkdir "$root$1"
}

# The manifest records that its own directory was created, which must exist first.
make_manifest_directory() {
    made='' directory=$(dirname "$manifest")
    while [ ! -d "$root$directory" ]; do
        made="dir $directory$newline$made"
        directory=$(dirname "$directory")
    done
    mkdir -p "$root$(dirname "$manifest")"
    [ -n "$made" ] || return 0
    [ "${manifest%/*}" != "$statedir" ] || chmod 700 "$root$statedir"
    printf '%s' "$made" >>"$root$manifest"
}

new=''
trap '[ -z "$new" ] || rm -f "$new"' EXIT

# install_file FILE TARGET MODE [DIRECTORY]: replaces TARGET atomically, because libvirt may be running the old file.
# The new file is written in DIRECTORY, so that libvirt never finds an incomplete file in qemu.d.
install_file() {
    record file "$2"
    if [ ! -L "$root$2" ] && is_same_file "$1" "$root$2" && { [ "$3" = 644 ] || [ -x "$root$2" ]; }; then return; fi
    step "write $2" || return 0
    write_file "$2" "$3" "${4:-}" <"$1"
}

write_file() { # TARGET MODE [DIRECTORY]: writes standard input
    make_directory "$(dirname "$1")"
    new=$root${3:-$(dirname "$1")}/.virt-rules.new
    rm -f "$new"
    (umask 077 && cat >"$new")
    chmod "$2" "$new"
    mv -f "$new" "$root$1"
    new=''
}

remove_file() { # FILE
    [ -e "$root$1" ] || [ -L "$root$1" ] || return 0
    step "remove $1" || return 0
    rm -f "$root$1"
}

marked() { # MARK FILE
    [ -f "$root$2" ] && tr '\000' '\n' <"$root$2" | grep -qF -- "$1" # busybox stops at a NUL
}

exists() { # FILE, or a link to nowhere
    [ -e "$root$1" ] || [ -L "$root$1" ]
}

# edit FILE SED-SCRIPT: changes a file of another package and keeps its owner and mode
edit() {
    new=$root$1.virt-rules.new
    rm -f "$new"
    cp -p "$root$1" "$new"
    sed "$2" "$root$1" >"$new"
    mv -f "$new" "$root$1"
    new=''
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
        [ "$pass" = plan ] || [ $stage = yes ] || echo "no libvirtd or virtqemud runs now; libvirt looks for hooks when it starts"
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

# The version of the daemon, or else of virsh from the same package. A NAS has both in directories of its own,
# with their libraries.
libvirt_version() {
    target=$root$package/target
    for program in "$root/usr/sbin/libvirtd" "$root/usr/sbin/virtqemud" "$root/usr/local/sbin/libvirtd" \
        "$root/usr/local/sbin/virtqemud" "$root/usr/bin/virsh" "$root/usr/local/bin/virsh" \
        "$target/usr/local/bin/virsh" "$target/usr/bin/virsh" "$target/bin/virsh"; do
        [ -x "$program" ] || continue
        top=$(dirname "$(dirname "$program")")
        version=$(version_of "$program")
        [ -n "$version" ] || version=$(LD_LIBRARY_PATH=$top/lib:$top/lib64 version_of "$program")
        [ -z "$version" ] || { echo "$version"; return; }
    done
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
# arguments and input. libvirt gets the status and output of the first one.
# install.sh --uninstall restores the first one.
xml=\$(cat && echo .) # the dot keeps the newlines at the end
status=0
if [ -x '$before' ]; then
    printf %s "\${xml%.}" 2>/dev/null | '$before' "\$@" || status=\$?
fi
printf %s "\${xml%.}" 2>/dev/null | '$beside' "\$@" >/dev/null 2>&1
exit \$status
TEXT
}

install_text() { # TEXT TARGET MODE
    record file "$2"
    if [ ! -L "$root$2" ] && [ -x "$root$2" ] && [ "$(cat "$root$2")" = "$1" ]; then return; fi
    step "write $2" || return 0
    printf '%s\n' "$1" | write_file "$2" "$3"
}

keep_earlier_hook() {
    record before "$before"
    step "keep the existing hook as $before and call it first" || return 0
    new=$root$hooks/.virt-rules.new
    rm -f "$new"
    ln "$root$main" "$new" 2>/dev/null || cp -pP "$root$main" "$new"
    mv -f "$new" "$root$before"
    rm -f "$new"
    new=''
}

restore_earlier_hook() {
    exists "$before" || return 0
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
    changes_before=$changes
    [ ! -d "$root$main" ] || fail "$main is a directory; libvirt expects a program there: move the directory away"
    if runs_directory; then use_directory; else use_main; fi
    [ "$changes" = "$changes_before" ] || hook_changed=yes
}

# ---- what else a kind of host needs

has_nas() { [ -d "$root$package" ]; }
has_udev() { [ $stage = yes ] || [ -d "$root/etc/udev" ] || [ -d "$root/usr/lib/udev" ] || [ -d "$root/lib/udev" ]; }
has_systemd() { # DSM's systemd would treat our unit as its own
    [ $stage = yes ] || { ! has_nas && { [ -d "$root/run/systemd/system" ] || [ -x "$root/usr/lib/systemd/systemd" ] ||
        [ -x "$root/lib/systemd/systemd" ]; }; }
}

# Not enabled again after the administrator disabled it. For a tree (--destdir) its host decides.
enable_unit() {
    has_systemd && [ $stage = no ] && [ $kind != deb ] && ! is_masked "$unitdir/virt-rules.service" || return 0
    if has_lines "link $wants" || exists "$wants"; then
        record link "$wants"
        return 0
    fi
    record link "$wants"
    step "enable virt-rules.service, which runs virt-rules apply at boot, after libvirt" || return 0
    make_directory "$(dirname "$wants")"
    ln -s "$unitdir/virt-rules.service" "$root$wants"
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
    make_directory "$(dirname "$2")"
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

# ---- Synology: DSM creates /etc/libvirt again at each boot, after boot scripts have started. If a unit of ours
# were ordered relative to the package's units, DSM would report a broken dependency.

add_call() {
    has_nas && [ $kind = archive ] || return 0
    if [ ! -f "$root$ko_script" ]; then
        [ "$pass" = act ] || echo "  note: there is no $ko_script; after a boot the hook is restored only when libvirt runs"
        return 0
    fi
    record call "$ko_script"
    ! marked "$call_mark" "$ko_script" || return 0
    step "add a call of install.sh to $ko_script" || return 0
    # Before any line that may exit the script, and after the #! line.
    case $(sed -n 1p "$root$ko_script") in
    '#!'*) edit "$ko_script" "1s,\$,\\$newline$call_line," ;;
    *) edit "$ko_script" "1s,^,$call_line\\$newline," ;;
    esac
}

remove_call() { # FILE
    marked "$call_mark" "$1" || return 0
    step "remove the call of install.sh from $1" || return 0
    edit "$1" "/$call_mark\$/d"
}

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
    if has_lines "file $extra"; then use_directory; else use_main; fi
}

wait_for_libvirt() {
    tries=900
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

# Tests the hook before libvirt can find it, and the other programs before they are used.
boot() {
    hook_starts || give_up
    wait_for_libvirt || { note warning "libvirt did not start within 15 minutes; the hook is restored when it starts"; exit 0; }
    programs_start || give_up
    install_hook
    install_files 'nas udev systemd'
    add_call
    install_link
    [ "$hook_changed" = no ] || signal_libvirt >/dev/null
    [ "$changes" = 0 ] || note warning "restored what was missing, perhaps after an update: $done_steps"
    apply_rules
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
        directory=$(dirname "$2")
        while [ ! -d "$directory" ]; do directory=$(dirname "$directory"); done
        file=$directory/.virt-rules.new
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
    for other in $manifests; do
        [ "$other" = "$manifest" ] || ! [ -f "$root$other" ] ||
            fail "virt-rules is already installed in another way ($other): uninstall that first, with $(remover_of "$other")"
    done
}

remover_of() { # MANIFEST
    case $1 in
    "$older_state"/*) echo "'dpkg --remove virt-rules' or 'make uninstall PREFIX=/usr'" ;;
    *) echo "'sh ${1%/*}/install.sh --uninstall'" ;;
    esac
}

is_masked() { # FILE: the administrator masked it for udev or systemd
    [ "$(link_target "$root$1")" = /dev/null ]
}

# Installs the files of the list `files`: a line "MODE SOURCE TARGET FOR". FOR is `any` or a kind of host.
install_files() { # KINDS-OF-HOSTS
    [ $kind != deb ] || return 0
    while read -r mode file target for; do
        case " $1 " in *" $for "*) ;; *) continue ;; esac
        [ "$for" = any ] || "has_$for" || continue
        if is_masked "$target"; then continue; fi
        if [ -f "$here/$file" ]; then
            install_file "$here/$file" "$target" "$mode"
        else # this is the installed copy of the script: some files exist only at their target
            record file "$target"
            exists "$target" || [ "$pass" = plan ] || echo "$target is missing; install it again from the archive or the source" >&2
        fi
    done <"$here/files"
}

create_directories() {
    make_directory "$rulesdir"
    [ "$pass" = act ] || [ -d "$root$rulesdir" ] || step "create $rulesdir" || :
    [ ! -d "$root$statedir" ] || return 0
    make_directory "$statedir"
    [ "$pass" = plan ] || chmod 700 "$root$statedir"
}

has_state() { # DIRECTORY
    [ -e "$root$1/locks" ] || [ -e "$root$1/lock" ] || [ -e "$root$1/virt-rules.log" ]
}

# The state of running VMs is still needed.
move_older_state() {
    [ "$statedir" != $older_state ] && has_state $older_state && ! has_state "$statedir" || return 0
    step "move the log and the state in $older_state to $statedir" || return 0
    make_directory "$(dirname "$statedir")"
    rmdir "$root$statedir" 2>/dev/null || :
    mv "$root$older_state" "$root$statedir"
}

is_engine() { # FILE: a regular file, not a link
    [ ! -L "$root$1" ] && [ -f "$root$1" ] && tr '\000' '\n' <"$root$1" | grep -q '^virt-rules [0-9]'
}

install_link() {
    [ -n "$link" ] && [ "$link" != "$bindir/virt-rules" ] || return 0
    if [ "$(link_target "$root$link")" = "$bindir/virt-rules" ]; then
        record link "$link"
    elif exists "$link" && ! is_engine "$link"; then
        [ "$pass" = act ] || echo "  note: $link is another program and is kept"
    else
        record link "$link"
        step "link $link to it" || return 0
        make_directory "$(dirname "$link")"
        rm -f "$root$link"
        ln -s "$bindir/virt-rules" "$root$link"
    fi
}

install_all() {
    install_files any
    move_older_state
    create_directories
    install_link
    each_profile allow_engine
    install_files 'udev systemd nas'
    enable_unit
    add_call
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
    link) case $(link_target "$root$2") in "$bindir/virt-rules" | "$unitdir/virt-rules.service") remove_file "$2" ;; esac ;;
    profile) disallow_engine "$2" ;;
    call) remove_call "$2" ;;
    esac
}

uninstall_all() {
    [ -f "$root$manifest" ] || return 0
    had_hook=$(grep -c "^file $hooks/" "$root$manifest" || :)
    for kind in before call file link profile; do
        paths=$(sed -n "s/^$kind //p" "$root$manifest")
        for path in $paths; do undo $kind "$path"; done
    done
    [ "$had_hook" = 0 ] || signal_libvirt
    directories=$(sed -n 's/^dir //p' "$root$manifest" | sed '1!G;h;$!d')
    remove_file "$manifest"
    [ "$pass" = act ] || return 0
    for path in $directories /run/virt-rules; do rmdir "$root$path" 2>/dev/null || :; done
}

confirm() {
    [ "$yes" = no ] || return 0
    printf 'Do this? [y/N] '
    read -r answer || answer=
    case $answer in y | Y | yes) ;; *) fail "nothing was changed; use --yes to skip the question" ;; esac
}

plan_and_do() { # COMMAND MESSAGE-IF-NOTHING-IS-TO-DO: plan, ask, do
    echo "On $(uname -n 2>/dev/null || echo this host)${root:+, below $root}:"
    "$1"
    if [ "$changes" = 0 ]; then
        echo "  $2"
        exit 0
    fi
    [ "$dry" = no ] || exit 0
    confirm
    pass=act changes=0 hook_changed=no current=''
    [ "$1" = uninstall_all ] || make_manifest_directory
    "$1"
    reload_udev
    reload_systemd
}

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
install)
    check_archive
    check_alone
    check_programs
    plan_and_do install_all "everything is in place already"
    relabel
    [ $stage = yes ] || echo "installed. Next: write rules into $rulesdir (examples: $examples), then run: virt-rules check, virt-rules doctor"
    ;;
uninstall)
    plan_and_do uninstall_all "install.sh has installed nothing here"
    for kept in "$rulesdir" "$statedir"; do [ ! -d "$root$kept" ] || echo "kept: $kept"; done
    ;;
esac
