/* SPDX-License-Identifier: MIT */
/* Records for Fluent Forward: what RECORDS.md describes. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "lib/options.h"

#include "decimal.h"
#include "names.h"
#include "pack.h"
#include "records_plan.h"
#include "schema_index.h"

#define RECORD_SCHEMA 1U
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
    struct vmt_pack pack;
    struct vmt_records *records;
    const struct vmt_snapshot *snapshot;
    const struct vmt_delta *delta;
    uint64_t realtime_ns;
    uint64_t interval_ns;
    uint64_t number; /* of records made so far */
    uint32_t common_keys;
    uint32_t snapshot_flags;
};

/* What one record is made of. */
struct subject {
    const struct vmt_sample *sample;
    const struct record_plan *plan;
    const uint64_t *counted; /* of counters and histograms: totals, or what changed */
    const uint64_t *values;  /* of all else */
    uint64_t since_ns;
    bool is_delta;
    bool is_reset;
    bool departed;
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

/* ---- values ---- */

static msgpack_packer *packer(struct encoding *e) { return &e->pack.packer; }

static void put_digits(struct encoding *e, uint64_t value, bool negative)
{
    char digits[VMT_DECIMAL_MAX + 1], *end = digits + sizeof(digits);
    char *first = vmt_decimal_before(end, value);

    if (negative)
        *--first = '-';
    msgpack_pack_str_with_body(packer(e), first, (size_t)(end - first));
}

static inline void put_unsigned(struct encoding *e, uint64_t value)
{
    if (e->records->strings)
        put_digits(e, value, false);
    else
        msgpack_pack_uint64(packer(e), value);
}

static void put_signed(struct encoding *e, uint64_t value)
{
    int64_t number = (int64_t)value;

    if (e->records->strings)
        put_digits(e, number < 0 ? -value : value, number < 0);
    else
        msgpack_pack_int64(packer(e), number);
}

static void put_planned(struct encoding *e, const struct record_plan *plan, struct plan_bytes bytes)
{
    vmt_writer_put(&e->pack.base, plan->bytes.data + bytes.at, bytes.size);
}

static void put_name(struct encoding *e, const char *key, uint64_t value)
{
    vmt_pack_string(packer(e), key);
    put_unsigned(e, value);
}

/* ---- the parts of a record ---- */

/* A list is there whenever one of its values is. */
static bool is_there(const struct plan_number *n, const uint64_t *values)
{
    for (uint32_t k = 0; k < n->size; k++) {
        if (values[n->slot + k] != n->none)
            return true;
    }
    return n->none == 0;
}

static uint32_t count_numbers(const struct plan_number *numbers, uint32_t count, const uint64_t *values)
{
    uint32_t there = 0;

    for (uint32_t i = 0; i < count; i++)
        there += is_there(&numbers[i], values);
    return there;
}

static void put_value(struct encoding *e, const struct plan_number *n, uint64_t value)
{
    if (n->none != 0 && value == n->none)
        msgpack_pack_nil(packer(e));
    else if (n->is_signed)
        put_signed(e, value);
    else
        put_unsigned(e, value);
}

static void put_numbers(struct encoding *e, const struct subject *s, const struct plan_number *numbers, uint32_t count,
                        const uint64_t *values)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_number *n = &numbers[i];

        if (!is_there(n, values))
            continue;
        put_planned(e, s->plan, n->key);
        if (n->is_list)
            msgpack_pack_array(packer(e), n->size);
        for (uint32_t k = 0; k < n->size; k++)
            put_value(e, n, values[n->slot + k]);
    }
}

/* Buckets up to the last one that is not 0: most histograms use few of theirs, and bounds are most of a record. Returns the
 * sum of all. */
static uint64_t put_buckets(struct encoding *e, const struct record_plan *plan, const struct plan_histogram *h,
                            const uint64_t *buckets)
{
    uint32_t used = h->size, bounds;
    uint64_t count = 0;

    while (used && buckets[used - 1] == 0)
        used--;
    bounds = used < h->size ? used : h->size - 1;
    vmt_pack_string(packer(e), "le");
    msgpack_pack_array(packer(e), bounds);
    if (bounds)
        put_planned(e, plan, (struct plan_bytes){ h->bounds, plan->ends[h->slot + bounds - 1] });
    vmt_pack_string(packer(e), "n");
    msgpack_pack_array(packer(e), used);
    for (uint32_t k = 0; k < used; k++) {
        put_unsigned(e, buckets[k]);
        count += buckets[k];
    }
    return count;
}

static void put_histogram(struct encoding *e, const struct subject *s, const struct plan_histogram *h)
{
    const uint64_t *values = s->values, *counted = s->counted;
    bool any = h->count == PLAN_NO_SLOT || values[h->count] != 0;
    bool has_min = h->min != PLAN_NO_SLOT && any && values[h->min] != UINT64_MAX;
    bool has_max = h->max != PLAN_NO_SLOT && any;
    uint64_t count;

    put_planned(e, s->plan, h->key);
    msgpack_pack_map(packer(e), 3U + (h->unit.size != 0) + (h->sum != PLAN_NO_SLOT) + has_min + has_max);
    if (h->unit.size)
        put_planned(e, s->plan, h->unit);
    count = put_buckets(e, s->plan, h, counted + h->slot);
    put_name(e, "count", h->count == PLAN_NO_SLOT ? count : counted[h->count]);
    if (h->sum != PLAN_NO_SLOT)
        put_name(e, "sum", counted[h->sum]);
    if (has_min)
        put_name(e, "min", values[h->min]);
    if (has_max)
        put_name(e, "max", values[h->max]);
}

static void put_flags(struct encoding *e, const struct subject *s)
{
    const struct {
        bool set;
        const char *name;
    } flags[] = {
        { s->departed, "departed" },
        { s->sample->flags & VMT_SAMPLE_LEAVING, "leaving" },
        { s->sample->flags & VMT_SAMPLE_UNCONFIRMED, "unconfirmed" },
        { s->sample->flags & VMT_SAMPLE_TORN, "torn" },
        { e->snapshot_flags & VMT_SNAPSHOT_PARTIAL, "partial" },
        { e->snapshot_flags & VMT_SNAPSHOT_FOREIGN, "foreign" },
    };
    uint32_t count = 0;

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        count += flags[i].set;
    vmt_pack_string(packer(e), "flags");
    msgpack_pack_array(packer(e), count);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i].set)
            vmt_pack_string(packer(e), flags[i].name);
    }
}

/* Event time: Fluent's ext type 0. msgpack's own timestamp makes collectors close the connection. */
static void put_event_time(struct encoding *e)
{
    uint32_t s = (uint32_t)(e->realtime_ns / 1000000000U), ns = (uint32_t)(e->realtime_ns % 1000000000U);
    char time[8];

    for (int i = 0; i < 4; i++) {
        time[i] = (char)(s >> (24 - 8 * i));
        time[4 + i] = (char)(ns >> (24 - 8 * i));
    }
    msgpack_pack_ext_with_body(packer(e), time, sizeof(time), 0);
}

static void put_record(struct encoding *e, const struct subject *s)
{
    const struct record_plan *plan = s->plan;
    const struct vmt_sample *sample = s->sample;
    uint32_t counters = count_numbers(plan->counters, plan->counter_count, s->counted);
    uint32_t gauges = s->departed ? 0 : count_numbers(plan->gauges, plan->gauge_count, s->values);
    bool flags = s->departed || e->snapshot_flags || sample->flags;

    msgpack_pack_array(packer(e), 2);
    put_event_time(e);
    msgpack_pack_map(packer(e), e->common_keys + 5U + (sample->created_ns != 0) + s->is_delta + s->is_reset + flags +
                                    (plan->units.size != 0) + (counters != 0) + (gauges != 0) +
                                    (plan->histogram_count != 0));
    vmt_writer_put(&e->pack.base, e->records->common.data, e->records->common.size);
    put_name(e, "number", e->number++);
    put_planned(e, plan, plan->kind);
    vmt_pack_string(packer(e), "id");
    vmt_pack_string(packer(e), sample->id);
    put_name(e, "epoch", sample->generation);
    if (sample->created_ns != 0)
        put_name(e, "start_ns", sample->created_ns);
    if (s->is_delta)
        put_name(e, "since_ns", s->since_ns);
    if (s->is_reset) {
        vmt_pack_string(packer(e), "reset");
        msgpack_pack_true(packer(e));
    }
    if (flags)
        put_flags(e, s);
    if (plan->units.size)
        put_planned(e, plan, plan->units);
    if (counters) {
        vmt_pack_string(packer(e), "c");
        msgpack_pack_map(packer(e), counters);
        put_numbers(e, s, plan->counters, plan->counter_count, s->counted);
    }
    if (gauges) {
        vmt_pack_string(packer(e), "g");
        msgpack_pack_map(packer(e), gauges);
        put_numbers(e, s, plan->gauges, plan->gauge_count, s->values);
    }
    if (plan->histogram_count) {
        vmt_pack_string(packer(e), "h");
        msgpack_pack_map(packer(e), plan->histogram_count);
        for (uint32_t i = 0; i < plan->histogram_count; i++)
            put_histogram(e, s, &plan->histograms[i]);
    }
}

/* ---- a snapshot ---- */

static int put_common(struct encoding *e, const char *vm, uint64_t seq)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(e->snapshot);
    struct vmt_records *records = e->records;
    size_t count;

    vmt_buffer_clear(&records->common);
    vmt_pack_init(&e->pack, &records->common);
    e->common_keys = 5;
    vmt_put_number(&e->pack.base, "schema", RECORD_SCHEMA);
    vmt_put_string(&e->pack.base, "host", records->host);
    vmt_put_string(&e->pack.base, "vm", vm ? vm : info->name);
    vmt_put_string(&e->pack.base, "sender", records->sender);
    put_name(e, "seq", seq);
    if (info->state != VMT_STATE_LIVE) {
        vmt_put_string(&e->pack.base, "state", vmt_state_name(info->state));
        e->common_keys++;
    }
    if (vmt_export_labels(info->labels, &count)) {
        vmt_put_key(&e->pack.base, "labels");
        vmt_document_labels(&e->pack.base, info->labels);
        e->common_keys++;
    }
    e->realtime_ns = info->realtime_ns;
    e->snapshot_flags = info->flags & (VMT_SNAPSHOT_PARTIAL | VMT_SNAPSHOT_FOREIGN);
    return e->pack.base.error;
}

/* What was counted, in the way that is asked for. */
static void set_counted(const struct encoding *e, size_t i, struct subject *s)
{
    const struct vmt_change *change = e->records->deltas && e->delta ? vmt_delta_source(e->delta, i) : NULL;

    s->values = s->counted = s->sample->values;
    s->is_reset = e->records->deltas && (!change || change->flags & VMT_CHANGE_RESET);
    s->is_delta = e->records->deltas && !s->is_reset;
    if (!s->is_delta)
        return;
    s->counted = change->values;
    s->since_ns = change->flags & VMT_CHANGE_NEW ? s->sample->created_ns : e->realtime_ns - e->interval_ns;
}

static int give(struct encoding *e, const struct subject *s, size_t i, const struct vmt_schema *schema,
                vmt_record_fn *record, void *arg)
{
    struct vmt_buffer *entry = &e->records->entry;

    vmt_buffer_clear(entry);
    put_record(e, s);
    return e->pack.base.error < 0 ? e->pack.base.error : record(arg, e->snapshot, i, schema, entry->data, entry->size);
}

static int encode_source(struct encoding *e, size_t i, vmt_record_fn *record, void *arg)
{
    struct subject s = { .sample = vmt_snapshot_source(e->snapshot, i) };
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
        struct subject s = { .sample = segment, .departed = true, .is_reset = e->records->deltas };

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
    struct encoding e = { .records = records, .snapshot = snapshot, .delta = delta };
    size_t count = vmt_snapshot_count(snapshot);
    int r;

    if (count == 0)
        return 0;
    begin_plans(records, choice);
    r = put_common(&e, vm, seq);
    e.interval_ns = delta ? (uint64_t)llround(vmt_delta_seconds(delta) * 1e9) : 0;
    vmt_pack_init(&e.pack, &records->entry);
    for (size_t i = 0; i < count && r == 0; i++) {
        if (is_chosen(choice, snapshot, i))
            r = encode_source(&e, i, record, arg);
    }
    if (r == 0 && is_chosen(choice, snapshot, 0))
        r = encode_departed(&e, record, arg);
    return r;
}
