# What is named when no rule is for the event: also in a terminal of 60 columns.
virt-rules plan frigate started --rules near-miss --sysroot "$HOSTS/nas"
echo "exit $?"
virt-rules plan frigate started --rules near-miss-name --sysroot "$HOSTS/nas" --json
COLUMNS=60 virt-rules plan frigate started --rules near-miss-name --sysroot "$HOSTS/nas"
