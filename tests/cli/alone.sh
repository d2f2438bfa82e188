#!/bin/bash
# SPDX-License-Identifier: MIT
# alone.sh COMMAND...: run it in a PID namespace of its own, where that may be made: then VMs of others on this machine
# are not seen, nor named. debugfs tells of the processes of the whole machine: it is not looked at there.
own=(unshare --pid --fork --mount-proc --kill-child --)

"${own[@]}" true 2>/dev/null || own=()
exec "${own[@]}" "$@"
