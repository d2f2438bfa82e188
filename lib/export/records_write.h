/* SPDX-License-Identifier: MIT */
/* One record in bytes: what RECORDS.md describes, made of a plan and of values. Which records there are is records.c's. */
#ifndef LIB_EXPORT_RECORDS_WRITE_H
#define LIB_EXPORT_RECORDS_WRITE_H

#include "pack.h"
#include "records_plan.h"

/* Whose records they are. */
struct record_origin {
    const char *host;
    const char *sender;
    const char *vm; /* NULL: as its segment is called */
    uint64_t seq;
};

/* The records of one snapshot. The first three are set by who has it; it must not be moved. */
struct record_writer {
    struct vmt_buffer *common; /* what is the same in all of them */
    struct vmt_buffer *entry;  /* the record */
    bool strings;              /* for integers */
    struct vmt_pack pack;
    uint64_t realtime_ns;
    uint64_t number; /* of records made so far */
    uint32_t common_keys;
    uint32_t snapshot_flags;
};

/* What one record is made of. */
struct record_subject {
    const struct vmt_sample *sample;
    const struct record_plan *plan;
    const uint64_t *counted; /* of counters and histograms: totals, or what changed */
    const uint64_t *values;  /* of all else */
    uint64_t since_ns;
    bool is_delta;
    bool is_reset;
    bool departed;
};

/* A snapshot begins. 0, -ENOMEM, -EFBIG. */
int record_writer_begin(struct record_writer *w, const struct record_origin *origin,
                        const struct vmt_segment_info *info);

/* The next record becomes all that is in w->entry. 0, -ENOMEM, -EFBIG. */
int record_write(struct record_writer *w, const struct record_subject *s);

#endif
