#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally schema, from outside: text, JSON and msgpack of what VMs count, and what it says to slips.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh" || exit 1

run vmtally schema
says "of nothing fails" 1 "^vmtally: no VMs found"
run vmtally schema a b
says "takes one VM" 2 "'b' is one too many"
for both in "--json --msgpack" "--msgpack --json"; do
    # shellcheck disable=SC2086 # two words
    run vmtally schema $both
    says "takes one form: $both" 2 "^vmtally schema: --json and --msgpack don't go together$"
done

start_fixed fixed
start_fixed other
fixed=$segments/fixed.vmt

# ---- for people ----

run vmtally schema fixed --target vcpu --stat 'io_*'
tr -s ' ' <"$dir/out" >"$dir/got"
cat >"$dir/expected" <<'END'
vcpu (vmm): 5 statistics, in fixed
 NAME TYPE UNIT SIZE HELP
 io_latency_count cumulative 1 Time that the VMM takes to handle an exit (count)
 io_latency_sum cumulative ns 1 Time that the VMM takes to handle an exit (sum)
 io_latency_min instant, min ns 1 Time that the VMM takes to handle an exit (minimum)
 io_latency_max peak ns 1 Time that the VMM takes to handle an exit (maximum)
 io_latency_hist log2-histogram ns 40 Time that the VMM takes to handle an exit (histogram); buckets begin at 0 and at powers of 2, the last at 4.58 min
END
[ "$status" -eq 0 ] && diff -u "$dir/expected" "$dir/got" >"$dir/diff"
check $? "text has a heading, and type, unit, size and help of each statistic" "$(cat "$dir/diff")"
run vmtally schema --stat memory_bytes fixed
[ "$status" -eq 0 ] && [ "$(tr -s ' ' <"$dir/out" | tail -n 1)" = \
    " memory_bytes instant B 1 Guest memory, as configured" ]
check $? "units are those that people say" "$(shown)"
run vmtally schema
[ "$status" -eq 0 ] && [ "$(grep -c '^[^ ]' "$dir/out")" = 3 ] &&
    [ "$(grep -cE '^(segment \(vmtally\)|vm \(vmm\)|vcpu \(vmm\)): [0-9]+ statistics, in fixed, other$' "$dir/out")" = 3 ]
check $? "what VMs have alike is shown once, with their names" "$(shown)"
for vm in fixed "$fixed"; do
    run vmtally schema "$vm"
    [ "$status" -eq 0 ] && [ "$(grep -c ', in fixed$' "$dir/out")" = 3 ]
    check $? "of one VM: ${vm##*/}" "$(shown)"
done

# ---- for programs ----

run vmtally schema fixed --json
cp "$dir/out" "$dir/schemas.json"
[ "$status" -eq 0 ] && [ "$(wc -l <"$dir/out")" = 1 ] &&
    [ "$(jq -c '[.[] | [.name, .provider, .target, .vms]]' "$dir/out")" = \
    '[["segment","vmtally","segment",["fixed"]],["vcpu","vmm","vcpu",["fixed"]],["vm","vmm","vm",["fixed"]]]' ]
check $? "--json is an array of schemas" "$(jq -c '[.[] | [.name, .provider, .target, .vms]]' "$dir/out") $(shown)"
[ "$(jq -c '.[] | select(.target == "vcpu").stats[] | select(.name == "run_time")' "$dir/out")" = \
    '{"name":"run_time","kind":"cumulative","unit":"seconds","scale":{"base":"pow10","exponent":-9},"count":1,"help":"Time spent in KVM_RUN"}' ]
check $? "a descriptor has the form that was discussed" "$(shown)"
run vmtally show fixed --json
[ "$(jq -c '[.sources[], .sources[].totals[] | [.schema, [.stats[].name]]] | unique' "$dir/out")" = \
    "$(jq -c '[.[] | [.name, [.stats[].name]]] | unique' "$dir/schemas.json")" ]
check $? "it has all statistics that show has, and no others" "$(jq -c '[.[] | [.name, (.stats | length)]]' "$dir/schemas.json")"
run vmtally schema --json
[ "$(jq -c '[.[].vms] | unique' "$dir/out")" = '[["fixed","other"]]' ] &&
    [ "$(jq -c 'map(del(.vms))' "$dir/out")" = "$(jq -c 'map(del(.vms))' "$dir/schemas.json")" ]
check $? "--json of all VMs has each schema once, and who has it" "$(jq -c '[.[].vms]' "$dir/out")"
run vmtally schema --json --stat 'io_latency_*' --provider vmm
[ "$(jq -c '[.[] | [.name, [.stats[].name]]]' "$dir/out")" = \
    '[["vcpu",["io_latency_count","io_latency_sum","io_latency_min","io_latency_max","io_latency_hist"]]]' ]
check $? "--json with --stat and --provider" "$(shown)"
if "$python" -c 'import msgpack' 2>/dev/null; then
    vmtally schema fixed --msgpack >"$dir/packed" &&
        got=$("$python" -c 'import json, msgpack, sys; print(json.dumps(msgpack.unpack(open(sys.argv[1], "rb"))))' "$dir/packed") &&
        [ "$(jq -cS . <<<"$got")" = "$(jq -cS . "$dir/schemas.json")" ]
    check $? "--msgpack says the same" "$(head -c 300 <<<"$got")"
    got=$(in_terminal vmtally schema --msgpack)
    [ "$got" = "2 vmtally schema: msgpack is not for a terminal; use a pipe, or --json" ]
    check $? "msgpack does not go to a terminal" "$got"
else
    echo "ok - --msgpack says the same # SKIP needs python3-msgpack"
fi
vmtally schema >/dev/full 2>"$dir/err"
[ $? -eq 1 ] && grep -q 'standard output: no space left' "$dir/err"
check $? "a full device is said, and fails" "$(cat "$dir/err")"

# ---- what is not there ----

run vmtally schema fixed --stat io_latnecy_hist
says "a statistic with a slip names the nearest" 1 "^vmtally: no statistic io_latnecy_hist; did you mean io_latency_hist\?$"
run vmtally schema --stat frobnicate
says "one far from all says how to see all" 1 "^vmtally: no statistic frobnicate; 'vmtally schema' shows all$"
run vmtally schema --stat 'frob*' --json
says "a glob that matches nothing" 1 "^vmtally: no statistic matches 'frob\*'; 'vmtally schema' shows all$"
run vmtally schema --target vpcu
says "a target with a slip" 1 "^vmtally: no target vpcu; did you mean vcpu\?$"
run vmtally schema --provider mm --target vm
says "a provider that is not there" 1 "^vmtally: nothing of target vm is counted by provider mm; 'vmtally schema' shows all$"
run vmtally schema --provider vmtally --target vcpu
says "both are there, but not together" 1 "^vmtally: nothing of target vcpu is counted by provider vmtally;"
run vmtally schema fixxed
says "a VM with a slip" 1 "^vmtally: no such VM: fixxed; did you mean fixed\?"
run vmtally schema "$segments/none.vmt"
says "a file that is not there" 1 "none.vmt: no such file or directory$"
yes 'no segment at all' | head -c 5000 >"$segments/text.vmt"
chmod 644 "$segments/text.vmt"
run vmtally schema --json
[ "$status" -eq 1 ] && [ "$(jq length "$dir/out")" = 3 ] && grep -q 'text.vmt: not a vmtally segment' "$dir/err"
check $? "what can't be read is said, the rest is shown, and it fails" "$(shown)"
rm -f "$segments/text.vmt"

# ---- what lies about ----

cp "$fixed" "$segments/hostile.vmt"
"$python" "$here/hostile.py" write "$segments/hostile.vmt"
for form in "" --json; do
    run vmtally schema $form "$segments/hostile.vmt"
    [ "$status" -eq 0 ] && "$python" "$here/hostile.py" "$([ "$form" ] && echo json || echo text)" "$dir/out" >"$dir/why" 2>&1
    check $? "texts that would harm don't reach the output ${form:-(text)}" "$(cat "$dir/why")"
done
run vmtally schema --json
[ "$status" -eq 0 ] && [ "$(jq '[.[].vms | index("fixed")] | map(select(. != null)) | length' "$dir/out")" = 3 ]
check $? "and not those of the others" "$(shown)"
exit $bad
