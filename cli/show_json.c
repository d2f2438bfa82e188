/* SPDX-License-Identifier: MIT */
/* vmtally show --json. The document is libvmtally-export's; with a glob what does not match is taken out of it. */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>

#include <vmtally/export.h>

#include "message.h"
#include "show.h"
#include "lib/export/schema_index.h"

static const char *member(struct json_object *o, const char *key)
{
    return json_object_get_string(json_object_object_get(o, key));
}

/* Keep of o's array key (the stats, or a shard's values beside them) what stands where a statistic of stats matches. */
static void filter_beside(const struct show *show, struct json_object *o, const char *key, struct json_object *stats)
{
    struct json_object *all = json_object_object_get(o, key);
    struct json_object *kept = json_object_new_array();
    size_t n = json_object_array_length(stats);

    for (size_t i = 0; i < n; i++) {
        if (select_matches(show->stat, member(json_object_array_get_idx(stats, i), "name")))
            json_object_array_add(kept, json_object_get(json_object_array_get_idx(all, i)));
    }
    json_object_object_add(o, key, kept);
}

/* The same for a source or a total. Returns how many statistics are left. */
static size_t filter_stats(const struct show *show, struct json_object *o)
{
    struct json_object *stats = json_object_get(json_object_object_get(o, "stats"));
    struct json_object *shards = json_object_object_get(o, "shards");

    for (size_t i = 0; shards && i < json_object_array_length(shards); i++)
        filter_beside(show, json_object_array_get_idx(shards, i), "values", stats);
    filter_beside(show, o, "stats", stats);
    json_object_put(stats);
    return json_object_array_length(json_object_object_get(o, "stats"));
}

/* Drop from the source the statistics that don't match, and totals without any. Returns how many are left. */
static size_t filter_source(const struct show *show, struct json_object *source)
{
    struct json_object *totals = json_object_object_get(source, "totals");
    struct json_object *kept = json_object_new_array();
    size_t stats = filter_stats(show, source);

    for (size_t i = 0; i < json_object_array_length(totals); i++) {
        struct json_object *total = json_object_array_get_idx(totals, i);
        size_t n = filter_stats(show, total);

        stats += n;
        if (n > 0)
            json_object_array_add(kept, json_object_get(total));
    }
    json_object_object_add(source, "totals", kept);
    return stats;
}

/* The sources of the document are those of the snapshot, one by one, but what documents leave out. */
static void filter_document(struct show *show, const struct vmt_snapshot *snapshot, struct json_object *document)
{
    struct json_object *sources = json_object_object_get(document, "sources");
    struct json_object *kept = json_object_new_array();
    size_t at = 0;

    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        struct json_object *source;
        size_t n;

        if (vmt_export_leaves_out(snapshot, i))
            continue;
        source = json_object_array_get_idx(sources, at++);
        if (!show_matches(show, snapshot, i))
            continue;
        n = filter_source(show, source);
        show->sources++;
        show->stats += n;
        if (n > 0)
            json_object_array_add(kept, json_object_get(source));
    }
    json_object_object_add(document, "sources", kept);
}

static int print_filtered(struct show *show, const struct vmt_snapshot *snapshot, const struct vmt_buffer *buffer)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *document = NULL;

    if (tokener && buffer->size <= INT_MAX)
        document = json_tokener_parse_ex(tokener, buffer->data, (int)buffer->size);
    if (tokener)
        json_tokener_free(tokener);
    if (!document)
        return -ENOMEM;
    filter_document(show, snapshot, document);
    if (show->stats > 0)
        puts(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(document);
    return 0;
}

int show_json(struct show *show, const struct vmt_snapshot *snapshot, int *status)
{
    struct vmt_buffer buffer = { 0 };
    int r = vmt_json_encode(snapshot, 0, &buffer);

    if (r == 0 && (show->source || show->stat))
        r = print_filtered(show, snapshot, &buffer);
    else if (r == 0)
        *status |= message_write(buffer.data, buffer.size);
    vmt_buffer_free(&buffer);
    return r;
}
