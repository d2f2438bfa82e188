/* SPDX-License-Identifier: MIT */
/* track.h: the history of one thing: a row of packed numbers for each beat, of the columns that it ever had something in
 * (bits of its mask, in the order of enum track_column; where a column is not, nothing was ever there), and if it is deep,
 * since then another one of all slots of its parts. Only the history's own files know of it.
 */
#ifndef CLI_TOP_TRACK_H
#define CLI_TOP_TRACK_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/history.h"
#include "cli/top/series.h"

enum track_column {
    TRACK_EXITS,
    TRACK_RUN,
    TRACK_BYTES,
    TRACK_OPS,
    TRACK_P50, /* the upper bound; of the open bucket, the lower one, negative */
    TRACK_P99,
    TRACK_TOP, /* MEASURES_TOP of them: reason << 6 | share in 63rds; 0: none */
    TRACK_VCPUS = TRACK_TOP + MEASURES_TOP,
    TRACK_STATE,
    TRACK_COLUMNS
};

#define TRACK_GONE 0x8000U /* state: it is not there, but was before and is again later */

/* What a column has where nothing is. */
uint16_t track_nothing(enum track_column column);

/* Slots of one part: the source's own, or one of its totals. */
struct track_part {
    const struct vmt_schema *schema; /* as it was last seen, of that epoch: never looked into */
    uint64_t content;                /* of the schema */
    uint32_t slots;
    uint32_t slot_at;   /* of its first slot in a row of them */
    uint32_t scalar_at; /* of its first scalar among those of all parts */
    uint32_t scalars;
    uint16_t *scalar; /* their slots, sorted; this and levels are part of the block that parts begin */
    uint8_t *levels;  /* bit n: slot n is a level (instant or peak), not a count */
};

/* Newest measures, in less room than struct measures takes. */
struct track_now {
    double exits, run, bytes, ops;
    double p50[2], p99[2]; /* low and high */
    double share[MEASURES_TOP];
    uint32_t vcpus;
    uint16_t reason[MEASURES_TOP];
    uint8_t latency;
    char *active; /* NULL: nothing */
};

struct track {
    uint64_t key, vm_id, parent;
    uint64_t created_ns;
    uint64_t closed_ns; /* 0: it has not been */
    char *text;         /* what follows points into it */
    const char *vm, *id, *name, *owner, *schema;
    uint32_t pid;
    uint16_t depth;
    uint8_t kind;
    uint8_t deep;
    uint8_t from;  /* VMT_FROM_, of a VM */
    uint8_t seen;  /* at the beat that is being added */
    uint16_t mask; /* columns that rows have */
    struct series columns;
    struct series slots; /* its width is that of all parts, if it is deep */
    struct track_now now;
    struct track_part *parts;
    uint32_t part_count;
    uint64_t epoch;      /* sampler_epoch() that the parts' schemas are of */
    uint32_t slot_count; /* of all parts */
    float age_s;         /* since averages began */
    uint16_t *places; /* of all scalars: TRACK_UNSEEN, TRACK_ZERO, or where its average is; part of that block, too */
    struct average *averages;
    uint16_t average_count;
};

/* Most statistics never are anything but 0: those have no average of their own. */
#define TRACK_UNSEEN 0 /* nothing was seen yet */
#define TRACK_ZERO 1   /* nothing but 0 */
#define TRACK_OWN 2    /* from here on: averages[place - TRACK_OWN] */

void track_free(struct track *track);

/* Append the row of that beat. slots: of a deep one, slot_count numbers. 0 or -ENOMEM. */
int track_append(struct track *track, size_t beat, const uint16_t columns[TRACK_COLUMNS], const uint16_t *slots);

/* 1 where it was there at that beat. */
int track_there(const struct track *track, size_t beat);

/* A column at a beat at which it was there. */
uint16_t track_column(const struct track *track, size_t beat, enum track_column column);

/* From now on with slots, or no longer: those that were kept are lost then. */
void track_deepen(struct track *track, int deep);

/* Whether its parts have these schemas, of this epoch. */
int track_has_parts(struct track *track, const struct vmt_schema *const *schemas, uint32_t count, uint64_t epoch);

/* Make them so: it is not deep any more, and averages begin anew. 0 or -ENOMEM. */
int track_set_parts(struct track *track, const struct vmt_schema *const *schemas, uint32_t count, uint64_t epoch);

/* Which of the scalars of all parts the one at slot is, or -1. */
long track_scalar(const struct track *track, uint32_t part, uint32_t slot);

/* Its average, valid until something is added to any. */
const struct average *track_average(const struct track *track, size_t scalar);

/* The same, to add to it: from now on it is its own. NULL: no memory. */
struct average *track_own_average(struct track *track, size_t scalar);

/* A slot of a part at that beat, packed; PACKED_NAN where it was not kept. */
uint16_t track_slot(const struct track *track, size_t beat, uint32_t part, uint32_t slot);

/* series_compact() of both. */
void track_compact(struct track *track, const uint8_t *keep, const double *seconds, size_t beats, int merge);

/* Bytes that its rows take. */
size_t track_bytes(const struct track *track);

#endif
