/* SPDX-License-Identifier: MIT */
/* body.h: what is sent to clients: never changed, and shared by all who are sent the same. */
#ifndef CLI_SERVE_BODY_H
#define CLI_SERVE_BODY_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct body;

/* Who sends bodies to clients. */
struct body_sender {
    size_t (*shed)(void *arg,
                   uint64_t body); /* end clients that are still sent one before that one, without waiting; how many */
    void *arg;
    struct body_sender *next;
};

/* All that there are, for bodies_begin() and bodies_end(). Outlives them. */
struct bodies {
    uint64_t made;
    pthread_mutex_t lock; /* of all that follows */
    size_t held;          /* bytes */
    struct body *newest;
    struct body_sender *senders;
};

struct body {
    char *data;
    size_t size;
    uint64_t number; /* a later one has a higher one */
    unsigned references;
    struct bodies *all;
    struct body *older, *newer;
};

void bodies_begin(struct bodies *all);
void bodies_end(struct bodies *all);

/* Takes data (of malloc()) over, what it has too much of is given back. NULL where there is no memory, data is freed then.
 * One thread at a time for all of bodies. */
struct body *body_new(struct bodies *all, char *data, size_t size);

/* The same, compressed. 0, -ENOMEM, -EFBIG. */
int body_gzip(struct bodies *all, const struct body *from, struct body **ret);

/* Another reference, and one less: the last one frees it. NULL is allowed for the latter. Any thread. */
struct body *body_ref(struct body *body);
void body_unref(struct body *body);

/* Bytes of all that there are. Any thread. */
size_t bodies_held(struct bodies *all);

/* sender is asked to shed, in any thread, until bodies_leave(). */
void bodies_join(struct bodies *all, struct body_sender *sender);
void bodies_leave(struct bodies *all, struct body_sender *sender);

/* Where more than most bytes are held: end the clients that are still sent the oldest bodies, until the others are within
 * most. How many; what they held goes a moment later. */
size_t bodies_shed(struct bodies *all, size_t most);

#endif
