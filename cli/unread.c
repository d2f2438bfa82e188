/* SPDX-License-Identifier: MIT */
#include "unread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "message.h"
#include "shm/clock.h"

#define SAY_NS 60000000000U

void unread_begin(struct unread *u) { u->count = 0; }

int unread_add(struct unread *u, const struct sample_vm *vm)
{
    if (!vm->error && vm->snapshot)
        return 0;
    if (vm->error == -ESRCH || vm->error == -ENOENT || vm->error == -ENODATA)
        return 1;
    if (u->count++ == 0) {
        snprintf(u->path, sizeof(u->path), "%s", vm->path);
        u->error = vm->error;
    }
    return 1;
}

void unread_say(struct unread *u)
{
    char reason[256], more[64] = "";
    uint64_t now_ns = shm_clock_ns(CLOCK_MONOTONIC);

    if (u->count <= u->said) {
        u->said = u->count;
        return;
    }
    if (u->said_ns && now_ns - u->said_ns < SAY_NS)
        return;
    if (u->count > 1)
        snprintf(more, sizeof(more), " (and %" PRIu64 " more)", u->count - 1);
    message_error("%s%s: %s", u->path, more, message_reason(u->error, reason, sizeof(reason)));
    u->said = u->count;
    u->said_ns = now_ns;
}
