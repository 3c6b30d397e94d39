rules='on vm a, a started run "x"'
check() { echo "\$ $*"; echo "$rules" | virt-rules check "$@" - 2>&1 | sed '/^usage/,$d'; echo "status ${PIPESTATUS[1]}"; }
check
check --strict
check --ignore repeated-word --warn relative-path
check --ignore repeated-word --warn relative-path --strict
check --error repeated-word --ignore relative-path
check --ignore syntax
check --ignore repeated-wrod
check --warn nothing-like-it
check --error syntax --ignore repeated-word --ignore relative-path
