# What 'devices' shows a person: hosts of every kind, words, narrow terminals, rules, and a host without names.
said() { echo "--- $*"; "$@"; echo "status $?"; }
mkdir devices
cat >devices/50-ha.rules <<'RULES'
on vm "Home Assistant", ha started, plugged attach 1cf1:0030 serial "DE00212E7B" as usb
never attach 1cf1:0030 serial "DE00212F10"
RULES
for host in nas desktop dual-tpu rack no-iommu; do
    said virt-rules devices --sysroot "$HOSTS/$host"
done
said virt-rules devices --sysroot "$HOSTS/usb" --rules devices
COLUMNS=40 said virt-rules devices --sysroot "$HOSTS/usb"
COLUMNS=80 said virt-rules devices --all --sysroot "$HOSTS/dual-tpu" TPU
said virt-rules devices --sysroot "$HOSTS/desktop" audio
said virt-rules devices --sysroot "$HOSTS/server" ENO2
said virt-rules devices --sysroot "$HOSTS/usb" conbee 1-1.2
for word in gpu NIC sound usb disk webcam; do
    said virt-rules devices --sysroot "$HOSTS/rack" $word
done
said virt-rules devices --sysroot "$HOSTS/desktop" sound
said virt-rules devices --sysroot "$HOSTS/nas" corel
said virt-rules devices --sysroot "$HOSTS/nas" coral tpu nothing
cat >devices/60-tree.rules <<'RULES'
on vm frigate started attach 1a6e:089a as usb
on vm router started attach 8086:1533 as vfio
RULES
said env LC_ALL=C virt-rules devices --tree --sysroot "$HOSTS/dual-tpu"
said env LC_ALL=de_DE.utf8 COLUMNS=60 virt-rules devices --tree --sysroot "$HOSTS/usb" --rules devices
said env LC_ALL= LC_CTYPE= LANG=C virt-rules devices --tree --sysroot "$HOSTS/rack" sandisk
said virt-rules devices --tree --json
mkdir twins
echo 'on vm ha started attach 1cf1:0030 as usb' >twins/1.rules
virt-rules check --host --sysroot "$HOSTS/usb" twins
