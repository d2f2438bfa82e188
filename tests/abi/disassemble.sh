#!/bin/sh
# SPDX-License-Identifier: MIT
# disassemble.sh: counting through a held shard is one instruction on x86-64, whichever compiler makes it.
cd "$(dirname "$0")/../.." || exit 1
. tests/abi/tap.sh
if [ "$(uname -m)" != x86_64 ]; then
    echo "ok - counting is one instruction # SKIP this machine is no x86-64"
    exit 0
fi
cat >"$dir/hot.c" <<'END'
#include <vmtally/count.h>
void constant(struct vmt_shard *sh) { vmt_add(sh, 3, 1); }
void any_n(struct vmt_shard *sh, uint64_t n) { vmt_add(sh, 3, n); }
void any_slot(struct vmt_shard *sh, uint32_t slot) { vmt_add(sh, slot, 1); }
void any(struct vmt_shard *sh, uint32_t slot, uint64_t n) { vmt_add(sh, slot, n); }
struct worker { uint64_t other; struct vmt_shard *sh; };
void in_struct(struct worker *w) { vmt_add(w->sh, 3, 1); }
void begin(struct vmt_shard *sh) { vmt_begin(sh); }
void end(struct vmt_shard *sh) { vmt_end(sh); }
void group(struct vmt_shard *sh) { vmt_begin(sh); vmt_add(sh, 0, 1); vmt_add(sh, 1, 7); vmt_end(sh); }
void set(struct vmt_shard *sh, uint64_t v) { vmt_set(sh, 3, v); }
END

# The function's instructions, one a line, without addresses.
body() { # object function
    objdump -d --no-show-raw-insn "$1" | sed -n "/<$2>:\$/,/^\$/p" | sed -nE 's/^ *[0-9a-f]+:[[:space:]]+//p' |
        sed -E 's/[[:space:]]+/ /g; s/ $//; s/^retq?$/ret/' | sed '/^\(nop\|xchg %ax,%ax\|data16\|cs nop\)/d'
}

# Nothing but these instructions, then ret.
exactly() { # function what instruction...
    function=$1 what=$2
    shift 2
    got=$(body "$dir/hot.o" "$function")
    want=$(printf '%s\n' "$@" ret)
    [ "$got" = "$want" ]
    check $? "$what ($cc)" "$got"
}

# No lock prefix, no fence, no branch, no call, no thread-local access, and memory written by one add only.
one_add() { # function what
    got=$(body "$dir/hot.o" "$1")
    writes=$(printf '%s\n' "$got" | grep -cE '^[a-z]+ ([^(]*,)?-?(0x)?[0-9a-f]*\([^)]*\)$')
    adds=$(printf '%s\n' "$got" | grep -cE '^(addq?|incq?) .*\)$')
    printf '%s\n' "$got" | grep -qE 'lock|fence|xadd|xchg|call|syscall|^j|%fs|%gs|@'
    forbidden=$?
    [ "$writes" -eq 1 ] && [ "$adds" -eq 1 ] && [ $forbidden -eq 1 ] &&
        [ "$(printf '%s\n' "$got" | tail -n 1)" = ret ]
    check $? "$2 ($cc)" "$got"
}

for cc in gcc clang; do
    if ! command -v $cc >/dev/null; then
        echo "ok - counting is one instruction ($cc) # SKIP $cc is not installed"
        continue
    fi
    if ! log=$($cc -std=gnu11 -O2 -fcf-protection=none -I lib -I shm -c "$dir/hot.c" -o "$dir/hot.o" 2>&1); then
        check 1 "the hot path compiles ($cc)" "$log"
        continue
    fi
    exactly constant 'a constant to a constant slot is one add' 'addq $0x1,0x98(%rdi)'
    exactly any_n 'any number to a constant slot is one add' 'add %rsi,0x98(%rdi)'
    one_add any_slot 'a constant to any slot is one add to memory'
    one_add any 'any number to any slot is one add to memory'
    one_add in_struct 'through a pointer in the caller'\''s struct it is one add to memory'
    exactly begin 'begin of a group is one add' 'addq $0x1,0x70(%rdi)'
    exactly end 'end of a group is one add' 'addq $0x1,0x78(%rdi)'
    exactly group 'a group is its adds between those two, in that order' \
        'addq $0x1,0x70(%rdi)' 'addq $0x1,0x80(%rdi)' 'addq $0x7,0x88(%rdi)' 'addq $0x1,0x78(%rdi)'
    exactly set 'set is one store' 'mov %rsi,0x98(%rdi)'
done
exit $bad
