# libvirt's own test definitions: each gets what a 'defined' rule gives, with nothing else changed, and loses it again
# only with ALL=1: downloads libvirt's source package
# What is compared is what libvirt says of each, with its secrets. A number stands for a VM: its line in $names.
names=/tmp/names

say_all() { # FOLDER: a file for each VM
    local name commands=
    rm -rf "/tmp/$1"
    mkdir "/tmp/$1"
    while read -r name; do commands+="dumpxml --inactive --security-info \"$name\";"; done <$names
    virsh -q "$commands" | awk -v folder="/tmp/$1" '
        /^<domain/ { close(file); file = folder "/" ++number }
        number && !/^  <metadata\/>$/ { print > file }' # libvirt before 11 leaves an empty one behind
}
source_of() { # ADDRESS: as in the XML
    local domain bus slot function
    IFS=:. read -r domain bus slot function <<<"$1"
    echo "<address domain='0x$domain' bus='0x$bus' slot='0x$slot' function='0x$function'/>"
}
# A second folder, FOLDER-without: what is ours taken out, that is the mark, the hostdev, the ports that the mark names.
say_all_without() { # FOLDER ADDRESS
    say_all "$1"
    rm -rf "/tmp/$1-without"
    mkdir "/tmp/$1-without"
    (cd "/tmp/$1" && awk -v folder="/tmp/$1-without" -v source="$(source_of "$2")" '
        function put(text) { printf "%s", text > file }
        FNR == 1 { close(file); file = folder "/" FILENAME; delete ours; block = held = mark = marked = "" }
        /^    <vr:defined/ { mark = marked = 1 }
        mark {
            if (match($0, /<vr:controller index="[0-9]+"/)) ours[substr($0, RSTART + 22, RLENGTH - 23)] = 1
            if (/^    <\/vr:defined>|^    <vr:defined[^>]*\/>/) mark = ""
            next
        }
        /^  <metadata>$/ { held = $0 "\n"; next }
        held && /^  <\/metadata>$/ { held = ""; next }
        held { put(held); held = "" }
        block || /^    <(hostdev|controller) [^>]*[^\/]>$/ {
            block = block $0 "\n"
            if (!/^    <\//) next
            number = match(block, /type=.pci. index=.[0-9]+/) ? substr(block, RSTART + 18, RLENGTH - 18) : ""
            if (!marked || !index(block, source) && !(number in ours)) put(block)
            block = ""
            next
        }
        { put($0 "\n") }' ./*)
}
marked() { (cd "/tmp/$1" && grep -l "<vr:defined " -- * | sort); } # FOLDER
with_device() { (cd "/tmp/$1" && grep -lF "$(source_of "$2")" -- * | sort); } # FOLDER ADDRESS
with_boot_order() { (cd /tmp/before && grep -l "<boot order=" -- * | sort); }
every() { (cd /tmp/before && printf '%s\n' * | sort); }
same() { diff -r "/tmp/$1" "/tmp/$2"; } # FOLDER FOLDER
empty() { ! grep . "$1"; } # FILE

apply() { virt-rules apply >/tmp/apply 2>&1 || :; } # its status is 1 when one of them cannot have the device
each_refusal_is_said() { # FOLDER
    local number name missing=0
    for number in $(comm -23 <(every) <(marked "$1")); do
        name=$(sed -n "${number}p" $names)
        grep -F -- "$name" /tmp/apply || { echo "nothing is said of $name" && missing=1; }
    done
    return $missing
}
check_given() { # FOLDER ADDRESS NUMBER: at least so many VMs have it
    say_all_without "$1" "$2"
    say "$(marked "$1" | wc -l) are marked"
    check "$3 are marked, or more" [ "$(marked "$1" | wc -l)" -ge "$3" ]
    check "each of these has the device" empty <(comm -23 <(marked "$1") <(with_device "$1" "$2"))
    check "and no other" empty <(comm -23 <(with_device "$1" "$2") <(sort <(marked "$1") <(with_device before "$2")))
    check "nothing else is changed" same before "$1-without"
    check "what keeps the others from it is said" each_refusal_is_said "$1"
    apply
    say_all again
    check "a second run changes nothing" same "$1" again
}

# So many of the file names that come from stdin, evenly spread.
some() { awk -v wanted="$1" '{ all[NR] = $0 } END { for (i = 0; i < wanted && i < NR; i++)
    print all[int(i * (NR > wanted ? NR / wanted : 1)) + 1] }'; }

mkdir /tmp/definitions
tar -C /tmp/definitions -xzf /lab/definitions.tar.gz
wanted=$(cat /lab/definitions-number)
# Half of them with a machine that has PCIe, where libvirt adds root ports by itself, and all those with boot orders: such
# are few.
mapfile -t files < <({
    grep -l q35 /tmp/definitions/*.xml | some $((wanted / 2))
    grep -L q35 /tmp/definitions/*.xml | some $((wanted / 2))
    grep -l "<boot order=" /tmp/definitions/*.xml
} | sort -u)
stage "${#files[@]} definitions"
virsh -q "$(printf 'define %s;' "${files[@]}")" >/dev/null 2>/tmp/refused
virsh list --all --name | grep . >$names
most=$((${#files[@]} / 2))
say "libvirt accepts $(wc -l <$names)"
check "libvirt accepts most of them" [ "$(wc -l <$names)" -ge $most ]
libvirt_restart # the order of the controllers is another one when libvirt has read its own file
say_all before

stage "a device for each"
rules 50-all.rules <<END
on vm * defined attach $CORAL_ID as vfio
END
apply
check_given first "$CORAL" $most

stage "another device instead, and two ports besides"
rules 50-all.rules <<END
on vm * defined attach 1b36:0010 as vfio ports 2
END
apply
check_given second "$NVME" 1 # where there are no root ports, none can be added
check "none of ours is left of the other" diff <(with_device before "$CORAL") <(with_device second "$CORAL")

stage "in the boot order"
rules 50-all.rules <<END
on vm * defined attach $CORAL_ID as vfio boot order 99
END
apply
check_given third "$CORAL" 1
check "these have boot orders already" empty <(comm -23 <(marked third) <(with_boot_order))

stage "no rule"
rm "$RULES/50-all.rules"
libvirt_restart
apply
say_all last
check "all are as before" same before last
