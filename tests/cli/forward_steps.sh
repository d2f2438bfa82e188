# SPDX-License-Identifier: MIT
# forward_steps.sh: sourced, after vms.sh, by tests that run vmtally forward beside a collector.

wait_for() { # description command...: until it succeeds, a minute at most
    local what=$1 i

    shift
    for ((i = 0; i < 600; i++)); do
        "$@" && return 0
        sleep 0.1
    done
    echo "Bail out! $what did not come: $*"
    shown | sed 's/^/# /'
    exit 1
}

has_line() { grep -qE -- "$2" "$1" 2>/dev/null; } # file regular-expression

start_forward() { # argument...: in the background, as $forward
    : >"$dir/err" # at once: what the one before it said is not its own
    vmtally forward "$@" >"$dir/out" 2>"$dir/err" </dev/null &
    forward=$!
    pids="$pids $forward"
    status=running
}

end_forward() { # [signal]: it ends; sets $status
    [ -z "${1:-}" ] || kill "-$1" "$forward"
    wait "$forward"
    status=$?
    pids=${pids/ $forward/}
}

start_collector() { # file command...: sets $collector and $port, which it prints
    local printed=$1

    shift
    rm -f "$printed"
    "$@" >"$printed" 2>"$printed.err" &
    collector=$!
    pids="$pids $collector"
    wait_for "the collector" has_line "$printed" '^port [0-9]+$'
    port=$(sed -n 's/^port //p' "$printed")
}

stop_collector() { # [signal]
    kill "-${1:-TERM}" "$collector" 2>/dev/null
    wait "$collector" 2>/dev/null
    pids=${pids/ $collector/}
}

start_wide() { # vcpus: a VM named wide with as many
    local line

    rm -f "$dir/in" "$dir/ready"
    mkfifo "$dir/in" "$dir/ready"
    "$python" "$here/wide_vm.py" "$library" wide "$1" <"$dir/in" >"$dir/ready" 2>"$dir/vm.err" &
    pids="$pids $!"
    exec {wide_in}>"$dir/in"
    read -r line <"$dir/ready"
    [ "$line" = ready ] || {
        echo "Bail out! wide did not start: $(cat "$dir/vm.err")"
        exit 1
    }
}
