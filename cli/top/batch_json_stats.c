/* SPDX-License-Identifier: MIT */
#include "cli/top/batch_json_stats.h"

#include "lib/export/names.h"

static void put_real(struct vmt_json_writer *json, const char *name, double value)
{
    vmt_put_key(&json->base, name);
    vmt_json_real(json, value);
}

/* One slot, exact whatever its sign. */
static void put_slot(struct vmt_writer *w, const struct vmt_descriptor *d, uint64_t value, int boolean)
{
    uint64_t none = vmt_export_absent(d);

    if (none != 0 && value == none)
        w->ops->nil(w);
    else if (boolean)
        w->ops->boolean(w, value != 0);
    else if (d->flags & VMT_SIGNED)
        w->ops->signed_integer(w, (int64_t)value);
    else
        w->ops->unsigned_integer(w, value);
}

static void put_slots(struct vmt_writer *w, const struct vmt_descriptor *d, const uint64_t *values)
{
    w->ops->open_array(w, d->size);
    for (uint32_t i = 0; i < d->size; i++)
        put_slot(w, d, values[d->slot + i], 0);
    w->ops->close_array(w);
}

/* What a list's slots grew by: modulo 2^64, so of a signed one the sign is that of the change. */
static void put_changes(struct vmt_writer *w, const struct vmt_descriptor *d, const uint64_t *values)
{
    w->ops->open_array(w, d->size);
    for (uint32_t i = 0; i < d->size; i++) {
        if (d->flags & VMT_SIGNED)
            w->ops->signed_integer(w, (int64_t)values[d->slot + i]);
        else
            w->ops->unsigned_integer(w, values[d->slot + i]);
    }
    w->ops->close_array(w);
}

/* "p50":[low,high],... of the interval, in the statistic's unit; high null: open. */
static void put_quantiles(struct vmt_writer *w, const struct vmt_descriptor *d, const uint64_t *buckets)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 } };

    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        uint64_t low, high;

        if (vmt_quantile(d, buckets, quantiles[i].q, &low, &high) < 0)
            return;
        vmt_put_key(w, quantiles[i].name);
        w->ops->open_array(w, 2);
        w->ops->unsigned_integer(w, low);
        if (high == UINT64_MAX)
            w->ops->nil(w);
        else
            w->ops->unsigned_integer(w, high);
        w->ops->close_array(w);
    }
}

/* What `vmtally show --json` says of a descriptor, as far as a value needs it to be understood. */
static void put_descriptor(struct vmt_writer *w, const struct vmt_descriptor *d)
{
    const char *unit = vmt_export_unit(d);

    vmt_put_string(w, "type", vmt_export_type(d));
    if (unit)
        vmt_put_string(w, "unit", unit);
    if (d->exponent)
        vmt_put_number(w, "base", vmt_export_base(d));
    vmt_put_key(w, "exponent");
    w->ops->signed_integer(w, d->exponent);
    if (d->size != 1)
        vmt_put_number(w, "size", d->size);
    if (d->bucket_size)
        vmt_put_number(w, "bucket-size", d->bucket_size);
}

static void put_statistic(struct vmt_json_writer *json, const struct vmt_descriptor *d, const struct batch_stats *c)
{
    struct vmt_writer *w = &json->base;
    uint32_t type = d->flags & VMT_TYPE_MASK;
    int cumulates = type != VMT_TYPE_INSTANT && type != VMT_TYPE_PEAK;

    vmt_put_key(w, d->name);
    w->ops->open_map(w, 0);
    if (c->described)
        put_descriptor(w, d);
    vmt_put_key(w, "value");
    if (vmt_export_is_list(d)) {
        put_slots(w, d, c->values);
        if (c->change && cumulates) {
            vmt_put_key(w, "change");
            put_changes(w, d, c->change->values);
            if (type != VMT_TYPE_CUMULATIVE)
                put_quantiles(w, d, c->change->values + d->slot);
        }
    } else {
        put_slot(w, d, c->values[d->slot], vmt_export_is_boolean(d, c->total));
        if (c->change && type == VMT_TYPE_CUMULATIVE)
            put_real(json, "rate", vmt_change_rate(c->delta, c->change, d->slot));
    }
    w->ops->close_map(w);
}

void batch_json_stats(struct vmt_json_writer *json, struct batch_stats c)
{
    struct vmt_writer *w = &json->base;

    if (c.change && (c.change->flags & VMT_CHANGE_RESET || !(vmt_delta_seconds(c.delta) > 0)))
        c.change = NULL;
    vmt_put_key(w, "stats");
    w->ops->open_map(w, c.schema->count);
    for (uint32_t i = 0; i < c.schema->count && w->error == 0; i++)
        put_statistic(json, &c.schema->descriptors[i], &c);
    w->ops->close_map(w);
}
