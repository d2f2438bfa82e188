#!/bin/bash
# SPDX-License-Identifier: MIT
# tinykvm.sh PROGRAM: the example ends by itself with TinyKVM's document, in which no request is lost: not over machines
# that move between threads, not over the program that is replaced.
. "$(dirname "$0")/../abi/tap.sh"
program=$1
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
export VMTALLY_DIR
trap 'rm -rf "$dir" "$VMTALLY_DIR"' EXIT

timeout 240 "$program" >"$dir/out.json" 2>"$dir/err"
check $? 'the example ends by itself' "$(cat "$dir/err")"
check_empty "$(cat "$dir/err"; ls "$VMTALLY_DIR")" 'it says nothing else and leaves nothing behind'
if ! command -v jq >/dev/null; then
    skip 'its document' 'jq is not installed'
    exit "$bad"
fi
jq -e . "$dir/out.json" >/dev/null 2>"$dir/err"
check $? 'its document is JSON' "$(cat "$dir/err")"

holds() { # name filter
    got=$(jq -e "$2" "$dir/out.json" 2>&1)
    check $? "$1" "$got; $(jq -c '[.VMOD_KVM, (.avif, .resize | .request.totals)]' "$dir/out.json")"
}
programs='.avif, .resize'
holds 'it has both programs, each with three machines' \
    '[keys == ["VMOD_KVM", "avif", "resize"], (['"$programs"'] | all(.request.machines | length == 3))] | all'
holds 'totals are the sums of the machines' '['"$programs"'] | all(.request |
    . as $r | [.totals | keys[] | select(endswith("_time") or . == "exceptions" | not)] |
    all(. as $k | $r.totals[$k] == ([$r.machines[][$k]] | add)))'
holds 'totals of exceptions have all kinds of them' '['"$programs"'] | all(.request |
    .totals.exceptions == ([.machines[] | .exceptions + .exception_mem + .exception_oom] | add))'
holds 'totals of times are those of the machines' '['"$programs"'] | all(.request |
    . as $r | ["request_cpu_time", "reservation_time"] |
    all(. as $k | $r.totals[$k] - ([$r.machines[][$k]] | add) | fabs < 1e-6))'
holds 'each request had its answer, or an exception' '['"$programs"'] | all(.request.totals |
    .invocations == .status_2xx + .status_4xx + .exceptions and .invocations == .resets and .invocations > 0)'
# Of 600 requests each tenth is one of 4xx, and each 25th an exception; the replaced program had some of them.
holds 'what the replaced program has counted is kept' \
    '.VMOD_KVM.program_status_4xx == 60 and .VMOD_KVM.program_exception == 24'
holds 'the program was updated once, while a request was under way in the old one' \
    '.avif.program.live_updates == 1 and .avif.request.totals.invocations + .resize.request.totals.invocations < 600 and
     .resize.request.totals.invocations == 199'
holds 'storage has had its tasks, and none waits' \
    '['"$programs"'] | all(.storage | .invocations > 0 and .tasks_queued == 0)'
holds 'gauges and peaks are of each machine' \
    '['"$programs"'] | all(.request.machines | all(.vm_main_memory == 67108864 and .vm_bank_highest <= 32768))'
exit "$bad"
