/* SPDX-License-Identifier: MIT */
/* The schemas that a reader has met in one segment, each with an address of its own; held by its snapshots, too, which may
 * outlive it. Only grows. One thread at a time adds and looks up; the count of references is atomic. */
#ifndef LIB_SCHEMA_SET_H
#define LIB_SCHEMA_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/parsed.h"
#include "shm/view.h"

struct schema_set {
    uint32_t references;
    uint32_t count;
    uint32_t room;
    uint64_t bytes;    /* of their blocks; at most those of the file */
    uint64_t *offsets; /* of the known ones: asked for once a source */
    struct parsed **known;
    struct parsed **kept; /* others that are to be there as long as these are */
    uint32_t kept_count;
    bool handles; /* one of the known ones is of handles of the kernel's statistics fds */
};

struct schema_set *schema_set_new(void);
struct schema_set *schema_set_hold(struct schema_set *set);
void schema_set_release(struct schema_set *set);

/* The schema whose block is at offset, or NULL. */
const struct parsed *schema_set_find(const struct schema_set *set, uint64_t offset);

/* Read the chain of schema blocks from first on, as far as it is not known yet. 0, -EBADMSG with *why, -ENOMEM. */
int schema_set_follow(struct schema_set *set, struct shm_view *view, uint64_t first, const char **why);

/* Hold one from elsewhere, which is in the process's table, too. 0 or -ENOMEM. */
int schema_set_keep(struct schema_set *set, struct parsed *parsed);

#endif
