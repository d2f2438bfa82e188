#!/bin/bash
# SPDX-License-Identifier: MIT
# system_calls.sh COLD_CALLS: what a VMM does while it runs makes no system call in jail mode, as strace sees it.
. "$(dirname "$0")/../abi/tap.sh"
cold_calls=$1
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
trap 'rm -rf "$dir" "$VMTALLY_DIR"' EXIT

if ! strace -o "$dir/probe" true 2>/dev/null; then
    echo "ok - system calls in jail mode # SKIP strace is missing, or may not trace here"
    exit 0
fi

touch "$VMTALLY_DIR/jail.vmt"
strace -f -o "$dir/trace" "$cold_calls" "$VMTALLY_DIR/jail.vmt" 2>"$dir/err"
check $? "what is traced counts as it should" "$(cat "$dir/err")"

while read -r part what; do
    # Lines between the two marks, both included.
    sed -n "/write(-1, \"$part\"/,/write(-1, \"end\"/p" "$dir/trace" >"$dir/$part"
    [ "$(grep -c 'write(-1' "$dir/$part")" -eq 2 ]
    check $? "$what: strace saw its marks" "$(cat "$dir/$part")"
    check_empty "$(grep -v 'write(-1' "$dir/$part" | head -n 20)" "$what: no system call"
done <<'END'
shards acquiring and releasing shards
counting counting through a shard and by vmt_count
sources adding and removing sources
END
exit $bad
