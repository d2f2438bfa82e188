/* SPDX-License-Identifier: MIT */
/* Schemas by address, numbered as they come, for as long as one snapshot is encoded: they are few, and mostly the one
 * that was looked for before. */
#ifndef LIB_EXPORT_SCHEMA_INDEX_H
#define LIB_EXPORT_SCHEMA_INDEX_H

#include <errno.h>
#include <stdlib.h>

#include <vmtally/reader.h>

#include "lib/kvm/handle.h"

struct vmt_schema_index {
    const struct vmt_schema **schemas;
    size_t count;
    size_t capacity;
    size_t last;
};
#define VMT_SCHEMA_NONE SIZE_MAX

static inline size_t vmt_schema_index_find(struct vmt_schema_index *index, const struct vmt_schema *schema)
{
    if (index->last < index->count && index->schemas[index->last] == schema)
        return index->last;
    for (size_t i = 0; i < index->count; i++)
        if (index->schemas[i] == schema)
            return index->last = i;
    return VMT_SCHEMA_NONE;
}

/* Append one that is not in it. 0 or -ENOMEM. */
static inline int vmt_schema_index_add(struct vmt_schema_index *index, const struct vmt_schema *schema)
{
    if (index->count == index->capacity) {
        size_t capacity = index->capacity ? index->capacity * 2 : 16;
        const struct vmt_schema **schemas = realloc(index->schemas, capacity * sizeof(*schemas));

        if (!schemas)
            return -ENOMEM;
        index->schemas = schemas;
        index->capacity = capacity;
    }
    index->last = index->count;
    index->schemas[index->count++] = schema;
    return 0;
}

/* Handles are no measurements, and the number of a descriptor means nothing elsewhere: no document has source i if it is
 * one, nor totals of them. */
static inline bool vmt_export_leaves_out(const struct vmt_snapshot *snapshot, size_t i)
{
    return i > 0 && kvm_is_handle(vmt_snapshot_source(snapshot, i)->schema);
}

/* The nearest one above source i that is not left out; i itself: there is none. */
static inline size_t vmt_export_parent(const struct vmt_snapshot *snapshot, size_t i)
{
    size_t at = i;

    do {
        size_t parent = vmt_snapshot_source(snapshot, at)->parent;

        if (parent >= at)
            return i;
        at = parent;
    } while (vmt_export_leaves_out(snapshot, at));
    return at;
}

/* Call add(arg, schema) once for each schema that the snapshot's sources or totals have, in order of appearance, but those
 * of what is left out, and put it into the index, which is emptied before. Returns 0, -ENOMEM, or what add returned below 0. */
static inline int vmt_schema_index_fill(struct vmt_schema_index *index, const struct vmt_snapshot *snapshot,
                                        int (*add)(void *arg, const struct vmt_schema *schema), void *arg)
{
    size_t count = vmt_snapshot_count(snapshot);

    index->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

        for (uint32_t t = 0; t <= sample->total_count; t++) {
            const struct vmt_schema *schema = t ? sample->totals[t - 1].schema : sample->schema;
            int r;

            if (vmt_schema_index_find(index, schema) != VMT_SCHEMA_NONE || ((t || i) && kvm_is_handle(schema)))
                continue;
            r = vmt_schema_index_add(index, schema);
            if (r == 0)
                r = add(arg, schema);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

#endif
