/* SPDX-License-Identifier: MIT */
/* What all encodings say beside the values: that they could not be read, or disagree; that the writer said goodbye; what
 * a statistic is for. */
#include "export_segment.h"
#include "json_parts.h"

#include <fcntl.h>
#include <msgpack.h>
#include <unistd.h>

#include "shm/layout.h"

TestSuite(export_said, .init = make_segment, .fini = remove_segment);

#define FLAG_TORN 4U /* lib/export/STREAM.md, section 4 */
#define FLAG_ABSENT 8U
#define SAMPLE_FRAME 3U

/* ---- as JSON ---- */

static json_object *parse(void)
{
    json_object *json;

    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_json_encode(snapshot, 0, &out), 0);
    out.data[out.size - 1] = '\0'; /* in place of the newline */
    json = json_tokener_parse(out.data);
    cr_assert_not_null(json, "%s", out.data);
    return json;
}

/* ---- as msgpack ---- */

/* The last frame of a stream that begins with this snapshot: a sample. The caller's. */
static msgpack_unpacked sample_frame(void)
{
    struct vmt_msgpack *stream;
    msgpack_unpacked frame;
    size_t at = 0;

    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_msgpack_new(&stream), 0);
    cr_assert_eq(vmt_msgpack_encode(stream, snapshot, &out), 0);
    vmt_msgpack_free(stream);
    msgpack_unpacked_init(&frame);
    while (at < out.size)
        cr_assert_eq(msgpack_unpack_next(&frame, out.data, out.size, &at), MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(frame.data.via.array.ptr[0].via.u64, SAMPLE_FRAME);
    return frame;
}

static const msgpack_object *source_in(const msgpack_unpacked *frame, const char *id)
{
    const msgpack_object *sources = &frame->data.via.array.ptr[12];

    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++)
        if (strcmp(vmt_snapshot_source(snapshot, i)->id, id) == 0)
            return &sources->via.array.ptr[i];
    cr_assert_fail("no %s", id);
    return NULL;
}

/* ---- what another process may write into the file ---- */

static void write_at(uint64_t offset, uint64_t value)
{
    int fd = open(vmt_segment_path(segment), O_RDWR | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, &value, sizeof(value), (off_t)offset), sizeof(value));
    close(fd);
}

static uint64_t read_at(uint64_t offset)
{
    uint64_t value = 0;
    int fd = open(vmt_segment_path(segment), O_RDONLY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    cr_assert_eq(pread(fd, &value, sizeof(value), (off_t)offset), sizeof(value));
    close(fd);
    return value;
}

static uint64_t first_shard_of(const char *id)
{
    uint64_t table = read_at(offsetof(struct shm_header, source_offset));
    uint64_t entry = table + (uint64_t)source(id)->entry * sizeof(struct shm_entry);

    return read_at(entry + offsetof(struct shm_entry, shards));
}

/* ---- the promises ---- */

/* The source is left out, and of its ancestors the totals that would count it. */
Test(export_said, a_total_that_could_not_be_read_is_null_and_no_number)
{
    const struct vmt_sample *vm_sample;
    json_object *json, *total;
    msgpack_unpacked frame;
    const msgpack_object *totals;
    size_t absent = 0;

    take();
    write_at(first_shard_of("vm/full") + offsetof(struct shm_shard, generation), 1);
    cr_assert_eq(vmt_snapshot_take(snapshot, reader), 1);
    vm_sample = source("vm");
    cr_assert_null(vmt_snapshot_find(snapshot, "vm/full"));

    json = parse();
    cr_assert(json_object_get_boolean(get(json, "partial")));
    total = find_with(get(find_with(get(json, "sources"), "id", "vm"), "totals"), "schema", "all");
    cr_assert_eq(json_object_array_length(get(total, "stats")), all_schema.count);
    for (size_t i = 0; i < all_schema.count; i++)
        cr_assert_null(get(json_object_array_get_idx(get(total, "stats"), i), "value"));
    total = find_with(get(find_with(get(json, "sources"), "id", "vm/empty"), "stats"), "name", "exits");
    cr_assert_not_null(get(total, "value"), "its sibling is whole");
    json_object_put(json);

    frame = sample_frame();
    totals = &frame.data.via.array.ptr[13];
    for (size_t i = 0; i < totals->via.array.size; i++) {
        const msgpack_object *one = totals->via.array.ptr[i].via.array.ptr;

        if (totals->via.array.ptr[i].via.array.size > 4 && one[4].via.u64 & FLAG_ABSENT) {
            cr_assert_eq(one[3].type, MSGPACK_OBJECT_NIL);
            absent++;
        } else {
            cr_assert_eq(one[3].type, MSGPACK_OBJECT_ARRAY);
        }
    }
    cr_assert_eq(absent, 2, "%zu: source 0 has it, and vm, of which there are %u", absent, vm_sample->total_count);
    msgpack_unpacked_destroy(&frame);
}

Test(export_said, groups_that_were_cut_short_are_said_to_disagree)
{
    json_object *json, *one;
    msgpack_unpacked frame;
    const msgpack_object *values;
    uint64_t shard;

    vmt_snapshot_want_shards(snapshot, 1);
    take();
    shard = first_shard_of("vm/full");
    write_at(shard + offsetof(struct shm_shard, torn), 1);
    take();

    json = parse();
    one = find_with(get(json, "sources"), "id", "vm/full");
    cr_assert(json_object_get_boolean(get(one, "torn")));
    cr_assert_not(json_object_get_boolean(get(find_with(get(json, "sources"), "id", "vm/empty"), "torn")));
    cr_assert_eq(json_object_get_uint64(get(find_with(get(one, "stats"), "name", "time"), "value")), BEYOND_DOUBLE);
    json_object_put(json);

    frame = sample_frame();
    values = source_in(&frame, "vm/full")->via.array.ptr;
    cr_assert_eq(values[2].via.u64, FLAG_TORN);
    cr_assert_eq(values[3].via.array.size, 1);
    cr_assert_eq(values[3].via.array.ptr[0].via.array.size, 5);
    cr_assert_eq(values[3].via.array.ptr[0].via.array.ptr[3].via.u64, FLAG_TORN);
    cr_assert_neq(values[3].via.array.ptr[0].via.array.ptr[4].via.u64, 0);
    msgpack_unpacked_destroy(&frame);
}

Test(export_said, a_goodbye_has_its_time)
{
    msgpack_unpacked frame;
    msgpack_timestamp time;
    json_object *json;

    take();
    frame = sample_frame();
    cr_assert_eq(frame.data.via.array.ptr[9].type, MSGPACK_OBJECT_NIL);
    msgpack_unpacked_destroy(&frame);

    vmt_segment_close(segment);
    segment = NULL;
    take();
    frame = sample_frame();
    cr_assert_eq(memcmp(frame.data.via.array.ptr[7].via.str.ptr, "closed", 6), 0);
    cr_assert(msgpack_object_to_timestamp(&frame.data.via.array.ptr[9], &time));
    cr_assert_eq((uint64_t)time.tv_sec * 1000000000U + time.tv_nsec, vmt_snapshot_segment(snapshot)->closed_ns);
    cr_assert_gt(time.tv_sec, 1700000000);
    msgpack_unpacked_destroy(&frame);
    json = parse();
    cr_assert_str_eq(json_object_get_string(get(json, "state")), "closed");
    json_object_put(json);
}

Test(export_said, what_a_statistic_is_for)
{
    static const struct vmt_descriptor descriptors[] = {
        { .name = "begun", .help = "", .slot = 0, .size = 1 },
        { .name = "ended", .help = "", .slot = 1, .size = 1, .minuend = 1, .level = VMT_LEVEL_DIAGNOSTIC },
        { .name = "looked", .help = "", .slot = 2, .size = 1, .level = VMT_LEVEL_DEBUG },
    };
    static const struct vmt_schema schema = { "levels", "test", "queue", descriptors, 3, 3 };
    struct vmt_source *queue;
    json_object *json, *stats;

    cr_assert_eq(vmt_source_add(segment, &schema, NULL, "queue", &queue), 0);
    take();
    json = parse();
    stats = get(find_with(get(json, "sources"), "id", "queue"), "stats");
    cr_assert_str_eq(json_object_get_string(get(find_with(stats, "name", "ended"), "minuend")), "begun");
    cr_assert_str_eq(json_object_get_string(get(find_with(stats, "name", "ended"), "level")), "diagnostic");
    cr_assert_str_eq(json_object_get_string(get(find_with(stats, "name", "looked"), "level")), "debug");
    cr_assert_not(json_object_object_get_ex(find_with(stats, "name", "begun"), "level", NULL));
    cr_assert_not(json_object_object_get_ex(find_with(stats, "name", "begun"), "minuend", NULL));
    json_object_put(json);
}

Test(export_said, the_first_label_of_a_key_stands)
{
    const char *labels[] = { "rack=7", "row=a", "rack=8", NULL };
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web-2", .labels = labels };
    json_object *json;

    vmt_reader_close(reader);
    vmt_segment_close(segment);
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), NULL, &reader), 0);
    take();
    json = parse();
    cr_assert_eq(json_object_object_length(get(json, "labels")), 2);
    cr_assert_str_eq(json_object_get_string(get(get(json, "labels"), "rack")), "7");
    json_object_put(json);
}
