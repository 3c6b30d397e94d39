mkdir nas nas/rules.d && chmod 755 nas nas/rules.d
printf 'on vm a started run "/x"\n' >nas/rules.d/a.rules
cat >nas/virt-rules.conf <<'CONF'
# where libvirt is
uri = "qemu:///system"
uri = /run/truenas_libvirt/libvirt-sock # a socket
libary = /QVS/usr/lib64/libvirt.so.0
library = libvirt.so.0
socket = /run/x
state /mnt/tank/state
state =
	state = /mnt/tank/my state
state = /mnt/other
URI = qemu:///system
CONF
printf 'library = /a\033b\n' >>nas/virt-rules.conf
chmod 644 nas/virt-rules.conf nas/rules.d/a.rules
virt-rules check nas/rules.d; echo "status $?"
virt-rules check nas/virt-rules.conf --json | sed -n '/"line": 12,/,$p'
virt-rules check nas/virt-rules.conf nas/rules.d 2>&1 | grep -c bad-setting
printf '\n# fine\nuri = qemu:///system\r\n' >nas/virt-rules.conf
virt-rules check nas/rules.d nas/virt-rules.conf; echo "status $?"
chmod 664 nas/virt-rules.conf
virt-rules check nas/rules.d; echo "status $?"
chmod 644 nas/virt-rules.conf && chmod 777 nas
virt-rules check nas/virt-rules.conf; echo "status $?"
chmod 755 nas
printf '\377\376u\000r\000i\000=\000x\000:\000\n\000' >nas/virt-rules.conf
virt-rules check nas/rules.d
head -c 70000 /dev/zero | tr '\0' '#' >nas/virt-rules.conf
virt-rules check nas/rules.d
rm nas/virt-rules.conf && mkdir nas/virt-rules.conf
virt-rules check nas/rules.d; echo "status $?"
virt-rules check none/virt-rules.conf; echo "status $?"
