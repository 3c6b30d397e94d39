# shellcheck shell=bash
# What the reader sees: plain lines, and on a terminal the seconds of the one that is under way.

terminal=
bold='' green='' red='' plain=''
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    terminal=yes
    if [ -z "${NO_COLOR:-}" ]; then
        bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
    fi
fi

tick() { # TEXT SINCE: the passing line, overwritten by the next
    [ -z "$terminal" ] || [ $((SECONDS - $2)) -lt 1 ] || printf '\r%s ... %d s\e[K' "$1" $((SECONDS - $2))
}
untick() { [ -z "$terminal" ] || printf '\r\e[K'; }

line() { # TEXT: coloured by what it says
    untick
    case $1 in
    '== '*) printf '%s%s%s\n' "$bold" "${1#== }" "$plain" ;;
    '   ok '*) printf '   %sok%s%s\n' "$green" "$plain" "${1#   ok}" ;;
    '   FAIL '*) printf '   %sFAIL%s%s\n' "$red" "$plain" "${1#   FAIL}" ;;
    *) printf '%s\n' "$1" ;;
    esac
}

begin() { # TEXT: sets `since`, for tick and finish
    since=$SECONDS
    [ -n "$terminal" ] || printf '%s ...\n' "$1"
}
finish() { # TEXT
    untick
    printf '%s: done, %d s\n' "$1" $((SECONDS - since))
}

background=
as_root=() # see lab
# A slow step, in a process group of its own so that stop_step reaches all of it. Its output is for
# the case that it fails.
step() { # TEXT COMMAND ...
    local text=$1 since status=0
    shift
    begin "$text"
    set -m
    "$@" >"$logs/step.log" 2>&1 </dev/null 8>&- &
    background=$!
    set +m
    while kill -0 "$background" 2>/dev/null; do
        tick "$text" "$since"
        sleep 0.2
    done
    wait "$background" || status=$?
    background=
    [ $status = 0 ] || {
        untick
        tail -n 40 "$logs/step.log"
        die "$text: failed (status $status)"
    }
    finish "$text"
}

stop_step() {
    [ -n "$background" ] || return 0
    "${as_root[@]}" kill -TERM -- "-$background" 2>/dev/null
    wait "$background" 2>/dev/null
    background=
}

die() {
    untick
    printf 'lab: %s\n' "$*" >&2
    exit 2
}
