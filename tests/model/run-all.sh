#!/bin/bash
# SPDX-License-Identifier: MIT
# run-all.sh [--short]: the models hold over their whole state space, and each mutation of them is rejected. --short
# takes smaller ones (less than a minute; else five, and 10 GiB). Prints TAP.
set -u
here=$(dirname "$0")
bad=0

verdict() { # wanted-errors name line
    local found='assertion violated'
    [ "$1" -eq 0 ] && found='states, stored  rc='
    if [[ $3 == *"errors: $1 "* && $3 == *"$found"* && $3 == *rc=0 ]]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        bad=1
    fi
    echo "# $3"
}

holds() { # model defines
    verdict 0 "$1 holds [$2]" "$("$here/run.sh" "$here/$1.pml" "$2" 1500)"
}

# By breadth first search: the shortest way to the error, mostly after few states.
rejects() { # model defines mutation...
    local model=$1 defines=$2 mutation
    shift 2
    for mutation in "$@"; do
        verdict 1 "$model rejects $mutation" \
            "$("$here/run.sh" "$here/$model.pml" "$defines -DM_$mutation" 120 "${search--DBFS}")"
    done
}

if [ "${1:-}" = --short ]; then
    holds fold '-DOPS=3 -DKILLS=1 -DMAXA=1 -DMAXB=1'
    holds nest '-DOPS=3 -DKILLS=1 -DMAXT=2'
    holds walk '-DOPS=3 -DMAXT=1'
    holds group '-DNH=1'
else
    holds fold ''
    holds nest '-DOPS=6'
    holds nest '-DM_VRESET'
    holds walk '-DOPS=3 -DPASSES=3'
    holds walk '-DOPS=4 -DMAXT=1'
    holds group ''
fi
small='-DOPS=2 -DKILLS=1 -DMAXA=1 -DMAXB=1'
rejects fold "$small" DESIGN INPLACE NOVER NOGEN NODRAIN FOLDFIRST FOLDLATE LATECOMMIT NORECOVER
rejects nest '-DOPS=2 -DKILLS=1 -DMAXT=1' NOVP NOGP OWNONLY ORPHAN NODRAIN NOVG FOLDFIRST
search='' rejects walk '-DOPS=3 -DMAXT=1' DROP STALE NODROP REPLACE NOPGEN NOGEN NOVER NOFOLD
rejects group '' SEQ SEQOR RORDER WEAK STEAL SPLIT REPAIR REPORDER
exit $bad
