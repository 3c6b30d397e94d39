# shellcheck shell=bash
# The emulated PC (L1): start it, talk to it, stop it.
# Uses $here, $run (a folder for this run), $base (disk, kernel, initrd) and $logs; sets `machine`, its process.

machine='' gadget='' requests='' answers=''

# Each spare device has a root port, and so an IOMMU group, of its own; "A B" is one with two functions,
# which share a group. inside/functions knows the order.
spare_devices() {
    local number=0 device function several
    local -a functions
    for device; do
        number=$((number + 1))
        read -r -a functions <<<"$device"
        [ ${#functions[@]} -gt 1 ] && several=,multifunction=on || several=
        echo "-device pcie-root-port,id=port$number,chassis=$number,slot=$number,bus=pcie.0,addr=0x1$number"
        for function in "${!functions[@]}"; do
            echo "-device ${functions[function]},bus=port$number,addr=0.$function$several"
        done
    done
}

# FILES: where the qemu PROGRAM has its own modules and firmware; '': where the installed one has them.
machine_start() { # PROGRAM FILES [DEVICE]: DEVICE is one more spare device
    local program=$1 files=$2 arguments
    shift 2
    mkfifo "$run"/{channel,hardware}.{in,out}
    # A port of the PC that is joined to the monitor of its own qemu, so that a case can plug and unplug.
    ln -s hardware.out "$run/monitor.in"
    ln -s hardware.in "$run/monitor.out"
    truncate -s 64M "$run/nvme"
    setpriv --pdeathsig KILL "$here/gadget" "$run/gadget" >"$logs/gadget" 2>&1 </dev/null 8>&- &
    gadget=$!
    echo "$run/gadget" >"$run/lab/gadget-socket" # for the monitor of qemu
    : >"$logs/console"
    # Both ends read and write, so that neither opening one waits for the other side.
    exec {requests}<>"$run/channel.in" {answers}<>"$run/channel.out"
    mapfile -t arguments < <(spare_devices \
        e1000e,id=coral,romfile=,subsys_ven=0x1ac1,subsys=0x089a \
        nvme,serial=spare,drive=nvme \
        qemu-xhci,id=usb \
        "vmxnet3,romfile= qemu-xhci" "$@" | tr ' ' '\n')
    # A copied qemu finds its modules and firmware only when told where they are. The signal: whatever
    # becomes of this script, the PC does not outlive it.
    QEMU_MODULE_DIR=$files/usr/lib/$(uname -m)-linux-gnu/qemu setpriv --pdeathsig KILL "$program" \
        -L "$files/usr/share/qemu" -L "$files/usr/share/seabios" -name virt-rules-lab \
        -nodefaults -no-user-config -display none -no-reboot \
        -machine q35,kernel-irqchip=split,usb=off,vmport=off,hpet=off \
        -accel tcg,thread=multi,tb-size=1024 -cpu max -smp 2 -m 2560 \
        -device intel-iommu,intremap=on,caching-mode=on \
        -kernel "$base/vmlinux" -initrd "$base/initrd" \
        -append "console=ttyS0 loglevel=4 panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check \
            intel_iommu=on cryptomgr.notests random.trust_cpu=on apparmor=0" \
        -serial "file:$logs/console" -serial "pipe:$run/channel" \
        -drive "if=none,id=disk,file=$base/disk,format=raw,snapshot=on,cache=unsafe" \
        -device virtio-blk-pci,drive=disk,bus=pcie.0,addr=0x2 \
        -fsdev "local,id=lab,path=$run/lab,security_model=none" \
        -device virtio-9p-pci,fsdev=lab,mount_tag=lab,bus=pcie.0,addr=0x3 \
        -drive "if=none,id=nvme,file=$run/nvme,format=raw" \
        -blockdev driver=null-co,node-name=stick,size=1048576,read-zeroes=on \
        -chardev "pipe,id=hardware,path=$run/hardware" -chardev "pipe,id=monitor,path=$run/monitor" \
        -mon chardev=monitor,mode=control \
        -device virtio-serial-pci,bus=pcie.0,addr=0x4 -device virtserialport,chardev=hardware,name=hardware \
        "${arguments[@]}" >"$logs/qemu" 2>&1 </dev/null 8>&- &
    machine=$!
}

machine_stop() {
    [ -n "$machine" ] || return 0
    kill -KILL "$machine" "$gadget" 2>/dev/null || :
    wait "$machine" "$gadget" 2>/dev/null || : # they were killed
    machine='' gadget=''
    exec {requests}>&- {answers}>&-
    rm -f "$run"/{channel,hardware,monitor}.{in,out} "$run/nvme"
}

# The kernel of L1 has seen its processors stand for a minute and more. Rare, and then for good: a fault of the
# emulation of virtualization, which the VMs with a real kernel use, and none of what is tested.
machine_hangs() { [ "$(grep -c 'soft lockup' "$logs/console")" -ge 4 ]; }
HANGS=254 # status of a request to a machine that does
REBOOTS=253 # status of a case that goes on after a reboot of the machine: inside/functions

machine_fail() { # TEXT
    untick
    tail -n 30 "$logs/console" "$logs/qemu"
    die "$*"
}

# The answer to one request: lines behind "| " go to the command SINK, "= STATUS" ends it.
machine_answer() { # LIMIT TEXT SINK
    local end=$((SECONDS + $1)) since=$SECONDS text='' part
    while :; do
        if IFS= read -r -t 1 -u "$answers" part; then
            text+=$part
            case $text in
            '= ready') return 0 ;;
            '= '*) return "${text#= }" ;;
            esac
            "$3" "${text#| }"
            text='' since=$SECONDS
        else
            text+=$part # half a line, when the time was up in its middle
        fi
        tick "$2" "$since"
        kill -0 "$machine" 2>/dev/null || machine_fail "the emulated PC is gone"
        ! machine_hangs || return $HANGS
        [ $SECONDS -lt $end ] || machine_fail "$2: no answer within $1 s"
    done
}

machine_run() { # LIMIT TEXT SINK COMMAND ...: a command inside, its output line by line to SINK
    local limit=$1 text=$2 sink=$3
    shift 3
    echo "$*" >&"$requests"
    machine_answer "$limit" "$text" "$sink"
}
