# Guards in doubt forbid all that they may mean, and plan and explain say so.
mkdir doubts
cat >doubts/10-typo.rules <<'RULES'
device gpu is 10de:2484 or 8086:a36
never attach gpu to vm frigate
never attach 1ac1:089a to vm Home Assistant
RULES
printf '\377\376n\0e\0v\0e\0r\0' >doubts/20-utf16.rules
printf 'never attach 8086:1533\n\000\001' >doubts/21-binary.rules
ln -s nowhere doubts/22-link.rules
mkdir doubts/23-directory.rules
printf 'never attach 8086:1533\n' >doubts/30-open.rules
chmod 666 doubts/30-open.rules
cat >doubts/50-example.rules <<'RULES'
on vm frigate, nvr started attach any 1ac1:089a as vfio
RULES
virt-rules plan frigate started --rules doubts --sysroot "$HOSTS/nas"; echo "status $?"
virt-rules plan nvr started --json --rules doubts --sysroot "$HOSTS/nas" 2>/dev/null; echo "status $?"
virt-rules explain nvr started 03:00.0 --rules doubts --sysroot "$HOSTS/nas" 2>/dev/null; echo "status $?"
virt-rules doctor --all --rules doubts --sysroot "$HOSTS/nas" | grep "rules   .*never"
mkdir state
echo "<domain id='1'><name>nvr</name></domain>" |
    virt-rules run nvr stopped end - --rules doubts --state state --sysroot "$HOSTS/nas"
virt-rules log --state state --json |
    sed -n 's/^.*"message":"\([^"]*never[^"]*\)".*/\1/p'
mkdir within
printf 'on vm nvr started detach class 03; never attach class 0106\n' >within/10-line.rules
virt-rules explain nvr started 04:00.0 --rules within --sysroot "$HOSTS/nas" 2>/dev/null; echo "status $?"
virt-rules log --state state --json | grep -c "not in force"
virt-rules dump --rules doubts 2>/dev/null; echo "status $?"
virt-rules dump --json --rules doubts 2>/dev/null | grep '"forbids"'
virt-rules check doubts 2>&1 | grep "not in force"
