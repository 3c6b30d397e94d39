# shellcheck shell=bash
# What the shell tests have in common: they count checks, and tests/run shows how far they are. A failed check is a line
# "failed: WHAT" with what $output has; tests/run lists these lines at its end.
passed=0 failed=0

counted() { # in the file that tests/run reads
    [ -z "${TESTS_COUNTED-}" ] || echo $((passed + failed)) >"$TESTS_COUNTED"
}

good() {
    passed=$((passed + 1))
    counted
}

bad() { # WHAT
    failed=$((failed + 1))
    counted
    echo "failed: $1"
    [ ! -e "${output-}" ] || sed 's/^/    /' "$output"
}

check() { # WHAT COMMAND ...
    local what=$1
    shift
    if "$@"; then good; else bad "$what: $*"; fi
}

not() {
    ! "$@"
}

said() { # TEXT
    grep -qF -- "$1" "$output"
}

skip() { # WHAT: NEEDS
    echo "skipped: $*"
}

print_counts() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
