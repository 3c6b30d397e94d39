# VMs of other machine types: ports of aarch64 and riscv64, no places for PCI devices on s390x, none at all in a microvm.
mkdir machines machines-defined
cat >machines/a.rules <<'RULES'
on vm * started attach 10de:1eb8 as vfio
on vm * started attach 8086:1520 at 0000:01:10.0 as net
on vm * started attach 046d:c52b as usb
on vm * started attach usb 0781:5581 as disk
on vm * started attach usb 0403:6010 as serial
on vm * started attach scsi "2:0:0:0" as scsi
on vm * started attach scsi "2:0:1:0" as disk
RULES
cat >machines-defined/a.rules <<'RULES'
on vm * defined attach 10de:1eb8 as vfio ports 1
RULES
vm() { # NAME TYPE ARCH MACHINE FEATURES, devices on standard input
    cat >"$1.xml" <<XML
<domain type='$2' id='4'>
  <name>$1</name>
  <uuid>7d6c1f52-90a4-4e7f-8b55-0c5f3f6f2e$(printf '%02d' $((${#1} + 10)))</uuid>
  <memory unit='KiB'>4194304</memory>
  <vcpu placement='static'>4</vcpu>
  <os>
    <type arch='$3' machine='$4'>hvm</type>
    $5
    <boot dev='hd'/>
  </os>
  <devices>
    <emulator>/usr/bin/qemu-system-$3</emulator>
$(cat)
  </devices>
</domain>
XML
    echo "--- $1 ($4)"
    virt-rules plan "$1" started --rules machines --sysroot "$HOSTS/rack" --domain-xml "$1.xml" --xml
    echo "status $?"
    sed -i "s/ id='4'//" "$1.xml"
    virt-rules plan "$1" defined --rules machines-defined --sysroot "$HOSTS/rack" --domain-xml "$1.xml" --xml
    echo "status $?"
}
port() { # INDEX CHASSIS SLOT FUNCTION MULTIFUNCTION
    printf "    <controller type='pci' index='%s' model='pcie-root-port'>\n      <model name='pcie-root-port'/>\n" "$1"
    printf "      <target chassis='%s' port='0x%x'/>\n      <alias name='pci.%s'/>\n" "$2" $(($3 * 8 + $4)) "$1"
    printf "      <address type='pci' domain='0x0000' bus='0x00' slot='0x%02x' function='0x%s'%s/>\n    </controller>\n" \
        "$3" "$4" "${5:+ multifunction='on'}"
}
on_bus() { printf "<address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' function='0x0'/>" "$1"; }
ccw() { printf "<address type='ccw' cssid='0xfe' ssid='0x0' devno='0x%04x'/>" "$1"; }
virt() { # the devices of a virt machine with root ports up to that index, of which the first four are taken
    echo "    <controller type='usb' index='0' model='qemu-xhci' ports='15'><alias name='usb'/>$(on_bus 2)</controller>"
    echo "    <controller type='scsi' index='0' model='virtio-scsi'><alias name='scsi0'/>$(on_bus 3)</controller>"
    echo "    <controller type='pci' index='0' model='pcie-root'><alias name='pcie.0'/></controller>"
    for index in $(seq 1 "$1"); do port "$index" "$index" 1 $((index - 1)) "$([ "$index" != 1 ] || echo on)"; done
    cat <<XML
    <interface type='network'><mac address='52:54:00:8e:b0:11'/><source network='default'/>
      <model type='virtio'/>$(on_bus 1)</interface>
    <serial type='pty'><target type='system-serial' port='0'><model name='pl011'/></target></serial>
    <input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>
    <memballoon model='virtio'>$(on_bus 4)</memballoon>
XML
}
firmware="<loader readonly='yes' type='pflash'>/usr/share/AAVMF/AAVMF_CODE.fd</loader>"
virt 7 | vm arm kvm aarch64 virt-7.2 "$firmware"
virt 4 | vm arm-full kvm aarch64 virt-rhel9.2.0 "$firmware"
virt 5 | vm riscv qemu riscv64 virt "<kernel>/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf</kernel>"
vm mainframe kvm s390x s390-ccw-virtio-7.2 "" <<XML
    <disk type='file' device='disk'><source file='/var/lib/libvirt/images/z.qcow2'/>
      <target dev='vda' bus='virtio'/>$(ccw 0)</disk>
    <controller type='pci' index='0' model='pci-root'><alias name='pci.0'/></controller>
    <interface type='network'><mac address='52:54:00:8e:b0:12'/><source network='default'/>
      <model type='virtio'/>$(ccw 1)</interface>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <driver name='vfio'/><source><address domain='0x0002' bus='0x00' slot='0x00' function='0x0'/></source>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'><zpci uid='0x0001' fid='0x00000000'/></address>
    </hostdev>
    <console type='pty'><target type='sclp' port='0'/></console>
    <memballoon model='virtio'>$(ccw 2)</memballoon>
    <panic model='s390'/>
XML
vm micro kvm x86_64 microvm "<kernel>/boot/vmlinuz</kernel><cmdline>console=ttyS0 root=/dev/vda</cmdline>" <<XML
    <disk type='file' device='disk'><source file='/var/lib/libvirt/images/m.raw'/><target dev='vda' bus='virtio'/>
      <address type='virtio-mmio'/></disk>
    <serial type='pty'><target type='isa-serial' port='0'/></serial>
    <memballoon model='none'/>
XML
vm board qemu aarch64 raspi3b "" </dev/null
