/* SPDX-License-Identifier: MIT */
/* track.h: the history of one thing: a packed record for each beat. Only history.c and track.c know of it.
 *
 * A record is an array of packed numbers: the columns that the track ever had something in (bits of its mask, in the
 * order of enum track_column), then, if it is deep, all slots of its parts. Where a column is not, nothing was ever
 * there.
 */
#ifndef CLI_TOP_TRACK_H
#define CLI_TOP_TRACK_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/history.h"

enum track_column {
    TRACK_EXITS,
    TRACK_RUN,
    TRACK_BYTES,
    TRACK_OPS,
    TRACK_P50, /* the upper bound; of the open bucket, the lower one, negative */
    TRACK_P99,
    TRACK_TOP, /* MEASURES_TOP of them: reason << 8 | share in 255ths; 0: none */
    TRACK_VCPUS = TRACK_TOP + MEASURES_TOP,
    TRACK_STATE,
    TRACK_COLUMNS
};

/* What a column has where nothing is. */
uint16_t track_nothing(enum track_column column);

/* Slots of one part: the source's own, or one of its totals. */
struct track_part {
    char schema[24];
    uint32_t slots;
    uint32_t slot_at;    /* of its first slot in the deep part of a record */
    uint32_t average_at; /* of its first scalar in averages */
    uint32_t scalars;
    uint16_t *scalar; /* their slots, sorted; part of the block that parts begin */
};

/* Newest measures, in less room than struct measures takes. */
struct track_now {
    double exits, run, bytes, ops;
    double p50[2], p99[2]; /* low and high */
    double share[MEASURES_TOP];
    uint32_t vcpus;
    uint8_t reason[MEASURES_TOP];
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
    uint8_t seen;   /* at the beat that is being added */
    uint16_t mask;  /* columns that records have */
    uint32_t width; /* numbers in a record */
    uint16_t *records;
    size_t start; /* beat index of the first one */
    size_t count;
    size_t capacity;
    struct track_now now;
    struct track_part *parts;
    uint32_t part_count;
    uint32_t slots; /* of all parts */
    float age_s;    /* since averages began */
    struct average *averages;
};

void track_free(struct track *track);

/* Append a record of these columns; deep: slots (track->slots numbers; NULL: nothing is known of
 * them). 0 or -ENOMEM. */
int track_append(struct track *track, const uint16_t columns[TRACK_COLUMNS], const uint16_t *slots);

/* A column of record i. */
uint16_t track_column(const struct track *track, size_t i, enum track_column column);

/* From now on (or no longer) with slots; earlier records then have NAN there. 0 or -ENOMEM. */
int track_deepen(struct track *track, int deep);

/* Where the parts are not these (their schemas), make them so; what was kept of others is lost. 0 or -ENOMEM. */
int track_set_parts(struct track *track, const struct vmt_schema *const *schemas, uint32_t count);

/* Where the average of the scalar at slot is: an index, or -1. */
long track_average(const struct track *track, uint32_t part, uint32_t slot);

/* A slot of a part of record i, packed; PACKED_NAN where it was not kept. */
uint16_t track_slot(const struct track *track, size_t i, uint32_t part, uint32_t slot);

/* Put record b's time and a's together in b: rates are means over both (of seconds_a and seconds_b), all else is b's. */
void track_merge(struct track *track, size_t a, size_t b, double seconds_a, double seconds_b);

/* Keep only records whose keep[beat index] is not 0; start moves to where it then is. */
void track_compact(struct track *track, const uint8_t *keep, size_t beats);

/* Bytes that one more record takes. */
size_t track_record_bytes(const struct track *track);

#endif
