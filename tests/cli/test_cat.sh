#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally cat, from outside: what stream and export have written comes out again in any format.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1

same() { # name file file
    cmp "$2" "$3" >"$dir/why" 2>&1
    check $? "$1" "$(cat "$dir/why"; head -c 500 "$2" | cat -v; head -c 500 "$3" | cat -v)"
}

still() { # what changes from snapshot to snapshot, and cat can't know
    sed -E 's/"(time|time_ns|begin_ns|end_ns|utc_timestamp_ms)":("[^"]*"|[0-9]+)/"\1":0/g; /^kvmtop_exporter_/d; /_age_seconds/d'
}

# ---- usage ----

run vmtally cat --format yaml "$dir"
says "a format that is none" 2 "no format yaml; there are: msgpack, json, openmetrics, prometheus, kvm, qemu, firecracker, tinykvm$"
run vmtally cat --format kvm "$dir"
says "kvm is of one source" 2 "name one with --source ID$"
run vmtally cat --follow --format prometheus x
says "the last snapshot of what has no end" 2 "follow has no end, and prometheus is of the last snapshots"
run vmtally cat --pretty --format qemu x
says "--pretty is for JSON" 2 "pretty is for --format json and --format tinykvm"
run vmtally cat --programs x x
says "--programs is for TinyKVM" 2 "programs is for --format tinykvm"
run vmtally cat --format tinykvm --programs '(' x
says "and a pattern" 2 "'\(' is no pattern for names of programs"
run vmtally cat --stat x x
says "--stat is for metrics" 2 "source and --stat are for --format openmetrics and prometheus"
run vmtally cat "$dir/none"
says "a file that is not there" 1 "^vmtally: $dir/none: no such file or directory$"
run vmtally cat "$dir"
says "a directory" 1 "^vmtally: $dir: a directory; name a stream in it$"
: >"$dir/empty"
run vmtally cat "$dir/empty"
says "an empty file" 1 "^vmtally: $dir/empty: no snapshot in it$"
echo '{"name":"text"}' >"$dir/text"
run vmtally cat "$dir/text"
says "what is no stream" 1 "^vmtally: $dir/text: not a stream of vmtally"
head -c 100000 /dev/urandom >"$dir/noise"
run timeout 60 vmtally cat "$dir/noise"
says "nor is noise" 1 "^vmtally: $dir/noise: "

# ---- the fixed snapshot (tests/unit/fixed_snapshot.h) ----

# fixed.qemu is what this wrote; the other golden files were written by unit tests, from the snapshot itself.
golden=$here/../golden
alike() { # format golden-file options...: cat of one snapshot writes that, without statistics of a program that serves
    local format=$1 name=$2
    shift 2
    run vmtally cat --format "$format" "$@" "$golden/fixed-full.msgpack"
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
    check $? "cat of the fixed snapshot as $format $*" "$(shown)"
    LC_ALL=C sed '/kvmtop_exporter_sample_duration_seconds/d' "$golden/$name" >"$dir/expected"
    same "which is $name" "$dir/out" "$dir/expected"
}
alike json fixed.json --pretty
alike openmetrics fixed.openmetrics
alike prometheus fixed.prom
alike tinykvm fixed.tinykvm
alike qemu fixed.qemu
alike kvm fixed-vcpu.kvm --source vm/vcpu-0
alike kvm fixed-kernel-vcpu.kvm --source vm/vcpu-0/kvm
# Lines of one VM after the other, which cat names.
cat "$golden/fixed.firecracker" "$golden/fixed-later.firecracker" >"$dir/expected"
run vmtally cat --format firecracker "$golden/fixed.msgpack"
sed 's/"id":"web-1",//' "$dir/out" >"$dir/got"
same "cat of both fixed snapshots as firecracker is fixed.firecracker, fixed-later.firecracker" "$dir/got" "$dir/expected"

# ---- of a VM that stands still, cat writes what export writes ----

start_fixed fixed
vmtally export --format msgpack >"$dir/stream"
vmtally export --format msgpack --full >"$dir/full"
for format in json qemu firecracker openmetrics prometheus; do
    vmtally export --format $format | still >"$dir/expected"
    for file in stream full; do
        run vmtally cat --format $format "$dir/$file"
        still <"$dir/out" >"$dir/got"
        [ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
        check $? "cat of $file as $format" "$(shown)"
        same "which is what export writes" "$dir/got" "$dir/expected"
    done
done
vmtally export --format kvm --source vm/vcpu-0 fixed >"$dir/expected"
for file in stream full; do
    run vmtally cat --format kvm --source vm/vcpu-0 "$dir/$file"
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
    check $? "cat of $file as kvm" "$(shown)"
    same "which is what export writes" "$dir/out" "$dir/expected"
done
run vmtally cat --format kvm --source '*' "$dir/stream"
says "kvm of many sources" 1 "sources match '[*]', too many for one file; name one and its VM$"
run vmtally cat --format kvm --source vm/vcpu-99 "$dir/stream"
says "kvm of a source that is not in it" 1 "no source vm/vcpu-99; did you mean vm/vcpu-"
run vmtally cat --format msgpack "$dir/stream"
cp "$dir/out" "$dir/again"
vmtally cat "$dir/stream" >"$dir/expected"
run vmtally cat "$dir/again"
[ "$status" -eq 0 ]
check $? "cat as msgpack is a stream again" "$(shown)"
same "with the same in it" "$dir/out" "$dir/expected"
vmtally cat - <"$dir/stream" >"$dir/got" 2>&1
same "- is standard input" "$dir/got" "$dir/expected"
vmtally cat <"$dir/stream" >"$dir/got" 2>&1
same "so is no name" "$dir/got" "$dir/expected"
(cd "$dir" && vmtally cat stream) >"$dir/got" 2>&1
same "a name needs no directory" "$dir/got" "$dir/expected"
run vmtally cat --pretty "$dir/stream"
[ "$status" -eq 0 ] && [ "$(jq -c .sources[0].id "$dir/out")" = '""' ] && [ "$(wc -l <"$dir/out")" -gt 100 ]
check $? "--pretty" "$(head -c 300 "$dir/out")"
run vmtally cat --format tinykvm "$dir/stream"
says "no programs" 1 "^vmtally: no program is in it$"
run vmtally cat --format tinykvm --programs '' "$dir/stream"
says "an empty pattern is all of them, as TinyKVM's is" 1 "^vmtally: no program is in it$"
run vmtally cat --vm other "$dir/stream"
says "no such VM" 1 "^vmtally: no snapshot of other is in it$"
run vmtally cat --vm fixd "$dir/stream"
says "one that is nearly one" 1 "^vmtally: no snapshot of fixd is in it; did you mean fixed[?]$"
got=$(in_terminal vmtally cat --format msgpack "$dir/stream")
[ "$got" = "2 vmtally cat: msgpack is not for a terminal; use a pipe" ]
check $? "msgpack is not for a terminal" "$got"
run sh -c 'vmtally cat "$1" >/dev/full' sh "$dir/stream"
says "a full disk is said" 1 "^vmtally: standard output: no space left"
vmtally cat "$dir/stream" 2>"$dir/err" | head -c 10 >"$dir/out"
[ ! -s "$dir/err" ]
check $? "who has seen enough is no news" "$(cat "$dir/err")"

"$python" "$here/catted.py" "$library" "$dir" || bad=1
exit $bad
