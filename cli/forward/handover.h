/* SPDX-License-Identifier: MIT */
/* handover.h: from records to chunks, and these to the sender, which may be slow or stopped: then what it does not
 * take is left out and counted. Nobody waits for it longer than a part of a beat. */
#ifndef CLI_FORWARD_HANDOVER_H
#define CLI_FORWARD_HANDOVER_H

#include <stdbool.h>

#include "../channel.h"

#include "forward.h"

#define HANDOVER_OPEN 64                /* chunks that are filled at the same time, each of another tag */
#define HANDOVER_READY_BYTES (6U << 20) /* of chunks that are complete and wait for the sender; that and one more */

/* A message: a chunk, or what else is said. */
struct handover_message {
    struct handover_message *next;
    struct vmt_buffer data; /* of a chunk: head, tag, entries */
    uint32_t kind;
    uint32_t entries;
    size_t tag_size;
    uint64_t used; /* when it was added to last */
};

struct handover {
    int fd;
    struct handover_message *open[HANDOVER_OPEN];
    size_t open_count;
    size_t open_bytes;
    struct handover_message *ready; /* the first of them is on its way */
    struct handover_message **ready_end;
    size_t ready_bytes;
    struct handover_message *spare;
    size_t spare_count;
    struct channel_out out;
    bool on_its_way;
    uint64_t uses;
    uint64_t may_wait_ns; /* of this beat */
    uint64_t moved;       /* bytes that were taken, since the last beat */
    struct forward_sample *counts;
};

/* counts: records, bytes and records_not_handed are counted there. */
void handover_init(struct handover *h, int fd, struct forward_sample *counts);
void handover_free(struct handover *h);

/* A beat begins: what may be waited for the sender in it; nothing where it took nothing since the one before. */
void handover_begin(struct handover *h, uint64_t may_wait_ns);

/* Put one entry into the chunk of tag. 0, -ENOMEM, -EPIPE: the sender has gone. */
int handover_add(struct handover *h, const char *tag, size_t tag_size, const void *entry, size_t size);

/* All chunks are complete, however small. As handover_add(). */
int handover_flush(struct handover *h);

/* Say something else, after all chunks so far. Left out where the sender does not even take chunks. As
 * handover_add(). */
int handover_say(struct handover *h, uint32_t kind, const void *data, size_t size);

/* Go on sending until end_ns (CLOCK_MONOTONIC; 0: until all is sent), and after that wait. 0 or -EPIPE. */
int handover_until(struct handover *h, uint64_t end_ns);

#endif
