# The commands of README.md's table "Your host", part of tests/install/run: each is run in a fake root. Package managers and
# make need more than that: tests/install/bare-root, tests/install/packages.bash and tests/build have what they run.
# shellcheck shell=bash disable=SC2154,SC2016

table_commands() { # prints "HOST|COMMAND" for each line `install`
    awk -F ' *[|] *' '/^## / { inside = $0 == "## Your host" }
        inside && $2 != "" { host = $2 }
        inside && $3 == "install" { split($4, part, "`"); print host "|" part[2] }' README.md
}

runs_in_root() { # COMMAND, where the archive was unpacked
    printf '#!/bin/sh\nexec "$@"\n' >"$root/bin/sudo"
    chmod 755 "$root/bin/sudo"
    mv "$root/tmp/archive" "$root/tmp/$(basename "$unpacked")"
    echo y | env -i PATH=/bin:/usr/bin "$chroot" "$root" /bin/sh -c "cd /tmp && $1" >"$output" 2>&1
}

one_host() { # HOST COMMAND
    local place
    case $2 in
    'sudo apt install ./virt-rules_'*_amd64.deb | 'sudo dnf install ./virt-rules-'*.x86_64.rpm | 'makepkg -si' | 'make LDLIBS='*' install') return 0 ;;
    'plugin install '*)
        unraid
        cp build/virt-rules.plg "$root/boot/"
        check "README, $1: $2" plugin install "${2##* }"
        check 'has its rules where the table says' [ -d "$root/boot/config/plugins/virt-rules/rules.d" ]
        ;;
    *)
        new_host
        place=${2##* --prefix }
        [ "$place" != "$2" ] || place=/usr/local/libvirt
        mkdir -p "$root${place%/*}"
        check "README, $1: $2" runs_in_root "$2"
        check 'has its rules where the table says' [ -d "$root$place/rules.d" ]
        ;;
    esac
}

# The files that the table names are those that `make dist`, `make deb` and `make rpm` make.
named_files() {
    awk -F ' *[|] *' '/^## / { inside = $0 == "## Your host" } inside && $3 == "get"' README.md | grep -oE '`(virt-rules|PKGBUILD)[^` ]*`' | tr -d '`' | sort -u
}
named_files >"$output"
check 'README names files' [ "$(wc -l <"$output")" = 6 ]
if [ -e .git ]; then
    for name in $(named_files); do
        case $name in
        *.deb) check "README: $name" [ "$name" = "virt-rules_${version}_amd64.deb" ] ;;
        *.rpm) check "README: $name" [ "$name" = "virt-rules-$version-1.x86_64.rpm" ] ;;
        *) check "README: $name" [ -f "build/$name" ] ;;
        esac
    done
fi
check 'README unpacks the archive' grep -qF "tar -xzf ${archive##*/}" README.md

check 'README has a table of nine hosts' [ "$(table_commands | grep -c '|.')" = 9 ]
for line in get install rules boot; do
    check "README: nine hosts have a line $line" [ "$(awk -F ' *[|] *' -v line=$line '/^## / { inside = $0 == "## Your host" } inside && $3 == line && $4 != ""' README.md | wc -l)" = 9 ]
done
if [ "$in_chroot" = yes ]; then
    while IFS='|' read -r name command <&5; do one_host "$name" "$command"; done 5< <(table_commands)
else
    skip 'the commands of README: need a root directory'
fi
