# bash completion for virt-rules(1). The program itself lists its commands, options and checks.
# shellcheck shell=bash

# The program as typed, or the installed one.
_virt_rules_ask() {
    local program=${COMP_WORDS[0]}
    type -P "$program" >/dev/null || program=virt-rules
    "$program" "$@" 2>/dev/null
}

_virt_rules_commands() {
    _virt_rules_ask help | sed -n 's/^  \([a-z]*\)  *[A-Z].*/\1/p'
    echo help
}

# COMMAND: its options, one per line, with the name of the argument if there is one.
_virt_rules_options() {
    _virt_rules_ask "$1" --help | sed -n 's/^  \(--[a-z-]*\) \([A-Z][A-Z]*\)  .*/\1 \2/p; s/^  \(--[a-z-]*\)  .*/\1/p'
    echo --help
}

# Names and titles of all VMs, one per line. libvirt may not answer: wait at most two seconds.
_virt_rules_vms() {
    local virsh table name line state='(no state|running|idle|paused|in shutdown|shut off|crashed|dying|pmsuspended)'
    virsh=$(type -P virsh) || virsh=/var/packages/Virtualization/target/usr/local/bin/virsh
    [ -x "$virsh" ] || return 0
    set -- "$virsh" -r -q -c "${LIBVIRT_DEFAULT_URI:-qemu:///system}" list --all
    if type -P timeout >/dev/null; then set -- timeout 2 "$@"; fi
    table=$(LC_ALL=C "$@" --title 2>/dev/null </dev/null) || return 0
    while IFS= read -r name; do
        [ -n "$name" ] && printf '%s\n' "$name"
        while IFS= read -r line; do
            [[ $line =~ ^\ *(-|[0-9]+)\ +"$name"\ +$state\ +(.*[^ ])\ *$ ]] || continue
            printf '%s\n' "${BASH_REMATCH[3]}"
            break
        done <<<"$table"
    done < <(LC_ALL=C "$@" --name 2>/dev/null </dev/null)
}

# CURRENT: the lines of standard input that begin with it, quoted for the shell.
_virt_rules_reply() {
    local current=$1 quote='' line
    case $current in
    [\"\']*) quote=${current:0:1} current=${current:1} ;;
    esac
    [ "$quote" = "'" ] || current=${current//\\/}
    while IFS= read -r line; do
        [[ -n $line && $line == "$current"* ]] || continue
        # shellcheck disable=SC2001 # the expansion of & differs between versions of bash
        case $quote in
        \") line=$(sed 's/[\\"$`]/\\&/g' <<<"$line") ;;
        \') line=${line//\'/\'\\\'\'} ;;
        *) printf -v line %q "$line" ;;
        esac
        COMPREPLY+=("$line")
    done
}

# CURRENT PATTERN: directories, and files that match the pattern.
_virt_rules_files() {
    local file
    while IFS= read -r file; do
        # shellcheck disable=SC2053 # a pattern
        if [ -d "$file" ] || [[ $file == $2 ]]; then COMPREPLY+=("$file"); fi
    done < <(compgen -f -- "$1")
    compopt -o filenames 2>/dev/null
}

# ENDING: the names of the files in the rules directory that end so, without '.rules'.
_virt_rules_names() {
    local directory file
    directory=${VIRT_RULES_DIR:-$(_virt_rules_ask help | sed -n 's|/\*\.rules\.$||p')}
    for file in "$directory"/*"$1"; do
        [ ! -f "$file" ] || printf '%s\n' "$(basename "$file" "$1")"
    done
}

# WHAT CURRENT: completes an argument; WHAT is its name in the help.
_virt_rules_word() {
    case $1 in
    COMMAND) _virt_rules_reply "$2" < <(_virt_rules_commands) ;;
    OPTION) _virt_rules_reply "$2" < <(_virt_rules_options "$command" | sed 's/ .*//') ;;
    VM) _virt_rules_reply "$2" < <(_virt_rules_vms) ;;
    EVENT) _virt_rules_reply "$2" < <(printf '%s\n' @EVENT@) ;; # the build fills them in
    NAME) _virt_rules_reply "$2" < <(_virt_rules_ask check --list | sed -n '/^$/q; s/ .*//p') ;;
    CHANGEABLE) _virt_rules_reply "$2" < <(_virt_rules_ask check --list | sed -n '/^$/q; / error! /d; s/ .*//p') ;;
    DEVICE)
        _virt_rules_reply "$2" < <(
            cd /sys/bus/pci/devices 2>/dev/null && printf '%s\n' *
            cd /sys/bus/usb/devices 2>/dev/null && printf '%s\n' [0-9]* | grep -v :
            cd /sys/bus/scsi/devices 2>/dev/null && printf '%s\n' [0-9]* | grep :
        )
        ;;
    ACTION) _virt_rules_reply "$2" <<<$'add\nremove' ;;
    DIR) _virt_rules_files "$2" '' ;;
    RULES) _virt_rules_files "$2" '*.rules' ;;
    ENABLED)
        _virt_rules_reply "$2" < <(_virt_rules_names .rules)
        _virt_rules_files "$2" '*.rules'
        ;;
    DISABLED)
        _virt_rules_reply "$2" < <(_virt_rules_names .rules.disabled)
        _virt_rules_files "$2" '*.rules.disabled'
        ;;
    FILE) _virt_rules_files "$2" '*' ;;
    esac
}

# The name of operand number $2 of command $1.
_virt_rules_operand() {
    case $1:$2 in
    add:1 | plan:1 | explain:1 | status:1 | log:1 | detach:1 | park:1 | unpark:1 | run:1) echo VM ;;
    plan:2 | explain:2 | run:2) echo EVENT ;;
    apply:*) echo VM ;;
    add:2 | plan:3 | explain:3 | plug:2 | detach:2) echo DEVICE ;;
    plug:1) echo ACTION ;;
    check:* | fmt:*) echo RULES ;;
    disable:1) echo ENABLED ;;
    enable:1) echo DISABLED ;;
    help:1) echo COMMAND ;;
    esac
}

_virt_rules() {
    local cur=${COMP_WORDS[COMP_CWORD]} cword=$COMP_CWORD words=("${COMP_WORDS[@]}") command argument='' i count=1
    COMPREPLY=()
    # Addresses contain colons, and readline splits words at colons.
    if declare -F _get_comp_words_by_ref >/dev/null; then _get_comp_words_by_ref -n : cur words cword; fi
    command=${words[1]-}
    if [ "$cword" = 1 ]; then
        case $cur in
        -*) _virt_rules_reply "$cur" <<<$'--help\n--version' ;;
        *) _virt_rules_word COMMAND "$cur" ;;
        esac
        return
    fi
    for ((i = 2; i < cword; i++)); do
        if [ -n "$argument" ]; then
            argument=''
        elif [[ ${words[i]} == --* ]]; then
            argument=$(_virt_rules_options "$command" | sed -n "s/^${words[i]//[^a-z-]/} //p")
            case ${words[i]} in --warn | --ignore) argument=CHANGEABLE ;; esac # --error accepts every check
        else
            count=$((count + 1))
        fi
    done
    if [ -n "$argument" ]; then
        _virt_rules_word "$argument" "$cur"
    elif [[ $cur == -* ]]; then
        _virt_rules_word OPTION "$cur"
    else
        _virt_rules_word "$(_virt_rules_operand "$command" "$count")" "$cur"
    fi
    if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$cur"; fi
}

complete -F _virt_rules virt-rules
