#!/bin/bash
# SPDX-License-Identifier: MIT
# vmtally query beside QEMU and the kernel: query_qemu.py, with a debugfs where one can be mounted.
here=$(cd "$(dirname "$0")" && pwd)
export VMTALLY_DIR LC_ALL=C.UTF-8
VMTALLY_DIR=$(mktemp -d /dev/shm/vmtally-test.XXXXXX) || exit 1
trap 'rm -rf "${VMTALLY_DIR:?}"' EXIT

own=() # a mount namespace, if there is no debugfs yet
mounted='mount -t debugfs debugfs /sys/kernel/debug && exec "$0" "$@"'
if [ ! -d /sys/kernel/debug/kvm ] && unshare --mount sh -c "$mounted" true 2>/dev/null; then
    own=(unshare --mount sh -c "$mounted")
fi
"${own[@]}" python3 "$here/query_qemu.py"
