/* SPDX-License-Identifier: MIT */
/* The self-contained form of a snapshot: its keys and their order, for all formats that have maps. STREAM.md,
 * section 6, lists them. */
#include "names.h"
#include "schema_index.h"
#include "writer.h"

/* The rows of all descriptors up to their value, written once for each schema: a thousand sources share them. */
struct rows {
    struct vmt_writer *w;
    struct vmt_schema_index schemas;
    size_t *first; /* of a schema: its first row */
    size_t first_capacity;
    struct vmt_buffer ends; /* size_t each: where the row ends in text; the row before it ends where this one starts */
    struct vmt_buffer text;
};

static const char *minuend_of(const struct vmt_schema *schema, const struct vmt_descriptor *d)
{
    return d->minuend != 0 && d->minuend <= schema->count ? schema->descriptors[d->minuend - 1].name : NULL;
}

/* A declared schema, not one that was read, may have NULL. */
static bool has_help(const struct vmt_descriptor *d) { return d->help && d->help[0] != '\0'; }

size_t vmt_document_detail_count(const struct vmt_schema *schema, const struct vmt_descriptor *d)
{
    return 0U + (d->bucket_size != 0) + ((d->flags & VMT_SIGNED) != 0) + (vmt_export_aggregation(d) != NULL) +
           (d->group != 0) + (minuend_of(schema, d) != NULL) + (vmt_export_level(d) != NULL) + has_help(d);
}

void vmt_document_details(struct vmt_writer *w, const struct vmt_schema *schema, const struct vmt_descriptor *d)
{
    const char *aggregation = vmt_export_aggregation(d), *minuend = minuend_of(schema, d), *level = vmt_export_level(d);

    if (d->bucket_size != 0)
        vmt_put_number(w, "bucket-size", d->bucket_size);
    if (d->flags & VMT_SIGNED)
        vmt_put_boolean(w, "signed", true);
    if (aggregation)
        vmt_put_string(w, "aggregation", aggregation);
    if (d->group != 0)
        vmt_put_number(w, "group", d->group);
    if (minuend)
        vmt_put_string(w, "minuend", minuend);
    if (level)
        vmt_put_string(w, "level", level);
    if (has_help(d))
        vmt_put_string(w, "help", d->help);
}

void vmt_document_descriptor(struct vmt_writer *w, const struct vmt_schema *schema, const struct vmt_descriptor *d,
                             bool bare)
{
    bool has_size = d->size != 1;

    w->ops->open_row(w, 3U + (vmt_export_unit(d) != NULL) + (d->exponent != 0) + has_size +
                            vmt_document_detail_count(schema, d) + !bare);
    vmt_export_put_kind(w, d);
    if (has_size)
        vmt_put_number(w, "size", d->size);
    vmt_document_details(w, schema, d);
    if (bare)
        w->ops->close_map(w);
    else
        vmt_put_key(w, "value");
}

void vmt_document_labels(struct vmt_writer *w, const char *const *labels)
{
    struct vmt_export_label label;
    size_t count, unique = vmt_export_labels(labels, &count);

    w->ops->open_map(w, unique);
    for (size_t i = 0; i < count; i++) {
        if (!vmt_export_label(labels, i, &label))
            continue;
        w->ops->key(w, label.key, label.key_size);
        vmt_put_text(w, label.value);
    }
    w->ops->close_map(w);
}

static int make_rows(void *arg, const struct vmt_schema *schema)
{
    struct rows *rows = arg;
    struct vmt_writer *w = rows->w;
    size_t n = rows->schemas.count - 1;

    if (n >= rows->first_capacity) {
        size_t *first = realloc(rows->first, rows->schemas.capacity * sizeof(*first));

        if (!first)
            return -ENOMEM;
        rows->first = first;
        rows->first_capacity = rows->schemas.capacity;
    }
    rows->first[n] = rows->ends.size / sizeof(size_t);
    for (uint32_t i = 0; i < schema->count; i++) {
        w->ops->start(w);
        vmt_document_descriptor(w, schema, &schema->descriptors[i], false);
        if (w->error == 0)
            w->error = vmt_buffer_append(&rows->ends, &rows->text.size, sizeof(rows->text.size));
        if (w->error < 0)
            return w->error;
    }
    return 0;
}

static void splice_row(const struct rows *rows, size_t row)
{
    const size_t *ends = (const void *)rows->ends.data;
    size_t start = row ? ends[row - 1] : 0;

    rows->w->ops->splice_row(rows->w, rows->text.data + start, ends[row] - start);
}

/* One slot. values NULL: they could not be read. */
static void put_slot(struct vmt_writer *w, const struct vmt_descriptor *d, const uint64_t *values, uint32_t slot,
                     bool boolean)
{
    uint64_t none = vmt_export_absent(d);

    if (!values || (none != 0 && values[slot] == none))
        w->ops->nil(w);
    else if (boolean)
        w->ops->boolean(w, values[slot] != 0);
    else if (d->flags & VMT_SIGNED)
        w->ops->signed_integer(w, (int64_t)values[slot]);
    else
        w->ops->unsigned_integer(w, values[slot]);
}

static void put_value(struct vmt_writer *w, const struct vmt_descriptor *d, const uint64_t *values, bool total)
{
    if (!values) {
        w->ops->nil(w);
        return;
    }
    if (!vmt_export_is_list(d)) {
        put_slot(w, d, values, d->slot, vmt_export_is_boolean(d, total));
        return;
    }
    w->ops->open_array(w, d->size);
    for (uint32_t i = 0; i < d->size; i++)
        put_slot(w, d, values, d->slot + i, false);
    w->ops->close_array(w);
}

static void put_stats(struct rows *rows, const struct vmt_schema *schema, const uint64_t *values, bool total)
{
    struct vmt_writer *w = rows->w;
    size_t first = rows->first[vmt_schema_index_find(&rows->schemas, schema)];

    vmt_put_key(w, "stats");
    w->ops->open_array(w, schema->count);
    for (uint32_t i = 0; i < schema->count; i++) {
        splice_row(rows, first + i);
        put_value(w, &schema->descriptors[i], values, total);
        w->ops->close_map(w);
    }
    w->ops->close_array(w);
}

static void put_totals(struct rows *rows, const struct vmt_sample *sample)
{
    struct vmt_writer *w = rows->w;
    uint32_t count = 0;

    for (uint32_t t = 0; t < sample->total_count; t++)
        count += !kvm_is_handle(sample->totals[t].schema);
    vmt_put_key(w, "totals");
    w->ops->open_array(w, count);
    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_total *total = &sample->totals[t];

        if (kvm_is_handle(total->schema))
            continue;
        w->ops->open_map(w, 5);
        vmt_put_string(w, "provider", total->schema->provider);
        vmt_put_string(w, "target", total->schema->target);
        vmt_put_string(w, "schema", total->schema->name);
        vmt_put_number(w, "sources", total->sources);
        put_stats(rows, total->schema, total->flags & VMT_SAMPLE_ABSENT ? NULL : total->values, true);
        w->ops->close_map(w);
    }
    w->ops->close_array(w);
}

static void put_shards(struct vmt_writer *w, const struct vmt_sample *sample)
{
    vmt_put_key(w, "shards");
    w->ops->open_array(w, sample->shard_count);
    for (uint32_t k = 0; k < sample->shard_count; k++) {
        const struct vmt_shard_sample *shard = &sample->shards[k];

        w->ops->open_row(w, 6);
        vmt_put_number(w, "owner", shard->owner);
        vmt_put_boolean(w, "held", shard->held == 1);
        vmt_put_boolean(w, "shared", shard->held == 2);
        vmt_put_boolean(w, "unconfirmed", shard->flags & VMT_SAMPLE_UNCONFIRMED);
        vmt_put_boolean(w, "torn", shard->flags & VMT_SAMPLE_TORN);
        vmt_put_key(w, "values");
        w->ops->open_array(w, sample->schema->count);
        for (uint32_t i = 0; i < sample->schema->count; i++)
            put_value(w, &sample->schema->descriptors[i], shard->values, false);
        w->ops->close_array(w);
        w->ops->close_map(w);
    }
    w->ops->close_array(w);
}

static void put_source(struct rows *rows, const struct vmt_snapshot *snapshot, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
    struct vmt_writer *w = rows->w;
    size_t count = 13U + (sample->shard_count != 0);
    size_t parent = vmt_export_parent(snapshot, i);

    w->ops->open_map(w, count);
    vmt_put_string(w, "id", sample->id);
    vmt_put_string(w, "provider", sample->schema->provider);
    vmt_put_string(w, "target", sample->schema->target);
    vmt_put_string(w, "schema", sample->schema->name);
    vmt_put_key(w, "parent");
    if (parent < i)
        vmt_put_text(w, vmt_snapshot_source(snapshot, parent)->id);
    else
        w->ops->nil(w);
    vmt_put_number(w, "entry", sample->entry);
    vmt_put_number(w, "generation", sample->generation);
    vmt_put_number(w, "created_ns", sample->created_ns);
    vmt_put_boolean(w, "leaving", sample->flags & VMT_SAMPLE_LEAVING);
    vmt_put_boolean(w, "unconfirmed", sample->flags & VMT_SAMPLE_UNCONFIRMED);
    vmt_put_boolean(w, "torn", sample->flags & VMT_SAMPLE_TORN);
    put_stats(rows, sample->schema, sample->flags & VMT_SAMPLE_ABSENT ? NULL : sample->values, false);
    put_totals(rows, sample);
    if (sample->shard_count)
        put_shards(w, sample);
    w->ops->close_map(w);
}

static void put_document(struct rows *rows, const struct vmt_snapshot *snapshot)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    struct vmt_writer *w = rows->w;
    size_t count = vmt_snapshot_count(snapshot);
    size_t shown = 0;

    for (size_t i = 0; i < count; i++)
        shown += !vmt_export_leaves_out(snapshot, i);
    w->ops->start(w);
    w->ops->open_map(w, 17);
    vmt_put_string(w, "name", info->name);
    vmt_put_string(w, "path", info->path);
    vmt_put_number(w, "pid", info->pid);
    vmt_put_number(w, "uid", info->uid);
    vmt_put_key(w, "identity");
    w->ops->bytes(w, info->identity, sizeof(info->identity));
    vmt_put_key(w, "boot_id");
    w->ops->bytes(w, info->boot_id, sizeof(info->boot_id));
    vmt_put_number(w, "incarnation", info->incarnation);
    vmt_put_string(w, "state", vmt_state_name(info->state));
    vmt_put_key(w, "time");
    w->ops->time(w, info->realtime_ns);
    vmt_put_number(w, "time_ns", info->realtime_ns);
    vmt_put_number(w, "begin_ns", info->begin_ns);
    vmt_put_number(w, "end_ns", info->end_ns);
    vmt_put_number(w, "created_ns", info->created_ns);
    vmt_put_key(w, "labels");
    vmt_document_labels(w, info->labels);
    vmt_put_boolean(w, "partial", info->flags & VMT_SNAPSHOT_PARTIAL);
    vmt_put_boolean(w, "foreign", info->flags & VMT_SNAPSHOT_FOREIGN);
    vmt_put_key(w, "sources");
    w->ops->open_array(w, shown);
    for (size_t i = 0; i < count && w->error == 0; i++) {
        if (!vmt_export_leaves_out(snapshot, i))
            put_source(rows, snapshot, i);
    }
    w->ops->close_array(w);
    w->ops->close_map(w);
}

void vmt_document_write(struct vmt_writer *w, const struct vmt_snapshot *snapshot)
{
    struct rows rows = { .w = w };
    struct vmt_buffer *out = w->out;

    w->out = &rows.text;
    w->error = vmt_schema_index_fill(&rows.schemas, snapshot, make_rows, &rows);
    w->out = out;
    if (w->error == 0)
        put_document(&rows, snapshot);
    free(rows.schemas.schemas);
    free(rows.first);
    vmt_buffer_free(&rows.ends);
    vmt_buffer_free(&rows.text);
}
