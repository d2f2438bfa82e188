#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh MODEL.pml "-DMUTATION ..." SECONDS ["-DFLAG ... for gcc"]: the state space of one model; prints one line: how
# many errors and states, what failed, how long it took. Errors and states are missing where it did not end in time.
# Needs Debian's spin and gcc; the largest spaces (100 million states) take minutes and up to 10 GiB.
set -u
model=$(realpath "$1") defines=${2:-} seconds=${3:-550} flags=${4:--O2 -DCOLLAPSE}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap '[ -z "${pan:-}" ] || kill "$pan"; exit 1' INT TERM
cd "$dir" && cp "$model" m.pml || exit 1
# shellcheck disable=SC2086 # flags are words
{
    spin -a $defines m.pml >log 2>&1 && gcc -w -DSAFETY $flags -o pan pan.c >>log 2>&1
} || { cat log; exit 1; }
timeout "$seconds" ./pan -m3000000 -w"${HASH_BITS:-24}" >out 2>&1 &
pan=$!
wait "$pan"
rc=$?
pan=
echo "$(basename "$model") [$defines] $(grep -oE 'errors: [0-9]+' out)" \
    "$(grep -oE '^ *[0-9.e+]+ states, stored' out | tr -s ' ')" \
    "$(grep -oE 'assertion violated.*|max search depth too small|out of memory' out | head -n 1) $SECONDS s rc=$rc"
