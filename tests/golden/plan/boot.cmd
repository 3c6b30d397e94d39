# The host's own boot: functions that are created and bound, what is bound already, in use or absent, in text and JSON.
mkdir boot
cat >boot/50-host.rules <<'RULES'
device lan2 is 8086:1572 at 0000:41:00.1
on host boot {
    create 4 vf of lan2
    bind vf of lan2 to vfio
    bind 8086:* to vfio
    bind 1234:5678 to driver pci-stub optional
    bind 1234:5679 to vfio within 10s
    create 8 vf of 8086:1572 at 0000:41:00.0
    create 2 vf of 8086:1572
    run "/bin/true" "the host boots"
}
RULES
virt-rules boot --dry-run --rules boot --sysroot "$HOSTS/sriov"
echo "-- $?"
virt-rules boot --dry-run --json --rules boot --sysroot "$HOSTS/sriov"
echo "-- $?"
virt-rules check --host --sysroot "$HOSTS/sriov" boot
echo "-- $?"
echo 'on vm x started attach 1234:5678 as vfio' >boot/50-host.rules
virt-rules boot --dry-run --rules boot --sysroot "$HOSTS/sriov"
virt-rules boot --json --rules boot --sysroot "$HOSTS/sriov" --state state
# Once they are created, functions with the class of their physical one are not meant; and numbers that there will not be.
cat >boot/50-host.rules <<'RULES'
on host boot {
    create 1 vf of class 0b4000
    create 2 vf of 8086:1572 at 0000:41:00.1
    bind vf 1 of 8086:1572 at 0000:41:00.1, vf 2 of 8086:1572 at 0000:41:00.1 to vfio
}
RULES
virt-rules boot --dry-run --rules boot --sysroot "$HOSTS/sriov"
# A display that a rule leaves to the host still shows its console: its last keyboard stays.
cat >boot/50-host.rules <<'RULES'
on host boot {
    bind at 0000:01:00.0 to driver nouveau
    bind class 0c03 to vfio
}
RULES
virt-rules boot --dry-run --rules boot --sysroot "$HOSTS/desktop"
# Each of two controllers has a keyboard and may go; not both, whatever driver they get.
cp -R "$HOSTS/desktop" two && chmod -R u+w two
stick=two/sys/bus/usb/devices/3-1:1.0
sed -i '/sda/d' two/proc/self/mountinfo
cp two/sys/bus/usb/devices/1-3:1.0/bInterface* $stick/
ln -sfn "$(readlink -f two/sys/bus/usb/drivers/usbhid)" $stick/driver
for driver in pci-stub vfio-pci; do
    echo "on host boot bind class 0c03 to driver $driver" >boot/50-host.rules
    virt-rules boot --dry-run --rules boot --sysroot two
done
# A 'never' and functions that are yet to be created: what it forbids whatever they become, one of them, and what it may
# forbid, by an id that they have only then.
for guard in 'vf of 8086:1572' 'vf 1 of class 02' 8086:154c 'vf 7 of class 02' 'pci to vm x'; do
    printf '%s\n' 'on host boot create 4 vf of at 0000:41:00.1' 'on host boot bind vf of at 0000:41:00.1 to vfio' \
        'on host boot bind vf 1 of at 0000:41:00.1 to driver pci-stub' "never attach $guard" >boot/50-host.rules
    echo "== never attach $guard"
    virt-rules boot --dry-run --rules boot --sysroot "$HOSTS/sriov"
done
echo 'never attach vf of 8086:1572 clas' >boot/60-doubt.rules
virt-rules boot --dry-run --rules boot --sysroot "$HOSTS/sriov"
# A 'never' counts for those functions alone that the rule means, and a number that there will not be for none else.
rm boot/60-doubt.rules
both='vf 1 of at 0000:41:00.1 or vf'
while IFS='|' read -r device guard; do
    printf '%s\n' 'on host boot create 4 vf of at 0000:41:00.1' "device some is $device of at 0000:41:00.1" \
        'on host boot bind some to vfio' "never attach $guard" >boot/50-host.rules
    echo "== $device of ..., never attach $guard"
    virt-rules boot --dry-run --rules boot --sysroot "$HOSTS/sriov"
done <<END
$both 2|vf 1 of class 02
$both 7|vf 3 of class 02
vf of at 0000:41:00.1 not vf 2|vf 2 of class 02
vf of at 0000:41:00.1 not vf 2|pci not vf 2 of class 02
END
# What is not such a function is not one that is created.
printf '%s\n' 'on host boot create 4 vf of at 0000:41:00.1' 'device functions is vf of at 0000:41:00.1' \
    'on host boot bind 8086:37c9 not functions to vfio' >boot/50-host.rules
virt-rules boot --dry-run --rules boot --sysroot "$HOSTS/sriov"
