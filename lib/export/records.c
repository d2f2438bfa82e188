/* SPDX-License-Identifier: MIT */
/* Records for Fluent Forward: which there are of a snapshot, and the plans that are kept for the next one. How one looks is
 * records_write.c's. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "lib/options.h"

#include "records_write.h"
#include "schema_index.h"

#define PLACES 1024U
/* Plans are remembered up to that many, and that many bytes of them: a hostile segment can have ever new schemas. */
#define PLANS_KEPT 1024U
#define PLAN_BYTES_KEPT ((size_t)16 << 20)

struct vmt_records {
    char *host;
    char *sender;
    bool strings;
    bool deltas;
    struct record_plan *places[PLACES];
    size_t plan_count;
    size_t plan_bytes;
    struct vmt_choice choice; /* that the plans are for */
    struct vmt_schema_index index;
    struct record_plan **plans; /* of index */
    size_t plan_capacity;
    struct vmt_buffer common; /* of the records of one snapshot: what is the same in all of them */
    struct vmt_buffer entry;
};

/* One call. */
struct encoding {
    struct record_writer writer;
    struct vmt_records *records;
    const struct vmt_snapshot *snapshot;
    const struct vmt_delta *delta;
    uint64_t interval_ns;
};

int vmt_records_new(const struct vmt_records_options *from, struct vmt_records **ret)
{
    struct vmt_records_options options = { 0 };
    struct vmt_records *records;

    if (!from || !options_take(&options, sizeof(options), from, from->struct_size) || !options.host || !options.sender)
        return -EINVAL;
    records = calloc(1, sizeof(*records));
    if (!records)
        return -ENOMEM;
    records->host = strdup(options.host);
    records->sender = strdup(options.sender);
    if (!records->host || !records->sender) {
        vmt_records_free(records);
        return -ENOMEM;
    }
    records->strings = options.strings != 0;
    records->deltas = options.deltas != 0;
    *ret = records;
    return 0;
}

static void forget_plans(struct vmt_records *records)
{
    for (size_t i = 0; i < PLACES; i++) {
        while (records->places[i]) {
            struct record_plan *plan = records->places[i];

            records->places[i] = plan->next;
            record_plan_free(plan);
        }
    }
    records->plan_count = 0;
    records->plan_bytes = 0;
}

void vmt_records_free(struct vmt_records *records)
{
    if (!records)
        return;
    forget_plans(records);
    vmt_buffer_free(&records->common);
    vmt_buffer_free(&records->entry);
    free(records->index.schemas);
    free(records->plans);
    free(records->host);
    free(records->sender);
    free(records);
}

/* ---- plans ---- */

/* Addresses of schemas are those of another one later, so in each call each schema is looked at once. */
static int find_plan(struct vmt_records *records, const struct vmt_schema *schema, struct record_plan **ret)
{
    uint64_t hash = record_plan_hash(schema);
    struct record_plan **place = &records->places[hash % PLACES], *plan = *place;
    int r;

    while (plan && !record_plan_is_of(plan, schema, hash))
        plan = plan->next;
    if (!plan) {
        r = record_plan_new(schema, &records->choice, records->strings, &plan);
        if (r < 0)
            return r;
        plan->next = *place;
        *place = plan;
        records->plan_count++;
        records->plan_bytes += plan->memory;
    }
    *ret = plan;
    return 0;
}

static int plan_of(struct vmt_records *records, const struct vmt_schema *schema, const struct record_plan **ret)
{
    size_t at = vmt_schema_index_find(&records->index, schema);
    struct record_plan *plan = NULL;
    int r;

    if (at == VMT_SCHEMA_NONE) {
        r = find_plan(records, schema, &plan);
        if (r == 0)
            r = vmt_schema_index_add(&records->index, schema);
        if (r < 0)
            return r;
        at = records->index.count - 1;
        if (at >= records->plan_capacity) {
            struct record_plan **plans = realloc(records->plans, records->index.capacity * sizeof(*plans));

            if (!plans) {
                records->index.count = at;
                return -ENOMEM;
            }
            records->plans = plans;
            records->plan_capacity = records->index.capacity;
        }
        records->plans[at] = plan;
    }
    *ret = records->plans[at];
    return 0;
}

static void begin_plans(struct vmt_records *records, const struct vmt_choice *choice)
{
    struct vmt_choice all = { NULL, NULL, NULL };

    choice = choice ? choice : &all;
    if (choice->statistic != records->choice.statistic || choice->arg != records->choice.arg ||
        records->plan_count > PLANS_KEPT || records->plan_bytes > PLAN_BYTES_KEPT)
        forget_plans(records);
    records->choice = *choice;
    records->index.count = 0;
}

/* ---- a snapshot ---- */

/* What was counted, in the way that is asked for. */
static void set_counted(const struct encoding *e, size_t i, struct record_subject *s)
{
    const struct vmt_change *change = e->records->deltas && e->delta ? vmt_delta_source(e->delta, i) : NULL;

    s->values = s->counted = s->sample->values;
    s->is_reset = e->records->deltas && (!change || change->flags & VMT_CHANGE_RESET);
    s->is_delta = e->records->deltas && !s->is_reset;
    if (!s->is_delta)
        return;
    s->counted = change->values;
    s->since_ns = change->flags & VMT_CHANGE_NEW ? s->sample->created_ns : e->writer.realtime_ns - e->interval_ns;
}

static int give(struct encoding *e, const struct record_subject *s, size_t i, const struct vmt_schema *schema,
                vmt_record_fn *record, void *arg)
{
    const struct vmt_buffer *entry = &e->records->entry;
    int r = record_write(&e->writer, s);

    return r < 0 ? r : record(arg, e->snapshot, i, schema, entry->data, entry->size);
}

static int encode_source(struct encoding *e, size_t i, vmt_record_fn *record, void *arg)
{
    struct record_subject s = { .sample = vmt_snapshot_source(e->snapshot, i) };
    int r;

    if (s.sample->flags & VMT_SAMPLE_ABSENT || !s.sample->values)
        return 0;
    r = plan_of(e->records, s.sample->schema, &s.plan);
    if (r < 0 || record_plan_is_empty(s.plan))
        return r;
    set_counted(e, i, &s);
    return give(e, &s, i, s.sample->schema, record, arg);
}

/* Whether anything of the plan's was counted. */
static bool has_counted(const struct record_plan *plan, const uint64_t *values)
{
    for (uint32_t i = 0; i < plan->counter_count; i++) {
        for (uint32_t k = 0; k < plan->counters[i].size; k++) {
            if (values[plan->counters[i].slot + k] != plan->counters[i].none)
                return true;
        }
    }
    for (uint32_t i = 0; i < plan->histogram_count; i++) {
        for (uint32_t k = 0; k < plan->histograms[i].size; k++) {
            if (values[plan->histograms[i].slot + k] != 0)
                return true;
        }
    }
    return false;
}

/* What sources have counted that are gone: with it the records of one kind add up to what the VM has counted, although some
 * lived for less than a beat. */
static int encode_departed(struct encoding *e, vmt_record_fn *record, void *arg)
{
    const struct vmt_sample *segment = vmt_snapshot_source(e->snapshot, 0);
    int r = 0;

    for (uint32_t t = 0; t < segment->total_count && r == 0; t++) {
        const struct vmt_total *total = &segment->totals[t];
        struct record_subject s = { .sample = segment, .departed = true, .is_reset = e->records->deltas };

        s.values = s.counted = total->departed;
        if (total->flags & VMT_SAMPLE_ABSENT || !total->departed)
            continue;
        r = plan_of(e->records, total->schema, &s.plan);
        if (r == 0 && has_counted(s.plan, total->departed))
            r = give(e, &s, 0, total->schema, record, arg);
    }
    return r;
}

static bool is_chosen(const struct vmt_choice *choice, const struct vmt_snapshot *snapshot, size_t i)
{
    return !choice || !choice->source || choice->source(choice->arg, snapshot, i);
}

int vmt_records_encode(struct vmt_records *records, const struct vmt_snapshot *snapshot, const struct vmt_delta *delta,
                       const char *vm, uint64_t seq, const struct vmt_choice *choice, vmt_record_fn *record, void *arg)
{
    struct record_origin origin = { records->host, records->sender, vm, seq };
    struct encoding e = {
        .writer = { .common = &records->common, .entry = &records->entry, .strings = records->strings },
        .records = records,
        .snapshot = snapshot,
        .delta = delta
    };
    size_t count = vmt_snapshot_count(snapshot);
    int r;

    if (count == 0)
        return 0;
    begin_plans(records, choice);
    r = record_writer_begin(&e.writer, &origin, vmt_snapshot_segment(snapshot));
    e.interval_ns = delta ? (uint64_t)llround(vmt_delta_seconds(delta) * 1e9) : 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        if (is_chosen(choice, snapshot, i))
            r = encode_source(&e, i, record, arg);
    }
    if (r == 0 && is_chosen(choice, snapshot, 0))
        r = encode_departed(&e, record, arg);
    return r;
}
