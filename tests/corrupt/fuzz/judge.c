/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include <errno.h>
#include <string.h>

#include "file.h"

#define SAMPLE_FLAGS (VMT_SAMPLE_LEAVING | VMT_SAMPLE_UNCONFIRMED | VMT_SAMPLE_TORN | VMT_SAMPLE_ABSENT)
#define INFO_FLAGS                                                                                                     \
    (VMT_SNAPSHOT_PARTIAL | VMT_SNAPSHOT_UNLINKED | VMT_SNAPSHOT_MAPPED | VMT_SNAPSHOT_FOREIGN | VMT_SNAPSHOT_SET_ASIDE)

bool judge_no_memory;

static __thread uint64_t values[VMT_SLOTS_MAX];

/* All of it is read: a sanitizer looks on. */
static void read_all(const uint64_t *from, uint32_t n)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += from[i];
    __asm__ __volatile__("" : : "r"(sum));
}

/* ---- text; by the definition of UTF-8, not by the library's own code ---- */

static uint32_t next_character(const unsigned char **at)
{
    const unsigned char *p = *at;
    uint32_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0, c;
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };

    ENSURE(n, "byte 0x%02x begins no character", p[0]);
    c = n == 1 ? p[0] : p[0] & (0x7fU >> n);
    for (uint32_t i = 1; i < n; i++) {
        ENSURE(p[i] >> 6 == 2, "byte 0x%02x is no continuation", p[i]);
        c = c << 6 | (p[i] & 0x3f);
    }
    ENSURE(c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff), "0x%x is no character", c);
    *at = p + n;
    return c;
}

void judge_text(const char *text, bool ascii)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p >= ' ' && *p <= '~') /* almost all */
        p++;
    while (*p) {
        uint32_t c = next_character(&p);

        ENSURE(c >= 0x20 && (c < 0x7f || c >= 0xa0), "control character 0x%x", c);
        ENSURE(!ascii || c < 0x7f, "0x%x in a name", c);
        ENSURE((c < 0x202a || c > 0x202e) && (c < 0x2066 || c > 0x2069), "0x%x turns the direction", c);
    }
}

static void judge_name(const char *name, size_t size)
{
    ENSURE(strlen(name) < size, "%s: %zu bytes", name, strlen(name));
    judge_text(name, true);
    ENSURE(!strchr(name, ' '), "'%s' has a space", name);
}

/* ---- schemas ---- */

static void judge_descriptor(const struct vmt_schema *schema, const struct vmt_descriptor *d, uint32_t first)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    judge_name(d->name, VMT_NAME_SIZE);
    ENSURE(d->name[0], "no name");
    ENSURE(strlen(d->help) < VMT_HELP_MAX, "%s: help of %zu bytes", d->name, strlen(d->help));
    judge_text(d->help, false);
    ENSURE(d->size && d->slot >= first && d->slot + d->size <= schema->slots, "%s: slots %u to %u", d->name, d->slot,
           d->slot + d->size);
    ENSURE(type <= VMT_TYPE_MAX && (d->flags & VMT_UNIT_MASK) <= VMT_UNIT_MAX &&
               (d->flags & VMT_BASE_MASK) <= VMT_BASE_MAX && (d->flags & VMT_AGGREGATION_MASK) <= VMT_AGGREGATION_LAST,
           "%s: flags 0x%x", d->name, d->flags);
    ENSURE(d->size == 1 || type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST, "%s: %u values", d->name,
           d->size);
    ENSURE((d->bucket_size != 0) == (type == VMT_TYPE_LINEAR_HIST), "%s: buckets of %u", d->name, d->bucket_size);
    ENSURE(d->minuend <= schema->count, "%s: minuend %u", d->name, d->minuend);
    ENSURE(d->level <= VMT_LEVEL_DEBUG, "%s: level %u", d->name, d->level);
    for (uint32_t i = 0; i < d->size; i += d->size / 3 + 1) {
        uint64_t low, high;

        vmt_bucket_bounds(d, i, &low, &high);
        ENSURE(low <= high, "%s: bucket %u", d->name, i);
    }
}

/* Of a process, or of what the kernel has without its being known what it counts. */
static bool is_unknown(const struct vmt_schema *schema) { return schema->count == 0 && schema->slots == 0; }

void judge_schema(const struct vmt_schema *schema)
{
    uint32_t first = 0;

    judge_name(schema->name, 24);
    judge_name(schema->provider, 24);
    judge_name(schema->target, 24);
    ENSURE((schema->slots || is_unknown(schema)) && schema->slots <= VMT_SLOTS_MAX &&
               schema->count <= VMT_DESCRIPTORS_MAX,
           "%u slots, %u rows", schema->slots, schema->count);
    for (uint32_t i = 0; i < schema->count; i++) {
        judge_descriptor(schema, &schema->descriptors[i], first);
        first = schema->descriptors[i].slot + schema->descriptors[i].size;
    }
}

static void judge_schema_once(struct seen *seen, const struct vmt_schema *schema)
{
    for (uint32_t i = 0; i < seen->count; i++)
        if (seen->schemas[i] == schema)
            return;
    ENSURE(seen->count < VMT_SCHEMAS_MAX, "more schemas than there can be");
    seen->schemas[seen->count++] = schema;
    judge_schema(schema);
}

/* ---- snapshots ---- */

static void judge_info(const struct vmt_segment_info *info)
{
    judge_name(info->name, 64);
    judge_text(info->path, false);
    for (size_t i = 0; info->labels[i]; i++) {
        ENSURE(i < 512, "too many labels");
        judge_text(info->labels[i], false);
        ENSURE(strlen(info->labels[i]) < 1024U - (size_t)(info->labels[i] - info->labels[0]), "label %zu has no end",
               i);
    }
    ENSURE((unsigned)info->state < VMT_STATE_COUNT, "state %d", (int)info->state);
    ENSURE((info->flags & ~INFO_FLAGS) == 0, "flags 0x%x", info->flags);
}

static void judge_total(struct seen *seen, const struct vmt_sample *sample, uint32_t t, size_t count)
{
    const struct vmt_total *total = &sample->totals[t];

    judge_schema_once(seen, total->schema);
    ENSURE(total->sources < count, "a total of %u of %zu sources", total->sources, count);
    ENSURE((total->flags & ~VMT_SAMPLE_ABSENT) == 0, "flags 0x%x", total->flags);
    read_all(total->values, total->schema->slots);
    read_all(total->departed, total->schema->slots);
    for (uint32_t k = 0; k < t; k++)
        ENSURE(sample->totals[k].schema != total->schema, "two totals of %s", total->schema->name);
}

static void judge_place(const struct vmt_snapshot *snapshot, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i), *parent;
    size_t above;

    if (i == 0) {
        ENSURE(sample->parent == UINT32_MAX && sample->depth == 0 && !sample->id[0] && sample->entry == 0, "the root");
        return;
    }
    ENSURE(sample->parent < i, "parents come first");
    parent = vmt_snapshot_source(snapshot, sample->parent);
    above = strlen(parent->id);
    ENSURE(sample->depth == parent->depth + 1 && sample->depth <= VMT_DEPTH_MAX, "depth %u", sample->depth);
    ENSURE(memcmp(sample->id, parent->id, above) == 0 && strcmp(sample->id + above + (above != 0), sample->name) == 0 &&
               !strchr(sample->name, '/'),
           "id %s, name %s below %s", sample->id, sample->name, parent->id);
    judge_name(sample->name, VMT_NAME_SIZE);
    ENSURE(sample->name[0], "no name");
}

static void judge_sample(struct seen *seen, const struct vmt_snapshot *snapshot, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

    judge_place(snapshot, i);
    judge_schema_once(seen, sample->schema);
    ENSURE((sample->flags & ~SAMPLE_FLAGS) == 0, "flags 0x%x", sample->flags);
    read_all(sample->values, sample->schema->slots);
    for (uint32_t t = 0; t < sample->total_count; t++)
        judge_total(seen, sample, t, vmt_snapshot_count(snapshot));
    for (uint32_t t = 0; t < sample->shard_count; t++) {
        ENSURE(sample->shards[t].held <= 2 && (sample->shards[t].flags & ~SAMPLE_FLAGS) == 0, "shard %u", t);
        read_all(sample->shards[t].values, sample->schema->slots);
    }
    for (uint32_t k = 0; sample->total_count && k < sample->schema->count; k += sample->schema->count / 2 + 1) {
        int r = vmt_sample_total(sample, &sample->schema->descriptors[k], values);

        ENSURE(r == 0 || r == -ENOENT || r == -ENODATA, "total: %s", strerror(-r));
    }
}

void judge_snapshot(const struct vmt_snapshot *snapshot, int result, uint64_t file_bytes, struct seen *seen)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    size_t count = vmt_snapshot_count(snapshot);

    judge_info(info);
    if (result < 0) {
        ENSURE(result == -EBADMSG || result == -EPROTONOSUPPORT || (result == -ENOMEM && judge_no_memory), "%s",
               strerror(-result));
        ENSURE(count == 0, "%s, and yet %zu sources", strerror(-result), count);
        return;
    }
    ENSURE(result == !!(info->flags & VMT_SNAPSHOT_PARTIAL), "%d, but flags 0x%x", result, info->flags);
    ENSURE(count >= 1 && count <= file_bytes / 128, "%zu sources in %llu bytes", count, (unsigned long long)file_bytes);
    ENSURE(info->begin_ns <= info->end_ns, "it ended before it began");
    for (size_t i = 0; i < count; i++)
        judge_sample(seen, snapshot, i);
}

void judge_samples(struct vmt_reader *reader, const struct vmt_snapshot *snapshot, bool still)
{
    size_t count = vmt_snapshot_count(snapshot);

    for (size_t i = 0; i < count; i += count / 4 + 1) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
        int r = vmt_reader_sample(reader, sample, values);

        if (r == -ENODATA && sample->entry & VMT_ENTRY_KERNEL && sample->flags & VMT_SAMPLE_ABSENT)
            continue;
        ENSURE(r == 0 || r == 1 || r == -ESTALE || r == -EBADMSG, "%s: %s", sample->id, strerror(-r));
        if (still)
            ENSURE(r >= 0 && memcmp(values, sample->values, 8 * sample->schema->slots) == 0, "%s: %s", sample->id,
                   r < 0 ? strerror(-r) : "other values");
    }
}

static void equal_totals(const struct vmt_sample *a, const struct vmt_sample *b, const char *what)
{
    ENSURE(a->total_count == b->total_count, "%s: %s", what, a->id);
    for (uint32_t t = 0; t < a->total_count; t++) {
        const struct vmt_total *x = &a->totals[t], *y = &b->totals[t];

        ENSURE(x->sources == y->sources && x->flags == y->flags && x->schema->slots == y->schema->slots &&
                   memcmp(x->values, y->values, 8 * x->schema->slots) == 0 &&
                   memcmp(x->departed, y->departed, 8 * x->schema->slots) == 0,
               "%s: total %u of '%s'", what, t, a->id);
    }
}

void judge_equal(const struct vmt_snapshot *a, int result_a, const struct vmt_snapshot *b, int result_b,
                 const char *what)
{
    ENSURE(result_a == result_b, "%s: %d and %d", what, result_a, result_b);
    ENSURE(vmt_snapshot_count(a) == vmt_snapshot_count(b), "%s: %zu and %zu sources", what, vmt_snapshot_count(a),
           vmt_snapshot_count(b));
    for (size_t i = 0; i < vmt_snapshot_count(a); i++) {
        const struct vmt_sample *x = vmt_snapshot_source(a, i), *y = vmt_snapshot_source(b, i);

        ENSURE(x->entry == y->entry && x->generation == y->generation && x->flags == y->flags &&
                   x->parent == y->parent && strcmp(x->id, y->id) == 0,
               "%s: %s and %s", what, x->id, y->id);
        ENSURE(x->schema->slots == y->schema->slots && x->schema->count == y->schema->count &&
                   strcmp(x->schema->name, y->schema->name) == 0,
               "%s: schemas of %s", what, x->id);
        ENSURE(memcmp(x->values, y->values, 8 * x->schema->slots) == 0, "%s: values of '%s'", what, x->id);
        equal_totals(x, y, what);
    }
}

void judge_delta(struct vmt_delta *delta, const struct vmt_snapshot *older, const struct vmt_snapshot *newer)
{
    const uint32_t known = VMT_CHANGE_NEW | VMT_CHANGE_RESET;
    int r = vmt_delta_compute(delta, older, newer);

    if (r == -ENOMEM && judge_no_memory)
        return;
    ENSURE(r == 0, "%s", strerror(-r));
    ENSURE(vmt_delta_seconds(delta) >= 0, "%f s", vmt_delta_seconds(delta));
    for (size_t i = 0; i < vmt_snapshot_count(newer); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(newer, i);

        for (size_t t = 0; t <= sample->total_count; t++) {
            const struct vmt_change *change = t ? vmt_delta_total(delta, i, t - 1) : vmt_delta_source(delta, i);

            ENSURE(change && (change->flags & ~known) == 0, "%s: change %zu", sample->id, t);
            ENSURE(change->schema == (t ? sample->totals[t - 1].schema : sample->schema), "%s: schema", sample->id);
            read_all(change->values, change->schema->slots);
            if (change->schema->slots)
                vmt_change_rate(delta, change, change->schema->slots - 1);
        }
        ENSURE(!vmt_delta_total(delta, i, sample->total_count), "%s: one more total", sample->id);
    }
    ENSURE(!vmt_delta_source(delta, vmt_snapshot_count(newer)), "one more source");
}
