/* SPDX-License-Identifier: MIT */
/* The finder in a process of its own: asked to look through a socket, it answers in shared memory. There are two boards, so
 * that one can be read while it fills the other. */
#ifndef LIB_KVM_REMOTE_H
#define LIB_KVM_REMOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/kvm/find.h"

struct remote {
    int socket;
    pid_t pid;
    uint64_t serial; /* of the newest request */
    bool waiting;    /* its answer has not come yet */
};

/* Fork. Both boards are shared memory. 0, or what fork and socketpair give. */
int remote_start(struct finder *finder, struct board boards[2], void (*prepare)(void *arg), void *arg,
                 struct remote *ret);

/* Have it look, onto that board, which holds *bytes then. 0, -ENOMEM (of the finder), -ETIMEDOUT, -EPIPE. */
int remote_look(struct remote *remote, uint32_t board, uint64_t *bytes);

void remote_stop(struct remote *remote);

#endif
