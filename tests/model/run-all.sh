#!/bin/bash
# SPDX-License-Identifier: MIT
# run-all.sh [--short]: the models hold over their whole state space, and each mutation of them is rejected. --short
# takes smaller ones (a minute on 2 idle cores; else half an hour, and 10 GiB). Prints TAP.
set -um # each test is a process group
here=$(dirname "$0")
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
trap 'for pid in $(jobs -p); do kill -- "-$pid"; done; exit 1' INT TERM
tests=() # each: wanted errors, name, arguments of run.sh

holds() { # model defines
    tests+=("0|$1 holds [$2]|$1.pml|$2|3600|")
}

# By breadth first search: the shortest way to the error, mostly after few states: gcc would take longer to optimise.
rejects() { # model defines mutation...
    local model=$1 defines=$2 mutation
    shift 2
    for mutation in "$@"; do
        tests+=("1|$model rejects $mutation|$model.pml|$defines -DM_$mutation|300|-O0 ${search--DBFS}")
    done
}

run() { # index
    local wanted name model defines seconds flags line found='assertion violated' verdict='not ok'
    IFS='|' read -r wanted name model defines seconds flags <<<"${tests[$1]}"
    [ "$wanted" -eq 0 ] && found='states, stored'
    line=$("$here/run.sh" "$here/$model" "$defines" "$seconds" "$flags")
    [[ $line == *"errors: $wanted "*"$found"*rc=0 ]] && verdict=ok
    printf '%s %d - %s\n# %s\n' "$verdict" $(($1 + 1)) "$name" "$line" >"$out/$1.part"
    mv "$out/$1.part" "$out/$1"
}

shown=0
show() { # what is ready, in order
    while [ -f "$out/$shown" ]; do
        cat "$out/$shown"
        shown=$((shown + 1))
    done
}

all() { # in parallel, so many
    local i
    for ((i = started; i < ${#tests[@]}; i++)); do
        while [ "$(jobs -rp | wc -l)" -ge "$1" ]; do
            wait -n
            show
        done
        run "$i" &
    done
    started=$i
    while [ "$(jobs -rp | wc -l)" -gt 0 ]; do
        wait -n
        show
    done
    show
}

started=0
if [ "${1:-}" = --short ]; then
    export HASH_BITS=22
    width=$(nproc)
    holds fold '-DOPS=3 -DKILLS=1 -DMAXA=1 -DMAXB=1'
    holds nest '-DOPS=3 -DKILLS=1 -DMAXT=2'
    holds restart '-DOPS=2 -DKILLS=1 -DMAXT=1'
    holds walk '-DOPS=3 -DMAXT=1'
    holds group '-DNH=1'
    holds lock '-DLIVES=2 -DGCS=1 -DFORKS=0 -DREADS=0'
    holds lock '-DLIVES=2 -DGCS=0 -DFORKS=1 -DREADS=1'
else
    width=1 # memory
    holds fold ''
    holds nest '-DOPS=6'
    holds nest '-DM_VRESET'
    holds restart '-DOPS=3 -DKILLS=1'
    holds restart '-DOPS=2 -DKILLS=2 -DMAXT=1'
    holds restart '-DOPS=3 -DKILLS=1 -DMAXT=1 -DM_CLEARFIRST'
    holds walk '-DOPS=3 -DPASSES=3'
    holds walk '-DOPS=3 -DMAXT=1 -DANYORDER'
    holds walk '-DOPS=4 -DMAXT=1'
    holds group ''
    holds lock '-DLIVES=2 -DGCS=2 -DFORKS=0 -DREADS=0'
    holds lock '-DLIVES=2 -DGCS=1 -DFORKS=1 -DREADS=0'
    holds lock '-DLIVES=2 -DGCS=1 -DFORKS=0 -DREADS=1'
    holds lock '-DLIVES=2 -DGCS=0 -DFORKS=1 -DREADS=1 -DRMS=1'
    holds lock '-DLIVES=3 -DGCS=1 -DFORKS=0 -DREADS=0'
    all "$width"
    width=$(nproc)
fi
rejects fold '-DOPS=2 -DKILLS=1 -DMAXA=1 -DMAXB=1' DESIGN INPLACE NOVER NOGEN NODRAIN FOLDLATE LATECOMMIT NORECOVER \
    'KEEPSTATE -DM_CLEARFIRST'
rejects fold '-DOPS=3 -DKILLS=1 -DMAXA=1 -DMAXB=0' NOCLEAR
rejects nest '-DOPS=2 -DKILLS=1 -DMAXT=1' NOVP NOGP OWNONLY ORPHAN NODRAIN NOVG
rejects restart '-DOPS=2 -DKILLS=1 -DMAXT=1' NOLOOK ALLDONE REDO FOLDFIRST FREELATE HALFBORN GENBACK TWICE TOPDOWN \
    ADOPTZERO NOCLAIM LINKFIRST BLOCKFIRST LATECOMMIT GROWFIRST
rejects restart '-DOPS=1 -DKILLS=2 -DMAXT=0' CALM
search='-DCOLLAPSE' rejects walk '-DOPS=3 -DMAXT=1' DROP STALE NODROP REPLACE NOPGEN NOGEN NOVER NOFOLD
rejects group '-DNH=1' SEQ SEQOR RORDER TORNFIRST WEAK STEAL SPLIT REPAIR REPORDER NOMEND
rejects lock '-DLIVES=2 -DGCS=1 -DFORKS=0 -DREADS=0' NOLOCK NOINODE RESUMENOINODE PLACENOINODE GCNOLOCK GCNOINODE \
    BUSYREPLACES LATELOCK UNLOCKFIRST ASIDEBLIND
rejects lock '-DLIVES=2 -DGCS=2 -DFORKS=0 -DREADS=0' GCSHARED
rejects lock '-DLIVES=2 -DGCS=0 -DFORKS=0 -DREADS=0 -DRMS=1' UNLINKANY
rejects lock '-DLIVES=2 -DGCS=0 -DFORKS=0 -DREADS=0' NOSTOP UNLOCKEARLY
rejects lock '-DLIVES=2 -DGCS=0 -DFORKS=1 -DREADS=0' FORKBUSY
rejects lock '-DLIVES=2 -DGCS=0 -DFORKS=0 -DREADS=1' ONELOOK
echo "1..${#tests[@]}"
all "$width"
! grep -ql '^not ok' "$out"/*
