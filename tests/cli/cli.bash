# shellcheck shell=bash
# What the tests of this directory share: the program as users and the hook call it, its exit statuses, standard output and
# standard error. BUILD is the build directory. A test is a number of cases; each begins with `begin NAME`, and with one rule.
# shellcheck disable=SC2034,SC2120 # the tests use the variables, and give arguments
set -u
cd "$(dirname "$0")/../.." || exit 2
engine=$PWD/${BUILD:-build}/virt-rules
hosts=$PWD/tests/hosts
. tests/checks.bash
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export VIRT_RULES_STATE=$work/state LIBVIRT_DEFAULT_URI=test:///default
unset NO_COLOR COLUMNS VIRT_RULES_DIR
uuid=4dea22b3-1d52-d8f3-2516-782e98ab3fa0
rule='on vm frigate started attach 1ac1:089a as vfio'
log=$work/state/virt-rules.log
usb_vm_uri=test://$PWD/tests/cli/usb-vm.xml # a VM 'frigate' that runs
: >"$work/out"
: >"$work/err"

# --- reporting

case_name='' case_failed=0
begin() { # NAME
    finish
    case_name=$1 case_failed=0
    rm -rf "$work/state" "$work/rules" "$work/virt-rules.conf"
    mkdir -m 755 "$work/rules"
    echo "$rule" >"$work/rules/50.rules"
}
finish() {
    [ "$case_name" ] || return 0
    if [ $case_failed = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    counted
    case_name=''
}
wrong() { # TEXT ...
    echo "failed: $case_name: $*"
    echo "  status $status, stdout: $(head -c 600 "$work/out")"
    echo "  stderr: $(head -c 600 "$work/err")"
    [ ! -e "$log" ] || echo "  log: $(head -c 1200 "$log")"
    case_failed=1
}
skip_case() { # WHY
    skip "$case_name: $1"
    case_name=''
}

# --- the engine, and what it printed; no program is started for a check

status=0
call() { # ARGUMENT ...: run the engine; it inherits standard input
    "$engine" "$@" >"$work/out" 2>"$work/err"
    status=$?
}
has_text() { # FILE TEXT
    local text
    IFS= read -rd '' text <"$1"
    [[ $text == *"$2"* ]]
}
has_lines() { # FILE NUMBER
    local lines=()
    mapfile -t lines <"$1"
    [ ${#lines[@]} = "$2" ]
}
ended() { [ "$status" = "$1" ] || wrong "ended with $status, not $1"; }
out() { has_text "$work/out" "$1" || wrong "stdout lacks: $1"; }
err() { has_text "$work/err" "$1" || wrong "stderr lacks: $1"; }
no_out() { [ ! -s "$work/out" ] || wrong "something on stdout"; }
err_lines() { has_lines "$work/err" "$1" || wrong "not $1 lines on stderr"; }
no_err() { [ ! -s "$work/err" ] || wrong "something on stderr"; }
log_lines() { # NUMBER
    if [ -e "$log" ]; then has_lines "$log" "$1"; else [ "$1" = 0 ]; fi || wrong "not $1 lines in the log"
}

# One process of Python runs all scripts: it takes longer to start than the engine takes for its answer.
# shellcheck disable=SC2016
coproc PYTHON { exec python3 -c '
import os, sys, traceback
def words():
    rest = b""
    while part := os.read(0, 65536):
        *whole, rest = (rest + part).split(b"\0")
        yield from (word.decode() for word in whole)
words = words()
for number in words:
    script, *sys.argv[1:] = (next(words) for _ in range(int(number)))
    status = 0
    try:
        exec(script, {})
    except SystemExit as end:
        status = int(end.code or 0)
    except Exception:
        traceback.print_exc()
        status = 1
    os.write(1, b"%d\n" % status)
'; }
python() { # SCRIPT [ARGUMENT ...]: the status of the script, which is 1 where it raises something; `-` is standard input
    local script=$1 answer=1
    [ "$1" != - ] || IFS= read -rd '' script
    printf '%s\0' $# "$script" "${@:2}" >&"${PYTHON[1]}" && read -r answer <&"${PYTHON[0]}"
    return "$answer"
}
logged() { # KEY PART: whether the decoded text of KEY in some line of the log contains PART
    python 'import json, sys
path, key, part = sys.argv[1:]
assert any(part in (json.loads(line)[key] or "") for line in open(path, encoding="utf-8").readlines())' "$log" "$1" "$2" ||
        wrong "no $1 in the log has: $2"
}
json() { # EXPRESSION: about `d`, the object on standard output
    python 'import json, sys
d = json.load(open(sys.argv[1], encoding="utf-8"))
assert eval(sys.argv[2])' "$work/out" "$1" || wrong "not so: $1"
}

# --- a terminal

# on_terminal ANSWERS NAME=VALUE ... -- COMMAND ...: the command at a terminal of WIDTH columns, or 80. Each line of ANSWERS is
# typed when a question has come; '^D' is the end of input, as after the last answer. $work/out has what the terminal shows.
on_terminal() {
    python - "$work/out" "$@" <<'PY'
import fcntl, os, pty, re, struct, sys, termios
path, answers, *words = sys.argv[1:]
at = words.index("--")
more = dict(word.split("=", 1) for word in words[:at])
answers = answers.split("\n") if answers else []
child, terminal = pty.fork()
if not child:
    try:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", 24, int(more.get("WIDTH", "80")), 0, 0))
        os.execve(words[at + 1], words[at + 1:], {**os.environ, **more})
    finally:
        os._exit(127)
shown, asked = b"", 0
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    shown += part
    questions = len(re.findall(rb"(?:stop\):|\[y/N\]) ", shown))
    while asked < questions:
        answer, asked = answers.pop(0) if answers else "^D", asked + 1
        os.write(terminal, b"\x04" if answer == "^D" else answer.encode() + b"\n")
os.close(terminal)
with open(path, "wb") as out:
    out.write(shown.replace(b"\r\n", b"\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PY
    status=$?
}
is_coloured() { has_text "$work/out" $'\033['; }

# --- VMs, rules and the log

xml() { # NAME [TITLE]
    printf "<domain type='kvm' id='1'><name>%s</name><uuid>%s</uuid>%s<devices/></domain>" \
        "$1" "$uuid" "${2:+<title>$2</title>}"
}
xml frigate >"$work/frigate.xml"
xml windows >"$work/windows.xml"
plan() { call plan "$@" --rules "$work/rules"; }
nas_plan() { plan frigate started --sysroot "$hosts/nas" "$@"; }
run_hook() { # VM EVENT [ARGUMENT ...]: it inherits standard input
    call run "$1" "$2" begin - --rules "$work/rules" "${@:3}"
}
can_be_another_user() { # of no rights
    [ "$(id -u)" = 0 ] && type -P setpriv >/dev/null
}
entry() { # VM RESULT MESSAGE: a line of the log
    [ -d "$work/state" ] || mkdir "$work/state"
    printf '{"time":"2026-11-22T10:18:07.214+01:00","vm":"%s","event":"started","action":"attach",' "$1" >>"$log"
    printf '"device":"0000:03:00.0 1ac1:089a","rule":"50.rules:1","result":"%s","message":"%s"}\n' "$2" "$3" >>"$log"
}
