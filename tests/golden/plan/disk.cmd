# A whole disk as <disk type='block'>: of a USB stick, a SCSI disk, an NVMe controller. What has none or several, what is
# no disk, and what the host uses is refused.
cp -r "$HOSTS/usb" disk-host && chmod -R u+w disk-host
pci=sys/devices/pci0000:00/0000:00:15.0
usb() { # PORT PRODUCT: a stick
    local at=disk-host/$pci/usb1/1-1/$1
    mkdir -p "$at/$1:1.0"
    local n=0 file
    for file in idVendor=0951 idProduct=1666 busnum=1 devnum=$((20 + ${1##*.})) bDeviceClass=00 bDeviceSubClass=00 \
        bDeviceProtocol=00 bMaxPower=300mA bNumInterfaces=1 bConfigurationValue=1 speed=480 manufacturer=Kingston \
        "product=$2" "serial=AA${1##*.}"; do echo "${file#*=}" >"$at/${file%%=*}"; done
    for file in bInterfaceClass=08 bInterfaceSubClass=06 bInterfaceProtocol=50 bInterfaceNumber=00; do
        echo "${file#*=}" >"$at/$1:1.0/${file%%=*}"
    done
    mkdir -p disk-host/sys/bus/usb/drivers/{usb,usb-storage}
    ln -s ../../../../../../../bus/usb/drivers/usb "$at/driver"
    ln -s ../../../../../../../../bus/usb/drivers/usb-storage "$at/$1:1.0/driver"
    ln -s ../../../"${at#disk-host/sys/}" "disk-host/sys/bus/usb/devices/$1"
    ln -s ../../../"${at#disk-host/sys/}/$1:1.0" "disk-host/sys/bus/usb/devices/$1:1.0"
}
scsi() { # PATH ADDRESS TYPE DISK SECTORS [LINK]: a SCSI device below a device; DISK "-": none
    local host=${2%%:*} at
    at=disk-host/$1/host$host/target${2%:*}/$2
    mkdir -p "$at"
    echo "$3" >"$at/type"
    echo "ACME    " >"$at/vendor"
    echo "Model $2" >"$at/model"
    mkdir -p disk-host/sys/bus/scsi/devices disk-host/sys/class/block disk-host/sys/dev/block disk-host/dev/disk/by-id
    ln -s ../../../"${at#disk-host/sys/}" "disk-host/sys/bus/scsi/devices/$2"
    [ "$4" != - ] || return 0
    mkdir -p "$at/block/$4"
    echo "8:$((16 * ($(printf %d "'${4: -1}") - 97)))" >"$at/block/$4/dev"
    echo "$5" >"$at/block/$4/size"
    echo 0 >"$at/block/$4/ro"
    ln -s "../../${at#disk-host/sys/}/block/$4" "disk-host/sys/class/block/$4"
    [ -z "$6" ] || ln -s "../../$4" "disk-host/dev/disk/by-id/$6"
}
usb 1-1.5 DataTraveler
scsi $pci/usb1/1-1/1-1.5/1-1.5:1.0 6:0:0:0 0 sdb 61440000 usb-Kingston_DataTraveler_AA5-0:0
ln -s ../../sdb disk-host/dev/disk/by-id/wwn-0x5000000000000001
usb 1-1.6 Reader
scsi $pci/usb1/1-1/1-1.6/1-1.6:1.0 7:0:0:0 0 sdc 0
scsi $pci/usb1/1-1/1-1.6/1-1.6:1.0 7:0:0:1 0 sdd 2048
usb 1-1.7 Burner
scsi $pci/usb1/1-1/1-1.7/1-1.7:1.0 8:0:0:0 5 sr0 2097151
usb 1-1.8 Slot
scsi $pci/usb1/1-1/1-1.8/1-1.8:1.0 9:0:0:0 0 sdf 0
usb 1-1.9 Broken
scsi sys/devices/pci0000:00/0000:00:12.0 1:0:0:0 0 sdg 2048 ata-Disk_1
scsi sys/devices/pci0000:00/0000:00:12.0 2:0:0:0 1 -
vm() { # FILE MACHINE DEVICES...
    printf '%s' "<domain type='kvm' id='3'><name>ha</name><os><type machine='$2'>hvm</type></os><devices>" \
        "$3" "</devices></domain>" >"$1"
}
q35="<controller type='pci' index='0' model='pcie-root'/>"
port="<controller type='pci' index='1' model='pcie-root-port'/>"
xhci="<controller type='usb' index='0' model='qemu-xhci' ports='2'/>"
scsi0="<controller type='scsi' index='0' model='virtio-scsi'/>"
cdrom="<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>"
root="<disk type='file'><target dev='vda' bus='virtio'/></disk>"
vm disk-q35.xml pc-q35-7.2 "$q35$port$xhci$cdrom$root"
vm disk-full.xml pc-q35-7.2 "$q35<controller type='usb' model='none'/>"
vm disk-scsi.xml pc-q35-7.2 "$q35$scsi0$cdrom<disk type='file'><target dev='sdb' bus='scsi'/></disk>"
rule() { mkdir -p disk && echo "on vm ha started, plugged attach $1" >disk/a.rules; }
plan() { virt-rules plan ha started --rules disk --sysroot disk-host --domain-xml "disk-$1.xml" "${@:2}"; }

rule 'usb serial "AA5" as disk'
plan q35 --xml
plan full
rule 'usb serial "AA5" as disk readonly bus scsi'
plan q35 --xml
plan scsi --xml
plan full
plan q35 --json | grep -E '"(xml|backend)":'
rule 'usb serial "AA5" as disk bus usb'
plan q35 --xml
plan full
rule 'scsi "6:0:0:0" as disk'
plan q35 --xml
echo 1 >disk-host/$pci/usb1/1-1/1-1.5/1-1.5:1.0/host6/target6:0:0/6:0:0:0/block/sdb/ro
plan q35 --xml
for device in 'usb serial "AA6"' 'usb serial "AA7"' 'usb serial "AA8"' 'usb serial "AA9"' '8086:1533' '1a6e:089a' \
    '8086:5ae3' 'scsi "2:0:0:0"' 'scsi "7:0:0:1"'; do
    rule "$device as disk"
    plan q35
done
# what the VM has goes by its name in the guest; a stick that was pulled out, of which only our alias tells, too
mine() { # PATH TARGET BUS ALIAS [ADDRESS]
    printf '%s' "<disk type='block' device='disk'><source dev='$1'/><target dev='$2' bus='$3'/>" \
        "<alias name='$4'/>$5</disk>"
}
unit="<address type='drive' controller='0' bus='0' target='0' unit='5'/>"
vm disk-mine.xml pc-q35-7.2 "$q35$port$xhci$root$(
    mine /dev/disk/by-id/usb-Kingston_DataTraveler_AA5-0:0 sda usb ua-virt-rules-disk-1-1-5-25-0
    mine /dev/sdg sdb scsi ua-virt-rules-disk-1_0_0_0-0-0 "$unit"
    mine /dev/disk/by-id/gone vdb virtio ua-virt-rules-disk-1-1-3-9-0
    mine /dev/disk/by-id/theirs vdc virtio ua-theirs)"
rule 'usb as disk optional'
echo 'on vm ha started detach usb serial "AA5", scsi "1:0:0:0"' >>disk/a.rules
plan mine --xml | grep -A 12 -E '^  detach'
rm -r disk-host/dev # without udev: by the kernel's name
rule 'scsi "7:0:0:1" as disk'
plan q35 --xml
