#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally export in the formats of others, from outside: what is in them is what show has.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1
umask 022

# ---- usage ----

run vmtally export --format prometeus
says "a format with a slip" 2 "no format prometeus; did you mean prometheus\?"
run vmtally export --format json --stat exits
says "--stat is for metrics" 2 "stat is for --format openmetrics and prometheus"
run vmtally export --format kvm --stat exits -o "$dir/x"
says "also with kvm" 2 "stat is for --format openmetrics and prometheus"
run vmtally export --format qemu --source vm
says "--source is for metrics and kvm" 2 "source is for --format kvm, openmetrics and prometheus"
run vmtally export --format prometheus --pretty
says "--pretty is for JSON" 2 "pretty is for --format json and --format tinykvm"
run vmtally export --format prometheus --full
says "--full is for msgpack" 2 "full is for --format msgpack"
run vmtally export --format json --vm a b
says "one VM, not two" 2 "one VM at a time, or all: 'b' is one too many"
run vmtally export --format json --vm a --vm b
says "nor by two options" 2 "one VM at a time, or all: 'b' is one too many"
run vmtally export --format tinykvm '(a'
says "a pattern that is none" 2 "'\(a' is no pattern for names of programs: Unmatched"
run vmtally export --format tinykvm '(a)\1'
says "a pattern that would take for ever" 2 "is no pattern for names of programs: it .* has a back-reference"
for format in qemu firecracker tinykvm json msgpack; do
    vmtally export --format $format >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    says "$format of nothing fails" 1 "^vmtally: no VMs found in $segments"
done

# ---- no VMs at all ----

for format in openmetrics prometheus; do
    echo before >"$dir/vms.prom"
    run vmtally export --format $format -o "$dir/vms.prom"
    [ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && ! grep -q before "$dir/vms.prom" && ! grep -q 'vm=' "$dir/vms.prom"
    check $? "$format of no VMs has no series of those that have gone" "$(cat "$dir/vms.prom") $(shown)"
done
rm "$dir/vms.prom"
run vmtally export --format prometheus -o "$dir/vms.prom" nobody
[ "$status" -eq 1 ] && [ ! -e "$dir/vms.prom" ] && grep -q '^vmtally: no such VM: nobody' "$dir/err"
check $? "a VM that was named must be there" "$(shown)"

# ---- one VM ----

start_fixed fixed
run vmtally export --format prometheus --source vm/vpcu-0
says "a source with a slip" 1 "^vmtally: no source vm/vpcu-0; did you mean vm/vcpu-0\?$"
run vmtally export --format prometheus --stat 'exist'
says "a statistic with a slip" 1 "^vmtally: no statistic exist; did you mean exits\?$"
run vmtally export --format prometheus --stat 'x*'
says "a glob that matches nothing" 1 "^vmtally: no statistic matches 'x\*'; 'vmtally show' shows all$"
run vmtally export --format tinykvm
says "without programs there is no document of them" 1 "^vmtally: no programs: no VM that was found counts"
run vmtally export --format tinykvm 'hello.*'
says "nor of those that match" 1 "^vmtally: no programs: no VM that was found counts"
run vmtally export --format prometheus -o "$dir/x.prom"
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && [ ! -s "$dir/out" ] && [ "$(stat -c %a "$dir/x.prom")" = 644 ]
check $? "a new file is for all who the umask lets read it" "$(ls -l "$dir/x.prom") $(shown)"
chmod 604 "$dir/x.prom"
run vmtally export --format prometheus -o "$dir/x.prom"
[ "$status" -eq 0 ] && [ "$(stat -c %a "$dir/x.prom")" = 604 ]
check $? "one that was there keeps its mode" "$(ls -l "$dir/x.prom") $(shown)"
mkdir "$dir/whole"
echo before >"$dir/whole/x.prom"
exec {old}<"$dir/whole/x.prom"
inode=$(stat -c %i "$dir/whole/x.prom")
run sh -c 'ulimit -f 1; exec vmtally export --format prometheus -o "$1"' sh "$dir/whole/x.prom"
[ "$status" -eq 1 ] && grep -q "^vmtally: $dir/whole/x.prom: not written: too large" "$dir/err" &&
    [ "$(cat "$dir/whole/x.prom")" = before ] && [ "$(ls -A "$dir/whole")" = x.prom ]
check $? "one that can't be written leaves the old one as it was, and nothing else" "$(ls -lA "$dir/whole") $(shown)"
run vmtally export --format prometheus -o "$dir/whole/x.prom"
[ "$status" -eq 0 ] && [ "$(stat -c %i "$dir/whole/x.prom")" != "$inode" ] && [ "$(cat <&"$old")" = before ] &&
    [ "$(wc -c <"$dir/whole/x.prom")" -gt 1024 ] && [ "$(ls -A "$dir/whole")" = x.prom ]
check $? "a file is replaced by a whole one: who reads the old one reads it to its end" "$(ls -lA "$dir/whole") $(shown)"
exec {old}<&-
run sh -c 'umask 077; vmtally export --format prometheus -o "$1"' sh "$dir/private.prom"
[ "$status" -eq 0 ] && grep -q "^vmtally: $dir/private.prom: only its owner can read it, as the umask asks for" "$dir/err"
check $? "one that no collector can read is said" "$(shown)"
run sh -c 'umask 077; vmtally export --format prometheus -o "$1"' sh "$dir/private.prom"
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
check $? "once" "$(shown)"
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups -- test -x "$program" 2>/dev/null; then
    mkdir "$dir/closed"
    chmod 644 "$segments/fixed.vmt"
    run setpriv --reuid=65534 --regid=65534 --clear-groups -- vmtally export --format prometheus -o "$dir/closed/x.prom"
    says "where nothing may be written that is said" 1 "^vmtally: $dir/closed/x.prom: not written: permission denied"
else
    skip "where nothing may be written that is said" "needs root, and a build directory that nobody may read"
fi

for target in vm vcpu; do
    vmtally query '{"execute":"query-stats","arguments":{"target":"'$target'"},"id":{"vm":"fixed","target":"'$target'"}}'
done >"$dir/expected"
run vmtally export --format qemu
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ] && cmp -s "$dir/out" "$dir/expected" && [ "$(wc -l <"$dir/out")" = 2 ]
check $? "qemu is what query answers, of the VM and of its vCPUs" "$(shown)"
run vmtally export --format qemu "$segments/fixed.vmt"
[ "$status" -eq 0 ] && cmp -s "$dir/out" "$dir/expected"
check $? "also of the VM with this file" "$(shown)"
grep -q '"qom-path":"vm/vcpu-0","stats":\[{"name":"exits","value":9007199254740993}.*{"name":"exit_other","value":18446744073709551615}' "$dir/out"
check $? "each number is exact" "$(shown)"

vmtally export --format json fixed >"$dir/line"
run vmtally export --format json --pretty --vm fixed
[ "$status" -eq 0 ] && [ "$(wc -l <"$dir/out")" -gt 100 ] &&
    [ "$(jq -c 'del(.time, .time_ns, .begin_ns, .end_ns)' "$dir/out")" = "$(jq -c 'del(.time, .time_ns, .begin_ns, .end_ns)' "$dir/line")" ]
check $? "--pretty is the same, indented" "$(head -c 300 "$dir/out")"

# ---- what lies about ----

cp "$segments/fixed.vmt" "$segments/hostile.vmt"
"$python" "$here/hostile.py" write "$segments/hostile.vmt"
for format in openmetrics prometheus qemu firecracker json; do
    run vmtally export --format $format
    [ "$status" -eq 0 ] && [ "$(wc -c <"$dir/out")" -gt 1000 ] && ! LC_ALL=C grep -q '[[:cntrl:]]' "$dir/out" "$dir/err"
    check $? "no control character of a hostile segment comes through as $format" "$(shown)"
done
rm "$segments/hostile.vmt"

"$python" "$here/exported.py" "$library" "$dir" || bad=1
exit $bad
