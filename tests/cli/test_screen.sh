#!/bin/bash
# SPDX-License-Identifier: MIT
# kvmtop's screen on pseudo-terminals: screen_pty.py says what is promised, screen_probe.c draws and tells what it got.
# $VMT_BUILD is the build directory; without it screen_probe is looked for in PATH.
here=$(cd "$(dirname "$0")" && pwd)
[ -z "${VMT_BUILD:-}" ] || PATH=$VMT_BUILD/tests/cli:$PATH
probe=$(command -v screen_probe) || {
    echo "Bail out! no screen_probe"
    exit 1
}
exec python3 -B "$here/screen_pty.py" "$probe"
