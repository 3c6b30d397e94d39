# Packages, part of tests/install/run: the recipes of `make dist`, the trees that become packages, and what the scripts of
# a package do with a host.
# shellcheck shell=bash disable=SC2154,SC2016

version=${archive#build/virt-rules-}
version=${version%-x86_64.tar.gz}
if [ -e "build/virt-rules-$version.tar.gz" ] && [ -e .git ]; then
    check 'Arch: the recipe is of this version' eval "(. build/PKGBUILD && [ \"\$pkgname-\$pkgver\" = virt-rules-$version ])"
    check 'has the sum of the source' eval '(. build/PKGBUILD && cd build && echo "${sha256sums[0]}  ${source[0]}" | sha256sum -c --quiet) >"$output" 2>&1'
    check 'has its functions' bash -c '. build/PKGBUILD && declare -F build check package' "$0" >"$output"
    check 'and its script' bash -c '. build/PKGBUILD && . "build/$install" && declare -F pre_install post_install post_upgrade pre_remove' "$0" >"$output"
    check 'Alpine: the recipe is of this version' sh -c '. build/APKBUILD && [ "$pkgname-$pkgver" = "virt-rules-$0" ]' "$version"
    check 'has the sum of the source' sh -c '. build/APKBUILD && cd build && echo "$sha512sums" | sed "/^$/d" | sha512sum -c --quiet && [ "$source" = "virt-rules-$pkgver.tar.gz" ]'
    check 'and its scripts' sh -c '. build/APKBUILD && cd build && ls $install' >"$output"
else
    skip 'recipes: this is no clone'
fi

mkdir "$work/programs"
cp "$unpacked/bin/virt-rules" "$our_hook" "$unpacked/libexec/virt-rules-plug" "$work/programs"
cp -r "$BUILD/share" "$work/programs"

lay_out_package() { # KIND MAKE-VARIABLE ...: as `make install` does, with the programs of the archive
    local kind=$1 places
    shift
    places=$(env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s --no-print-directory places PREFIX=/usr KIND="$kind" "$@") &&
        rm -rf "$work/image" "$work/tree" &&
        eval "env $places sysroot=$(echo build/sysroot/* | sed 's/ .*//') hook/layout $work/programs $work/image" &&
        sh "$work/image/install.sh" --yes --destdir "$work/tree"
}

files_of_tree() {
    (cd "$work/tree" && find . -type f -printf '/%P\n' | sort)
}

packaged() { # OPTION ...: what the scripts of the package call
    inside "$package_dir/install.sh" "$@" </dev/null
}

for kind in rpm pacman apk; do
    package_dir=/usr/libexec/virt-rules
    [ $kind != pacman ] || package_dir=/usr/lib/virt-rules
    check "the tree of a package: $kind" eval 'lay_out_package $kind LIBEXECDIR=$package_dir >"$output" 2>&1'
    check 'has the files of the list' cmp -s <(awk '{ print $3 }' "$work/image/files" | sort) <(files_of_tree)
    check 'and nothing that the host itself has' not ls "$work/tree/etc/libvirt" "$work/tree/var" "$work/tree/usr/local" 2>"$output"
    check 'no path of the archive' not grep -rl --exclude='virt-rules*' --exclude=install.sh /usr/local/libvirt/install.sh "$work/tree"
    case $kind in
    apk) check 'services of OpenRC and no units' eval '[ -x "$work/tree/etc/init.d/virt-rules" ] && [ ! -e "$work/tree/usr/lib/systemd" ]' ;;
    *) check 'units and no services of OpenRC' eval '[ -f "$work/tree/usr/lib/systemd/system/virt-rules.service" ] && [ ! -e "$work/tree/etc/init.d" ]' ;;
    esac
    [ "$in_chroot" = yes ] || continue
    case $kind in
    apk) alpine ;;
    *)
        new_host
        mkdir -p "$root/usr/lib/systemd" "$root/run/systemd/system" "$root/etc/libvirt" "$root/etc/systemd/system"
        libvirt_is 9.0.0
        ;;
    esac
    cp -a "$work/tree/." "$root"
    snapshot >"$work/before"
    check 'its script' packaged --yes
    check 'installs the hook' cmp -s "$our_hook" "$second"
    check 'and a directory for rules' [ -d "$root/usr/local/libvirt/rules.d" ]
    check 'which is where one looks first, too' [ "$(readlink "$root/etc/virt-rules")" = /usr/local/libvirt/rules.d ]
    if [ $kind = apk ]; then
        check 'has OpenRC start its service' [ "$(readlink "$root/etc/runlevels/default/virt-rules")" = /etc/init.d/virt-rules ]
        check 'and listen, because there is no udev' [ "$(readlink "$root/etc/runlevels/default/virt-rules-watch")" = /etc/init.d/virt-rules-watch ]
        check 'the service calls the package' grep -q "exec $package_dir/install.sh --boot" "$root/etc/init.d/virt-rules"
        daemon_runs libvirtd
        rm -f "$second"
        check 'which at boot' packaged --boot
        check 'puts back a hook that was lost' cmp -s "$our_hook" "$second"
    else
        check 'enables the unit' [ "$(readlink "$root/etc/systemd/system/multi-user.target.wants/virt-rules.service")" = /usr/lib/systemd/system/virt-rules.service ]
    fi
    check 'an update' eval 'packaged --yes; said "in place already"'
    check 'the archive beside it' not install --yes
    case $kind in
    rpm) remover='rpm --erase virt-rules' ;;
    pacman) remover='pacman -R virt-rules' ;;
    apk) remover='apk del virt-rules' ;;
    esac
    check 'is refused with the command of its package manager' said "already installed in another way (/var/lib/virt-rules/installed): uninstall that first, with '$remover'"
    check 'before it is removed' packaged --uninstall --yes
    rm -rf "$root"/proc/[0-9]*
    check 'everything is as it was' cmp "$work/before" <(snapshot)
done
check 'on Alpine with udev' eval 'mkdir -p "$root/etc/udev" && touch "$root/sbin/udevd" && chmod 755 "$root/sbin/udevd" && packaged --yes'
check 'nothing else listens' [ ! -e "$root/etc/runlevels/default/virt-rules-watch" ]
