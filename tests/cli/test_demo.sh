#!/bin/bash
# SPDX-License-Identifier: MIT
# demo.sh: what it shows with and without a terminal, that it leaves nothing behind, and what it says when packages are
# missing. $VMT_BUILD is the build directory; without it it is where vmtally is found in PATH.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../abi/tap.sh"

[ -n "${VMT_BUILD:-}" ] || VMT_BUILD=$(dirname "$(command -v vmtally)")/..
export VMT_BUILD LC_ALL=C.UTF-8 DEMO_TEST=$$
demo=$(cd "$here/../../cli" && pwd)/demo.sh
chmod 755 "$dir"
unset VMTALLY_DIR


ls -d /dev/shm/vmtally-demo.* >"$dir/before" 2>/dev/null

# Processes that demo.sh started carry $DEMO_TEST in their environment; its files have a name of their own.
leftovers() {
    local file pid
    for file in /dev/shm/vmtally-demo.*; do
        [ ! -e "$file" ] || grep -qxF "$file" "$dir/before" || echo "$file"
    done
    for file in /proc/[0-9]*/environ; do
        grep -qszx "DEMO_TEST=$DEMO_TEST" "$file" || continue
        pid=${file#/proc/}
        tr '\0' ' ' 2>/dev/null <"/proc/${pid%/environ}/cmdline" | grep -E 'minivmm|kvmtop|demo\.sh'
    done
}

start_demo() { # in the background, where a shell ignores SIGINT; until minivmm runs
    : >"$dir/err" # what an earlier one said: a signal must not reach what is still this shell's copy, with its trap
    (cd / && exec env --default-signal=INT "$demo") >"$dir/out" 2>"$dir/err" </dev/null &
    pid=$!
    for _ in $(seq 600); do
        grep -q '^demo: minivmm' "$dir/err" && return
        kill -0 "$pid" 2>/dev/null || return
        sleep 0.1
    done
}

# ---- without a terminal ----

start_demo
sleep 0.5
leftovers >"$dir/running"
grep -q minivmm "$dir/running" && grep -q kvmtop "$dir/running" && grep -q '^/dev/shm/' "$dir/running"
check $? "while it runs minivmm, kvmtop and a directory are there" "$(cat "$dir/running" "$dir/err")"
wait "$pid"
check $? "without a terminal it ends well, in whichever directory" "$(cat "$dir/err")"
[ "$(grep -cE '^ *NAME +' "$dir/out")" -eq 3 ] && [ "$(grep -cE '^[^[:alpha:]]*demo +' "$dir/out")" -eq 3 ]
check $? "it prints three samples of the VM" "$(cat "$dir/out")"
grep -qE 'vcpu-0' "$dir/out" && grep -qE 'block-0' "$dir/out"
check $? "they show its vCPUs and its disk" "$(cat "$dir/out")"
grep -qE '^demo: minivmm (runs a real guest on /dev/kvm|simulates)' "$dir/err"
check $? "it says whether the guest is real" "$(cat "$dir/err")"
check_empty "$(grep -n "$(printf '\033')" "$dir/out")" "it prints no escape sequences"
check_empty "$(leftovers)" "no process and no file is left"

# ---- interrupted ----

for signal in TERM INT HUP; do
    start_demo
    kill -s "$signal" "$pid"
    wait "$pid"
    status=$?
    [ "$status" -ge 128 ]
    check $? "SIG$signal ends it" "exit status $status; $(cat "$dir/err")"
    check_empty "$(leftovers)" "SIG$signal: no process and no file is left"
done

# As if the signal came at the worst time: something is started that has no name yet.
mkdir "$dir/cli"
for line in 'vmm=$!' 'top=$!'; do
    sed "s/^\( *\)$line\$/\1kill -s HUP \$\$; $line/; s/^build\$/:/" "$demo" >"$dir/cli/demo.sh"
    chmod 755 "$dir/cli/demo.sh"
    VMT_BUILD=$(realpath "$VMT_BUILD") timeout 60 "$dir/cli/demo.sh" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    [ "$status" -eq 143 ]
    check $? "SIGHUP just before $line ends it" "exit status $status; $(cat "$dir/err")"
    check_empty "$(leftovers)" "SIGHUP just before $line: no process and no file is left"
done

# ---- with a terminal ----

if command -v script >/dev/null; then
    {
        for _ in $(seq 600); do
            grep -qs vcpu-0 "$dir/typescript" && break
            sleep 0.1
        done
        printf q
        sleep 1
    } | TERM=xterm timeout 90 script -fqec "$demo" "$dir/typescript" >/dev/null 2>&1
    status=$?
    [ "$status" -eq 0 ] && grep -q vcpu-0 "$dir/typescript" && grep -q "$(printf '\033\\[')" "$dir/typescript"
    check $? "on a terminal it opens kvmtop, and q ends both" "exit status $status"
    check_empty "$(leftovers)" "after q no process and no file is left"
else
    skip "on a terminal it opens kvmtop, and q ends both" "no script(1) here"
fi

# ---- packages are missing ----

mkdir "$dir/bin"
cat >"$dir/bin/dpkg-query" <<'SH'
#!/bin/sh
for package; do :; done
case $package in scdoc | libmsgpack-dev) exit 1 ;; esac
echo installed
SH
cat >"$dir/bin/apt-get" <<SH
#!/bin/sh
echo "\$DEBIAN_FRONTEND \$*" >>"$dir/apt"
exit 100
SH
chmod 755 "$dir/bin" "$dir/bin/"*
if [ "$(id -u)" -eq 0 ]; then
    PATH=$dir/bin:$PATH "$demo" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    [ "$status" -ne 0 ] && [ "$(cat "$dir/apt")" = "noninteractive update" ]
    check $? "root: it installs, and ends where that fails" "exit status $status; $(cat "$dir/apt" "$dir/err")"
    sed -i 's/exit 100/exit 0/' "$dir/bin/apt-get"
    rm "$dir/apt"
    PATH=$dir/bin:$PATH "$demo" >"$dir/out" 2>"$dir/err" </dev/null
    check $? "root: with what was missing installed it goes on" "$(cat "$dir/err")"
    [ "$(sed -n 2p "$dir/apt")" = "noninteractive install -y --no-install-recommends libmsgpack-dev scdoc" ]
    check $? "root: only what is missing is installed" "$(cat "$dir/apt")"
    as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }
else
    as_user() { "$@"; }
fi
if as_user test -x "$demo"; then
    PATH=$dir/bin:$PATH as_user "$demo" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    [ "$status" -eq 1 ] && grep -q 'apt-get install libmsgpack-dev scdoc' "$dir/err"
    check $? "not root: it says what to install" "exit status $status; $(cat "$dir/err")"
else
    skip "not root: it says what to install" "others may not read this directory"
fi

exit $bad
