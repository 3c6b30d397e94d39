# Virtual functions as interfaces: a card whose first port is the uplink and runs five of them, one of which the host uses.
mkdir net
cat >net/50-example.rules <<'RULES'
device uplink is vf of 8086:1572 at 0000:41:00.0
on vm router started attach any 2 uplink as net vlan 10 trust
on vm router started attach vf 4 of 8086:1572 as net mac "52:54:00:12:34:56" vlan 20
on vm router started attach vf of 0000:41:00.1 as net
on vm router started attach vf 9 of 8086:1572 at 0000:41:00.0 as net optional
on vm router started attach at 0000:41:00.0 as net
on vm router started attach at 0000:41:00.1 as net
on vm router started attach vf 0 of 8086:1572 as net
on vm router started attach at 51:01.0 as net
on vm big started attach any 9 uplink as net
on vm has started attach any uplink as net trust
RULES
vm() { # NAME [ELEMENT]: with four root ports
    cat <<XML
<domain type='kvm' id='3'>
  <name>$1</name>
  <uuid>8a0e7d2c-55b1-4c56-9d3e-0f6b1a2c3d4e</uuid>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <controller type='pci' index='3' model='pcie-root-port'/>
    <controller type='pci' index='4' model='pcie-root-port'/>
    $2
  </devices>
</domain>
XML
}
function_of_host() { # MAC FUNCTION: as libvirt's XML has it
    printf "%s" "<interface type='hostdev' managed='yes'><mac address='$1'/><driver name='vfio'/><source><address type='pci' domain='0x0000' bus='0x41' slot='0x02' function='0x$2'/></source><vlan><tag id='10'/></vlan><alias name='hostdev0'/><address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>"
}
plan() { # NAME OPTION ...
    virt-rules plan "$1" started --rules net --sysroot host --domain-xml vm.xml "${@:2}"
    echo "status $?"
}
cp -R "$HOSTS/sriov" host
vm router >vm.xml
plan router --xml
echo "-- too few"
vm big >vm.xml
plan big
echo "-- one rule's address is taken: the next one; and the VM has a function already"
vm router "$(function_of_host a2:8a:ed:05:dc:bc 3)" >vm.xml
plan router --xml | head -n 24
echo "-- the address that a rule gives is another function's"
vm router "$(function_of_host 52:54:00:12:34:56 3)" >vm.xml
plan router | grep -A 4 "0000:41:02.4"
echo "-- the card is down"
echo 0x1002 >host/sys/class/net/eno1/flags
vm has >vm.xml
plan has
echo 0x1003 >host/sys/class/net/eno1/flags
echo "-- as JSON"
virt-rules plan has started --rules net --sysroot host --domain-xml vm.xml --json | sed -n '/"options"/,/}/p; /"xml"/p; /"mac"/p'
echo "-- detach"
echo 'on vm has started detach vf of 8086:1572' >net/50-example.rules
vm has "$(function_of_host 52:54:00:AA:34:56 3)" >vm.xml
plan has --xml
echo "-- a card that can run two"
echo 2 >host/sys/devices/pci0000:00/0000:00:01.0/0000:41:00.1/sriov_totalvfs
echo 'on vm has started attach at 0000:41:00.1 as net' >net/50-example.rules
plan has | grep hint
echo "-- another VM has the MAC address"
mkdir -p host/run/libvirt/qemu
cat >host/run/libvirt/qemu/old.xml <<'XML'
<domstatus state='running'><domain type='kvm' id='9'><name>old</name><uuid>99999999-2222-4333-8444-555555555555</uuid>
  <devices><interface type='network'><mac address='52:54:00:AA:34:56'/><source network='lan'/></interface></devices>
</domain></domstatus>
XML
echo 'on vm has started attach vf 3 of 8086:1572 as net mac "52:54:00:aa:34:56"' >net/50-example.rules
vm has >vm.xml
plan has
