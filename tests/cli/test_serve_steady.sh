#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally serve while it is reloaded or ended, and while others try passwords: who is in the middle of a scrape gets it.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh" || exit 1
. "$here/vms.sh"
. "$here/serving.sh"
command -v curl >/dev/null || {
    skip "vmtally serve, steady" "curl is not installed"
    exit 0
}

steady() { # what...: steady.py's check of that
    "$python" "$here/steady.py" "$@" "$serve" "$dir/serve.err" "$served" >"$dir/steady" 2>&1
    check $? "$1" "$(cat "$dir/steady")
$(cat "$dir/serve.err")"
}

# ---- reloads, and the end, in the middle of scrapes ----

start_fixed fixed
start_serve --listen 127.0.0.1:0
steady "SIGHUP leaves a connection alone that has asked for nothing yet"
steady "SIGTERM lets who has just come ask"
wait "$serve"
status=$?
[ "$status" -eq 0 ]
check $? "and ends" "exit status $status"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$dir/tls.key" -out "$dir/tls.pem" 2>"$dir/openssl.err"
start_serve --listen 127.0.0.1:0 --tls-cert "$dir/tls.pem" --tls-key "$dir/tls.key"
steady "SIGHUP leaves a TLS handshake alone"
end_serve

# ---- wrong passwords ----

# The password "secret", with a hash that takes a second or so.
# shellcheck disable=SC2016
echo 'rita:$6$rounds=4000000$vmtally$C2fRJaZwhycw..lpBpqTOJ2tViC1Wd9XRR2b67NsZTjZPj.8UA4dE/HWmvIssh4m/R382ZtGEq/JdzImjDMJl1' \
    >"$dir/users"
start_serve --listen 127.0.0.1:0 --auth-file "$dir/users"
get -u rita:secret "$url"
[ "$code" = 200 ]
check $? "the right password is let in" "$(answered)"
steady "many wrong passwords are not waited for: they are told to come later, and do not keep their connections"
steady "who was let in before is let in meanwhile"
steady "also after SIGHUP"
steady "SIGTERM does not wait until all wrong passwords have been looked at"
wait "$serve"
status=$?
[ "$status" -eq 0 ]
check $? "and it ends well" "exit status $status"
exit $bad
