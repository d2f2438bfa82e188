#!/bin/sh
# SPDX-License-Identifier: MIT
# symbols.sh LIBVMTALLY.so LIBVMTALLY-EXPORT.so: exported is what the public headers declare, no more and no less.
here=$(dirname "$0")
. "$here/tap.sh"
lib=$1 export=$2

"$here/declared.sh" vmtally.h vmtally/delta.h vmtally/host.h vmtally/reader.h vmtally/recorded.h >"$dir/lib" || exit 1
"$here/declared.sh" vmtally.h vmtally/delta.h vmtally/host.h vmtally/reader.h vmtally/recorded.h vmtally/export.h |
    grep -vxF -f "$dir/lib" >"$dir/export" || exit 1

same() { # list-of-declared library version
    # "symbol@@VERSION" of each; the absolute ones are the versions themselves
    nm -D --defined-only --with-symbol-versions "$2" | awk '$2 != "A" { print $3 }' | LC_ALL=C sort >"$dir/exported"
    sed "s/\$/@@$3/" "$1" | LC_ALL=C sort >"$dir/declared"
    log=$(diff "$dir/declared" "$dir/exported")
    check $? "$(basename "$2") exports what its headers declare, as $3" "$log"
}
same "$dir/lib" "$lib" VMTALLY_1.0
same "$dir/export" "$export" VMTALLY_EXPORT_1.0

flags=$(readelf -d "$lib")
printf '%s\n' "$flags" | grep -q 'FLAGS_1.*NODELETE'
check $? 'libvmtally stays when it is closed (-z nodelete)' "$flags"
printf '%s\n' "$flags" | grep -q 'SONAME.*\[libvmtally\.so\.1\]'
check $? 'libvmtally is called libvmtally.so.1' "$flags"
printf '%s\n' "$flags" | grep -q 'NEEDED.*\[liburcu-mb\.so'
check $? 'libvmtally needs the liburcu flavour that calls no membarrier' "$flags"
check_empty "$(printf '%s\n' "$flags" | grep NEEDED | grep -vE '\[(libc\.so|liburcu-(mb|common)\.so|ld-linux)')" \
    'libvmtally needs libc and liburcu only'
check_empty "$(nm -D --undefined-only "$lib" | grep -E ' (.*call_rcu.*|clone3?)(@|$)')" 'libvmtally starts no thread of liburcu'
starters=$(objdump -d --no-show-raw-insn "$lib" |
    awk '/^[0-9a-f]+ <.*>:$/ { name = $2 } / <pthread_create@plt>$/ { print name }' | sort -u)
# A reader of the kernel's counters has one for a moment, where it asks KVM for its schemas; a writer never.
[ "$(printf '%s\n' "$starters" | grep -cxE '<(vmt_kvm_sample_every(@@.*)?|start_copier|kvm_schemas_of_host)>:')" -eq 2 ] &&
    [ "$(printf '%s\n' "$starters" | wc -l)" -eq 2 ]
check $? 'libvmtally starts a thread that stays only where it is asked to, by vmt_kvm_sample_every' "$starters"
for twin in add set peak minimum peak_signed minimum_signed record_log record_linear begin end latency; do
    text=$(objdump -d --no-show-raw-insn "$lib" | sed -n "/<vmt_${twin}_ext@*[A-Z0-9_.]*>:\$/,/^\$/p")
    # jumps within the function have its name in them
    [ -n "$text" ] && ! printf '%s\n' "$text" | grep -vE "<vmt_${twin}_ext[+@>].*" |
        grep -qE 'lock|fence|call|syscall|%fs|%gs|j[a-z]+ '
    check $? "vmt_${twin}_ext locks nothing, calls nothing, knows no thread" "$text"
done
exit $bad
