#!/bin/sh
# A host of no known kind: nothing calls install.sh at boot unless its administrator sees to it.
# shellcheck disable=SC2154 # hook/install.sh has the variables
other_is_here() {
    :
}

other_check() {
    check_prefix
}

other_place() {
    echo "$compiled"
}

other_keep() {
    [ "$kind" = archive ] && [ "$pass" = plan ] && [ "$stage" = no ] || return 0
    echo "  note: no boot system that the installer knows; let this host run $prefix/install.sh --boot as root at each boot"
}

other_calls() {
    :
}

other_runs_unit() {
    return 1
}
