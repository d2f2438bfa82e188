/* SPDX-License-Identifier: MIT */
/* Samples: the values of a stream's sources, and totals over them, as a snapshot. */
#include <errno.h>

#include "decode.h"
#include "names.h"

/* ---- values ---- */

bool take_number(struct cursor *c, const struct vmt_descriptor *d, uint64_t none, uint64_t *ret)
{
    struct value v;

    if (!take_value(c, &v))
        return false;
    if (v.type == VALUE_NIL) {
        *ret = none;
        return none != 0;
    }
    *ret = v.n;
    if (v.type == VALUE_NEGATIVE)
        return (d->flags & VMT_SIGNED) != 0;
    return v.type == VALUE_UNSIGNED && (!(d->flags & VMT_SIGNED) || v.n <= INT64_MAX);
}

/* Values of statistics that are not known here, up to a slot. */
static uint32_t skip_values(struct cursor *c, uint64_t *values, uint32_t at, uint32_t slot)
{
    for (; at < slot; at++) {
        take_any(c);
        values[at] = 0;
    }
    return at;
}

bool take_values(struct vmt_decoder *d, struct cursor *c, const struct known *known, const uint64_t **ret)
{
    uint64_t *values;
    uint32_t at = 0;
    size_t count;

    *ret = NULL;
    if (take_nil(c))
        return true;
    if (!take_array(c, &count) || count != known->width)
        return false;
    values = put_room(&d->values, count, sizeof(*values));
    for (uint32_t i = 0; i < known->schema->count; i++) {
        const struct vmt_descriptor *descriptor = &known->schema->descriptors[i];
        uint64_t none = vmt_export_absent(descriptor);

        at = skip_values(c, values, at, descriptor->slot);
        for (uint32_t k = 0; k < descriptor->size; k++)
            if (!take_number(c, descriptor, none, &values[at++]))
                return false;
    }
    skip_values(c, values, at, known->width);
    *ret = values;
    return true;
}

/* ---- samples ---- */

bool take_state(struct cursor *c, enum vmt_state *ret)
{
    const char *text;
    size_t size;

    if (!take_string(c, &text, &size))
        return false;
    for (int state = 0; state < VMT_STATE_COUNT; state++) {
        if (is_word(text, size, vmt_state_name((enum vmt_state)state))) {
            *ret = (enum vmt_state)state;
            return true;
        }
    }
    return false;
}

static bool take_closed(struct cursor *c, uint64_t *ret)
{
    *ret = 0;
    return take_nil(c) || take_time(c, ret);
}

static bool take_shard(struct vmt_decoder *d, struct cursor *c, const struct known *known, size_t place)
{
    struct vmt_shard_sample *shard = (struct vmt_shard_sample *)(void *)d->shards.data + place;
    size_t elements;

    *shard = (struct vmt_shard_sample){ .id = (uint32_t)place + 1 };
    if (!take_array(c, &elements) || elements < 3 || !take_u32(c, &shard->owner) || !take_u32(c, &shard->held) ||
        !take_values(d, c, known, &shard->values) || !shard->values || (elements > 3 && !take_u32(c, &shard->flags)) ||
        (elements > 4 && !take_u32(c, &shard->id)))
        return false;
    for (; elements > 5; elements--)
        take_any(c);
    return shard->id != 0;
}

/* 0, FRAME_BAD, -ENOMEM. Until all are there, a sample has the number of its first shard in place of where it is. */
static int take_shards(struct vmt_decoder *d, struct cursor *c, const struct known *known, struct vmt_sample *sample)
{
    size_t first = d->shards.size / sizeof(struct vmt_shard_sample), count;

    if (!take_array(c, &count))
        return FRAME_BAD;
    if (vmt_buffer_reserve(&d->shards, count * sizeof(struct vmt_shard_sample)) < 0)
        return -ENOMEM;
    put_room(&d->shards, count, sizeof(struct vmt_shard_sample));
    for (size_t k = 0; k < count; k++) {
        if (!take_shard(d, c, known, first + k))
            return FRAME_BAD;
    }
    sample->shards = (const struct vmt_shard_sample *)(uintptr_t)first;
    sample->shard_count = (uint32_t)count;
    return 0;
}

static int take_source(struct vmt_decoder *d, const struct stream *s, struct cursor *c, size_t count)
{
    const struct source *list = (const void *)s->sources.data;
    struct vmt_sample *samples = (void *)d->samples.data;
    const struct known *known;
    size_t elements, number;
    int r = 0;

    if (!take_array(c, &elements) || elements < 2 || !take_unsigned(c, count - 1, &number) ||
        !(samples[number].flags & VMT_SAMPLE_ABSENT) || samples[number].values)
        return FRAME_BAD;
    known = &s->known[list[number].schema];
    samples[number].flags = 0;
    if (!take_values(d, c, known, &samples[number].values))
        return FRAME_BAD;
    if (elements > 2 && !take_u32(c, &samples[number].flags))
        return FRAME_BAD;
    if (elements > 3)
        r = take_shards(d, c, known, &samples[number]);
    for (; elements > 4; elements--)
        take_any(c);
    return r;
}

static int take_sources(struct vmt_decoder *d, const struct stream *s, struct cursor *c)
{
    const struct source *list = (const void *)s->sources.data;
    size_t count = s->sources.size / sizeof(*list), given;
    struct vmt_sample *samples;

    if (room_for(&d->samples, count, sizeof(*samples)) < 0 ||
        room_for(&d->values, d->scan.values, sizeof(uint64_t)) < 0 || room_for(&d->shards, 0, 0) < 0)
        return -ENOMEM;
    samples = put_room(&d->samples, count, sizeof(*samples));
    for (size_t i = 0; i < count; i++) {
        samples[i] = list[i].sample;
        samples[i].schema = s->known[list[i].schema].schema;
        samples[i].flags = VMT_SAMPLE_ABSENT; /* until it comes */
    }
    if (!take_array(c, &given) || given > count)
        return FRAME_BAD;
    for (; given; given--) {
        int r = take_source(d, s, c, count);

        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < count; i++)
        samples[i].shards = (const struct vmt_shard_sample *)(void *)d->shards.data + (uintptr_t)samples[i].shards;
    return 0;
}

/* ---- totals ---- */

/* How many each source has: they may come in any order. */
static bool count_totals(struct vmt_decoder *d, struct cursor c, size_t given)
{
    struct vmt_sample *samples = (void *)d->samples.data;
    size_t count = d->samples.size / sizeof(*samples), elements, number;

    for (; given; given--) {
        if (!take_array(&c, &elements) || elements < 4 || !take_unsigned(&c, count - 1, &number))
            return false;
        samples[number].total_count++;
        for (; elements > 1; elements--)
            take_any(&c);
    }
    return true;
}

static void place_totals(struct vmt_decoder *d)
{
    struct vmt_sample *samples = (void *)d->samples.data;
    size_t count = d->samples.size / sizeof(*samples), at = 0;
    size_t *places = put_room(&d->places, count, sizeof(*places));

    for (size_t i = 0; i < count; i++) {
        places[i] = at;
        samples[i].totals = (const struct vmt_total *)(const void *)d->totals.data + at;
        at += samples[i].total_count;
    }
}

/* 0, FRAME_BAD, FRAME_SKIPPED. */
static int take_total(struct vmt_decoder *d, const struct stream *s, struct cursor *c)
{
    struct vmt_total *total;
    const struct known *known;
    size_t elements, number;
    uint64_t schema_number;

    if (!take_array(c, &elements) || !take_unsigned(c, UINT64_MAX, &number) ||
        !take_unsigned(c, UINT64_MAX, &schema_number))
        return FRAME_BAD;
    known = schema_number < s->known_count && s->known[schema_number].schema ? &s->known[schema_number] : NULL;
    if (!known)
        return FRAME_SKIPPED;
    total = (struct vmt_total *)(void *)d->totals.data + ((size_t *)(void *)d->places.data)[number]++;
    *total = (struct vmt_total){ .schema = known->schema };
    if (!take_u32(c, &total->sources) || !take_values(d, c, known, &total->values) ||
        (elements > 4 && !take_u32(c, &total->flags)) || (elements > 5 && !take_values(d, c, known, &total->departed)))
        return FRAME_BAD;
    for (; elements > 6; elements--)
        take_any(c);
    return 0;
}

static int take_totals(struct vmt_decoder *d, const struct stream *s, struct cursor *c)
{
    size_t given;

    if (!take_array(c, &given) || !count_totals(d, *c, given))
        return FRAME_BAD;
    if (room_for(&d->totals, given, sizeof(struct vmt_total)) < 0 ||
        room_for(&d->places, d->samples.size / sizeof(struct vmt_sample), sizeof(size_t)) < 0)
        return -ENOMEM;
    place_totals(d);
    for (; given; given--) {
        int r = take_total(d, s, c);

        if (r != 0)
            return r;
    }
    return 0;
}

/* ---- whole samples ---- */

/* Where a recording does not say from where values come. */
static uint32_t guess_from(const struct vmt_sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (samples[i].entry & VMT_ENTRY_KERNEL)
            return VMT_FROM_SEGMENT | VMT_FROM_FDS;
    }
    return VMT_FROM_SEGMENT;
}

int make_snapshot(struct vmt_decoder *d, struct vmt_recorded *recorded, struct vmt_segment_info *info)
{
    const struct vmt_sample *samples = (const void *)d->samples.data;
    size_t count = d->samples.size / sizeof(*samples);
    int r;

    if (!info->from)
        info->from = guess_from(samples, count);
    r = vmt_snapshot_rebuild(d->snapshot, recorded, info, samples, count);
    return r == -EINVAL ? FRAME_BAD : r;
}

int decode_sample(struct vmt_decoder *d, const struct stream *s, struct cursor *c, size_t elements)
{
    struct vmt_segment_info info = s->info;
    uint64_t set;
    int r;

    if (elements < 14 || !take_unsigned(c, UINT64_MAX, &set))
        return FRAME_BAD;
    if (set != s->set || set == 0)
        return FRAME_SKIPPED;
    if (!take_time(c, &info.realtime_ns) || !take_unsigned(c, UINT64_MAX, &info.begin_ns) ||
        !take_unsigned(c, UINT64_MAX, &info.end_ns) || !take_state(c, &info.state) || !take_u32(c, &info.flags) ||
        !take_closed(c, &info.closed_ns) || !take_unsigned(c, UINT64_MAX, &info.heartbeat_ns) ||
        !take_unsigned(c, UINT64_MAX, &info.file_bytes))
        return FRAME_BAD;
    r = take_sources(d, s, c);
    if (r == 0)
        r = take_totals(d, s, c);
    if (r != 0)
        return r;
    if ((elements > 14 && !take_u32(c, &info.from)) || (elements > 15 && !take_u32(c, &info.uid)))
        return FRAME_BAD;
    return make_snapshot(d, s->recorded, &info);
}
