# A SCSI device and the adapter that it is on, in one plan: a part and the whole do not go both, whichever is first.
plan() {
    mkdir -m 755 "$1"
    cat >"$1/a.rules"
    chmod 644 "$1/a.rules"
    echo "== $1"
    virt-rules plan desk started --rules "$1" --sysroot "$HOSTS/rack"
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
