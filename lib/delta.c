/* SPDX-License-Identifier: MIT */
#include <vmtally/delta.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/snapshot.h"

struct vmt_delta {
    double seconds;
    bool one_set;        /* both snapshots' schemas are of one reader: the same one has the same address */
    bool uneven;         /* between the kernel's counters another time has passed than between the others */
    struct pool changes; /* struct vmt_change: of each source its own, then those of its totals */
    struct pool values;  /* u64 */
    struct pool places;  /* size_t: where each source's changes start */
    struct pool entries; /* u32: 1 + index in the older snapshot, by entry */
    struct pool matches; /* u32: 1 + index in the older snapshot, or 0, of each source */
    struct pool marks;   /* u8: MATCHED, CHANGED, of the newer snapshot's sources, then of the older one's */
};

int vmt_delta_new(struct vmt_delta **ret)
{
    struct vmt_delta *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    *ret = d;
    return 0;
}

void vmt_delta_free(struct vmt_delta *d)
{
    if (!d)
        return;
    free(d->changes.data);
    free(d->values.data);
    free(d->places.data);
    free(d->entries.data);
    free(d->matches.data);
    free(d->marks.data);
    free(d);
}

/* The same segment, and nobody has opened it anew with other totals in between? (A restart goes on counting.) */
static bool comparable(const struct vmt_snapshot *older, const struct vmt_snapshot *newer)
{
    const struct vmt_segment_info *a = vmt_snapshot_segment(older);
    const struct vmt_segment_info *b = vmt_snapshot_segment(newer);

    return memcmp(a->identity, b->identity, sizeof(a->identity)) == 0 && a->incarnation <= b->incarnation &&
           older->walk_ns < newer->walk_ns && vmt_snapshot_count(older) && vmt_snapshot_count(newer);
}

static bool counts(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_CUMULATIVE || type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST;
}

/* Two readers of one segment may each have it at another address. */
static bool same_layout(const struct vmt_schema *a, const struct vmt_schema *b)
{
    if (a == b)
        return true;
    if (a->slots != b->slots || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (strcmp(a->descriptors[i].name, b->descriptors[i].name) != 0 ||
            a->descriptors[i].flags != b->descriptors[i].flags || a->descriptors[i].slot != b->descriptors[i].slot ||
            a->descriptors[i].size != b->descriptors[i].size)
            return false;
    }
    return true;
}

/* The slots from first on that count, of descriptors in a row; *end is behind the last one of them. Returns how many
 * descriptors that were. */
static uint32_t run_of(const struct vmt_schema *schema, uint32_t first, uint32_t *end)
{
    uint32_t i = first;

    *end = schema->descriptors[first].slot;
    for (; i < schema->count && schema->descriptors[i].slot == *end && counts(&schema->descriptors[i]); i++)
        *end += schema->descriptors[i].size;
    return i - first;
}

#if defined(__x86_64__)
typedef uint64_t four __attribute__((vector_size(32), aligned(8), may_alias));

__attribute__((target("avx2"))) static uint32_t subtract_fours(uint64_t *out, const uint64_t *after,
                                                               const uint64_t *before, uint32_t n, uint64_t *fell)
{
    four any = { 0 };
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) {
        four a = *(const four *)(after + i), b = *(const four *)(before + i);

        any |= (four)(a < b);
        *(four *)(out + i) = a - b;
    }
    *fell = any[0] | any[1] | any[2] | any[3];
    return i;
}
#endif

/* Whether one of them fell. Without a branch a slot. */
static bool subtract(uint64_t *out, const uint64_t *after, const uint64_t *before, uint32_t n)
{
    uint64_t fell = 0;
    uint32_t i = 0;

#if defined(__x86_64__)
    if (n >= 4 && __builtin_cpu_supports("avx2"))
        i = subtract_fours(out, after, before, n, &fell);
#endif
    for (; i < n; i++) {
        fell |= after[i] < before[i];
        out[i] = after[i] - before[i];
    }
    return fell != 0;
}

/* before NULL: nothing had been counted. */
static int add_change(struct vmt_delta *d, const struct vmt_schema *schema, const uint64_t *before,
                      const uint64_t *after, uint32_t flags)
{
    size_t at = pool_add(&d->changes, 1, sizeof(struct vmt_change));
    size_t values = pool_add(&d->values, schema->slots, sizeof(uint64_t));
    uint64_t *out;

    if (at == SIZE_MAX || values == SIZE_MAX)
        return -ENOMEM;
    out = (uint64_t *)d->values.data + values;
    memset(out, 0, schema->slots * sizeof(*out));
    for (uint32_t i = 0, n; i < schema->count && !(flags & VMT_CHANGE_RESET); i += n ? n : 1) {
        uint32_t from = schema->descriptors[i].slot, end;

        n = run_of(schema, i, &end);
        if (!before)
            memcpy(out + from, after + from, (end - from) * sizeof(*out));
        else if (subtract(out + from, after + from, before + from, end - from))
            flags |= VMT_CHANGE_RESET;
    }
    if (flags & VMT_CHANGE_RESET)
        memset(out, 0, schema->slots * sizeof(*out));
    ((struct vmt_change *)d->changes.data)[at] =
        (struct vmt_change){ .schema = schema, .values = (const uint64_t *)(uintptr_t)values, .flags = flags };
    return 0;
}

/* What total t of after was before. Another reader's: new ones are put in front, so it is as far from the end. (Not
 * looked for: who made 256 schemas that differ only in their last statistic would have all compared with all.) */
static const struct vmt_total *same_total(const struct vmt_delta *d, const struct vmt_sample *before,
                                          const struct vmt_sample *after, uint32_t t)
{
    const struct vmt_schema *schema = after->totals[t].schema;
    uint32_t from_end = after->total_count - t;
    const struct vmt_total *total;

    if (!before)
        return NULL;
    for (uint32_t i = 0; d->one_set && i < before->total_count; i++) {
        if (before->totals[i].schema == schema)
            return &before->totals[i];
    }
    if (d->one_set || from_end > before->total_count)
        return NULL;
    total = &before->totals[before->total_count - from_end];
    return strcmp(total->schema->name, schema->name) == 0 && same_layout(total->schema, schema) ? total : NULL;
}

static bool of_kernel(const struct vmt_schema *schema) { return ((const struct parsed *)(const void *)schema)->kernel; }

/* Is a total of the kernel's counters made of the same as before? changed: of other sources. And what departed, which
 * only copies leave behind, counts as long as nothing is read from the kernel itself. */
static bool still_made_of(const struct vmt_total *before, const struct vmt_total *after, bool changed)
{
    return before && !changed &&
           memcmp(before->departed, after->departed, after->schema->slots * sizeof(*after->departed)) == 0;
}

/* unknown: what it means that there is nothing before. Of the kernel's counters nobody knows since when it counts.
 * changed: of the kernel's counters other sources than before are below it. */
static int compare_source(struct vmt_delta *d, const struct vmt_sample *before, const struct vmt_sample *after,
                          uint32_t unknown, bool changed)
{
    bool kernel = of_kernel(after->schema);
    uint32_t flags = before ? 0 : unknown;
    int r;

    if (kernel ? d->uneven || !before : !before && !after->created_ns)
        flags = VMT_CHANGE_RESET;
    if ((before && before->flags & VMT_SAMPLE_ABSENT) || after->flags & VMT_SAMPLE_ABSENT)
        flags |= VMT_CHANGE_RESET;
    r = add_change(d, after->schema, before ? before->values : NULL, after->values, flags);
    for (uint32_t t = 0; r == 0 && t < after->total_count; t++) {
        const struct vmt_total *total = &after->totals[t];
        const struct vmt_total *old = same_total(d, before, after, t);

        flags = old ? 0 : unknown;
        if (of_kernel(total->schema) && (d->uneven || !still_made_of(old, total, changed)))
            flags = VMT_CHANGE_RESET;
        if ((old && old->flags & VMT_SAMPLE_ABSENT) || total->flags & VMT_SAMPLE_ABSENT)
            flags |= VMT_CHANGE_RESET;
        r = add_change(d, total->schema, old ? old->values : NULL, total->values, flags);
    }
    return r;
}

static int index_entries(struct vmt_delta *d, const struct vmt_snapshot *older)
{
    size_t last = 0;

    for (size_t i = 0; i < vmt_snapshot_count(older); i++) {
        size_t at = vmt_entry_index(vmt_snapshot_source(older, i)->entry);

        if (at > last)
            last = at;
    }
    if (!pool_reserve(&d->entries, last + 1, sizeof(uint32_t)))
        return -ENOMEM;
    d->entries.used = last + 1;
    memset(d->entries.data, 0, d->entries.used * sizeof(uint32_t));
    for (size_t i = 0; i < vmt_snapshot_count(older); i++)
        ((uint32_t *)d->entries.data)[vmt_entry_index(vmt_snapshot_source(older, i)->entry)] = (uint32_t)i + 1;
    return 0;
}

/* 1 + index of the same source in the older snapshot, or 0. */
static uint32_t match(const struct vmt_delta *d, const struct vmt_snapshot *older, const struct vmt_sample *after)
{
    const struct vmt_sample *before;
    size_t entry = vmt_entry_index(after->entry);
    uint32_t at = entry < d->entries.used ? ((const uint32_t *)d->entries.data)[entry] : 0;

    if (!at)
        return 0;
    before = vmt_snapshot_source(older, at - 1);
    return before->generation == after->generation && same_layout(before->schema, after->schema) ? at : 0;
}

static uint32_t matched(const struct vmt_delta *d, size_t i) { return ((const uint32_t *)d->matches.data)[i]; }

static int match_all(struct vmt_delta *d, const struct vmt_snapshot *older, const struct vmt_snapshot *newer, bool can)
{
    size_t n = vmt_snapshot_count(newer);
    int r = can ? index_entries(d, older) : 0;

    if (r < 0 || !pool_reserve(&d->matches, n, sizeof(uint32_t)))
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ((uint32_t *)d->matches.data)[i] = can ? match(d, older, vmt_snapshot_source(newer, i)) : 0;
    return 0;
}

/* ---- the kernel's counters come and go, and are had in this way or that ---- */

#define MATCHED 1U /* it is in the other snapshot */
#define CHANGED 2U /* below it there is one of the kernel's that is not */
#define UNEVEN_NS 50000000U

/* Above each one of the kernel's that the other snapshot has not. Children stand behind their parents. */
static void mark_above(const struct vmt_snapshot *s, uint8_t *marks)
{
    for (size_t i = vmt_snapshot_count(s); i-- > 1;) {
        const struct vmt_sample *sample = vmt_snapshot_source(s, i);

        if (marks[i] & CHANGED || (!(marks[i] & MATCHED) && of_kernel(sample->schema)))
            marks[sample->parent] |= CHANGED;
    }
}

/* Whose totals are made up of other sources of the kernel's than they were. */
static int mark_changes(struct vmt_delta *d, const struct vmt_snapshot *older, const struct vmt_snapshot *newer)
{
    size_t n = vmt_snapshot_count(newer);
    uint8_t *marks, *olds;

    if (!pool_reserve(&d->marks, n + vmt_snapshot_count(older), sizeof(*marks)))
        return -ENOMEM;
    marks = d->marks.data;
    olds = marks + n;
    memset(marks, 0, n + vmt_snapshot_count(older));
    for (size_t i = 0; i < n; i++) {
        if (matched(d, i))
            marks[i] = olds[matched(d, i) - 1] = MATCHED;
    }
    mark_above(older, olds);
    for (size_t i = 0; i < n; i++) {
        if (matched(d, i))
            marks[i] |= olds[matched(d, i) - 1];
    }
    mark_above(newer, marks);
    return 0;
}

/* Was there no look at the kernel's counters in between, or long before the segment was read, one of both times? */
static bool is_uneven(const struct vmt_snapshot *older, const struct vmt_snapshot *newer)
{
    uint64_t walks = newer->walk_ns - older->walk_ns;
    uint64_t looks = newer->looked_ns - older->looked_ns;
    uint64_t apart = walks > looks ? walks - looks : looks - walks;

    if (!older->looked_ns || !newer->looked_ns)
        return false;
    return older->looked_ns >= newer->looked_ns || (apart > walks / 2 && apart > UNEVEN_NS);
}

int vmt_delta_compute(struct vmt_delta *d, const struct vmt_snapshot *older, const struct vmt_snapshot *newer)
{
    bool can = older && comparable(older, newer);
    size_t n = vmt_snapshot_count(newer);
    /* What a partial snapshot lacks may have been there, with all that it had counted. */
    bool missing_is_new = can && !(vmt_snapshot_segment(older)->flags & VMT_SNAPSHOT_PARTIAL);
    uint32_t from = can ? vmt_snapshot_segment(older)->from | vmt_snapshot_segment(newer)->from : 0;
    bool kernel = from & (VMT_FROM_FDS | VMT_FROM_DEBUGFS | VMT_FROM_COPIES);
    int r;

    d->changes.used = 0;
    d->values.used = 0;
    d->entries.used = 0;
    d->places.used = 0;
    d->seconds = 0;
    d->uneven = kernel && is_uneven(older, newer);
    if (can) {
        d->one_set = older->schemas == newer->schemas;
        d->seconds = (double)(newer->walk_ns - older->walk_ns) / 1e9;
    }
    r = match_all(d, older, newer, can);
    if (r == 0 && kernel)
        r = mark_changes(d, older, newer);
    /* Of values at least one: a process's own source counts nothing. */
    if (r == 0 && (!pool_reserve(&d->places, n, sizeof(size_t)) || !pool_reserve(&d->values, 1, sizeof(uint64_t))))
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct vmt_sample *before = matched(d, i) ? vmt_snapshot_source(older, matched(d, i) - 1) : NULL;

        ((size_t *)d->places.data)[i] = d->changes.used;
        d->places.used = i + 1;
        r = compare_source(d, before, vmt_snapshot_source(newer, i), missing_is_new ? VMT_CHANGE_NEW : VMT_CHANGE_RESET,
                           kernel && ((const uint8_t *)d->marks.data)[i] & CHANGED);
    }
    for (size_t i = 0; r == 0 && i < d->changes.used; i++) {
        struct vmt_change *change = &((struct vmt_change *)d->changes.data)[i];

        change->values = (const uint64_t *)d->values.data + (uintptr_t)change->values;
    }
    if (r < 0)
        d->places.used = 0;
    return r;
}

double vmt_delta_seconds(const struct vmt_delta *delta) { return delta->seconds; }

const struct vmt_change *vmt_delta_source(const struct vmt_delta *d, size_t i)
{
    return i < d->places.used ? &((const struct vmt_change *)d->changes.data)[((const size_t *)d->places.data)[i]]
                              : NULL;
}

const struct vmt_change *vmt_delta_total(const struct vmt_delta *d, size_t i, size_t t)
{
    size_t end;

    if (i >= d->places.used)
        return NULL;
    end = i + 1 < d->places.used ? ((const size_t *)d->places.data)[i + 1] : d->changes.used;
    return t < end - ((const size_t *)d->places.data)[i] - 1 ? vmt_delta_source(d, i) + 1 + t : NULL;
}

double vmt_change_rate(const struct vmt_delta *delta, const struct vmt_change *change, uint32_t slot)
{
    if (!change || slot >= change->schema->slots || delta->seconds <= 0)
        return 0;
    return (double)change->values[slot] / delta->seconds;
}
