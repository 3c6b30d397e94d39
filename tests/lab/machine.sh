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

# The emulation of virtualization, which the VMs with a real kernel use, can stop the PC for good, and qemu can crash when
# the PC is reset. That is not a fault of what is tested. Either qemu was ended by a signal, or the kernel of L1 reports
# that its processors do not get on, or nothing comes from the PC any more, not even BEAT, the byte that inside/init sends
# every ten seconds whatever else is done.
HANGS=254 # status of a request to a PC that does
ENDLESS=252 # status of a request that is not answered in time by a PC that lives
REBOOTS=253 # status of a case that goes on after a reboot of the machine: inside/functions
BEAT=$'\6'
silence_limit=300 # seconds; the machine may be busy

# Sets `why`. SILENT: for how many seconds nothing has come. A qemu that ended by itself is a failure: nothing of ours has
# told it to, and the kernel of L1 does so when it panics.
machine_hangs() { # SILENT
    local state status=0
    why=
    if ! kill -0 "$machine" 2>/dev/null; then
        wait "$machine" || status=$?
        [ $status -gt 128 ] || machine_fail "the emulated PC is gone, its qemu ended with status $status"
        why="its qemu was ended by the signal $(kill -l $status)"
        return 0
    fi
    state=$(sed -n 's/^State:[[:blank:]]*//p' "/proc/$machine/status")
    if [ "$(grep -c 'soft lockup' "$logs/console")" -ge 4 ]; then
        why="its kernel reports 'soft lockup'"
    elif [ "$1" -ge $silence_limit ]; then
        why="no sign of life for $silence_limit s, process $machine is in state $state"
    fi
    [ -n "$why" ]
}

machine_fail() { # TEXT
    untick
    tail -n 30 "$logs/console" "$logs/qemu"
    die "$*"
}

# The answer to one request: lines behind "| " go to the command SINK, "= STATUS" ends it. Silence is counted by reads
# that time out: while this script itself does not run, none does.
machine_answer() { # LIMIT TEXT SINK
    local end=$((SECONDS + $1)) since=$SECONDS text='' part silent=0
    while :; do
        part=
        if IFS= read -r -t 1 -u "$answers" part; then
            silent=0
            text+=${part//$BEAT/}
            case $text in
            '= ready') return 0 ;;
            '= '*) return "${text#= }" ;;
            esac
            "$3" "${text#| }"
            text='' since=$SECONDS
        else # a beat, or half a line, when the time was up in its middle
            [ -n "$part" ] && silent=0 || silent=$((silent + 1))
            text+=${part//$BEAT/}
        fi
        tick "$2" "$since"
        ! machine_hangs $silent || return $HANGS
        [ $SECONDS -lt $end ] || return $ENDLESS
    done
}

machine_run() { # LIMIT TEXT SINK COMMAND ...: a command inside, its output line by line to SINK
    local limit=$1 text=$2 sink=$3
    shift 3
    echo "$*" >&"$requests"
    machine_answer "$limit" "$text" "$sink"
}
