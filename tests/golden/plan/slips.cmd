# Slips on the command line and in what it names: what is said must lead on.
said() { echo "--- $*"; "$@" 2>&1 | sed '/^usage: /,$d'; echo "status ${PIPESTATUS[0]}"; }
frigate="<domain type='kvm'><name>frigate</name><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
frigate+="<controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='1' model='pcie-root-port'/>"
echo "$frigate</devices></domain>" >slips.xml
echo 'on vm frigate started attach 1ac1:089a as vfio' >slips.rules
# A file where a directory is wanted.
said virt-rules add frigate coral --rules slips.rules --sysroot "$HOSTS/nas" --domain-xml slips.xml
said virt-rules add frigate coral --rules slips.rules/below --sysroot "$HOSTS/nas" --domain-xml slips.xml
# How long to wait, without --wait.
said virt-rules status frigate 30s
said virt-rules status frigate gate
# Of the log only what comes.
mkdir slips slips/rules.d
echo '{"time":"2026-11-22T10:18:07.214+01:00","vm":"frigate","event":"started","action":"attach","device":"0000:03:00.0 1ac1:089a","rule":"a:1","result":"attached","message":"Coral"}' >slips/virt-rules.log
said virt-rules log --lines 0 --state slips
virt-rules log --follow --lines 0 --state slips >slips.log &
until [ -s slips.log ]; do
    sed -n '1s/Coral/new/p' slips/virt-rules.log >>slips/virt-rules.log
    sleep 0.05
done
kill $!
wait $!
head -n 1 slips.log
# A virt-rules.conf that is a link to a file system which is not mounted.
cp slips.rules slips/rules.d
ln -s pool/virt-rules.conf slips/virt-rules.conf
said virt-rules check slips/rules.d
virt-rules doctor --sysroot "$HOSTS/nas" --rules slips/rules.d --state slips 2>&1 | grep -A1 ' conf '
# In a directory that is there nothing is configured yet.
mkdir slips/pool
said virt-rules check slips/rules.d
# A VM with a long name, in the list of 'add'.
cp -a "$HOSTS/nas" vms
mkdir -p vms/etc/libvirt/qemu
cp slips.xml vms/etc/libvirt/qemu
for name in "$(printf 'long name %.0s' {1..8})end" router; do
    sed "s,<name>.*</name>,<name>$name</name>," slips.xml >"vms/etc/libvirt/qemu/$name.xml"
done
python3 - <<'PY'
import os, pty
child, terminal = pty.fork()
if not child:
    os.environ["COLUMNS"] = "80"
    os.execvp("virt-rules", "virt-rules add --rules none --state none --sysroot vms".split())
shown = b""
while b"stop):" not in shown:
    shown += os.read(terminal, 4096)
os.write(terminal, b"q\n")
print(shown.decode().replace("\r", ""))
os.waitpid(child, 0)
PY
