/* SPDX-License-Identifier: MIT */
#include "cli/query/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kvm/handle.h"

/* ---- all schemas ---- */

struct seen {
    const struct vmt_schema *schema;
    size_t order;
};

struct collector {
    struct seen *seen; /* NULL: only count */
    size_t count;
    const struct vmt_schema *before;
};

/* Schemas are few, sources may be many: neighbours mostly have one. */
static void collect_one(struct collector *c, const struct vmt_schema *schema)
{
    if (schema == c->before || kvm_is_handle(schema))
        return;
    if (c->seen)
        c->seen[c->count] = (struct seen){ schema, c->count };
    c->count++;
    c->before = schema;
}

/* What there is now comes before what may have departed. */
static size_t collect(const struct vmt_snapshot *snapshot, struct seen *seen)
{
    struct collector c = { .seen = seen };
    size_t count = vmt_snapshot_count(snapshot);

    for (size_t i = 0; i < count; i++)
        collect_one(&c, vmt_snapshot_source(snapshot, i)->schema);
    for (size_t i = 0; i < count; i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

        for (uint32_t t = 0; t < sample->total_count; t++)
            collect_one(&c, sample->totals[t].schema);
    }
    return c.count;
}

static int by_schema(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    if (x->schema != y->schema)
        return (uintptr_t)x->schema < (uintptr_t)y->schema ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

/* Each once, in order of appearance. Returns how many, *ret is the caller's; or -ENOMEM. */
static long schemas_of(const struct vmt_snapshot *snapshot, struct seen **ret)
{
    size_t all = collect(snapshot, NULL), n = 0;
    struct seen *seen = calloc(all + 1, sizeof(*seen));

    if (!seen)
        return -ENOMEM;
    collect(snapshot, seen);
    qsort(seen, all, sizeof(*seen), by_schema);
    for (size_t i = 0; i < all; i++) {
        if (n == 0 || seen[n - 1].schema != seen[i].schema)
            seen[n++] = seen[i];
    }
    qsort(seen, n, sizeof(*seen), by_order);
    *ret = seen;
    return (long)n;
}

/* ---- the catalog ---- */

/* As catalog_find() has it: what key leaves open is equal to all. */
static int compare(const struct catalog_entry *key, const char *name, const struct catalog_entry *entry)
{
    int r = strcmp(key->target, entry->target);

    if (r == 0 && key->provider)
        r = strcmp(key->provider, entry->provider);
    if (r == 0 && key->provider && name)
        r = strcmp(name, entry->descriptor->name);
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct catalog_entry *x = a, *y = b;
    int r = compare(x, x->descriptor->name, y);

    return r ? r : (x->order > y->order) - (x->order < y->order);
}

static int by_appearance(const void *a, const void *b)
{
    const struct catalog_entry *x = a, *y = b;
    int r = compare(x, NULL, y);

    return r ? r : (x->order > y->order) - (x->order < y->order);
}

static void sort_and_unite(struct catalog *c)
{
    size_t n = 0;

    qsort(c->entries, c->count, sizeof(*c->entries), by_name);
    for (size_t i = 0; i < c->count; i++) {
        if (n == 0 || compare(&c->entries[n - 1], c->entries[n - 1].descriptor->name, &c->entries[i]) != 0)
            c->entries[n++] = c->entries[i];
    }
    c->count = n;
}

int catalog_make(const struct vmt_snapshot *snapshot, struct catalog *ret)
{
    struct seen *seen = NULL;
    struct catalog c = { 0 };
    long schemas = schemas_of(snapshot, &seen);
    size_t room = 0;

    for (long i = 0; i < schemas; i++)
        room += seen[i].schema->count;
    if (schemas >= 0)
        c.entries = calloc(room + 1, sizeof(*c.entries));
    if (!c.entries) {
        free(seen);
        return -ENOMEM;
    }
    for (long i = 0; i < schemas; i++) {
        const struct vmt_schema *s = seen[i].schema;

        for (uint32_t k = 0; k < s->count; k++, c.count++)
            c.entries[c.count] = (struct catalog_entry){ s->target, s->provider, &s->descriptors[k], c.count };
    }
    free(seen);
    sort_and_unite(&c);
    *ret = c;
    return 0;
}

void catalog_free(struct catalog *catalog)
{
    free(catalog->entries);
    *catalog = (struct catalog){ 0 };
}

/* How many entries stand before key, or (behind) before what follows it. */
static size_t place(const struct catalog *c, const struct catalog_entry *key, const char *name, bool behind)
{
    size_t low = 0, high = c->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int r = compare(key, name, &c->entries[middle]);

        if (r > 0 || (r == 0 && behind))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t catalog_find(const struct catalog *catalog, const char *target, const char *provider, const char *name,
                    const struct catalog_entry **first)
{
    const struct catalog_entry key = { .target = target, .provider = provider };
    size_t start = place(catalog, &key, name, false);

    *first = catalog->entries + start;
    return place(catalog, &key, name, true) - start;
}

void catalog_in_order(struct catalog *catalog)
{
    qsort(catalog->entries, catalog->count, sizeof(*catalog->entries), by_appearance);
}
