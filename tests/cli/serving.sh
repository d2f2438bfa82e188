# SPDX-License-Identifier: MIT
# serving.sh: sourced, after vms.sh, by tests of vmtally serve: starts servers and asks them.

until_true() { # command...: wait for it to succeed, for at most a minute
    local deadline=$((SECONDS + 60))

    until "$@" 2>/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

start_serve() { # arguments...: sets $serve, $reader (processes), $url and $served (what is before "/metrics")
    : >"$dir/serve.err"
    env -u NOTIFY_SOCKET "$program" serve "$@" </dev/null >"$dir/serve.out" 2>"$dir/serve.err" &
    serve=$!
    pids="$pids $serve"
    until_true grep -q ': listening on ' "$dir/serve.err" || {
        echo "Bail out! vmtally serve $* did not start: $(cat "$dir/serve.err")"
        exit 1
    }
    url=$(sed -n 's/.*: listening on \(http.*\)/\1/p' "$dir/serve.err" | head -n 1)
    served=${url%/metrics}
    reader=$(pgrep -P "$serve" | head -n 1)
}

ended() { # pid: it runs no more
    ! kill -0 "$1" || [ "$(ps -o stat= -p "$1" | cut -c1)" = Z ]
}

end_serve() { # its exit status is in $status
    kill "$serve"
    wait "$serve"
    status=$?
}

get() { # curl's arguments...: the answer is in $dir/body, its head in $dir/head, its number in $code
    code=$(curl -s --max-time 60 --noproxy '*' -D "$dir/head" -o "$dir/body" -w '%{http_code}' "$@" </dev/null)
    [ -e "$dir/body" ] || : >"$dir/body"
}

later() { sleep 0.3; } # what is asked for now is not what was asked for before: scrapes are shared for a quarter of a second

get_fresh() {
    later
    get "$@"
}

answered() {
    echo "HTTP status $code"
    head -c 1000 "$dir/head"
    head -c 3000 "$dir/body" | cat -v
    head -c 3000 "$dir/serve.err" | cat -v
}

header() { # name: its value in the last answer
    tr -d '\r' <"$dir/head" | sed -n "s/^$1: //Ip" | tail -n 1
}

value() { # metric: its value in the last answer
    awk -v name="$1" '$1 == name { print $2 }' "$dir/body"
}

openmetrics='Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
