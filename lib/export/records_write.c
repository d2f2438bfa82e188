/* SPDX-License-Identifier: MIT */
#include "records_write.h"

#include "decimal.h"
#include "names.h"

#define RECORD_SCHEMA 1U

/* ---- values ---- */

static msgpack_packer *packer(struct record_writer *w) { return &w->pack.packer; }

static void put_digits(struct record_writer *w, uint64_t value, bool negative)
{
    char digits[VMT_DECIMAL_MAX + 1], *end = digits + sizeof(digits);
    char *first = vmt_decimal_before(end, value);

    if (negative)
        *--first = '-';
    msgpack_pack_str_with_body(packer(w), first, (size_t)(end - first));
}

static inline void put_unsigned(struct record_writer *w, uint64_t value)
{
    if (w->strings)
        put_digits(w, value, false);
    else
        msgpack_pack_uint64(packer(w), value);
}

static void put_signed(struct record_writer *w, uint64_t value)
{
    int64_t number = (int64_t)value;

    if (w->strings)
        put_digits(w, number < 0 ? -value : value, number < 0);
    else
        msgpack_pack_int64(packer(w), number);
}

static void put_planned(struct record_writer *w, const struct record_plan *plan, struct plan_bytes bytes)
{
    vmt_writer_put(&w->pack.base, plan->bytes.data + bytes.at, bytes.size);
}

static void put_name(struct record_writer *w, const char *key, uint64_t value)
{
    vmt_pack_string(packer(w), key);
    put_unsigned(w, value);
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

static void put_value(struct record_writer *w, const struct plan_number *n, uint64_t value)
{
    if (n->none != 0 && value == n->none)
        msgpack_pack_nil(packer(w));
    else if (n->is_signed)
        put_signed(w, value);
    else
        put_unsigned(w, value);
}

static void put_numbers(struct record_writer *w, const struct record_subject *s, const struct plan_number *numbers,
                        uint32_t count, const uint64_t *values)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_number *n = &numbers[i];

        if (!is_there(n, values))
            continue;
        put_planned(w, s->plan, n->key);
        if (n->is_list)
            msgpack_pack_array(packer(w), n->size);
        for (uint32_t k = 0; k < n->size; k++)
            put_value(w, n, values[n->slot + k]);
    }
}

/* Buckets up to the last one that is not 0: most histograms use few of theirs, and bounds are most of a record. Returns the
 * sum of all. */
static uint64_t put_buckets(struct record_writer *w, const struct record_plan *plan, const struct plan_histogram *h,
                            const uint64_t *buckets)
{
    uint32_t used = h->size, bounds;
    uint64_t count = 0;

    while (used && buckets[used - 1] == 0)
        used--;
    bounds = used < h->size ? used : h->size - 1;
    vmt_pack_string(packer(w), "le");
    msgpack_pack_array(packer(w), bounds);
    if (bounds)
        put_planned(w, plan, (struct plan_bytes){ h->bounds, plan->ends[h->slot + bounds - 1] });
    vmt_pack_string(packer(w), "n");
    msgpack_pack_array(packer(w), used);
    for (uint32_t k = 0; k < used; k++) {
        put_unsigned(w, buckets[k]);
        count += buckets[k];
    }
    return count;
}

static void put_histogram(struct record_writer *w, const struct record_subject *s, const struct plan_histogram *h)
{
    const uint64_t *values = s->values, *counted = s->counted;
    bool any = h->count == PLAN_NO_SLOT || values[h->count] != 0;
    bool has_min = h->min != PLAN_NO_SLOT && any && values[h->min] != UINT64_MAX;
    bool has_max = h->max != PLAN_NO_SLOT && any;
    uint64_t count;

    put_planned(w, s->plan, h->key);
    msgpack_pack_map(packer(w), 3U + (h->unit.size != 0) + (h->sum != PLAN_NO_SLOT) + has_min + has_max);
    if (h->unit.size)
        put_planned(w, s->plan, h->unit);
    count = put_buckets(w, s->plan, h, counted + h->slot);
    put_name(w, "count", h->count == PLAN_NO_SLOT ? count : counted[h->count]);
    if (h->sum != PLAN_NO_SLOT)
        put_name(w, "sum", counted[h->sum]);
    if (has_min)
        put_name(w, "min", values[h->min]);
    if (has_max)
        put_name(w, "max", values[h->max]);
}

static void put_flags(struct record_writer *w, const struct record_subject *s)
{
    const struct {
        bool set;
        const char *name;
    } flags[] = {
        { s->departed, "departed" },
        { s->sample->flags & VMT_SAMPLE_LEAVING, "leaving" },
        { s->sample->flags & VMT_SAMPLE_UNCONFIRMED, "unconfirmed" },
        { s->sample->flags & VMT_SAMPLE_TORN, "torn" },
        { w->snapshot_flags & VMT_SNAPSHOT_PARTIAL, "partial" },
        { w->snapshot_flags & VMT_SNAPSHOT_FOREIGN, "foreign" },
    };
    uint32_t count = 0;

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        count += flags[i].set;
    vmt_pack_string(packer(w), "flags");
    msgpack_pack_array(packer(w), count);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i].set)
            vmt_pack_string(packer(w), flags[i].name);
    }
}

/* Event time: Fluent's ext type 0. msgpack's own timestamp makes collectors close the connection. */
static void put_event_time(struct record_writer *w)
{
    uint32_t s = (uint32_t)(w->realtime_ns / 1000000000U), ns = (uint32_t)(w->realtime_ns % 1000000000U);
    char time[8];

    for (int i = 0; i < 4; i++) {
        time[i] = (char)(s >> (24 - 8 * i));
        time[4 + i] = (char)(ns >> (24 - 8 * i));
    }
    msgpack_pack_ext_with_body(packer(w), time, sizeof(time), 0);
}

int record_write(struct record_writer *w, const struct record_subject *s)
{
    const struct record_plan *plan = s->plan;
    const struct vmt_sample *sample = s->sample;
    uint32_t counters = count_numbers(plan->counters, plan->counter_count, s->counted);
    uint32_t gauges = s->departed ? 0 : count_numbers(plan->gauges, plan->gauge_count, s->values);
    bool flags = s->departed || w->snapshot_flags || sample->flags;

    vmt_buffer_clear(w->entry);
    msgpack_pack_array(packer(w), 2);
    put_event_time(w);
    msgpack_pack_map(packer(w), w->common_keys + 5U + (sample->created_ns != 0) + s->is_delta + s->is_reset + flags +
                                    (plan->units.size != 0) + (counters != 0) + (gauges != 0) +
                                    (plan->histogram_count != 0));
    vmt_writer_put(&w->pack.base, w->common->data, w->common->size);
    put_name(w, "number", w->number++);
    put_planned(w, plan, plan->kind);
    vmt_pack_string(packer(w), "id");
    vmt_pack_string(packer(w), sample->id);
    put_name(w, "epoch", sample->generation);
    if (sample->created_ns != 0)
        put_name(w, "start_ns", sample->created_ns);
    if (s->is_delta)
        put_name(w, "since_ns", s->since_ns);
    if (s->is_reset) {
        vmt_pack_string(packer(w), "reset");
        msgpack_pack_true(packer(w));
    }
    if (flags)
        put_flags(w, s);
    if (plan->units.size)
        put_planned(w, plan, plan->units);
    if (counters) {
        vmt_pack_string(packer(w), "c");
        msgpack_pack_map(packer(w), counters);
        put_numbers(w, s, plan->counters, plan->counter_count, s->counted);
    }
    if (gauges) {
        vmt_pack_string(packer(w), "g");
        msgpack_pack_map(packer(w), gauges);
        put_numbers(w, s, plan->gauges, plan->gauge_count, s->values);
    }
    if (plan->histogram_count) {
        vmt_pack_string(packer(w), "h");
        msgpack_pack_map(packer(w), plan->histogram_count);
        for (uint32_t i = 0; i < plan->histogram_count; i++)
            put_histogram(w, s, &plan->histograms[i]);
    }
    return w->pack.base.error;
}

/* ---- all of a snapshot ---- */

int record_writer_begin(struct record_writer *w, const struct record_origin *origin,
                        const struct vmt_segment_info *info)
{
    size_t count;

    vmt_buffer_clear(w->common);
    vmt_pack_init(&w->pack, w->common);
    w->common_keys = 5;
    w->number = 0;
    vmt_put_number(&w->pack.base, "schema", RECORD_SCHEMA);
    vmt_put_string(&w->pack.base, "host", origin->host);
    vmt_put_string(&w->pack.base, "vm", origin->vm ? origin->vm : info->name);
    vmt_put_string(&w->pack.base, "sender", origin->sender);
    put_name(w, "seq", origin->seq);
    if (info->state != VMT_STATE_LIVE) {
        vmt_put_string(&w->pack.base, "state", vmt_state_name(info->state));
        w->common_keys++;
    }
    if (vmt_export_labels(info->labels, &count)) {
        vmt_put_key(&w->pack.base, "labels");
        vmt_document_labels(&w->pack.base, info->labels);
        w->common_keys++;
    }
    w->realtime_ns = info->realtime_ns;
    w->snapshot_flags = info->flags & (VMT_SNAPSHOT_PARTIAL | VMT_SNAPSHOT_FOREIGN);
    if (w->pack.base.error < 0)
        return w->pack.base.error;
    vmt_pack_init(&w->pack, w->entry);
    return 0;
}
