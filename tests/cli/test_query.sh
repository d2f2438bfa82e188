#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally query from outside: one request, a session on standard input, and (query_listen.py) the clients of a socket.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh"

prints() { # name status: the last run printed standard input, and no message where the status is 0
    cat >"$dir/expected"
    cmp -s "$dir/expected" "$dir/out" && [ "$status" -eq "$2" ] && { [ "$2" -ne 0 ] || [ ! -s "$dir/err" ]; }
    check $? "$1" "expected exit status $2 and
$(cat "$dir/expected")
$(shown)"
}

stats() { # target [more of the arguments]: a request
    echo '{"execute":"query-stats","arguments":{"target":"'"$1"'"'"${2:+,$2}"'}}'
}

# ---- which VM ----

run vmtally query "$(stats vm)"
says "without any VM there is nobody to ask" 1 "^vmtally: no VMs found in $segments"
start_fixed fixed
fixed=$started
run vmtally query '{"execute":"query-name"}'
prints "the only VM need not be named" 0 <<'END'
{"return":{"name":"fixed"}}
END
run vmtally query --vm fixed '{"execute":"query-name","id":[1,"a"]}'
prints "an id comes back" 0 <<'END'
{"return":{"name":"fixed"},"id":[1,"a"]}
END
run vmtally query --vm "$segments/fixed.vmt" '{"execute":"query-name"}'
prints "a VM may be named by its file" 0 <<'END'
{"return":{"name":"fixed"}}
END
run vmtally query --vm fixde "$(stats vm)"
says "a slip in its name" 1 "^vmtally: no such VM: fixde; did you mean fixed\?$"
for i in 1 2 3 4 5; do
    cp "$segments/fixed.vmt" "$segments/copy-$i.vmt"
done
run vmtally query "$(stats vm)"
says "which of several?" 1 '^vmtally: there are several VMs: copy-1, copy-2, copy-3, copy-4 and 2 more; choose one with --vm$'
run vmtally query
says "a session asks that first, too" 1 '^vmtally: there are several VMs: '
rm "$segments"/copy-*.vmt

# ---- one request ----

run vmtally query "$(stats vcpu '"vcpus":["vm/vcpu-0"],"providers":[{"provider":"vmm","names":["exits","exit_other","run_time"]}]')"
prints "values are exact" 0 <<'END'
{"return":[{"provider":"vmm","qom-path":"vm/vcpu-0","stats":[{"name":"exits","value":9007199254740993},{"name":"exit_other","value":18446744073709551615},{"name":"run_time","value":1234567890}]}]}
END
run vmtally query "$(stats vm '"providers":[{"provider":"vmm","names":["vcpus"]}]')"
prints "a VM has no path" 0 <<'END'
{"return":[{"provider":"vmm","stats":[{"name":"vcpus","value":2}]}]}
END
run vmtally query "$(stats vcpu)"
[ "$status" -eq 0 ] && [ "$(jq -c '[.return[] | [.provider, ."qom-path"]]' "$dir/out")" = '[["vmm","vm/vcpu-0"],["vmm","vm/vcpu-1"]]' ]
check $? "what was unplugged is not answered for" "$(shown)"
run vmtally query '{"execute":"query-stats-schemas","arguments":{"provider":"vmm"}}'
[ "$status" -eq 0 ] && [ "$(jq -c '[.return[] | select(.target == "vcpu").stats[] | select(.name == "io_latency_hist" or .name == "exits")]' "$dir/out")" = \
    '[{"name":"exits","type":"cumulative","exponent":0},{"name":"io_latency_hist","type":"log2-histogram","unit":"seconds","base":10,"exponent":-9}]' ]
check $? "schemas" "$(shown)"
run vmtally query "$(stats vcpu '"providers":[{"provider":"vmm","names":["exist"]}]')"
prints "an error is a response, a message and a status" 1 <<'END'
{"error":{"class":"GenericError","desc":"no statistic exist; did you mean exits?"}}
END
[ "$(cat "$dir/err")" = "vmtally: no statistic exist; did you mean exits?" ]
check $? "and the message says the same" "$(shown)"
run vmtally query '{"execute":"query-name"'
prints "what is no JSON" 1 <<'END'
{"error":{"class":"GenericError","desc":"JSON parse error, unexpected end of data"}}
END
printf '{"execute":"query-name","id":"%070000d"}' 0 >"$dir/long"
run vmtally query "$(cat "$dir/long")"
[ "$status" -eq 1 ] && grep -q 'JSON text size limit exceeded' "$dir/out"
check $? "and what is too long" "$(shown)"
run vmtally query '{"execute":"query-name","execute":"quit"}'
prints "and what says a thing twice" 1 <<'END'
{"error":{"class":"GenericError","desc":"JSON parse error, duplicate key"}}
END
run vmtally query '{"execute":"query-name","execute\u0000":"quit","id":18446744073709551616}'
prints "a NUL does not end a name, and an id comes back whatever it is" 1 <<'END'
{"error":{"class":"GenericError","desc":"QMP input member 'execute\\u0000' is unexpected"},"id":18446744073709551616}
END
run vmtally query --vm "$segments/none.vmt" '{"execute":"query-name","id":7}'
prints "a file that is not there is a QMP error" 1 <<END
{"error":{"class":"GenericError","desc":"$segments/none.vmt: no such file or directory"},"id":7}
END

# ---- usage ----

run vmtally query one two
says "one request at a time" 2 "one request at a time: 'two' is one too many"
run vmtally query --hmp
says "--hmp without a request" 2 "\-\-hmp needs a request: TARGET \[NAMES \[PROVIDER\]\]"
run vmtally query --listen "$dir/socket"
says "--listen without unix:" 2 "\-\-listen needs unix:PATH, not '$dir/socket'"
run vmtally query --listen "unix:$dir/socket" "$(stats vm)"
says "--listen with a request" 2 "\-\-listen takes its requests from clients"
run vmtally query --listen "unix:$dir/socket" --hmp
says "--listen with --hmp" 2 "\-\-hmp needs a request"

# ---- for people ----

run vmtally query --hmp 'vcpu exits,run_time vmm'
prints "--hmp prints as info stats does" 0 <<'END'
qom-path: vm/vcpu-0
    exits (cumulative): 9007199254740993
    run_time (cumulative, ns): 1234567890
qom-path: vm/vcpu-1
    exits (cumulative): 5
    run_time (cumulative, ns): 10
END
run vmtally query --hmp "$(stats vm '"providers":[{"provider":"vmm","names":["vcpus","memory_bytes"]}]')"
prints "also what is asked in JSON" 0 <<'END'
    vcpus (instant): 2
    memory_bytes (instant, B): 536870912
END
run vmtally query --hmp 'vcup'
says "--hmp: a slip" 1 "^vmtally: invalid stats target vcup; did you mean vcpu\?$"
run vmtally query --hmp 'vcpu exits xyz'
says "--hmp: no such provider" 1 "^vmtally: invalid stats provider xyz$"

# ---- a session on standard input ----

session() { # input...: each a line
    printf '%s\n' "$@" | vmtally query >"$dir/out" 2>"$dir/err"
    status=$?
    tr -d '\r' <"$dir/out" | sed -E '1s/"qemu":\{[^}]*\},"package":"vmtally [^"]*"/VERSION/' >"$dir/said"
    mv "$dir/said" "$dir/out"
}

session '{"execute":"query-name","id":1}' '{"execute":"qmp_capabilities"}' '{"execute":"query-name"}{"execute":"query-name","id":2}' \
    'nonsense' '{"execute":"no-such"}' '{"execute":"quit","id":"end"}' '{"execute":"query-name","id":3}'
prints "a session" 0 <<'END'
{"QMP":{"version":{VERSION},"capabilities":[]}}
{"error":{"class":"CommandNotFound","desc":"Expecting capabilities negotiation with 'qmp_capabilities'"},"id":1}
{"return":{}}
{"return":{"name":"fixed"}}
{"return":{"name":"fixed"},"id":2}
{"error":{"class":"GenericError","desc":"JSON parse error, invalid keyword 'nonsense'"}}
{"error":{"class":"CommandNotFound","desc":"The command no-such has not been found"}}
{"return":{},"id":"end"}
END
session '{"execute":"qmp_capabilities"}' '{"execute":"query-'
prints "a session that ends with its input, within a request" 0 <<'END'
{"QMP":{"version":{VERSION},"capabilities":[]}}
{"return":{}}
{"error":{"class":"GenericError","desc":"JSON parse error, a string without its end"}}
END
timeout 20 vmtally query < <(yes '{"execute":"query-name"}') 2>"$dir/err" | head -n 100 >"$dir/out"
statuses=("${PIPESTATUS[@]}")
[ "${statuses[0]}" -ne 124 ] && [ "$(wc -l <"$dir/out")" -eq 100 ] && [ ! -s "$dir/err" ]
check $? "a session ends where nobody reads" "$(shown)"
mkfifo "$dir/ask"
vmtally query --vm fixed <"$dir/ask" >"$dir/answers" 2>"$dir/err" {fixed_in}>&- & # it must not keep that VM
exec {asking}>"$dir/ask"
answered() { # line text: that line of the answers comes to hold text
    for _ in $(seq 100); do
        sed -n "$1p" "$dir/answers" | grep -qF -- "$2" && return
        sleep 0.05
    done
    return 1
}
echo '{"execute":"qmp_capabilities"} {"execute":"query-name"}' >&$asking
answered 3 '{"return":{"name":"fixed"}}'
check $? "answers come at once, while input stays open" "$(cat "$dir/answers")"
exec {fixed_in}>&-
wait "$fixed"
echo '{"execute":"query-name","id":5}' >&$asking
answered 4 '{"error":{"class":"GenericError","desc":"'"$segments"'/fixed.vmt: no such file or directory"},"id":5}'
check $? "a VM that has gone is an error of the session" "$(cat "$dir/answers")"
start_fixed fixed
echo '{"execute":"query-name","id":6}' >&$asking
answered 5 '{"return":{"name":"fixed"},"id":6}'
check $? "and it may come back" "$(cat "$dir/answers")"
mv "$segments/fixed.vmt" "$segments/moved.vmt"
echo '{"execute":"query-name","id":7}' >&$asking
answered 6 '{"return":{"name":"fixed"},"id":7}'
check $? "also in another file, by the name that stands in it" "$(cat "$dir/answers")"
exec {asking}>&-

# ---- clients of a socket ----

"$python" "$here/query_listen.py" "$dir" || bad=1
exit $bad
