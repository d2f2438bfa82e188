/* SPDX-License-Identifier: MIT */
/* body.h: what is sent to clients: never changed, and shared by all who are sent the same. */
#ifndef CLI_SERVE_BODY_H
#define CLI_SERVE_BODY_H

#include <stddef.h>
#include <stdint.h>

/* All that there are. Starts as zeros, and outlives them. */
struct bodies {
    uint64_t made;
    size_t held; /* bytes of them; atomic */
};

struct body {
    char *data;
    size_t size;
    uint64_t number; /* a later one has a higher one */
    unsigned references;
    struct bodies *all;
};

/* Takes data (of malloc()) over, what it has too much of is given back. NULL where there is no memory, data is freed then.
 * One thread at a time for all of bodies. */
struct body *body_new(struct bodies *all, char *data, size_t size);

/* The same, compressed. 0, -ENOMEM, -EFBIG. */
int body_gzip(struct bodies *all, const struct body *from, struct body **ret);

/* Another reference, and one less: the last one frees it. NULL is allowed for the latter. Any thread. */
struct body *body_ref(struct body *body);
void body_unref(struct body *body);

size_t bodies_held(const struct bodies *all);

#endif
