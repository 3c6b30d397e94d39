# the archive on a host like a NAS: an older hook, an upgrade and back, reboots that recreate /etc/libvirt, and removal
older_archive=/lab/archives/virt-rules-0.0.9-x86_64.tar.gz
archive=$(find /lab/archives -name '*.tar.gz' ! -path "$older_archive")
version=$(basename "${archive%-x86_64.tar.gz}")
version=${version#virt-rules-}
package=/var/packages/Virtualization
ko_script=$package/conf/systemd/insert_libvirtd_ko.sh
prefix=/usr/local/libvirt
beside=/etc/libvirt/hooks/qemu.d/virt-rules # where the hook is for libvirt 6.5 and later
kept=/etc/libvirt/hooks/qemu.before-virt-rules
foreign=/usr/local/foreign # the older hook, and what it was called with

# --- the host: no `make install` was here, and what the NAS does at its boot

forget_make_install() {
    (cd /lab/installed && find . ! -type d) | while read -r file; do rm -f "/$file"; done
    rm -rf $prefix
}
package_puts_its_script() { # LINE ...: as an installation or update of the package does
    mkdir -p "$(dirname $ko_script)"
    { printf '%s\n' '#!/bin/sh' '# inserts modules' 'modprobe vfio-pci' "$@" && printf 'exit 0 # no newline follows'; } >$ko_script
    chmod 754 $ko_script
}
# At a boot there is no /etc/libvirt when the boot scripts run. Then the package starts: it puts back its own, but no hook.
nas_boots_so() {
    mkdir -p /usr/local/etc/rc.d
    cat >/root/boot <<END
#!/bin/sh
mv /etc/libvirt /root/libvirt
for script in /usr/local/etc/rc.d/*.sh; do \$script start; done
ls /etc/libvirt >/tmp/at-boot-scripts 2>&1
rm -rf /root/libvirt/hooks
mv /root/libvirt /etc/libvirt
$ko_script
find /etc/libvirt/hooks -type f >/tmp/at-libvirt 2>&1
END
    chmod 755 /root/boot
}
# The libvirt here runs what is in hooks/qemu.d as well; nobody knows whether that of a NAS does. One that says it is old.
# The daemon's program itself says it, as install.sh asks the program of the process that runs. The string in it stays as
# long as it was.
libvirt_says() { # VERSION
    local real=/usr/lib/real/libvirtd was version=$1
    [ -e $real ] || { mkdir -p ${real%/*} && cp -p /usr/sbin/libvirtd $real; }
    was=$($real --version | sed 's/.* //')
    while [ ${#version} -lt ${#was} ]; do version=0$version; done
    sed -z "s/^$was\$/$version/" $real >/usr/sbin/libvirtd.new
    chmod 755 /usr/sbin/libvirtd.new
    mv /usr/sbin/libvirtd.new /usr/sbin/libvirtd
    check "libvirtd's version is $version" grep -F " $version" <(libvirtd --version)
}

# --- the older hook: it keeps what it gets, and whether an engine for the same call was there before it

put_foreign_hook() {
    mkdir -p $foreign /etc/libvirt/hooks
    cat >$foreign/qemu <<'END'
#!/bin/sh
# somebody's own
cd /usr/local/foreign || exit
echo "$*" >>words
cat >"stdin-$2"
sleep 0.5
pgrep -f "virt-rules run $1 $2 " >>engines
[ "$2" != prepare ] || [ ! -e failing ] || { echo "no licence for $1" >&2; exit 3; }
END
    chmod 750 $foreign/qemu
    cp -p $foreign/qemu "$HOOK"
}
forget_foreign() { rm -f $foreign/{words,engines,failing} $foreign/stdin-*; }
foreign_told() { # OPERATION
    grep -qx "$CAMERA $1 begin -" $foreign/words || ! cat $foreign/words
}
as_it_was() { # FILE OF TWO: bytes and mode
    cmp "$1" "$2" && [ "$(stat -c '%a %U' "$1")" = "$(stat -c '%a %U' "$2")" ]
}

check_foreign() { # it is called as libvirt calls it, and its word counts
    local operation
    forget_foreign
    start "$CAMERA"
    for operation in prepare start started; do
        check "the older hook got the words of '$operation'" foreign_told $operation
    done
    virsh dumpxml "$CAMERA" | head -c -1 >/tmp/live # virsh ends it with a newline of its own
    check "and the VM's XML, byte for byte" cmp /tmp/live $foreign/stdin-started
    check "before ours" [ ! -s $foreign/engines ]
    virsh -q destroy "$CAMERA"
    touch $foreign/failing
    check_not "its failure stops its VM" start_says "$CAMERA"
    check "libvirt's error has what it said" grep -F "no licence for $CAMERA" /tmp/start
    check "the VM is shut off" stopped "$CAMERA"
    forget_foreign
}
start_says() { virsh start "$1" >/tmp/start 2>&1; } # VM

# --- ours

unpack() { # ARCHIVE: sets `unpacked`
    rm -rf /root/unpacked
    mkdir /root/unpacked
    tar -xzf "$1" -C /root/unpacked
    unpacked=$(echo /root/unpacked/*)
}
install_archive() { # ARCHIVE
    unpack "$1"
    check "install.sh of $(basename "$unpacked")" sh "$unpacked/install.sh" --yes
    check "the engine is that one" cmp "$unpacked/bin/virt-rules" $prefix/bin/virt-rules
    check "which says so" grep -wF "$(basename "$unpacked" | cut -d - -f 3)" <(virt-rules --version)
}
installed_files() { (cd $prefix && find . -type f ! -path './state/*' -print0 | sort -z | xargs -0 sha256sum); }
check_attached() { # WHAT THE LOG SAYS OF ITS EVENT
    check_until "the log says attached" logged attached frigate "$CORAL"
    check "at '$1'" grep "\"event\":\"$1\"" <(logged_lines attached frigate)
    check_in_vm
}
check_in_vm() {
    check "libvirt's live XML has the device" has_device "$FRIGATE" "$CORAL"
    check "once" hostdevs_are "$FRIGATE" 1
    check "it is on vfio-pci" driver_is "$CORAL" vfio-pci
    check "virt-rules status finds all well" virt-rules status frigate
    check "and says attached" grep -E "$CORAL.*attached|attached.*$CORAL" <(virt-rules status frigate)
}
check_restart_of_libvirt() {
    settle
    rm -f "$LOG"
    forget_hook_calls
    check "libvirtd restarts" libvirt_restart
    check_until "libvirt called the hook" hook_calls "$FRIGATE reconnect begin"
    check_until "the log says already" logged already frigate "$CORAL"
    check_in_vm
}
boot_script_ended() { ! pgrep -f 'install.sh --boot'; }
check_boot() {
    check "the boot scripts found no /etc/libvirt" grep "No such file" /tmp/at-boot-scripts
    check_until "frigate has started by itself" running "$FRIGATE"
    check_until "the boot script has ended" boot_script_ended
    check_attached started
}
everything() { # of the host that an installation may touch: names, modes, contents
    local places=(/etc/libvirt/hooks /etc/apparmor.d /etc/systemd /etc/tmpfiles.d /etc/udev /usr/local /var/packages)
    local but=(! -path "$foreign*" ! -path "$prefix" ! -path "$prefix/state*" ! -path "$prefix/rules.d*")
    find "${places[@]}" "${but[@]}" -printf '%p %y %m %l\n' | sort
    find "${places[@]}" -type f "${but[@]}" -print0 | sort -z | xargs -0 sha256sum
}

case $PART in
1)
    stage "A host with a hook of somebody else"
    forget_make_install
    package_puts_its_script
    nas_boots_so
    libvirt_says 6.2.0
    put_foreign_hook
    libvirt_restart
    define "$FRIGATE" frigate
    define "$CAMERA" camera
    check "frigate starts when the host does" virsh autostart "$FRIGATE"
    check_foreign
    everything >/root/before

    stage "An older version is installed, this one, the older one again"
    install_archive $older_archive
    rules 50-frigate.rules <<END
on vm frigate started, reconnect attach $CORAL_ID as vfio
on vm camera started attach ffff:ffff as vfio optional within 30s # so that an engine is there for a while
END
    cp -p "$HOOK" /root/older-hook
    installed_files >/root/older-files
    check "the older hook is kept" as_it_was $foreign/qemu $kept
    check_foreign
    start "$FRIGATE"
    check_attached started
    install_archive "$archive"
    check "the hook beside is this version's" cmp "$unpacked/libexec/virt-rules-hook" /etc/libvirt/hooks/virt-rules-hook
    check "again nothing is to do" grep -F "in place already" <(sh "$unpacked/install.sh" --yes)
    check "the VM keeps its device" has_device "$FRIGATE" "$CORAL"
    check_restart_of_libvirt
    installed_files >/root/files
    install_archive $older_archive
    installed_files >/root/older-files-again
    check "and all is as it was" cmp /root/older-files /root/older-files-again
    check "the older hook too" as_it_was $foreign/qemu $kept
    check "and the wrapper" as_it_was /root/older-hook "$HOOK"

    stage "This version again, and a start"
    install_archive "$archive"
    installed_files >/root/files-again
    check "its files are what they were" cmp /root/files /root/files-again
    virsh -q destroy "$FRIGATE"
    check_until "the device is back on its host driver" on_host "$CORAL"
    rm -f "$LOG"
    start "$FRIGATE"
    check_attached started
    check_foreign
    settle
    rm -f "$LOG"
    reboot_host
    ;;
2)
    stage "After a reboot"
    check_boot
    check "the hook was there before libvirt" grep -x "$HOOK" /tmp/at-libvirt
    check "and is ours alone, the older one is gone with /etc/libvirt" cmp $prefix/libexec/virt-rules-hook "$HOOK"
    check_restart_of_libvirt
    check_not "syslog has no warning of ours" grep "virt-rules: restored what was missing" /var/log/syslog

    stage "The package is updated, and puts the older hook back at each boot"
    package_puts_its_script "mkdir -p /etc/libvirt/hooks && cp -p $foreign/qemu $HOOK"
    cp -p $ko_script /root/ko_script
    settle
    rm -f "$LOG"
    reboot_host
    ;;
3)
    stage "After that"
    check_boot
    check "before libvirt there was the older hook alone" [ "$(cat /tmp/at-libvirt)" = "$HOOK" ]
    check "the boot script has warned in syslog" grep "virt-rules: restored what was missing" /var/log/syslog
    check "the older hook is kept" as_it_was $foreign/qemu $kept
    check "the package's script has our call" grep -F put-hook $ko_script
    check_foreign
    check_restart_of_libvirt

    stage "Our call comes before what puts the older hook back"
    settle
    rm -f "$LOG"
    reboot_host
    ;;
4)
    stage "After a third reboot"
    check_boot
    check "the older hook is kept" as_it_was $foreign/qemu $kept
    check_foreign
    check_restart_of_libvirt

    stage "libvirt is updated to one that runs hooks/qemu.d"
    libvirt_says 9.0.0
    libvirt_restart
    check "install.sh" sh $prefix/install.sh --yes
    check "the hook is there" cmp $prefix/libexec/virt-rules-hook $beside
    check "the older one is where it was" as_it_was $foreign/qemu "$HOOK"
    check_foreign
    check_restart_of_libvirt
    virsh -q destroy "$FRIGATE"
    check_until "the device is back on its host driver" on_host "$CORAL"
    rm -f "$LOG"
    start "$FRIGATE"
    check_attached started

    stage "Uninstalled"
    check "install.sh --uninstall" sh $prefix/install.sh --uninstall --yes
    check "the older hook is as it was" as_it_was $foreign/qemu "$HOOK"
    check "so is the package's script" as_it_was /root/ko_script $ko_script
    package_puts_its_script
    everything >/root/after
    check "and all else" cmp /root/before /root/after
    check "the rules stay" [ -e "$RULES/50-frigate.rules" ]
    check "the VM keeps its device" has_device "$FRIGATE" "$CORAL"
    check_foreign
    virsh -q destroy "$FRIGATE"
    check_until "the device is back on its host driver" on_host "$CORAL"
    settle
    start "$FRIGATE"
    check_not "it starts without our hook" grep virt-rules <(hook_calls "$FRIGATE")
    check "and without a device" hostdevs_are "$FRIGATE" 0
    ;;
esac
