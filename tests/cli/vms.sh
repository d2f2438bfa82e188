# SPDX-License-Identifier: MIT
# vms.sh: sourced, after abi/tap.sh and with $here set, by tests of vmtally that need VMs whose counters are known.
# $VMT_BUILD is the build directory; without it vmtally and minivmm are looked for in PATH. Sets $python, $segments,
# which is VMTALLY_DIR, and ends all $pids at the end.
set -o pipefail
[ -z "${VMT_BUILD:-}" ] || PATH=$VMT_BUILD/cli:$VMT_BUILD/lib/examples:$PATH
program=$(command -v vmtally) && command -v minivmm >/dev/null || {
    echo "Bail out! vmtally and minivmm are not in \$VMT_BUILD ('${VMT_BUILD:-}'), nor in PATH"
    exit 1
}
for python in /usr/bin/python3 python3; do # Debian's, which has python3-msgpack, before another
    "$python" -c 'import msgpack' 2>/dev/null && break
done
library=$(dirname "$program")/../lib/libvmtally.so
export VMTALLY_DIR LC_ALL=C.UTF-8
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
segments=$VMTALLY_DIR
pids=
# The braces hold until the end: no kill without a process, no rm without a name.
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; wait 2>/dev/null; rm -rf "${dir:?}" "${segments:?}"' EXIT
chmod 755 "$segments" "$dir"

run() { # command...: its output in $dir/out and $dir/err, its exit status in $status
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
}

shown() { # what the last run printed and said
    echo "exit status $status"
    head -c 3000 "$dir/out" | cat -v
    head -c 3000 "$dir/err" | cat -v
}

says() { # name status regular-expression: the last run printed only a message, and that matches
    [ "$status" -eq "$2" ] && [ ! -s "$dir/out" ] && grep -qE -- "$3" "$dir/err"
    check $? "$1" "expected exit status $2 and $3
$(shown)"
}

start_fixed() { # name [keep]: the VM with known counters; it ends with us, its process is $started
    local line

    rm -f "$dir/in" "$dir/ready"
    mkfifo "$dir/in" "$dir/ready"
    "$python" "$here/fixed_vm.py" "$library" "$@" <"$dir/in" >"$dir/ready" 2>"$dir/vm.err" &
    started=$!
    pids="$pids $started"
    exec {fixed_in}>"$dir/in"
    read -r line <"$dir/ready"
    [ "$line" = ready ] || {
        echo "Bail out! $1 did not start: $(cat "$dir/vm.err")"
        exit 1
    }
}

cat >"$dir/terminal.py" <<'END'
import os, pty, sys
out = b""
def read(fd):
    global out
    data = os.read(fd, 4096)
    out += data
    return data
real = os.dup(1)
os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
status = pty.spawn(sys.argv[1:], read)
os.write(real, b"%d %s" % (os.waitstatus_to_exitcode(status), out.strip().splitlines()[0]))
END
in_terminal() { # command...: prints its exit status and the first line of what it wrote to a terminal
    "$python" "$dir/terminal.py" "$@" </dev/null 2>&1
}
