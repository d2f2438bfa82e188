/* SPDX-License-Identifier: MIT */
/* unread.h: of all VMs there are, those that could not be read: said in one line, and again only when they become more,
 * at most once a minute. */
#ifndef CLI_UNREAD_H
#define CLI_UNREAD_H

#include <limits.h>
#include <stdint.h>

#include "sampler.h"

/* Starts as zeros. */
struct unread {
    uint64_t count; /* in this sample */
    uint64_t said;  /* of these, those that were said */
    uint64_t said_ns;
    int error; /* of the first one */
    char path[PATH_MAX];
};

void unread_begin(struct unread *unread);

/* Whether vm could not be read; it is counted then, but where there is nothing to read: it has just ended, or not
 * begun. */
int unread_add(struct unread *unread, const struct sample_vm *vm);

/* At the end of a sample. */
void unread_say(struct unread *unread);

#endif
