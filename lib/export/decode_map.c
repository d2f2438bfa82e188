/* SPDX-License-Identifier: MIT */
/* Self-contained maps: STREAM.md, section 6. */
#include <errno.h>

#include "decode.h"
#include "names.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Looks for parents that are not where a depth-first order has them: so many in a map. */
#define LOOKS_MAX (UINT64_C(1) << 20)

struct map_reader {
    struct vmt_decoder *d;
    struct vmt_recorded *recorded;
    size_t frame_size;
    uint64_t looks;
};

/* ---- statistics ---- */

static bool is_known(const struct vmt_descriptor *d)
{
    return (d->flags & VMT_TYPE_MASK) <= VMT_TYPE_MAX && (d->flags & VMT_UNIT_MASK) <= VMT_UNIT_MAX &&
           (d->flags & VMT_BASE_MASK) <= VMT_BASE_MAX && (d->flags & VMT_AGGREGATION_MASK) <= VMT_AGGREGATION_LAST;
}

static bool take_scalar(struct cursor *c, const struct vmt_descriptor *d, uint64_t *ret)
{
    bool on;

    if ((d->flags & VMT_UNIT_MASK) == VMT_UNIT_BOOLEAN && take_boolean(c, &on)) {
        *ret = on;
        return true;
    }
    return take_number(c, d, vmt_export_absent(d), ret);
}

/* A statistic's value or list, behind those that are there. *absent: nil stands where there is always something. */
static bool take_statistic(struct vmt_buffer *values, struct cursor *c, const struct vmt_descriptor *d, bool *absent)
{
    uint64_t none = vmt_export_absent(d), *to;
    size_t count = 1;

    if ((none == 0 || vmt_export_is_list(d)) && take_nil(c)) {
        *absent = true;
        return true;
    }
    if (!vmt_export_is_list(d))
        return take_scalar(c, d, put_room(values, 1, sizeof(*to)));
    if (!take_array(c, &count) || count != d->size)
        return false;
    to = put_room(values, count, sizeof(*to));
    for (size_t i = 0; i < count; i++) {
        if (!take_number(c, d, none, &to[i]))
            return false;
    }
    return true;
}

/* "stats": a schema's descriptors into the reader, and their values, of which *ret is NULL where they are absent. */
static bool take_stats(struct vmt_decoder *d, struct cursor *c, const uint64_t **ret)
{
    struct schema_reader *reader = &d->reader;
    size_t start = d->values.size, count;
    bool absent = false;

    if (!take_array(c, &count) || count > VMT_DESCRIPTORS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct vmt_descriptor *descriptor = &reader->descriptors[reader->schema.count];
        struct cursor value;

        if (!schema_descriptor(reader, c, &value))
            return false;
        reader->left_out[i] = !is_known(descriptor);
        if (reader->left_out[i]) {
            reader->schema.count--;
            reader->schema.slots -= descriptor->size;
        } else if (!absent && !take_statistic(&d->values, &value, descriptor, &absent)) {
            return false;
        }
    }
    if (absent)
        d->values.size = start;
    *ret = absent ? NULL : (const uint64_t *)(const void *)(d->values.data + start);
    return true;
}

enum { OF_PROVIDER, OF_TARGET, OF_SCHEMA, OF_STATS, OF_WORDS };

/* The four that a source and a total have of a schema. 0, FRAME_BAD, -ENOMEM. */
static int take_schema(struct map_reader *m, struct cursor of[OF_WORDS], const struct vmt_schema **schema,
                       const uint64_t **values)
{
    struct schema_reader *reader = &m->d->reader;
    struct known known;
    int r;

    for (int i = 0; i < OF_WORDS; i++) {
        if (!of[i].at)
            return FRAME_BAD;
    }
    r = schema_begin(reader, m->frame_size);
    if (r < 0)
        return r;
    if (!take_text(&of[OF_PROVIDER], &reader->text, &reader->schema.provider) ||
        !take_text(&of[OF_TARGET], &reader->text, &reader->schema.target) ||
        !take_text(&of[OF_SCHEMA], &reader->text, &reader->schema.name) || !take_stats(m->d, &of[OF_STATS], values))
        return FRAME_BAD;
    r = schema_end(reader, m->recorded, &known);
    if (r == 0)
        *schema = known.schema;
    return r == -ENOSPC ? FRAME_BAD : r;
}

/* ---- shards ---- */

static bool take_shard_values(struct vmt_decoder *d, struct cursor *c, const uint64_t **ret)
{
    const struct vmt_descriptor *descriptor = d->reader.descriptors;
    bool absent = false;
    size_t count;

    *ret = (const uint64_t *)(const void *)(d->values.data + d->values.size);
    if (!take_array(c, &count) || count > VMT_DESCRIPTORS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (d->reader.left_out[i])
            take_any(c);
        else if (descriptor == d->reader.descriptors + d->reader.schema.count ||
                 !take_statistic(&d->values, c, descriptor++, &absent) || absent)
            return false;
    }
    return descriptor == d->reader.descriptors + d->reader.schema.count;
}

static bool take_flag(struct cursor *c, uint32_t flag, uint32_t *flags)
{
    bool on = false;

    if (!c->at || !take_boolean(c, &on))
        return false;
    *flags |= on ? flag : 0;
    return true;
}

static bool take_shard(struct vmt_decoder *d, struct cursor *c, struct vmt_shard_sample *shard)
{
    enum { OWNER, HELD, SHARED, UNCONFIRMED, TORN, VALUES };
    static const char *const keys[] = { "owner", "held", "shared", "unconfirmed", "torn", "values" };
    struct cursor of[COUNT(keys)];

    return take_keys(c, keys, COUNT(keys), of) && of[OWNER].at && of[VALUES].at &&
           take_u32(&of[OWNER], &shard->owner) && take_flag(&of[HELD], 1, &shard->held) &&
           take_flag(&of[SHARED], 2, &shard->held) &&
           take_flag(&of[UNCONFIRMED], VMT_SAMPLE_UNCONFIRMED, &shard->flags) &&
           take_flag(&of[TORN], VMT_SAMPLE_TORN, &shard->flags) && take_shard_values(d, &of[VALUES], &shard->values);
}

/* Until all sources are there, one has the number of its first shard in place of where it is. 0, FRAME_BAD, -ENOMEM. */
static int take_shards(struct vmt_decoder *d, struct cursor *c, struct vmt_sample *sample)
{
    size_t first = d->shards.size / sizeof(struct vmt_shard_sample), count;

    if (!take_array(c, &count))
        return FRAME_BAD;
    if (vmt_buffer_reserve(&d->shards, count * sizeof(struct vmt_shard_sample)) < 0)
        return -ENOMEM;
    for (size_t k = 0; k < count; k++) {
        struct vmt_shard_sample *shard = put_room(&d->shards, 1, sizeof(*shard));

        *shard = (struct vmt_shard_sample){ .id = (uint32_t)(first + k) + 1 };
        if (!take_shard(d, c, shard))
            return FRAME_BAD;
    }
    sample->shards = (const struct vmt_shard_sample *)(uintptr_t)first;
    sample->shard_count = (uint32_t)count;
    return 0;
}

/* ---- totals ---- */

static int take_total(struct map_reader *m, struct cursor *c, struct vmt_total *total)
{
    static const char *const keys[] = { "provider", "target", "schema", "stats", "sources" };
    struct cursor of[COUNT(keys)];

    *total = (struct vmt_total){ 0 };
    if (!take_keys(c, keys, COUNT(keys), of) || !of[OF_WORDS].at || !take_u32(&of[OF_WORDS], &total->sources))
        return FRAME_BAD;
    return take_schema(m, of, &total->schema, &total->values);
}

/* As take_shards(). */
static int take_totals(struct map_reader *m, struct cursor *c, struct vmt_sample *sample)
{
    struct vmt_buffer *totals = &m->d->totals;
    size_t first = totals->size / sizeof(struct vmt_total), count;

    if (!take_array(c, &count))
        return FRAME_BAD;
    if (vmt_buffer_reserve(totals, count * sizeof(struct vmt_total)) < 0)
        return -ENOMEM;
    for (size_t t = 0; t < count; t++) {
        int r = take_total(m, c, put_room(totals, 1, sizeof(struct vmt_total)));

        if (r < 0)
            return r;
    }
    sample->totals = (const struct vmt_total *)(uintptr_t)first;
    sample->total_count = (uint32_t)count;
    return 0;
}

/* ---- sources ---- */

/* The number of the parent of source i, which has that id: depth first, it is the source before i, or above it. */
static bool find_parent(struct map_reader *m, const char *id, uint32_t i, uint32_t *ret)
{
    const struct vmt_sample *samples = (const void *)m->d->samples.data;

    for (uint32_t k = i - 1; k != UINT32_MAX; k = samples[k].parent) {
        if (strcmp(samples[k].id, id) == 0) {
            *ret = k;
            return true;
        }
    }
    for (uint32_t k = i; k-- > 0 && m->looks < LOOKS_MAX; m->looks++) {
        if (strcmp(samples[k].id, id) == 0) {
            *ret = k;
            return true;
        }
    }
    return false;
}

static bool take_parent(struct map_reader *m, struct cursor *c, uint32_t i, struct vmt_sample *sample)
{
    const struct vmt_sample *samples = (const void *)m->d->samples.data;
    const char *id;

    sample->parent = UINT32_MAX;
    if (i == 0)
        return take_nil(c);
    if (!take_id(c, &m->d->text, &id) || !find_parent(m, id, i, &sample->parent))
        return false;
    sample->depth = samples[sample->parent].depth + 1;
    return sample->depth <= VMT_DEPTH_MAX;
}

static int take_source(struct map_reader *m, struct cursor *c, uint32_t i, struct vmt_sample *sample)
{
    enum {
        ID = OF_WORDS,
        PARENT,
        ENTRY,
        GENERATION,
        CREATED,
        LEAVING,
        UNCONFIRMED,
        TORN,
        NEEDED,
        TOTALS = NEEDED,
        SHARDS
    };
    static const char *const keys[] = {
        "provider",   "target",     "schema",  "stats",       "id",   "parent", "entry",
        "generation", "created_ns", "leaving", "unconfirmed", "torn", "totals", "shards"
    };
    struct cursor of[COUNT(keys)];
    int r;

    *sample = (struct vmt_sample){ 0 };
    if (!take_keys(c, keys, COUNT(keys), of))
        return FRAME_BAD;
    for (int k = 0; k < NEEDED; k++) {
        if (!of[k].at)
            return FRAME_BAD;
    }
    if (!take_id(&of[ID], &m->d->text, &sample->id) || !take_parent(m, &of[PARENT], i, sample) ||
        !take_u32(&of[ENTRY], &sample->entry) || !take_unsigned(&of[GENERATION], UINT64_MAX, &sample->generation) ||
        !take_unsigned(&of[CREATED], UINT64_MAX, &sample->created_ns) ||
        !take_flag(&of[LEAVING], VMT_SAMPLE_LEAVING, &sample->flags) ||
        !take_flag(&of[UNCONFIRMED], VMT_SAMPLE_UNCONFIRMED, &sample->flags) ||
        !take_flag(&of[TORN], VMT_SAMPLE_TORN, &sample->flags))
        return FRAME_BAD;
    r = take_schema(m, of, &sample->schema, &sample->values);
    if (r == 0 && of[SHARDS].at)
        r = take_shards(m->d, &of[SHARDS], sample);
    return r == 0 && of[TOTALS].at ? take_totals(m, &of[TOTALS], sample) : r;
}

static void put_pointers(struct vmt_decoder *d)
{
    struct vmt_sample *samples = (void *)d->samples.data;

    for (size_t i = 0; i < d->samples.size / sizeof(*samples); i++) {
        samples[i].totals = (const struct vmt_total *)(const void *)d->totals.data + (uintptr_t)samples[i].totals;
        samples[i].shards =
            (const struct vmt_shard_sample *)(const void *)d->shards.data + (uintptr_t)samples[i].shards;
    }
}

static int take_sources(struct map_reader *m, struct cursor *c)
{
    struct vmt_decoder *d = m->d;
    size_t count;

    if (!take_array(c, &count) || count == 0 || count > VMT_SOURCES_MAX)
        return FRAME_BAD;
    if (room_for(&d->samples, count, sizeof(struct vmt_sample)) < 0 || room_for(&d->totals, 0, 0) < 0 ||
        room_for(&d->shards, 0, 0) < 0 || room_for(&d->values, d->scan.values, sizeof(uint64_t)) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        int r = take_source(m, c, i, put_room(&d->samples, 1, sizeof(struct vmt_sample)));

        if (r < 0)
            return r;
    }
    put_pointers(d);
    return 0;
}

/* ---- the whole ---- */

enum {
    NAME,
    PATH,
    PID,
    UID,
    IDENTITY,
    BOOT,
    INCARNATION,
    STATE,
    TIME,
    BEGIN,
    END,
    CREATED,
    LABELS,
    PARTIAL,
    FOREIGN,
    SOURCES
};
static const char *const document_keys[] = { "name",        "path",    "pid",     "uid",      "identity", "boot_id",
                                             "incarnation", "state",   "time",    "begin_ns", "end_ns",   "created_ns",
                                             "labels",      "partial", "foreign", "sources" };

static bool fill_info(struct vmt_segment_info *info, struct cursor *of, struct vmt_buffer *text, const char **labels)
{
    size_t count;

    for (size_t i = 0; i < COUNT(document_keys); i++) {
        if (!of[i].at)
            return false;
    }
    info->labels = labels;
    return take_text(&of[NAME], text, &info->name) && take_text(&of[PATH], text, &info->path) &&
           take_u32(&of[PID], &info->pid) && take_u32(&of[UID], &info->uid) &&
           take_bytes16(&of[IDENTITY], info->identity) && take_bytes16(&of[BOOT], info->boot_id) &&
           take_unsigned(&of[INCARNATION], UINT64_MAX, &info->incarnation) && take_state(&of[STATE], &info->state) &&
           take_time(&of[TIME], &info->realtime_ns) && take_unsigned(&of[BEGIN], UINT64_MAX, &info->begin_ns) &&
           take_unsigned(&of[END], UINT64_MAX, &info->end_ns) &&
           take_unsigned(&of[CREATED], UINT64_MAX, &info->created_ns) &&
           take_labels(&of[LABELS], text, labels, &count) &&
           take_flag(&of[PARTIAL], VMT_SNAPSHOT_PARTIAL, &info->flags) &&
           take_flag(&of[FOREIGN], VMT_SNAPSHOT_FOREIGN, &info->flags);
}

int decode_map(struct vmt_decoder *d, struct cursor frame)
{
    struct map_reader m = { .d = d, .frame_size = (size_t)(frame.end - frame.at) };
    struct cursor of[COUNT(document_keys)];
    struct vmt_segment_info info = { 0 };
    const char *labels[LABELS_MAX + 1] = { NULL };
    int r;

    if (!take_keys(&frame, document_keys, COUNT(document_keys), of))
        return FRAME_BAD;
    if (room_for(&d->text, m.frame_size, 1) < 0)
        return -ENOMEM;
    if (!fill_info(&info, of, &d->text, labels))
        return FRAME_BAD;
    r = vmt_recorded_new(&m.recorded);
    if (r == 0)
        r = take_sources(&m, &of[SOURCES]);
    if (r == 0)
        r = make_snapshot(d, m.recorded, &info);
    vmt_recorded_free(m.recorded); /* the snapshot holds what it has of it */
    return r;
}
