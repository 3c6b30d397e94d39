# One graphics card: refused without the option; a program that has it open is named with what ends it.
mkdir display
printf 'on vm win started attach 10de:2484 with group as vfio\n' >display/10-gpu.rules
virt-rules plan win started --rules display --sysroot "$HOSTS/single-gpu"
printf 'on vm win started attach 10de:2484 with group as vfio boot display\non vm win started attach usb 046d:c31c as usb\n' >display/10-gpu.rules
virt-rules plan win started --rules display --sysroot "$HOSTS/single-gpu"
virt-rules explain win started 0000:01:00.0 --rules display --sysroot "$HOSTS/single-gpu"
cp -R "$HOSTS/single-gpu" display-host
mkdir -p display-host/proc/812/fd display-host/proc/911/fd display-host/etc/systemd/system
echo gnome-shell >display-host/proc/812/comm
echo '0::/user.slice/user-120.slice/session-c1.scope' >display-host/proc/812/cgroup
ln -s /dev/fb0 display-host/proc/812/fd/9
echo ollama >display-host/proc/911/comm
echo '0::/system.slice/ollama.service' >display-host/proc/911/cgroup
ln -s /dev/nvidia0 display-host/proc/911/fd/9
ln -s /lib/systemd/system/gdm.service display-host/etc/systemd/system/display-manager.service
virt-rules plan win started --rules display --sysroot display-host
virt-rules devices --sysroot "$HOSTS/single-gpu" --json | sed -n '/"boot_display": \[/,/\]/p'
# A definition gets the card while a desktop is on it, if a start is stopped as long as that is so.
printf 'on vm win defined attach 10de:2484 with group as vfio boot display\n' >display/10-gpu.rules
virt-rules plan win defined --rules display --sysroot display-host
printf 'on vm win prepare require 10de:2484\n' >>display/10-gpu.rules
virt-rules plan win defined --rules display --sysroot display-host
virt-rules plan win prepare --rules display --sysroot display-host
# What a 'defined' rule puts in brings its port along.
cat >display.xml <<'END'
<domain type='kvm'>
  <name>win</name>
  <uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
  </devices>
</domain>
END
virt-rules plan win prepare --rules display --sysroot "$HOSTS/single-gpu" --domain-xml display.xml
printf 'on vm win prepare require 10de:2484 with group\n' >display/10-gpu.rules
virt-rules plan win prepare --rules display --sysroot "$HOSTS/gpus" --domain-xml display.xml
