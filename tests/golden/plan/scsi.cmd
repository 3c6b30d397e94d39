# SCSI devices as <hostdev type='scsi'>: a tape, all devices of a USB device or host adapter, and where the VM has no
# virtio SCSI controller, one that is plugged in first.
cp -r "$HOSTS/usb" scsi-host && chmod -R u+w scsi-host
scsi() { # PATH ADDRESS TYPE [DISK]: a SCSI device below a device
    local host=${2%%:*} at
    at=scsi-host/$1/host$host/target${2%:*}/$2
    mkdir -p "$at"
    echo "$3" >"$at/type"
    echo "ACME    " >"$at/vendor"
    echo "Model $3" >"$at/model"
    mkdir -p scsi-host/sys/bus/scsi/devices
    ln -s ../../../"${at#scsi-host/sys/}" "scsi-host/sys/bus/scsi/devices/$2"
    [ -n "$4" ] || return 0
    mkdir -p "$at/block/$4"
    echo "8:${4##*[a-z]}96" >"$at/block/$4/dev"
    echo 2048 >"$at/block/$4/size"
    ln -s "../../${at#scsi-host/sys/}/block/$4" "scsi-host/sys/class/block/$4"
}
library=sys/devices/pci0000:00/0000:00:13.0/0000:01:00.0 # the card in place of the network card
rm -r scsi-host/sys/class/net/* "scsi-host/$library/net"
sed -i 1q scsi-host/proc/net/route
scsi "$library" 3:0:0:0 8
scsi "$library" 3:0:0:1 1
scsi "$library" 3:0:1:0 1
scsi sys/devices/platform/host4 4:0:0:0 0 sdg
vm() { # FILE DEVICES HOSTDEVS
    printf '%s' "<domain type='kvm' id='3'><name>tape</name><os><type machine='pc-q35-7.2'>hvm</type></os><devices>" \
        "<controller type='pci' index='0' model='pcie-root'/>$2</devices></domain>" >"$1"
}
port="<controller type='pci' index='1' model='pcie-root-port'/>"
controller="<controller type='scsi' index='0' model='virtio-scsi'/>"
disk="<disk type='file'><target dev='sda' bus='scsi'/><address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>"
hostdev="<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host3'/><address bus='0' target='0' unit='1'/>
  </source><address type='drive' controller='0' bus='0' target='0' unit='1'/></hostdev>"
vm scsi-none.xml "$port"
vm scsi-disk.xml "$controller$disk"
vm scsi-some.xml "$controller$disk$hostdev"
vm scsi-lsi.xml "<controller type='scsi' index='0' model='lsilogic'/>"
rule() { mkdir -p scsi && printf 'on vm tape %s\n' "$@" >scsi/a.rules; }
plan() { virt-rules plan tape "$2" --rules scsi --sysroot scsi-host --domain-xml "scsi-$1.xml" "${@:3}"; }

rule 'started, plugged attach scsi "3:0:0:1" as scsi readonly'
plan none started --xml
plan disk started --xml
plan some started
plan lsi started
rule 'started attach 8086:1533 as scsi' # all that is on it, and what the VM lacks of it
plan none started --xml
plan some started --xml
plan some started --json | grep -E '"(backend|xml)":'
rule 'started attach any 2 scsi manufacturer "ACME" as scsi'
plan disk started
rule 'started attach any scsi not scsi "3:0:0:0" product "Model 8" as scsi' \
    'started attach 1cf1:0030 port 1-1.1 as scsi'
plan disk started
rule 'reconnect detach scsi "3:0:0:1"' 'started detach 8086:1533'
plan some reconnect --xml
plan some started --xml
