# SPDX-License-Identifier: MIT
# terminal.sh: sourced after tap.sh by tests of kvmtop in a terminal (tmux): VMs, terminals, keys and the mouse, and what
# is on the screen. $VMT_BUILD is the build directory; without it kvmtop and minivmm are looked for in PATH. Nothing of
# it is left when the script ends.
[ -z "${VMT_BUILD:-}" ] || PATH=$VMT_BUILD/cli:$VMT_BUILD/lib/examples:$PATH
export VMTALLY_DIR LC_ALL=C.UTF-8 XDG_CONFIG_HOME=$dir/config TERM=xterm-256color
unset NO_COLOR COLORTERM TMUX
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
pids=
trap 'tm kill-server; kill $pids 2>/dev/null; kill -CONT $pids 2>/dev/null; wait; rm -rf "$dir" "$VMTALLY_DIR"' EXIT
escape=$(printf '\033')

until_true() { # command: at most $patience seconds, 10 if that is not set
    local end=$((${EPOCHREALTIME/./} + ${patience:-10} * 1000000))
    until eval "$1"; do
        [ "${EPOCHREALTIME/./}" -lt $end ] || return 1
        sleep 0.05
    done
}

# ---- VMs ----

start() { # name options...: a VM, until its segment is there; its process is $vm
    minivmm --name "$@" >/dev/null 2>"$dir/vm.err" &
    vm=$!
    pids="$pids $vm"
    until_true "[ -e '$VMTALLY_DIR/$1.vmt' ]" || {
        echo "Bail out! $1 did not start: $(cat "$dir/vm.err")"
        exit 1
    }
}

end() { # signal: of the VM started last
    kill "-$1" "$vm"
    wait "$vm" 2>/dev/null
    pids=${pids% "$vm"}
}

# ---- a terminal ----

tm() { tmux -S "$dir/tmux" -f /dev/null "$@" 2>/dev/null; }

open_terminal() { # session columns rows: a shell
    tm start-server \; set-option -g default-terminal "$TERM" \; set-option -g status off \; \
        new-session -d -x "$2" -y "$3" -s "$1" "env PS1='shell> ' bash --norc --noprofile -i"
    tm resize-window -t "$1" -x "$2" -y "$3"
    await "$1" '^shell>' || echo "# no shell in $1"
}

resize() { # session columns rows
    tm resize-window -t "$1" -x "$2" -y "$3"
}

keys() { # session keys...
    local session=$1
    shift
    tm send-keys -t "$session" "$@"
}

type_keys() { # session text
    tm send-keys -t "$1" -l "$2"
}

# As the terminal that $TERM describes says it: the button, or "up" where it is let go, and where, from 1 on.
mouse() { # session button column row
    case $(tput kmous) in
    *'<')
        if [ "$2" = up ]; then
            type_keys "$1" "$(printf '\033[<0;%d;%dm' "$3" "$4")"
        else
            type_keys "$1" "$(printf '\033[<%d;%d;%dM' "$2" "$3" "$4")"
        fi
        ;;
    *)
        # shellcheck disable=SC2046
        tm send-keys -t "$1" -H 1b 5b 4d $(printf '%x %x %x' $((32 + ${2/up/3})) $((32 + $3)) $((32 + $4)))
        ;;
    esac
}

click() { # session column row
    mouse "$1" 0 "$2" "$3"
    mouse "$1" up "$2" "$3"
}

wheel() { # session up|down
    mouse "$1" "$([ "$2" = up ] && echo 64 || echo 65)" 5 5
}

screen() { # session
    tm capture-pane -p -t "$1"
}

attributes() { # session: the screen with colours and all
    tm capture-pane -e -p -t "$1"
}

line() { # session number: of the screen, from 1 on
    screen "$1" | sed -n "$2p"
}

row() { # session regular-expression: the first line of the screen with it
    screen "$1" | grep -m1 -E -- "$2"
}

await() { # session regular-expression: until a line of the screen has it
    until_true "screen $1 | grep -qE -- '$2'"
}

sees() { # name session regular-expression
    await "$2" "$3"
    check $? "$1" "$(screen "$2")"
}

sees_not() { # name session regular-expression: until no line has it
    until_true "! screen $2 | grep -qE -- '$3'"
    check $? "$1" "$(screen "$2")"
}

comes() { # name session command: until it is true
    until_true "$3"
    check $? "$1" "$(screen "$2")"
}

is_true() { # name session command: at once
    eval "$3"
    check $? "$1" "$(screen "$2")"
}
