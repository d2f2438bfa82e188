/* SPDX-License-Identifier: MIT */
/* firecracker_line.h: a VM, and lines of Firecracker's metrics about it, parsed again. */
#ifndef TESTS_UNIT_FIRECRACKER_LINE_H
#define TESTS_UNIT_FIRECRACKER_LINE_H

#include "parts.h"

#include <json-c/json.h>

#include <vmtally/export.h>
#include <vmtally/schemas.h>

static struct vmt_segment *segment;
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;
static struct vmt_source *vm;
static struct vmt_firecracker *lines;
static struct vmt_buffer out;

static inline void firecracker_init(void)
{
    test_dir_init();
    segment = new_segment("web-1");
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    snapshot = new_snapshot();
    cr_assert_eq(vmt_firecracker_new(&lines), 0);
}

static inline void firecracker_fini(void)
{
    vmt_buffer_free(&out);
    vmt_firecracker_free(lines);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

/* ---- lines, parsed ---- */

/* One line, which ends with the buffer. The caller's. */
static inline json_object *parse(void)
{
    json_object *json;

    cr_assert_gt(out.size, 0);
    cr_assert_eq(memchr(out.data, '\n', out.size), out.data + out.size - 1);
    out.data[out.size - 1] = '\0';
    cr_assert_eq(strlen(out.data), out.size - 1);
    json = json_tokener_parse(out.data);
    cr_assert_not_null(json, "%s", out.data);
    return json;
}

static inline json_object *line_of(struct vmt_firecracker *of, const struct vmt_snapshot *from)
{
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_firecracker_encode(of, from, NULL, &out), 0);
    return parse();
}

/* What there is now, told to one of its readers, who keeps it. */
static inline json_object *told_to(struct vmt_firecracker *of)
{
    json_object *line;

    take(snapshot, reader);
    line = line_of(of, snapshot);
    vmt_firecracker_keep(of);
    return line;
}

/* The number at "block.read_agg.sum_us". */
static inline uint64_t number(json_object *line, const char *path)
{
    char *copy = strdup(path), *rest = copy;
    json_object *at = line;

    for (char *key; (key = strsep(&rest, "."));)
        cr_assert(json_object_object_get_ex(at, key, &at), "no %s in %s", key, path);
    free(copy);
    cr_assert(json_object_is_type(at, json_type_int), "%s", path);
    return json_object_get_uint64(at);
}

static inline bool has(json_object *line, const char *group) { return json_object_object_get_ex(line, group, NULL); }

/* The same, of a line that is freed. */
static inline uint64_t told(struct vmt_firecracker *of, const char *path)
{
    json_object *line = told_to(of);
    uint64_t value = number(line, path);

    json_object_put(line);
    return value;
}

static inline struct vmt_shard *device(const struct vmt_schema *schema, const char *id, struct vmt_source **ret)
{
    struct vmt_source *source = add_source(segment, schema, vm, id);

    if (ret)
        *ret = source;
    return vmt_shard_acquire(source);
}

#endif
