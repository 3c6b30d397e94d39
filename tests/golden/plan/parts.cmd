# A SCSI device and the adapter that it is on, in one plan: a part and the whole do not go both, whichever is first.
plan() {
    mkdir -m 755 "$1"
    cat >"$1/a.rules"
    chmod 644 "$1/a.rules"
    echo "== $1"
    virt-rules plan desk started --rules "$1" --sysroot "${HOST-$HOSTS/rack}"
}

plan parts-first <<'END'
on vm desk started attach scsi "2:0:1:0" as disk
on vm desk started attach 1000:0097 as vfio
END
plan parts-last <<'END'
on vm desk started attach 1000:0097 as vfio
on vm desk started attach scsi "2:0:1:0" as disk
END
plan parts-of-one-kind <<'END'
on vm desk started attach scsi "2:0:1:0" as scsi
on vm desk started attach 1000:0097 as scsi
END
plan parts-in-the-whole <<'END'
on vm desk started attach 1000:0097 as scsi
on vm desk started attach scsi "2:0:1:0" as scsi
END
plan parts-apart <<'END'
on vm desk started attach scsi "2:0:1:0" as disk
on vm desk started attach scsi "2:0:0:0" as scsi
END

# Other kinds of adapter: Fibre Channel, a network card that has its disks by iSCSI, and Intel VMD, whose disks have a
# controller of their own.
cp -R "$HOSTS/rack" parts-host
vmd=parts-host/sys/devices/pci0000:00/0000:00:02.0
adapter() { # NAME DIRECTORY CLASS ADDRESS
    echo "$3" >"$2/class"
    HOST=parts-host plan "parts-$1" <<END
on vm desk started attach at $4 as vfio
on vm nas started attach scsi "2:0:1:0" as disk
END
}
adapter fibre-channel $vmd/0000:02:00.0 0x0c0400 02:00.0
adapter network $vmd/0000:02:00.0 0x020000 02:00.0
adapter vmd $vmd 0x010400 00:02.0
nvme=$vmd/pci10000:e0/10000:e1:00.0
mkdir -p $nvme/nvme/nvme0/nvme0n1
for file in class:0x010802 vendor:0x144d device:0xa808 nvme/nvme0/nvme0n1/dev:259:0 nvme/nvme0/nvme0n1/size:1000; do
    echo "${file#*:}" >"$nvme/${file%%:*}"
done
ln -s "../../../${nvme#*/sys/}" parts-host/sys/bus/pci/devices/10000:e1:00.0
ln -s "../../${nvme#*/sys/}/nvme/nvme0/nvme0n1" parts-host/sys/class/block/nvme0n1
HOST=parts-host plan parts-vmd-nvme <<'END'
on vm desk started attach at 00:02.0 as vfio
on vm nas started attach class 0108 as disk
END
