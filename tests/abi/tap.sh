# SPDX-License-Identifier: MIT
# tap.sh: sourced by the scripts here. Sets $dir, a directory that goes when the script ends, and $bad, its exit status.
set -u
bad=0
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

check() { # status name text: one line of TAP; the text explains a failure
    if [ "$1" -eq 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        printf '%s\n' "$3" | sed 's/^/# /'
        bad=1
    fi
}

check_empty() { # text name: what should not be there
    [ -z "$1" ]
    check $? "$2" "$1"
}

skip() { # name reason
    echo "ok - $1 # SKIP $2"
}

# Whether a VM can be made here; asks no program of ours.
kvm_works() {
    python3 - <<'PYTHON'
import fcntl, os, sys
try:
    kvm = os.open("/dev/kvm", os.O_RDWR)
    sys.exit(not (fcntl.ioctl(kvm, 0xae00, 0) == 12 and fcntl.ioctl(kvm, 0xae01, 0) >= 0))
except OSError:
    sys.exit(1)
PYTHON
}
