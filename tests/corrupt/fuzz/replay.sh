#!/bin/sh
# SPDX-License-Identifier: MIT
# replay.sh TARGET NAME RUNS: all inputs of corpus/NAME and crashes/NAME, then RUNS more that are made of them, always
# the same.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC1091,SC2154
. "$here/../../abi/tap.sh" # sets $dir and $bad
target=$1 name=$2 runs=$3
limits='-timeout=120 -rss_limit_mb=2048'

replay() { # folder
    folder=$1
    set -- "$here/$folder/$name"/*
    [ -e "$1" ] || return
    # shellcheck disable=SC2086 # options are words
    "$target" $limits -artifact_prefix="$dir/" "$@" >"$dir/log" 2>&1
    status=$?
    check $status "$name: $# inputs of $folder" "$(tail -n 60 "$dir/log")"
    executed=$(grep -c '^Executed ' "$dir/log")
    [ "$executed" -eq $# ]
    check $? "$name: each of $folder was executed" "$executed of $#"
}

replay corpus
replay crashes
mkdir "$dir/new" "$dir/none"
corpus=$here/corpus/$name
[ -d "$corpus" ] || corpus=$dir/none
# shellcheck disable=SC2086
"$target" $limits -artifact_prefix="$dir/" -seed=1 -runs="$runs" -max_len=2048 -len_control=0 "$dir/new" "$corpus" \
    >"$dir/log" 2>&1
check $? "$name: $runs runs" "$(tail -n 60 "$dir/log")"
exit "$bad"
