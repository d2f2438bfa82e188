#!/bin/bash
# SPDX-License-Identifier: MIT
# Fuzzes for as long as wanted: usage() says how.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$root/tests/corrupt/fuzz
targets=(image decode join query resume scribble stream view)
exec </dev/null

usage() {
    cat <<'EOF'
usage: fuzz.sh [--fast] SECONDS [TARGET...]

Builds libFuzzer targets with clang in a directory of its own, and runs them on all cores, one target after the other,
SECONDS each. It goes on behind a finding. Without a TARGET: all of them.

  image     a file that is attached to and read in every way, and changes at any read
  decode    each decoder of bytes from elsewhere by itself
  join      the same file beside what the kernel counts of its writer
  query     a client of vmtally query
  resume    a writer that goes on in a file somebody has changed
  scribble  readers and a thread that scribbles over their file, cuts it off and lets it grow (real races)
  stream    a recording that is read back, and encoded in every other way
  view      what kvmtop shows of a file

  --fast    without AddressSanitizer and UndefinedBehaviorSanitizer: five times as many executions, assertions only

Inputs to start from are those in tests/corrupt/fuzz/corpus. New ones, findings and logs stay in a directory in
$TMPDIR (else /tmp), which is named at the end. Exit status: 0 nothing found, 1 something found (or not built), 2 wrong
usage.
EOF
}

wrong() {
    echo "fuzz.sh: $1" >&2
    usage >&2
    exit 2
}

options=("-Db_sanitize=address,undefined" -Db_lundef=false)
while [[ ${1:-} == -* ]]; do
    case $1 in
    -h | --help) usage; exit 0 ;;
    --fast) options=(-Dbuildtype=release -Db_ndebug=false -Dc_args=-DVMT_FUZZ) ;;
    *) wrong "no option is called '$1'" ;;
    esac
    shift
done
[[ ${1:-} =~ ^[1-9][0-9]{0,6}$ ]] || wrong "SECONDS must be a number from 1 to 9999999, not '${1:-}'"
seconds=$1
shift
for target in "$@"; do
    [[ " ${targets[*]} " == *" $target "* ]] || wrong "no target is called '$target': ${targets[*]}"
done
[ $# -eq 0 ] || targets=("$@")

command -v clang >/dev/null || { echo "fuzz.sh: clang was not found: it has libFuzzer; install it" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/vmtally-fuzz.XXXXXX") || exit 1
cores=$(nproc)
findings_max=50
workers=() # process ids, of the target that runs

end_workers() {
    [ ${#workers[@]} -eq 0 ] || kill "${workers[@]}" 2>/dev/null
    workers=()
}
trap 'end_workers; rm -rf "$work/build"' EXIT
trap 'exit 130' INT TERM HUP

echo "building in $work/build"
if ! { CC=clang meson setup "$work/build" "$root" "${options[@]}" &&
    ninja -C "$work/build" "${targets[@]/#/tests/corrupt/fuzz/fuzz_}"; } >"$work/build.log" 2>&1; then
    tail -n 40 "$work/build.log" >&2
    echo "fuzz.sh: it could not be built; see $work/build.log" >&2
    exit 1
fi

# One core's: again and again until the end, as libFuzzer stops at a finding. After many it is enough.
run_worker() { # target number end
    local target=$1 dir=$work/$1 log=$work/$1/log.$2 child='' left before now status extra=()
    [ ! -d "$here/corpus/$target" ] || extra+=("$here/corpus/$target")
    [ ! -d "$here/crashes/$target" ] || extra+=("$here/crashes/$target")
    trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit' TERM
    while left=$(($3 - $(date +%s))) && [ "$left" -gt 0 ]; do
        before=$(findings "$target")
        "$work/build/tests/corrupt/fuzz/fuzz_$target" -max_total_time="$left" -max_len=2048 -len_control=0 -entropic=0 \
            -use_cmp=0 -reduce_inputs=0 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
            -artifact_prefix="$dir/found/" "$dir/new" "${extra[@]}" >>"$log" 2>&1 &
        child=$!
        wait "$child"
        status=$?
        child=
        [ $status -eq 0 ] && continue
        tail -n 40 "$log" | grep -q 'Test unit written to' ||
            cp "$log" "$dir/found/ended-without-an-input.$2" # it did not start, or leaks
        now=$(findings "$target")
        [ "$now" -gt "$before" ] && [ "$now" -lt $findings_max ] || break # the same again, or enough
    done
}

# Executions so far: of runs that have ended, and the last number that the one which runs has named.
executions() { # target
    awk '/^stat::number_of_executed_units:/ { sum += $2; now[FILENAME] = 0 }
         /^#[0-9]+/ { n = substr($1, 2) + 0; now[FILENAME] = n }
         END { for (f in now) sum += now[f]; printf "%d\n", sum }' "$work/$1"/log.* 2>/dev/null || echo 0
}

findings() { # target
    find "$work/$1/found" -type f | wc -l
}

line() { # target since
    local n spent=$(($(date +%s) - $2))
    n=$(executions "$1")
    printf "%-9s %'13d executions in %d s, %'d a second, %d findings" "$1" "$n" "$spent" \
        $((n / (spent > 0 ? spent : 1))) "$(findings "$1")"
}

run_target() { # target
    local target=$1 since end number pid
    since=$(date +%s)
    end=$((since + seconds))
    mkdir -p "$work/$target/new" "$work/$target/found"
    for ((number = 0; number < cores; number++)); do
        run_worker "$target" "$number" "$end" &
        workers+=($!)
    done
    local next=$((since + 10))
    while [ "$(jobs -rp | wc -l)" -gt 0 ]; do
        sleep 1
        [ "$(date +%s)" -ge $next ] || continue
        next=$((next + 10))
        echo "  $(line "$target" "$since")"
    done
    for pid in "${workers[@]}"; do
        wait "$pid"
    done
    workers=()
    summary+=("$(line "$target" "$since")")
    found=$((found + $(findings "$target")))
}

found=0
summary=()
for target in "${targets[@]}"; do
    run_target "$target"
done
printf '%s\n' "${summary[@]}"
echo "new inputs and logs are in $work"
[ $found -eq 0 ] && exit 0
echo "findings, each to be run again by fuzz_TARGET FILE:"
find "$work"/*/found -type f
exit 1
