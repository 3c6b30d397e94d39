# A host with everything that is attached in other ways than as a whole: which ways a device has, and what is said to one
# who names it in the wrong way.
mkdir ways
cat >ways/50-example.rules <<'RULES'
device lan is vf of 8086:1521
on vm router started attach vf of 8086:1521 as net
on vm router started attach lan as net
on vm router started attach 8086:1521 as net
on vm router started attach 8086:1521 as vfio
on vm router started attach 8086:1520 as vfio
RULES
virt-rules devices --all --sysroot "$HOSTS/rack" | sed -n '/1000:0097/,/10de/p; /^USB/,$p'
virt-rules plan router started --rules ways --sysroot "$HOSTS/rack" 2>/dev/null
echo "status $?"
virt-rules explain router started 2:0:0:0 --rules ways --sysroot "$HOSTS/rack" 2>/dev/null | grep -A1 'attach lan'
virt-rules explain router started /dev/st0 --rules ways --sysroot "$HOSTS/rack"
