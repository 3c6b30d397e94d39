# What a never forbids does not come to the VM with the controller above it either.
cat >behind.rules <<'RULES'
on vm frigate started attach class 0c03 as vfio
never attach 1a6e:089a
RULES
chmod 644 behind.rules
mkdir -m 755 behind && mv behind.rules behind
virt-rules plan frigate started --sysroot "$HOSTS/usb" --rules behind
