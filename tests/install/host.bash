# shellcheck shell=bash
# What the tests of this directory share: the archive of `make dist`, and a host into which its install.sh installs it. As
# root that is a root directory with busybox and glibc alone, for chroot; otherwise a directory for --root, and tests that
# need a chroot are skipped.
# shellcheck disable=SC2016,SC2034,SC2154,SC2120 # the tests use the variables, and give arguments
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-build}
. tests/checks.bash
work=$(mktemp -d) daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null; rm -rf "$work"' EXIT
chmod 755 "$work"
root=$work/root
output=$work/output
: >"$output"
umask 022

until_true() { # COMMAND ...: within ten minutes
    local end=$((SECONDS + 600))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# --- the archive

# The tests of one tests/run share it: the first one makes it, the others wait for that.
make_archive() {
    local made=${TESTS_SHARED:-$work}/archive-is-made
    exec 8>build/archive.lock && flock 8 || return 1
    [ -e "$made" ] ||
        { env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS SOURCE_DATE_EPOCH=1700000000 make --no-print-directory dist >"$output" 2>&1 && : >"$made"; } ||
        return 1
    exec 8>&-
    archive=$(echo build/virt-rules-*-x86_64.tar.gz)
    [ -f "$archive" ] && tar -xzf "$archive" -C "$work" && unpacked=$(echo "$work"/virt-rules-*-x86_64)
    version=${archive#build/virt-rules-} version=${version%-x86_64.tar.gz}
}

is_static() { # PROGRAM: needs no loader
    readelf -hW "$1" >"$output" && ! readelf -lW "$1" | grep -q INTERP
}

mkdir -p build
make_archive || {
    bad 'make dist'
    print_counts
    exit 1
}

# --- a host

busybox=$(command -v busybox || :)
chroot=$(PATH=$PATH:/usr/sbin command -v chroot || :)
in_chroot=no
if [ "$(id -u)" = 0 ] && [ -n "$busybox" ] && "$chroot" / true 2>/dev/null && is_static "$busybox" &&
    mknod "$work/null" c 1 3 2>/dev/null && : 2>/dev/null >"$work/null"; then
    in_chroot=yes
fi

new_host() { # a minimal host, without libvirt
    rm -rf "$root"
    cp -a "$work/host" "$root"
}

sum_up() { # [DIRECTORY]: write the checksums of the changed archive
    local archive=${1:-$root/tmp/archive}
    rm "$archive/SHA256SUMS"
    (cd "$archive" && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum >"$work/sums")
    mv "$work/sums" "$archive/SHA256SUMS"
}

make_host() { # what each is copied from
    local applet library ids host=$work/host
    mkdir -p "$host/tmp" "$host/proc" "$host/usr/bin" "$host/etc" "$host/usr/local"
    cp -r "$unpacked" "$host/tmp/archive"
    for ids in pci.ids usb.ids; do head -n 9 "$unpacked/$ids" >"$host/tmp/archive/$ids"; done # the rest takes time
    sum_up "$host/tmp/archive"
    [ $in_chroot = yes ] || return 0
    mkdir -p "$host/bin" "$host/dev" "$host/lib64" "$host/lib/x86_64-linux-gnu"
    cp "$busybox" "$host/bin/busybox"
    for applet in $("$busybox" --list); do [ "$applet" = busybox ] || ln -s busybox "$host/bin/$applet"; done
    cp /lib64/ld-linux-x86-64.so.2 "$host/lib64/"
    for library in libc.so.6 libm.so.6 libdl.so.2; do cp "/lib/x86_64-linux-gnu/$library" "$host/lib/x86_64-linux-gnu/"; done
    mknod -m 666 "$host/dev/null" c 1 3
    # busybox compares byte by byte, which would take a third of the time of these tests.
    if "$chroot" "$host" /bin/true && cp "$(command -v cmp)" "$host/bin/cmp.new" && "$chroot" "$host" /bin/cmp.new /bin/true /bin/true 2>/dev/null; then
        mv -f "$host/bin/cmp.new" "$host/bin/cmp"
    else
        rm -f "$host/bin/cmp.new"
    fi
}
make_host

snapshot() { # names, kinds, modes, targets, contents
    (cd "$root" && find . ! -path './tmp/*' ! -path './dev/*' ! -path './proc/*' -printf '%p %y %m %l\n' | sort &&
        find . -type f ! -path './tmp/*' ! -path './proc/*' -print0 | sort -z | xargs -0 b2sum) # the fastest
}

inside() { # SCRIPT ...: run in the root directory of the host
    local script=$1
    shift
    if [ $in_chroot = yes ]; then
        env -i PATH=/bin:/usr/bin:/usr/local/bin "$chroot" "$root" /bin/sh "$script" "$@" >"$output" 2>&1
    else
        sh "$root$script" --root "$root" "$@" >"$output" 2>&1
    fi
}

install() { # OPTION ...
    inside /tmp/archive/install.sh "$@" </dev/null
}

installed() { # OPTION ...: run the installed install.sh
    inside /usr/local/libvirt/install.sh "$@" </dev/null
}

libvirt_is() { # VERSION [PLACE]
    local place=$root${2:-/usr/bin/virsh}
    mkdir -p "$(dirname "$place")"
    printf '#!/bin/sh\n[ "$*" = --version ] && echo %s\n' "$1" >"$place"
    chmod 755 "$place"
}

daemon_runs() { # a process that counts SIGHUPs and looks for hooks; in the host's /proc it is a libvirtd of root
    [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; }
    : >"$work/hangups"
    rm -f "$work/ready"
    env --default-signal=HUP bash -c 'trap "echo hangup >>$0/hangups; $1" HUP; : >$0/ready; while :; do sleep 0.1; done' \
        "$work" "${3-ls $hooks/qemu.d >/dev/null 2>&1}" &
    daemon=$!
    until_true [ -e "$work/ready" ]
    rm -rf "$root"/proc/[0-9]*
    mkdir -p "$root/proc/$daemon" "$root/proc/1"
    echo init >"$root/proc/1/comm"
    echo "${1:-libvirtd}" >"$root/proc/$daemon/comm"
    printf 'Uid:\t0\t0\t0\t0\nSigCgt:\t%s\n' "${2:-0000000180014a03}" >"$root/proc/$daemon/status"
}

has_hangups() { [ "$(wc -l <"$work/hangups")" = "$1" ]; }
hangups() { # NUMBER: waits until the daemon has counted it
    until_true has_hangups "$1"
}

hooks=$root/etc/libvirt/hooks
hook=$hooks/qemu
second=$hooks/qemu.d/virt-rules
prefix=$root/usr/local/libvirt
our_hook=$unpacked/libexec/virt-rules-hook
unit=$root/etc/systemd/system/virt-rules.service
early=$root/etc/systemd/system/virt-rules-boot.service
wants=$root/etc/systemd/system/multi-user.target.wants/virt-rules.service
pool=/mnt/tank/virt-rules
root_line='/dev/sda1 / ext4 rw,relatime 0 0' # of /proc/mounts

old_hook() { # stores its arguments and input, prints something, fails if the operation is `prepare`
    mkdir -p "$hooks"
    cat >"$hook" <<'TEXT'
#!/bin/sh
here=$(dirname "$0")/../../../tmp
printf '%s|' "$@" >"$here/words"
case $2 in
deaf) ;;
*) cat >"$here/stdin" ;;
esac
echo "<out/>"
echo complaint >&2
[ "$2" != prepare ] || exit 3
TEXT
    chmod 750 "$hook"
    rm -f "$root/tmp/words" "$root/tmp/stdin"
}

be_foreign() { # PROGRAM: for another processor, by its ELF header
    printf '\267\0' | dd of="$1" bs=1 seek=18 conv=notrunc 2>/dev/null
}
be_too_new() { # prints the message of ld.so for a C library that is too old
    cat >"$1" <<'TEXT'
#!/bin/sh
echo "${0##*/}: /lib/libc.so.6: version \`GLIBC_2.99' not found" >&2
exit 1
TEXT
}
be_missing() { # its dynamic loader is missing
    printf '#!/no/such/loader\n' >"$1"
}
fail_silently() {
    printf '#!/bin/sh\nexit 127\n' >"$1"
}
be_unreadable() { # not a program at all
    printf '\177ELF' >"$1"
}

marked_in() { # FILE: whether it is our hook or the wrapper
    grep -qsa -e '@(#)virt-rules-hook' -e '@(#)virt-rules-wrapper' "$1"
}

without_libvirt() {
    rm -rf "$root"/proc/[0-9]*
}

applied() {
    [ -e "$root/tmp/applied" ]
}

prepared() { # what the rules want of the host was done once
    [ "$(cat "$root/tmp/prepared" 2>/dev/null)" = boot ]
}

put_engine() { # [PREFIX]: an engine that only records its arguments, because there is no libvirt here
    printf '#!/bin/sh\ncase $1 in --version) ;; boot) echo "$*" >>/tmp/prepared ;; *) echo "$*" >>/tmp/applied ;; esac\n' \
        >"$root${1:-/usr/local/libvirt}/bin/virt-rules"
}

mounts() { # LINE ...: what the host has mounted
    mkdir -p "$root/proc"
    printf '%s\n' "$@" >"$root/proc/mounts"
}

shells=busybox
! command -v dash >/dev/null || shells='busybox dash'
shell_is() { # dash | busybox
    rm -f "$root/bin/sh"
    case $1 in
    dash) cp "$(command -v dash)" "$root/bin/sh" ;;
    *) ln -s busybox "$root/bin/sh" ;;
    esac
}

at() { # PREFIX OPTION ...: run the install.sh that is installed there
    inside "$1/install.sh" "${@:2}" </dev/null
}

run_there() { # COMMAND ...: in the root directory
    env -i PATH=/bin:/usr/bin:/sbin:/usr/local/bin "$chroot" "$root" "$@" >"$output" 2>&1 </dev/null
}

# Wiped directories come back as the host's system has them.
keep_pristine() { # DIRECTORY ...
    volatile=("$@")
    rm -rf "$work/pristine"
    mkdir "$work/pristine"
    for directory in "$@"; do (cd "$root" && cp -a --parents "$directory" "$work/pristine/" 2>/dev/null) || :; done
}

boots() { # without libvirt
    without_libvirt
    for directory in "${volatile[@]}"; do rm -rf "${root:?}/$directory"; done
    cp -a "$work/pristine/." "$root/"
    rm -f "$root/tmp/applied" "$root/tmp/prepared"
    : >"$root/tmp/syslog"
}

logs() { # the host's logger writes to a file
    rm -f "$root/bin/logger"
    printf '#!/bin/sh\necho "$*" >>/tmp/syslog\n' >"$root/bin/logger"
    chmod 755 "$root/bin/logger"
}

has_hook() { # PLACE PREFIX: with the link to its engine
    cmp -s "$our_hook" "$1" && [ "$(readlink "$hooks/virt-rules-engine")" = "$2/bin/virt-rules" ]
}

restored() {
    grep -q 'warning restored what was missing' "$root/tmp/syslog"
}

newer_archive() {
    echo "newer $1" >>"$root/tmp/archive/QUICKSTART.txt"
    sum_up
}
