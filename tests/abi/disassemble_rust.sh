#!/bin/sh
# SPDX-License-Identifier: MIT
# disassemble_rust.sh [LIBRARY]: shard.exits.inc() is one instruction on x86-64. LIBRARY is tests/rust's libvmtally_hot.so
# as it is released; the same is looked at as rustc makes it at other levels of optimisation, and without.
cd "$(dirname "$0")/../.." || exit 1
. tests/abi/tap.sh
if [ "$(uname -m)" != x86_64 ]; then
    skip 'counting in Rust is one instruction' 'this machine is no x86-64'
    exit 0
fi
if [ ! -f "${1-}" ]; then
    skip 'counting in Rust is one instruction' 'the Rust bindings are not built'
    exit 0
fi

# The function's instructions, one a line, without addresses and padding.
body() { # object function
    objdump -d --no-show-raw-insn "$1" | sed -n "/<$2>:\$/,/^\$/p" | sed -nE 's/^ *[0-9a-f]+:[[:space:]]+//p' |
        sed -E 's/[[:space:]]+/ /g; s/ $//; s/^retq?$/ret/; s/0xffffffffffffffff/-1/; s/\<incq /addq $0x1,/; s/\<decq /addq $-1,/
                /^(nop|xchg %ax,%ax|data16|cs nop|int3)/d'
}

exactly() { # object function what instruction...
    object=$1 function=$2 what=$3
    shift 3
    got=$(body "$object" "$function")
    want=$(printf '%s\n' "$@" ret)
    [ "$got" = "$want" ]
    check $? "$what" "$got"
}

# No memory but the stack is changed other than by an add to it.
only_adds() { # object function what
    got=$(body "$1" "$2")
    adds=$(printf '%s\n' "$got" | grep -cE '^addq? [^(]+,(0x[0-9a-f]+)?\(%r')
    others=$(printf '%s\n' "$got" | grep -E '^[a-z]+ (.*,)?(-?0x[0-9a-f]+)?\(%[^)]*\)$' | grep -vE '^(addq? [^(]+,|cmp|test|jmp|call)|,?(0x[0-9a-f]+)?\(%rsp\)$')
    [ "$adds" -gt 0 ] && [ -z "$others" ]
    check $? "$3" "$got"
}

optimised() { # object how
    for shape in sum difference condition other level constants branches branches_of_one branch_that_reads match loop; do
        only_adds "$1" shape_$shape "it is an add to memory, whatever is around it: $shape ($2)"
    done
    exactly "$1" hot_constant "inc() through a held shard is one add ($2)" 'mov (%rdi),%rax' 'addq $0x1,0x80(%rax)'
    exactly "$1" hot_any_n "add(n) through a held shard is one add ($2)" 'mov (%rdi),%rax' 'add %rsi,0xa8(%rax)'
    exactly "$1" hot_in_struct "through a shard in the caller's struct it is one add ($2)" 'mov 0x8(%rdi),%rax' \
        'addq $0x1,0x80(%rax)'
    exactly "$1" hot_field "inc() of a field is one add ($2)" 'addq $0x1,0x8(%rdi)'
    exactly "$1" hot_field_any_n "add(n) to a field is one add ($2)" 'add %rsi,0x8(%rdi)'
    exactly "$1" hot_trait "by IncMetric it is one add ($2)" 'mov (%rdi),%rax' 'addq $0x1,0x90(%rax)'
    exactly "$1" hot_set "store() is one store ($2)" 'mov %rsi,(%rdi)'
    exactly "$1" hot_sub "sub() is one add ($2)" 'neg %rsi' 'add %rsi,(%rdi)'
    exactly "$1" hot_shared "of a SharedIncMetric it is one locked add ($2)" 'lock addq $0x1,0x8(%rdi)'
}

optimised "$1" 'as released'

# hot.rs again, on top of the crates that cargo has built.
compile() { # profile level
    deps=${VMT_BUILD:?must be set to the build directory}/cargo/$1/deps
    crate=$(ls -t "$deps"/libvmtally-*.rlib 2>/dev/null | head -n 1)
    [ -n "$crate" ] || return 1
    "${RUSTC:-rustc}" --edition 2021 --crate-type lib --crate-name hot -C codegen-units=1 -C opt-level="$2" --emit "obj=$dir/$1-$2.o" \
        -L "dependency=$deps" --extern "vmtally=$crate" tests/rust/src/hot.rs 2>"$dir/log"
}

for level in 1 2 s z; do
    compile release $level
    good=$?
    if [ $good -ne 0 ]; then
        check 1 "hot.rs compiles (opt-level $level)" "$(cat "$dir/log" 2>/dev/null)"
        continue
    fi
    optimised "$dir/release-$level.o" "opt-level $level"
done

# Not optimised there is much around it, but memory other than the stack is changed by that one instruction.
if compile debug 0; then
    for function in hot_constant hot_any_n hot_field hot_field_any_n hot_in_struct; do
        got=$(body "$dir/debug-0.o" $function)
        adds=$(printf '%s\n' "$got" | grep -cE '^addq? %r[a-z0-9]+,\(%r[a-z0-9]+\)$')
        others=$(printf '%s\n' "$got" | grep -E 'lock|fence|xadd|xchg|syscall|^[a-z]+ .*,(-?0x[0-9a-f]+)?\(%r[^)]*\)$' |
            grep -vE '^addq? %r[a-z0-9]+,\(%r[a-z0-9]+\)$|\(%r[sb]p\)$|^(lea|mov) .*\),%')
        [ "$adds" -eq 1 ] && [ -z "$others" ]
        check $? "a build for debugging counts by one instruction, too ($function)" "$got"
    done
else
    check 1 'hot.rs compiles (not optimised)' "$(cat "$dir/log" 2>/dev/null)"
fi
exit $bad
