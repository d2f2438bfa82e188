/* SPDX-License-Identifier: MIT */
#include "cli/query/stats.h"

#include <errno.h>
#include <string.h>

#include <vmtally/host.h>

#include "cli/query/check.h"
#include "lib/export/names.h"
#include "lib/kvm/handle.h"

/* ---- which ---- */

static bool filter_has(const struct stats_filter *f, const struct vmt_descriptor *d)
{
    return f->all || request_has(f->names, f->count, d->name, NULL);
}

/* What a slot holds before anything was counted is no value. */
static bool has_value(const struct vmt_descriptor *d, const uint64_t *values)
{
    uint64_t absent = vmt_export_absent(d);

    return vmt_export_is_list(d) || absent == 0 || values[d->slot] != absent;
}

static int visit_values(const struct stats_filter *f, const struct vmt_sample *s, const char *path,
                        struct stats_visitor *v)
{
    bool open = false;
    int r = 0;

    for (uint32_t i = 0; i < s->schema->count && r == 0; i++) {
        const struct vmt_descriptor *d = &s->schema->descriptors[i];

        if (!filter_has(f, d) || !has_value(d, s->values))
            continue;
        if (!open)
            r = v->open(v, s->schema->provider, path);
        open = true;
        if (r == 0)
            r = v->value(v, d, s->values + d->slot);
    }
    return r == 0 && open ? v->close(v) : r;
}

static int visit_source(const struct stats_request *request, const struct stats_filter *f,
                        const struct vmt_snapshot *snapshot, size_t i, struct stats_visitor *v)
{
    const struct vmt_sample *s = vmt_snapshot_source(snapshot, i);
    const char *path;

    if (strcmp(s->schema->target, request->target) != 0 || s->flags & (VMT_SAMPLE_LEAVING | VMT_SAMPLE_ABSENT) ||
        (f->provider && strcmp(s->schema->provider, f->provider) != 0) || kvm_is_handle(s->schema))
        return 0;
    path = vmt_snapshot_source(snapshot, vmt_snapshot_subject(snapshot, i))->id;
    if (!request->all_paths && !request_has(request->paths, request->path_count, path, NULL))
        return 0;
    return visit_values(f, s, path[0] && strcmp(request->target, "vm") != 0 ? path : NULL, v);
}

int stats_visit(const struct stats_request *request, const struct vmt_snapshot *snapshot, struct stats_visitor *visitor)
{
    size_t count = vmt_snapshot_count(snapshot);
    int r = 0;

    for (size_t k = 0; k < request->filter_count && r == 0; k++) {
        for (size_t i = 0; i < count && r == 0; i++)
            r = visit_source(request, &request->filters[k], snapshot, i, visitor);
    }
    return r;
}

/* ---- query-stats ---- */

struct json_visitor {
    struct stats_visitor base; /* first */
    struct vmt_writer *w;
    size_t most;
};

static struct vmt_writer *writer_of(struct stats_visitor *v) { return ((struct json_visitor *)v)->w; }

static int limit(struct vmt_writer *w, size_t most)
{
    if (w->error == 0 && w->out->size > most)
        w->error = -EFBIG;
    return w->error;
}

/* The list of statistics, and what it stands in. */
static void close_both(struct vmt_writer *w)
{
    w->ops->close_array(w);
    w->ops->close_map(w);
}

static int open_result(struct stats_visitor *v, const char *provider, const char *path)
{
    struct vmt_writer *w = writer_of(v);

    w->ops->open_map(w, 0);
    vmt_put_string(w, "provider", provider);
    if (path)
        vmt_put_string(w, "qom-path", path);
    vmt_put_key(w, "stats");
    w->ops->open_array(w, 0);
    return w->error;
}

static void write_number(struct vmt_writer *w, const struct vmt_descriptor *d, uint64_t value)
{
    if (d->flags & VMT_SIGNED)
        w->ops->signed_integer(w, (int64_t)value);
    else
        w->ops->unsigned_integer(w, value);
}

static int write_value(struct stats_visitor *v, const struct vmt_descriptor *d, const uint64_t *values)
{
    struct vmt_writer *w = writer_of(v);

    w->ops->open_row(w, 2);
    vmt_put_string(w, "name", d->name);
    vmt_put_key(w, "value");
    if (vmt_export_is_boolean(d, false)) {
        w->ops->boolean(w, values[0] != 0);
    } else if (vmt_export_is_list(d)) {
        w->ops->open_array(w, d->size);
        for (uint32_t i = 0; i < d->size; i++)
            write_number(w, d, values[i]);
        w->ops->close_array(w);
    } else {
        write_number(w, d, values[0]);
    }
    w->ops->close_map(w);
    return limit(w, ((struct json_visitor *)v)->most);
}

static int close_result(struct stats_visitor *v)
{
    close_both(writer_of(v));
    return writer_of(v)->error;
}

void stats_write(const struct stats_request *request, const struct vmt_snapshot *snapshot, size_t most,
                 struct vmt_writer *w)
{
    struct json_visitor v = { { open_result, write_value, close_result }, w, most };

    w->ops->open_array(w, 0);
    stats_visit(request, snapshot, &v.base);
    w->ops->close_array(w);
}

/* ---- query-stats-schemas ---- */

static void write_descriptor(struct vmt_writer *w, const struct vmt_descriptor *d)
{
    w->ops->open_row(w, 0);
    vmt_export_put_kind(w, d);
    if ((d->flags & VMT_TYPE_MASK) == VMT_TYPE_LINEAR_HIST)
        vmt_put_number(w, "bucket-size", d->bucket_size);
    w->ops->close_map(w);
}

static bool same_schema(const struct catalog_entry *a, const struct catalog_entry *b)
{
    return strcmp(a->target, b->target) == 0 && strcmp(a->provider, b->provider) == 0;
}

static void open_schema(struct vmt_writer *w, const struct catalog_entry *entry)
{
    w->ops->open_map(w, 3);
    vmt_put_string(w, "provider", entry->provider);
    vmt_put_string(w, "target", entry->target);
    vmt_put_key(w, "stats");
    w->ops->open_array(w, 0);
}

int schemas_write(const char *provider, struct catalog *catalog, size_t most, struct vmt_writer *w, struct qmp_error *e)
{
    const struct catalog_entry *last = NULL;

    if (provider && request_check_provider(provider, catalog, false, e))
        return -1;
    catalog_in_order(catalog);
    w->ops->open_array(w, 0);
    for (size_t i = 0; i < catalog->count && limit(w, most) == 0; i++) {
        const struct catalog_entry *entry = &catalog->entries[i];

        if (provider && strcmp(entry->provider, provider) != 0)
            continue;
        if (!last || !same_schema(last, entry)) {
            if (last)
                close_both(w);
            open_schema(w, entry);
        }
        write_descriptor(w, entry->descriptor);
        last = entry;
    }
    if (last)
        close_both(w);
    w->ops->close_array(w);
    return 0;
}
