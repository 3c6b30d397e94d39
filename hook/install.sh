#!/bin/sh
# install.sh [--yes] [--dry-run] [--uninstall] [--root DIR]
# Installs virt-rules from the unpacked archive that it lies in, on a host that needs no compiler and
# no package manager; `sh` and the tools of busybox are enough. Says what it will do and asks.
#   --yes        do not ask
#   --dry-run    only say what it would do
#   --uninstall  take out what it put in; rules of yours and the log stay
#   --root DIR   the host below DIR instead of this one (for tests)
# What a NAS calls: --put-hook (before libvirt starts), --boot (waits for libvirt, puts back what an
# update took away, runs `virt-rules apply`); neither asks, and syslog has what went wrong.
#
# All lies below $prefix, which the programs have compiled in. $manifest has a line for whatever was
# put in: `file`, `link`, `dir` (made by us, removed when empty), `before` (somebody's hook, moved),
# `call` and `profile` (a line of ours in a file of others), `new` (such a file was not there before).
set -eu
umask 022
export LC_ALL=C
prefix=/usr/local/libvirt
hooks=/etc/libvirt/hooks
main=$hooks/qemu
extra=$hooks/qemu.d/virt-rules
before=$hooks/qemu.before-virt-rules
beside=$hooks/virt-rules-hook # where AppArmor lets libvirtd run it
package=/var/packages/Virtualization
ko_script=$package/conf/systemd/insert_libvirtd_ko.sh # run before libvirtd; an update makes it anew
boot_script=/usr/local/etc/rc.d/virt-rules.sh         # run at boot; outlives updates
manifest=$prefix/installed
hook_mark='@(#)virt-rules-hook '      # in hook.c
wrapper_mark='@(#)virt-rules-wrapper' # in the wrapper below
call_mark='# virt-rules: puts its hook back'
call_line="$prefix/install.sh --put-hook </dev/null >/dev/null 2>\&1 || : $call_mark"
engine_line="$prefix/bin/virt-rules PUx,"
newline='
'
root='' action=install yes=no dry=no
here=$(cd "$(dirname "$0")" && pwd -P)

usage() {
    sed -n 's/^# \(install.sh .*\)/usage: \1/p' "$0" >&2
    exit 2
}

fail() { # WHAT IS WRONG, AND WHAT TO DO
    echo "install.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --yes) yes=yes ;;
    --dry-run) dry=yes ;;
    --uninstall | --put-hook | --boot) action=${1#--} ;;
    --root)
        [ $# -ge 2 ] || usage
        root=${2%/}
        shift
        ;;
    -h | --help)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) usage ;;
    esac
    shift
done
[ -z "$root" ] || [ -d "$root" ] || fail "$root is no directory"
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "this needs root: sudo sh $0"

# ---- one thing at a time: said in the pass `plan`, done in the pass `act`

pass=plan changes=0 done_steps='' hook_changed=no current=''

step() { # WHAT: true when it is to be done now
    changes=$((changes + 1))
    done_steps="$done_steps${done_steps:+, }$*"
    if [ "$pass" = plan ]; then
        echo "  $*"
        return 1
    fi
}

has_lines() { # LINE: does the manifest have it
    [ -f "$root$manifest" ] && grep -qxF -- "$1" "$root$manifest"
}

record() { # KIND PATH: before it is done, so that a power cut leaves nothing unknown
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

make_directory() { # DIRECTORY, and those above it
    [ ! -d "$root$1" ] || return 0
    make_directory "$(dirname "$1")"
    record dir "$1"
    [ "$pass" = plan ] || mkdir "$root$1"
}

# Its own directory holds the manifest that it is to stand in.
make_prefix() {
    made='' directory=$prefix
    while [ ! -d "$root$directory" ]; do
        made="dir $directory$newline$made"
        directory=$(dirname "$directory")
    done
    mkdir -p "$root$prefix"
    [ -z "$made" ] || printf '%s' "$made" >>"$root$manifest"
}

new=''
trap '[ -z "$new" ] || rm -f "$new"' EXIT

# put FILE TARGET MODE [DIRECTORY]: in one step, for libvirt may run the old file right now. The new
# file grows in DIRECTORY, so that libvirt never finds it half written in qemu.d.
put() {
    record file "$2"
    if [ ! -L "$root$2" ] && cmp -s "$1" "$root$2" && { [ "$3" = 644 ] || [ -x "$root$2" ]; }; then return; fi
    step "write $2" || return 0
    make_directory "$(dirname "$2")"
    new=$root${4:-$(dirname "$2")}/.virt-rules.new
    rm -f "$new"
    (umask 077 && cat "$1" >"$new")
    chmod "$3" "$new"
    mv -f "$new" "$root$2"
    new=''
}

take() { # FILE
    [ -e "$root$1" ] || [ -L "$root$1" ] || return 0
    step "remove $1" || return 0
    rm -f "$root$1"
}

marked() { # MARK FILE
    [ -f "$root$2" ] && tr '\000' '\n' <"$root$2" | grep -qF -- "$1" # busybox stops at a NUL
}

there() { # FILE, or a link to nowhere
    [ -e "$root$1" ] || [ -L "$root$1" ]
}

# edit FILE SED-SCRIPT: a file of others, with its owner and mode
edit() {
    new=$root$1.virt-rules.new
    rm -f "$new"
    cp -p "$root$1" "$new"
    sed "$2" "$root$1" >"$new"
    mv -f "$new" "$root$1"
    new=''
}

# ---- libvirt

# The first process of that name which root runs: a user's own daemon has no hooks.
daemon_process() {
    for process in "$root"/proc/[0-9]*; do
        read -r name 2>/dev/null <"$process/comm" || continue
        case $name in libvirtd | virtqemud) ;; *) continue ;; esac
        ! grep -q '^Uid:[[:space:]]*[1-9]' "$process/status" 2>/dev/null || continue
        echo "${process##*/}"
        return
    done
}

catches_hangup() { # PROCESS: one that does not would die of it
    grep -q '^SigCgt:.*[13579bdf]$' "$root/proc/$1/status" 2>/dev/null
}

tell_libvirt() {
    process=$(daemon_process)
    if [ -z "$process" ]; then
        [ "$pass" = plan ] || echo "no libvirtd or virtqemud runs now; it looks for hooks when it starts"
        return 0
    fi
    step "tell libvirt (process $process) to look for hooks (SIGHUP; VMs go on)" || return 0
    if ! catches_hangup "$process"; then
        echo "process $process does not take SIGHUP: restart libvirt yourself" >&2
    elif kill -HUP "$process" && sleep 1 && [ "$(daemon_process)" = "$process" ]; then
        echo "libvirt (process $process) was told to look for hooks, and runs on"
    else
        echo "libvirt (process $process) was told to look for hooks and is gone: look into its log, start it again" >&2
    fi
}

version_of() { # PROGRAM: "9 0", or nothing
    "$@" --version 2>/dev/null </dev/null |
        sed -n 's/^\(.*[^0-9.]\)\{0,1\}\([0-9][0-9]*\)\.\([0-9][0-9]*\)\.[0-9][0-9]*.*/\2 \3/p' | sed -n 1p
}

# Of the daemon, or else of virsh, which comes with it. A NAS has both at places of its own, with
# their libraries beside.
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

runs_directory() { # does libvirt run what is in qemu.d: 6.5 and later
    version=$(libvirt_version)
    major=${version% *} minor=${version#* }
    [ -n "$version" ] && { [ "$major" -gt 6 ] || { [ "$major" = 6 ] && [ "$minor" -ge 5 ]; }; }
}

# ---- the hook

# Whoever wrote the hook that was there before relies on being called as libvirt calls it.
wrapper_text() {
    cat <<TEXT
#!/bin/sh
# $wrapper_mark: the hook that was here before, then virt-rules-hook, each with the same words
# and the same input. What counts for libvirt is the first one's status and output.
# install.sh --uninstall puts the first one back.
xml=\$(cat && echo .) # the dot keeps the newlines at the end
status=0
if [ -x '$before' ]; then
    printf %s "\${xml%.}" 2>/dev/null | '$before' "\$@" || status=\$?
fi
printf %s "\${xml%.}" 2>/dev/null | '$beside' "\$@" >/dev/null 2>&1
exit \$status
TEXT
}

put_text() { # TEXT TARGET MODE
    text_file=$(mktemp)
    printf '%s\n' "$1" >"$text_file"
    put "$text_file" "$2" "$3"
    rm -f "$text_file"
}

keep_earlier_hook() {
    record before "$before"
    step "keep the hook that is there as $before and call it first" || return 0
    new=$root$hooks/.virt-rules.new
    rm -f "$new"
    ln "$root$main" "$new" 2>/dev/null || cp -pP "$root$main" "$new"
    mv -f "$new" "$root$before"
    rm -f "$new"
    new=''
}

restore_earlier_hook() {
    there "$before" || return 0
    if there "$main" && ! marked "$wrapper_mark" "$main"; then
        echo "$main is new and stays; the hook from before virt-rules is $before" >&2
        return 0
    fi
    step "put back the hook that was there before: $main" || return 0
    mv -f "$root$before" "$root$main"
}

# One of the two places, never both: libvirt would run both.
use_directory() {
    put "$here/libexec/virt-rules-hook" "$extra" 755 "$hooks"
    if marked "$wrapper_mark" "$main"; then restore_earlier_hook; fi
    if marked "$hook_mark" "$main" || marked "$wrapper_mark" "$main"; then take "$main"; fi
    forget "file $main"
}

use_main() {
    if there "$main" && ! marked "$hook_mark" "$main"; then
        marked "$wrapper_mark" "$main" || keep_earlier_hook
        record before "$before"
        put "$here/libexec/virt-rules-hook" "$beside" 755
        put_text "$(wrapper_text)" "$main" 755
    else
        put "$here/libexec/virt-rules-hook" "$main" 755
    fi
    if marked "$hook_mark" "$extra"; then take "$extra"; fi
    forget "file $extra"
}

place_hook() {
    changes_before=$changes
    [ ! -d "$root$main" ] || fail "$main is a directory; libvirt wants a program there: move it away"
    if runs_directory; then use_directory; else use_main; fi
    [ "$changes" = "$changes_before" ] || hook_changed=yes
}

# ---- what else a kind of host needs

put_udev_rule() {
    [ -d "$root/etc/udev" ] || [ -d "$root/usr/lib/udev" ] || [ -d "$root/lib/udev" ] || return 0
    put_text "$(sed "s|@PLUG@|$prefix/libexec/virt-rules-plug|" "$here/boot/90-virt-rules.rules")" \
        /etc/udev/rules.d/90-virt-rules.rules 644
}

# udev looks at its rules anew within seconds by itself; this is for the event that comes right now.
reload_udev() {
    [ -z "$root" ] && [ -e /run/udev/control ] && command -v udevadm >/dev/null || return 0
    udevadm control --reload || echo "tell udev yourself: udevadm control --reload" >&2
}

# Debian's and Ubuntu's profile lets libvirtd run programs of few directories; the hook is inside it.
each_profile() { # COMMAND: with each profile of a libvirt daemon and its local addition
    for profile in usr.sbin.libvirtd usr.sbin.virtqemud libvirtd virtqemud; do
        [ ! -f "$root/etc/apparmor.d/$profile" ] || "$1" "/etc/apparmor.d/$profile" "/etc/apparmor.d/local/$profile"
    done
}

reload_profile() { # PROFILE
    [ -z "$root" ] && [ -d /sys/kernel/security/apparmor ] || return 0
    apparmor_parser -r "$1" || echo "load it yourself: apparmor_parser -r $1" >&2
}

allow_engine() { # PROFILE LOCAL
    record profile "$2"
    ! grep -Eqs "^[[:space:]]*$prefix/bin/(\*|virt-rules)[[:space:]]+[a-zA-Z]*x" "$root$1" "$root$2" || return 0
    if ! grep -q "local/${1##*/}" "$root$1"; then
        [ "$pass" = act ] || echo "  note: AppArmor will not let libvirt run the engine; add \"$engine_line\" to $1 yourself"
        return 0
    fi
    [ -e "$root$2" ] || record new "$2"
    step "add \"$engine_line\" to $2, for AppArmor" || return 0
    make_directory "$(dirname "$2")"
    echo "$engine_line" >>"$root$2"
    reload_profile "$1"
}

forbid_engine() { # LOCAL
    if grep -qsxF "$engine_line" "$root$1"; then
        step "remove \"$engine_line\" from $1" || return 0
        edit "$1" "\\|^$engine_line\$|d"
        reload_profile "/etc/apparmor.d/${1##*/}"
    fi
    if has_lines "new $1" && [ -e "$root$1" ] && [ ! -s "$root$1" ]; then rm -f "$root$1"; fi
}

# ---- Synology: /etc/libvirt is made anew at each boot, and after boot scripts have started. A unit of
# ours with an order against the package's would make DSM report a broken dependency.

put_on_nas() {
    [ -d "$root$package" ] || return 0
    put "$here/boot/virt-rules-dsm" "$boot_script" 755
    if [ ! -f "$root$ko_script" ]; then
        [ "$pass" = act ] || echo "  note: there is no $ko_script; after a boot the hook is put back only when libvirt runs"
        return 0
    fi
    record call "$ko_script"
    ! marked "$call_mark" "$ko_script" || return 0
    step "add a call of ours to $ko_script" || return 0
    # Before whatever may leave the script, and after the line that says whose it is.
    case $(sed -n 1p "$root$ko_script") in
    '#!'*) edit "$ko_script" "1s,\$,\\$newline$call_line," ;;
    *) edit "$ko_script" "1s,^,$call_line\\$newline," ;;
    esac
}

take_call() { # FILE
    marked "$call_mark" "$1" || return 0
    step "remove our call from $1" || return 0
    edit "$1" "/$call_mark\$/d"
}

note() { # PRIORITY TEXT
    logger -t virt-rules -p "daemon.$1" "$2" 2>/dev/null || :
}

# Before libvirt starts: where the hook was, for asking libvirt its version takes time.
put_hook_back() {
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
    [ -z "$root" ] || return 0 # the programs know one host
    for _ in 1 2 3 4 5 6; do
        said=$("$root$prefix/bin/virt-rules" apply 2>&1) && return
        case $said in *"failed to connect"* | *"cannot connect"*) sleep 5 ;; *) break ;; esac
    done
    note warning "virt-rules apply: $(printf '%s' "$said" | tr '\n' ' ')"
}

boot() {
    wait_for_libvirt || { note warning "libvirt did not start within 15 minutes; its hook is put back when it does"; exit 0; }
    place_hook
    put_on_nas
    put_udev_rule
    put_link
    [ "$hook_changed" = no ] || tell_libvirt >/dev/null
    [ "$changes" = 0 ] || note warning "put back what was gone, after an update perhaps: $done_steps"
    apply_rules
}

# ---- all of it

check_archive() {
    [ -f "$here/SHA256SUMS" ] || fail "$here/SHA256SUMS is not there: unpack the whole archive and run install.sh in it"
    command -v sha256sum >/dev/null || return 0
    (cd "$here" && sha256sum -c SHA256SUMS >/dev/null 2>&1) ||
        fail "the files in $here are not as they were packed: unpack the archive again"
}

put_own_files() {
    while read -r _ file; do
        case $file in
        *.sh | bin/* | libexec/*) put "$here/$file" "$prefix/$file" 755 ;;
        *) put "$here/$file" "$prefix/$file" 644 ;;
        esac
    done <"$here/SHA256SUMS"
    put "$here/SHA256SUMS" "$prefix/SHA256SUMS" 644
    make_directory "$prefix/rules.d"
    has_lines "dir $prefix/rules.d" || [ -d "$root$prefix/rules.d" ] || step "make $prefix/rules.d" || :
}

put_link() { # so that the shell finds it
    link=/usr/local/bin/virt-rules
    if [ "$(readlink "$root$link" 2>/dev/null)" = "$prefix/bin/virt-rules" ]; then
        record link "$link"
    elif there "$link"; then
        [ "$pass" = act ] || echo "  note: $link is another one and stays ('make uninstall' takes away what 'make install' put there)"
    else
        record link "$link"
        step "link $link to it" || return 0
        make_directory /usr/local/bin
        ln -s "$prefix/bin/virt-rules" "$root$link"
    fi
}

install_all() {
    put_own_files
    put_link
    each_profile allow_engine
    put_udev_rule
    put_on_nas
    place_hook
    [ "$hook_changed" = no ] || tell_libvirt
    take_stale
}

# What an earlier version, or another libvirt, had put in and this one does not.
take_stale() {
    [ -f "$root$manifest" ] || return 0
    stale=$(grep '^file ' "$root$manifest" | while read -r _ path; do
        case $current in *"file $path$newline"*) ;; *) echo "$path" ;; esac
    done)
    for path in $stale; do
        take_ours "$path"
        forget "file $path"
    done
}

take_ours() { # FILE: a hook may be somebody else's by now
    case $1 in
    "$hooks"/*) marked "$hook_mark" "$1" || marked "$wrapper_mark" "$1" || return 0 ;;
    esac
    take "$1"
}

undo() { # KIND PATH
    case $1 in
    before) restore_earlier_hook ;;
    file) take_ours "$2" ;;
    link) case $(readlink "$root$2") in "$prefix"/*) take "$2" ;; esac ;;
    profile) forbid_engine "$2" ;;
    call) take_call "$2" ;;
    esac
}

uninstall_all() {
    [ -f "$root$manifest" ] || return 0
    had_hook=$(grep -c "^file $hooks/" "$root$manifest" || :)
    for kind in before call file link profile; do
        paths=$(sed -n "s/^$kind //p" "$root$manifest")
        for path in $paths; do undo $kind "$path"; done
    done
    [ "$had_hook" = 0 ] || tell_libvirt
    directories=$(sed -n 's/^dir //p' "$root$manifest" | sed '1!G;h;$!d')
    take "$manifest"
    [ "$pass" = act ] || return 0
    for path in $directories; do rmdir "$root$path" 2>/dev/null || :; done
}

confirm() {
    [ "$yes" = no ] || return 0
    printf 'Do this? [y/N] '
    read -r answer || answer=
    case $answer in y | Y | yes) ;; *) fail "nothing was changed; --yes does not ask" ;; esac
}

twice() { # COMMAND WORDS-WHEN-THERE-IS-NOTHING: plan, ask, do
    echo "On $(uname -n 2>/dev/null || echo this host)${root:+, below $root}:"
    "$1"
    if [ "$changes" = 0 ]; then
        echo "  $2"
        exit 0
    fi
    [ "$dry" = no ] || exit 0
    confirm
    pass=act changes=0 hook_changed=no current=''
    [ "$1" = uninstall_all ] || make_prefix
    "$1"
    reload_udev
}

case $action in
put-hook)
    pass=act
    put_hook_back || :
    marked "$hook_mark" "$main" || marked "$hook_mark" "$extra" || marked "$wrapper_mark" "$main" ||
        note warning "the hook could not be put back: $main"
    ;;
boot)
    pass=act
    boot
    ;;
install)
    check_archive
    twice install_all "everything is in place already"
    echo "installed. Next: write rules into $prefix/rules.d (examples: $prefix/examples), then run: virt-rules check, virt-rules doctor"
    ;;
uninstall)
    twice uninstall_all "nothing of install.sh is here"
    if [ -d "$root$prefix" ]; then echo "kept: $(cd "$root$prefix" && echo *) in $prefix"; fi
    ;;
esac
