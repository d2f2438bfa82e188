/* SPDX-License-Identifier: MIT */
/* The inside of struct vmt_metrics: what is kept of the VMs of one scrape. In the order in which it comes to be:
 *
 *   metrics_names.c   the name of a statistic's family, of nothing but its descriptor
 *   metrics_plan.c    all that lines of one schema have in common, made once for each schema
 *   metrics_labels.c  what tells the sources of all VMs apart
 *   metrics.c         VMs, each source as a row: its labels and a copy of its values
 *   metrics_group.c   families: what has one name, and whether it contradicts others
 *   metrics_lines.c   rows as lines
 *   metrics_write.c   the text: families with their heads
 */
#ifndef LIB_EXPORT_METRICS_H
#define LIB_EXPORT_METRICS_H

#include <stdbool.h>

#include "buffer.h"
#include "names.h"

/* ---- limits: what one VM can make of a scrape that others share; METRICS.md has them ---- */

#define METRICS_VM_SLOTS 32768U                  /* values of all of its schemas */
#define METRICS_SLOTS 524288U                    /* of all VMs' */
#define METRICS_VM_TEXT ((size_t)16 << 20)       /* bytes of lines */
#define METRICS_TEXT ((size_t)240 << 20)         /* of all VMs'; a message of cli/channel.h holds it */
#define METRICS_HEAD_BYTES 2048U                 /* of what is said of VMs themselves */
#define METRICS_VM_LABELS 256U                   /* labels of its own */
#define METRICS_VM_LABEL_TEXT ((size_t)16 << 10) /* bytes of them */
#define METRICS_KEY_SIZE 128U                    /* of the name of such a label */
#define METRICS_KEPT_SCRAPES 4U                  /* what no VM had for so long is forgotten */

/* ---- names ---- */

#define METRICS_NAME_SIZE 160U
#define METRICS_TARGET_SIZE 64U

enum metrics_class { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM, METRICS_SUMMARY };

/* What a name is made of: descriptor d (of a LATENCY its histogram, then the last part of d->name is not taken) of what
 * counts target. */
struct metrics_named {
    const char *target;
    const char *statistic;
    size_t size; /* of statistic */
    const char *unit;
    enum metrics_class class;
    uint32_t number; /* of the descriptor in its schema */
};

/* What class a descriptor is alone. */
enum metrics_class metrics_class(const struct vmt_descriptor *d);

/* The word of its unit, which names end with, or NULL. */
const char *metrics_unit(const struct vmt_descriptor *d);

/* What stands for target in names; true if that is itself. */
bool metrics_target(char name[METRICS_TARGET_SIZE], const char *target);

/* The nth choice for a name, 0 being the one it should have; true if that is the statistic's own name with at most a unit
 * behind it. From 2 on none of them is like another's. */
bool metrics_name(char name[METRICS_NAME_SIZE], const struct metrics_named *named, unsigned choice);
#define METRICS_NAME_CHOICES 6U

/* The name is needed for what is said of VMs themselves, or of the exporter. */
bool metrics_name_is_reserved(const char *name);

/* text as a part of a name: letters, digits and '_'. What was appended of size bytes; true if nothing was changed. */
bool metrics_sanitize(char *to, const char *text, size_t size);

/* text ends with end, and there is something before it. */
bool metrics_ends_with(const char *text, size_t size, const char *end);

/* ---- plans ---- */

#define METRICS_NONE UINT32_MAX

/* What of a column is wanted (a mask), in this scrape: its value or buckets, and of a LATENCY count and sum. */
#define METRICS_WANT_VALUE 1U
#define METRICS_WANT_COUNT 2U
#define METRICS_WANT_SUM 4U

/* One statistic of a schema; of a LATENCY its count, sum and histogram in one. */
struct metrics_column {
    struct vmt_descriptor d; /* a copy; its name and help are the plan's */
    char *family;            /* NULL: there is no name left for it */
    const char *unit;        /* NULL: none */
    char *latency_help;      /* NULL: d.help is the descriptor's */
    size_t *le_ends;         /* of a histogram: bucket i is said by le_text from le_ends[i - 1] up to le_ends[i] */
    char *le_text;           /* ,le="0.001"} and a space, each; the last one is +Inf */
    uint32_t le_count;       /* buckets that are told apart; what lies behind is in the last */
    uint32_t family_size;
    uint32_t descriptor; /* number in the schema */
    uint32_t count;      /* number of the descriptor, METRICS_NONE: there is none */
    uint32_t sum;
    struct vmt_descriptor sum_d;
    uint32_t count_slot;
    enum metrics_class class;
    bool boolean;
    bool exact;   /* its value is written as it is */
    uint8_t seen; /* METRICS_WANT_ of any row of this scrape */
};

struct metrics_plan {
    struct vmt_schema schema; /* a copy, with names, provider, target and descriptors of its own */
    uint64_t hash;
    char target[METRICS_TARGET_SIZE]; /* as in names */
    char *text;                       /* what all of its strings are in */
    struct metrics_column *columns;
    uint32_t column_count;
    size_t lines;      /* that one row makes */
    size_t line_bytes; /* of all of them, but for labels */
    size_t head_bytes; /* of HELP, TYPE and UNIT of all columns */
    /* in this scrape */
    uint64_t scrape; /* that it was in last */
    uint32_t first_row;
    uint32_t last_row;
    uint32_t mask; /* of who chooses, offset in the masks; METRICS_NONE: all is wanted */
    int (*chooses)(void *arg, const struct vmt_schema *schema, const struct vmt_descriptor *d);
    void *choice_arg;
    bool choice_known;
    bool wanted;
};

/* What schemas look like: a hash of all that a plan is made of; and whether plan is of such a one. */
uint64_t metrics_schema_hash(const struct vmt_schema *schema);
bool metrics_plan_is(const struct metrics_plan *plan, const struct vmt_schema *schema);

/* *ret is the caller's. 0 or -ENOMEM. */
int metrics_plan_new(const struct vmt_schema *schema, uint64_t hash, struct metrics_plan **ret);
void metrics_plan_free(struct metrics_plan *plan);

/* ---- rows ---- */

/* One source. */
struct metrics_row {
    size_t values; /* offset in the values */
    size_t labels; /* offset in the text: vm="web-1",vcpu="0"} and a space */
    uint32_t labels_size;
    uint32_t next; /* of the same plan */
    uint32_t mask; /* offset in the masks, a byte a column; METRICS_NONE: all is wanted */
    const struct metrics_plan *plan;
};

struct metrics_vm {
    size_t name; /* offset in the text: vm="web-1" */
    size_t name_size;
    size_t info; /* the same for all of its labels */
    size_t info_size;
    uint64_t created_ns;
    enum vmt_state state;
    bool running;
    bool partial;
};

/* Numbers, by a hash of what they stand for. */
struct metrics_index {
    struct metrics_place {
        uint64_t hash;
        uint32_t number;
        uint32_t used;
    } * places;
    size_t room; /* a power of 2, or 0 */
    size_t used;
};

/* The numbers that have this hash, one after the other: *place begins as 0 and is this function's. METRICS_NONE: no more. */
uint32_t metrics_index_find(const struct metrics_index *index, uint64_t hash, size_t *place);

/* 0 or -ENOMEM. */
int metrics_index_add(struct metrics_index *index, uint64_t hash, uint32_t number);
void metrics_index_clear(struct metrics_index *index); /* memory kept */
void metrics_index_free(struct metrics_index *index);

/* Of bytes that others choose, who can't choose it. Goes on from seed. */
uint64_t metrics_hash(uint64_t seed, const void *data, size_t size);

struct metrics_own {
    struct vmt_metric metric; /* strings are in the one that .text is */
    char *text;
};

struct vmt_metrics {
    struct metrics_plan **plans;
    size_t plan_count;
    size_t plan_room;
    struct metrics_index plan_index;
    struct vmt_buffer values; /* uint64_t */
    struct vmt_buffer text;
    struct vmt_buffer masks; /* uint8_t */
    struct vmt_buffer rows;  /* struct metrics_row */
    struct vmt_buffer vms;   /* struct metrics_vm */
    struct vmt_buffer names; /* struct metrics_vm_name */
    struct metrics_index name_index;
    struct metrics_index row_index; /* by labels */
    struct vmt_buffer own;          /* struct metrics_own */
    uint64_t scrape;
    size_t columns;    /* of the plans in this scrape */
    size_t slots;      /* the same */
    size_t text_bytes; /* what is written will not be longer, but for the exporter's own */
    size_t expected;   /* VMs of this scrape */
    size_t added;      /* of them */
    uint64_t left_out; /* sources of this scrape */
};

static inline size_t metrics_row_count(const struct vmt_metrics *m)
{
    return m->rows.size / sizeof(struct metrics_row);
}
static inline struct metrics_row *metrics_row(const struct vmt_metrics *m, uint32_t i)
{
    return &((struct metrics_row *)(void *)m->rows.data)[i];
}
static inline size_t metrics_vm_count(const struct vmt_metrics *m) { return m->vms.size / sizeof(struct metrics_vm); }
static inline size_t metrics_own_count(const struct vmt_metrics *m) { return m->own.size / sizeof(struct metrics_own); }
static inline struct metrics_own *metrics_own(const struct vmt_metrics *m, size_t i)
{
    return &((struct metrics_own *)(void *)m->own.data)[i];
}
static inline const struct metrics_vm *metrics_vm(const struct vmt_metrics *m, size_t i)
{
    return &((const struct metrics_vm *)(const void *)m->vms.data)[i];
}

/* ---- labels ---- */

/* Append name="value", with a comma before it if text has a label already (from start on). 0, -ENOMEM, -EFBIG. */
int metrics_put_label(struct vmt_buffer *text, size_t start, const char *name, const char *value, size_t size);

/* Append value as it stands between quotes; quotes 0: as in a HELP of 0.0.4, where they mean nothing. */
int metrics_put_escaped(struct vmt_buffer *text, const char *value, size_t size, bool quotes);

/* vm="...", told apart from other VMs of that name. */
int metrics_put_vm(struct vmt_metrics *m, const char *name, struct metrics_vm *vm);

/* All that is known of a VM. */
int metrics_put_info(struct vmt_metrics *m, const struct vmt_segment_info *info, struct metrics_vm *vm);

uint64_t metrics_labels_hash(const struct vmt_metrics *m, const struct metrics_row *row);

/* The labels of source i, with } and a space; 1: there is no way to tell it apart from others. The row is not added yet. */
int metrics_put_source(struct vmt_metrics *m, const struct vmt_snapshot *snapshot, size_t i,
                       const struct metrics_vm *vm, struct metrics_row *row);

/* ---- families ---- */

/* A column that has rows in this scrape. */
struct metrics_member {
    const struct metrics_plan *plan;
    const struct metrics_column *column;
    size_t order; /* of the plan */
    enum metrics_class class;
};

/* Those of one name. */
struct metrics_group {
    const char *family;
    size_t family_size;
    const struct metrics_member *members;
    size_t count;
    const char *help;  /* "": none */
    const char *unit;  /* NULL: none, or they differ */
    bool contradicted; /* it is not one family: of other types, or named as a sample of another */
};

struct metrics_groups {
    struct metrics_member *members;
    struct metrics_group *groups;
    size_t count;
};

/* All of the scrape, sorted. groups starts as zeros; free it in any case. 0 or -ENOMEM. */
int metrics_groups_make(const struct vmt_metrics *m, struct metrics_groups *groups);
void metrics_groups_free(struct metrics_groups *groups);

/* ---- lines ---- */

enum metrics_lines {
    METRICS_LINES_TOTAL,     /* _total of counters */
    METRICS_LINES_VALUE,     /* of gauges */
    METRICS_LINES_HISTOGRAM, /* all of _bucket, _count and _sum, source by source */
    METRICS_LINES_SUMMARY,   /* _count and _sum */
    METRICS_LINES_BUCKET,    /* one of these alone */
    METRICS_LINES_COUNT,
    METRICS_LINES_SUM
};

/* Lines of a group for all rows of all members that have them. 0, -ENOMEM, -EFBIG. */
int metrics_put_lines(const struct vmt_metrics *m, const struct metrics_group *group, enum metrics_lines lines,
                      enum vmt_metrics_format format, struct vmt_buffer *out);

#endif
