#!/bin/sh
# SPDX-License-Identifier: MIT
# disassemble_cpp.sh: ++sh[disk::reads] is one instruction on x86-64, whichever compiler makes it.
cd "$(dirname "$0")/../.." || exit 1
. tests/abi/tap.sh
if [ "$(uname -m)" != x86_64 ]; then
    skip 'counting in C++ is one instruction' 'this machine is no x86-64'
    exit 0
fi
cat >"$dir/hot.cpp" <<'END'
#include <vmtally.hpp>
#define DISK_STATISTICS(X)                                              \
    X(CUMULATIVE, opened, "opened", NONE, 1, 0, "")                     \
    X(CUMULATIVE, reads, "reads", NONE, 1, 0, "")                       \
    X(INSTANT, depth, "depth", NONE, 1, 0, "")                          \
    X(SIGNED_INSTANT, offset, "offset", NONE, 1, 0, "")                 \
    X(LATENCY, read, "read", NANOSECONDS, 32, 0, "")
VMTALLY_SCHEMA(disk, "disk", "test", "block", DISK_STATISTICS)
struct worker {
    uint64_t other;
    vmtally::shard<disk> sh;
    void handle() { ++sh[disk::reads]; }
};
extern "C" {
void pre(vmtally::shard<disk> &sh) { ++sh[disk::reads]; }
void post(vmtally::shard<disk> &sh) { sh[disk::reads]++; }
void constant(vmtally::shard<disk> &sh) { sh[disk::reads] += 7; }
void any_n(vmtally::shard<disk> &sh, uint64_t n) { sh[disk::reads] += n; }
void in_class(worker &w) { w.handle(); }
void ready_made(vmtally::shard<vmtally::schemas::vcpu> &sh) { ++sh[vmtally::schemas::vcpu::exit_hlt]; }
void any_slot(vmtally::shard<disk> &sh, vmtally::slot<disk, vmtally::kind::cumulative> s) { ++sh[s]; }
void down(vmtally::shard<disk> &sh) { --sh[disk::depth]; }
void negative(vmtally::shard<disk> &sh) { sh[disk::offset] += -3; }
void set(vmtally::shard<disk> &sh, uint64_t v) { sh[disk::depth] = v; }
void group(vmtally::shard<disk> &sh) { auto g = sh.group(); ++sh[disk::opened]; ++sh[disk::reads]; }
void latency(vmtally::shard<disk> &sh, uint64_t ns) { sh[disk::read].record(ns); }
void c_latency(vmt_shard **sh, uint64_t ns) { vmt_latency(*sh, 4, 32, ns); }
}
END

# The function's instructions, one a line, without addresses.
body() { # function
    objdump -d --no-show-raw-insn "$dir/hot.o" | sed -n "/<$1>:\$/,/^\$/p" | sed -nE 's/^ *[0-9a-f]+:[[:space:]]+//p' |
        sed -E 's/[[:space:]]+/ /g; s/ $//; s/^retq?$/ret/' | sed '/^\(nop\|xchg %ax,%ax\|data16\|cs nop\)/d'
}

# The address of the shard's values is loaded, these instructions, ret, and nothing else.
exactly() { # function what instruction...
    function=$1 what=$2
    shift 2
    got=$(body "$function")
    want=$(printf '%s\n' 'mov (%rdi),%rax' "$@" ret)
    [ "$got" = "$want" ]
    check $? "$what ($cxx, $std)" "$got"
}

hot_path() {
    exactly pre '++sh[disk::reads] is one add' 'addq $0x1,0x88(%rax)'
    exactly post 'sh[disk::reads]++ is one add' 'addq $0x1,0x88(%rax)'
    exactly constant 'a constant is one add' 'addq $0x7,0x88(%rax)'
    exactly any_n 'any number is one add' 'add %rsi,0x88(%rax)'
    exactly ready_made 'a ready-made statistic is one add' 'addq $0x1,0x88(%rax)'
    exactly down 'counting down is one add' 'addq $0xffffffffffffffff,0x90(%rax)'
    exactly negative 'a negative number is one add' 'addq $0xfffffffffffffffd,0x98(%rax)'
    exactly set 'set is one store' 'mov %rsi,0x90(%rax)'

    # The address may be loaded again for each: the compiler does not know that no counter is the pointer.
    got=$(body group)
    [ "$(printf '%s\n' "$got" | grep -v '^mov (%rdi),%r[a-d]x$' | sed 's/(%r[a-d]x)/()/')" = \
        "$(printf '%s\n' 'addq $0x1,0x70()' 'addq $0x1,0x80()' 'addq $0x1,0x88()' 'addq $0x1,0x78()' ret)" ]
    check $? "a group is its adds between those two, in that order ($cxx, $std)" "$got"

    got=$(body in_class)
    [ "$got" = "$(printf '%s\n' 'mov 0x8(%rdi),%rax' 'addq $0x1,0x88(%rax)' ret)" ]
    check $? "in a class of the caller's it is one add ($cxx, $std)" "$got"

    got=$(body any_slot)
    printf '%s\n' "$got" | grep -qE 'lock|fence|xadd|xchg|call|syscall|^j|%fs|%gs|@'
    [ $? -eq 1 ] && [ "$(printf '%s\n' "$got" | grep -cE '^addq \$0x1,.*\)$')" -eq 1 ]
    check $? "a slot of an array is one add to memory ($cxx, $std)" "$got"

    got=$(body latency)
    [ "$(printf '%s\n' "$got" | wc -l)" -le "$(body c_latency | wc -l)" ] &&
        ! printf '%s\n' "$got" | grep -qE 'lock|call|%fs|%gs'
    check $? "a latency takes no more instructions than in C, and no call ($cxx, $std)" "$got; in C: $(body c_latency)"
}

for cxx in g++ clang++; do
    if ! command -v $cxx >/dev/null; then
        skip "counting in C++ is one instruction ($cxx)" "$cxx is not installed"
        continue
    fi
    for std in c++17 c++20; do
        if log=$($cxx -std=$std -O2 -fcf-protection=none -I bindings/cpp -I lib -I shm -c "$dir/hot.cpp" \
            -o "$dir/hot.o" 2>&1); then
            hot_path
        else
            check 1 "the hot path compiles ($cxx, $std)" "$log"
        fi
    done
done
exit $bad
