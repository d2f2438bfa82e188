/* SPDX-License-Identifier: MIT */
/* status.h: what vmtally forward says of itself: a line for people, a record for the collector. */
#ifndef CLI_FORWARD_STATUS_H
#define CLI_FORWARD_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/export.h>

#include "delivery.h"
#include "forward.h"
#include "queue.h"

#define STATUS_TEXT 1024 /* bytes that hold a line */

struct status {
    const struct forward_arguments *a;
    char sender[CHUNK_ID_SIZE]; /* of this run of the process that delivers */
    struct forward_sample reader;
    struct queue_state queue;
    struct delivery_state delivery;
};

/* One line, without newline. Returns buf. */
char *status_text(const struct status *status, char *buf, size_t size);

/* The amount, as "12 chunks with 340 records (1.20 MiB)". Returns buf. */
char *status_amount(const struct amount *amount, char *buf, size_t size);

/* Append one entry, [EventTime, record]: a record as lib/export/RECORDS.md has it, of kind "forward" and provider
 * "vmtally", without vm, id and epoch. seq from 1 on. 0, -ENOMEM, -EFBIG. */
int status_entry(const struct status *status, uint64_t seq, struct vmt_buffer *out);

#endif
