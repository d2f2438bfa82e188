/* SPDX-License-Identifier: MIT */
/* The msgpack stream of a real segment, decoded again: by msgpack-c here, and by decode_stream.py, which knows nothing
 * but STREAM.md. */
#include "export_segment.h"

#include <json-c/json.h>
#include <msgpack.h>

static struct vmt_msgpack *stream;

static void encode(void)
{
    take();
    cr_assert_eq(vmt_msgpack_encode(stream, snapshot, &out), 0);
}

static void setup(void)
{
    make_segment();
    cr_assert_eq(vmt_msgpack_new(&stream), 0);
}

static void teardown(void)
{
    vmt_msgpack_free(stream);
    remove_segment();
}

TestSuite(export, .init = setup, .fini = teardown);

/* ---- msgpack-c ---- */

static size_t count_frames(const char *data, size_t size, int kinds[], size_t ends[], size_t limit)
{
    msgpack_unpacked frame;
    size_t at = 0, count = 0;

    msgpack_unpacked_init(&frame);
    while (msgpack_unpack_next(&frame, data, size, &at) == MSGPACK_UNPACK_SUCCESS) {
        cr_assert(count < limit);
        cr_assert_eq(frame.data.type, MSGPACK_OBJECT_ARRAY);
        cr_assert_eq(frame.data.via.array.ptr[1].via.u64, 1);
        kinds[count] = (int)frame.data.via.array.ptr[0].via.u64;
        ends[count++] = at;
    }
    cr_assert_eq(at, size);
    msgpack_unpacked_destroy(&frame);
    return count;
}

#define assert_frames(...)                                                                                             \
    do {                                                                                                               \
        const int want_[] = { __VA_ARGS__ };                                                                           \
        int kinds_[32];                                                                                                \
        size_t ends_[32];                                                                                              \
                                                                                                                       \
        cr_assert_eq(count_frames(out.data, out.size, kinds_, ends_, 32), sizeof(want_) / sizeof(want_[0]));           \
        cr_assert_arr_eq(kinds_, want_, sizeof(want_));                                                                \
    } while (0)

enum { HEADER, SCHEMA, SOURCES, SAMPLE };

static void assert_number(const msgpack_object *object, const struct vmt_descriptor *d, uint64_t value)
{
    char want[24], got[24] = "?";

    if (object->type == MSGPACK_OBJECT_NIL)
        strcpy(got, "null");
    else if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        snprintf(got, sizeof(got), "%" PRIu64, object->via.u64);
    else if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        snprintf(got, sizeof(got), "%" PRId64, object->via.i64);
    expect(d, value, want);
    cr_expect_str_eq(got, want, "%s: got %s, want %s", d->name, got, want);
}

Test(export, stream_values_are_those_of_the_snapshot)
{
    const struct vmt_sample *full, *empty;
    msgpack_unpacked frame;
    msgpack_timestamp time;
    msgpack_object *sample, *sources;
    size_t at = 0;

    encode();
    full = source("vm/full");
    empty = source("vm/empty");
    msgpack_unpacked_init(&frame);
    do
        cr_assert_eq(msgpack_unpack_next(&frame, out.data, out.size, &at), MSGPACK_UNPACK_SUCCESS);
    while (frame.data.via.array.ptr[0].via.u64 != SAMPLE);
    sample = frame.data.via.array.ptr;
    cr_assert_eq(sample[4].type, MSGPACK_OBJECT_EXT);
    cr_assert_eq(sample[4].via.ext.type, -1);
    cr_assert(msgpack_object_to_timestamp(&sample[4], &time));
    cr_assert_eq((uint64_t)time.tv_sec * 1000000000U + time.tv_nsec, vmt_snapshot_segment(snapshot)->realtime_ns);
    cr_assert_eq(sample[5].via.u64, vmt_snapshot_segment(snapshot)->begin_ns);
    cr_assert_eq(sample[6].via.u64, vmt_snapshot_segment(snapshot)->end_ns);

    sources = sample[12].via.array.ptr;
    cr_assert_eq(sample[12].via.array.size, vmt_snapshot_count(snapshot));
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *s = vmt_snapshot_source(snapshot, i);
        const msgpack_object *values = &sources[i].via.array.ptr[1];

        cr_assert_eq(sources[i].via.array.ptr[0].via.u64, i);
        cr_assert_eq(values->via.array.size, s->schema->slots);
        for (uint32_t k = 0; k < s->schema->count; k++)
            for (uint32_t n = 0; n < s->schema->descriptors[k].size; n++) {
                uint32_t slot = s->schema->descriptors[k].slot + n;

                assert_number(&values->via.array.ptr[slot], &s->schema->descriptors[k], s->values[slot]);
            }
    }
    /* The snapshot holds what was counted: else all of the above would say nothing. */
    cr_assert_eq(full->values[ALL_EXITS], UINT64_MAX);
    cr_assert_eq(full->values[ALL_TIME], BEYOND_DOUBLE);
    cr_assert_eq((int64_t)full->values[ALL_LOW], -70000);
    cr_assert_eq((int64_t)full->values[ALL_DRIFT], INT64_MIN);
    cr_assert_eq(empty->values[ALL_MINIMUM], UINT64_MAX);
    cr_assert_eq((int64_t)empty->values[ALL_HIGH], INT64_MIN);
    cr_assert_eq((int64_t)empty->values[ALL_LOW], INT64_MAX);
    msgpack_unpacked_destroy(&frame);
}

Test(export, schemas_and_sources_are_sent_once)
{
    struct vmt_source *extra;

    encode();
    assert_frames(HEADER, SCHEMA, SCHEMA, SCHEMA, SOURCES, SAMPLE); /* the segment's own, other, all */
    vmt_buffer_clear(&out);
    vmt_add(full_shard, ALL_TIME, 1);
    encode();
    assert_frames(SAMPLE);

    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_source_add(segment, &all_schema, vm, "extra", &extra), 0);
    encode();
    assert_frames(SOURCES, SAMPLE);
    vmt_buffer_clear(&out);
    encode();
    assert_frames(SAMPLE);
    vmt_buffer_clear(&out);
    vmt_source_remove(extra);
    encode();
    assert_frames(SOURCES, SAMPLE);
}

Test(export, new_schema_comes_before_its_source)
{
    static const struct vmt_descriptor late = { .name = "late", .help = "", .size = 1 };
    static const struct vmt_schema late_schema = { "late", "test", "net", &late, 1, 1 };
    struct vmt_source *source;

    encode();
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_source_add(segment, &late_schema, vm, "late", &source), 0);
    encode();
    assert_frames(SCHEMA, SOURCES, SAMPLE);
}

Test(export, same_id_again_is_another_source)
{
    struct vmt_source *source;

    cr_assert_eq(vmt_source_add(segment, &other_schema, vm, "plugged", &source), 0);
    encode();
    vmt_source_remove(source);
    cr_assert_eq(vmt_source_add(segment, &other_schema, vm, "plugged", &source), 0);
    vmt_buffer_clear(&out);
    encode();
    assert_frames(SOURCES, SAMPLE);
}

Test(export, reset_starts_anew)
{
    encode();
    vmt_msgpack_reset(stream);
    vmt_buffer_clear(&out);
    encode();
    assert_frames(HEADER, SCHEMA, SCHEMA, SCHEMA, SOURCES, SAMPLE);
}

Test(export, another_segment_begins_with_a_header)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web-2" };
    struct vmt_segment *second;
    struct vmt_reader *first_reader = reader;

    encode();
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_segment_create(&options, &second), 0);
    cr_assert_eq(vmt_reader_open(vmt_segment_path(second), NULL, &reader), 0);
    encode();
    assert_frames(HEADER, SCHEMA, SOURCES, SAMPLE);
    vmt_reader_close(reader);
    vmt_segment_close(second);
    reader = first_reader;
}

Test(export, warm_encoder_keeps_its_memory)
{
    const char *data;

    encode();
    vmt_buffer_clear(&out);
    encode();
    data = out.data;
    vmt_buffer_clear(&out);
    encode();
    cr_assert_eq(out.data, data);
}

/* ---- the independent decoder ---- */

/* What decode_stream.py says of a stream: one object for each frame, then {"frame":"end"}. The caller's. */
static json_object *run_decoder(const char *arguments)
{
    const char *root = getenv("VMT_SOURCE_ROOT") ? getenv("VMT_SOURCE_ROOT") : ".";
    json_object *frames = json_object_new_array();
    char command[8192], *line = NULL;
    size_t capacity = 0;
    FILE *pipe;
    int n = snprintf(command, sizeof(command), "/usr/bin/python3 '%s/tests/unit/decode_stream.py' %s", root, arguments);

    cr_assert(n > 0 && (size_t)n < sizeof(command));
    pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    while (getline(&line, &capacity, pipe) > 0) {
        json_object *frame = json_tokener_parse(line);

        cr_assert_not_null(frame, "%s", line);
        json_object_array_add(frames, frame);
    }
    free(line);
    (void)pclose(pipe);
    cr_assert_gt(json_object_array_length(frames), 0, "no answer from: %s", command);
    return frames;
}

static json_object *decode(const char *data, size_t size)
{
    const char *path = test_path("stream");
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    return run_decoder(path);
}

static const char *frame_kind(json_object *frame)
{
    return json_object_get_string(json_object_object_get(frame, "frame"));
}

/* "header schema sample end", for a look at them all. */
static void kinds_of(json_object *frames, char text[1024])
{
    size_t at = 0;

    for (size_t i = 0; i < json_object_array_length(frames); i++)
        at += (size_t)snprintf(text + at, 1024 - at, "%s%s", i ? " " : "",
                               frame_kind(json_object_array_get_idx(frames, i)));
}

#define assert_kinds(frames, want)                                                                                     \
    do {                                                                                                               \
        char got_[1024];                                                                                               \
                                                                                                                       \
        kinds_of(frames, got_);                                                                                        \
        cr_assert_str_eq(got_, want, "got %s, want %s", got_, want);                                                   \
    } while (0)

static json_object *last_frame(json_object *frames, const char *kind)
{
    for (size_t i = json_object_array_length(frames); i-- > 0;)
        if (strcmp(frame_kind(json_object_array_get_idx(frames, i)), kind) == 0)
            return json_object_array_get_idx(frames, i);
    cr_assert_fail("no %s frame", kind);
    return NULL;
}

static json_object *member(json_object *array, const char *key, const char *value)
{
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        json_object *object = json_object_array_get_idx(array, i);
        json_object *found = json_object_object_get(object, key);

        if (found && strcmp(json_object_get_string(found), value) == 0)
            return object;
    }
    cr_assert_fail("nothing with %s %s", key, value);
    return NULL;
}

static void assert_value(json_object *value, const struct vmt_descriptor *d, const uint64_t *values)
{
    for (uint32_t i = 0; i < d->size; i++) {
        json_object *one = d->size > 1 ? json_object_array_get_idx(value, i) : value;
        char want[24];

        expect(d, values[d->slot + i], want);
        if (json_object_is_type(one, json_type_boolean))
            strcpy(want, values[d->slot + i] ? "true" : "false");
        cr_expect_str_eq(one ? json_object_get_string(one) : "null", want, "%s: want %s", d->name, want);
    }
}

/* A decoded sample has all values of the snapshot, by name. */
static void assert_decoded(json_object *sample)
{
    json_object *sources = json_object_object_get(sample, "sources");

    cr_assert_eq(json_object_array_length(sources), vmt_snapshot_count(snapshot));
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *s = vmt_snapshot_source(snapshot, i);
        json_object *stats = json_object_object_get(member(sources, "id", s->id), "stats");

        cr_assert_eq((uint32_t)json_object_object_length(stats), s->schema->count);
        for (uint32_t k = 0; k < s->schema->count; k++)
            assert_value(json_object_object_get(stats, s->schema->descriptors[k].name), &s->schema->descriptors[k],
                         s->values);
    }
    cr_assert_eq(json_object_get_uint64(json_object_object_get(sample, "time_ns")),
                 vmt_snapshot_segment(snapshot)->realtime_ns);
}

Test(export, independent_decoder_reads_all_values)
{
    json_object *frames, *header, *d;

    encode();
    vmt_add(full_shard, ALL_TIME, 1);
    encode();
    frames = decode(out.data, out.size);
    assert_kinds(frames, "header schema schema schema sources sample sample end");
    assert_decoded(last_frame(frames, "sample"));

    header = last_frame(frames, "header");
    cr_assert_str_eq(json_object_get_string(json_object_object_get(header, "name")), "web-1");
    cr_assert_str_eq(json_object_get_string(json_object_object_get(json_object_object_get(header, "labels"), "note")),
                     "a \"b\" \\ ü");
    cr_assert_eq(json_object_get_uint64(json_object_object_get(header, "created_ns")),
                 vmt_snapshot_segment(snapshot)->created_ns);
    d = json_object_object_get(member(frames, "name", "all"), "descriptors");
    cr_assert_str_eq(json_object_get_string(json_object_object_get(member(d, "name", "exits"), "help")),
                     "Exits \"quoted\", back\\slash, ünïcode");
    cr_assert_eq(json_object_get_int(json_object_object_get(member(d, "name", "linear"), "bucket-size")), 10);
    cr_assert_str_eq(json_object_get_string(json_object_object_get(member(d, "name", "io_min"), "aggregation")), "min");
    json_object_put(frames);
}

Test(export, totals_keep_what_departed)
{
    struct vmt_source *gone;
    struct vmt_shard *shard;
    json_object *frames, *totals, *total;
    uint64_t sum = 0;

    cr_assert_eq(vmt_source_add(segment, &other_schema, vm, "gone", &gone), 0);
    shard = vmt_shard_acquire(gone);
    vmt_add(shard, OTHER_COUNT, BEYOND_DOUBLE);
    vmt_shard_release(shard);
    vmt_source_remove(gone);
    encode();
    frames = decode(out.data, out.size);
    totals = json_object_object_get(last_frame(frames, "sample"), "totals");
    for (size_t i = 0; i < json_object_array_length(totals); i++) {
        total = json_object_array_get_idx(totals, i);
        if (strcmp(json_object_get_string(json_object_object_get(total, "id")), "vm") != 0 ||
            strcmp(json_object_get_string(json_object_object_get(total, "schema")), "other") != 0)
            continue;
        sum = json_object_get_uint64(json_object_object_get(json_object_object_get(total, "departed"), "count"));
        cr_assert_eq(json_object_get_uint64(json_object_object_get(json_object_object_get(total, "stats"), "count")),
                     BEYOND_DOUBLE);
        cr_assert_eq(json_object_get_int(json_object_object_get(total, "live")), 0);
    }
    cr_assert_eq(sum, BEYOND_DOUBLE);
    json_object_put(frames);
}

Test(export, joined_and_cut_streams_decode)
{
    static const char *const prefixes[] = { "header end",
                                            "header schema end",
                                            "header schema schema end",
                                            "header schema schema schema end",
                                            "header schema schema schema sources end",
                                            "header schema schema schema sources sample end" };
    static const char *const missing[] = {
        "skipped skipped skipped skipped skipped end", "header schema schema skipped skipped end",
        "header schema schema skipped skipped end",    "header schema schema skipped skipped end",
        "header schema schema schema skipped end",     "header schema schema schema sources end"
    };
    struct vmt_buffer joined = { 0 };
    json_object *frames;
    size_t ends[8], once;
    int kinds[8];

    encode();
    once = out.size;
    cr_assert_eq(count_frames(out.data, out.size, kinds, ends, 8), 6);
    joined.data = malloc(4 * once);
    cr_assert_not_null(joined.data);
    for (size_t i = 0; i < 6; i++) {
        size_t start = i ? ends[i - 1] : 0, middle = start + (ends[i] - start) / 2;
        json_object *end;

        frames = decode(out.data, ends[i]);
        assert_kinds(frames, prefixes[i]);
        json_object_put(frames);

        frames = decode(out.data, middle);
        assert_kinds(frames, i ? prefixes[i - 1] : "end");
        end = last_frame(frames, "end");
        cr_assert_eq(json_object_get_uint64(json_object_object_get(end, "rest")), middle - start);
        json_object_put(frames);

        memcpy(joined.data, out.data, start);
        memcpy(joined.data + start, out.data + ends[i], once - ends[i]);
        frames = decode(joined.data, once - (ends[i] - start));
        assert_kinds(frames, missing[i]);
        json_object_put(frames);
    }

    /* From the middle of one stream into the next one of the same segment. */
    vmt_msgpack_reset(stream);
    vmt_add(full_shard, ALL_TIME, 1);
    encode();
    frames = decode(out.data + ends[3], out.size - ends[3]);
    assert_kinds(frames, "skipped skipped header schema schema schema sources sample end");
    assert_decoded(last_frame(frames, "sample"));
    json_object_put(frames);

    /* The second header is lost: what follows is not mistaken for the first stream's. */
    memcpy(joined.data, out.data, once);
    memcpy(joined.data + once, out.data + once + ends[0], out.size - once - ends[0]);
    frames = decode(joined.data, out.size - ends[0]);
    assert_kinds(frames, "header schema schema schema sources sample skipped skipped skipped skipped skipped end");
    json_object_put(frames);
    free(joined.data);
}

Test(export, example_in_stream_md_is_a_stream)
{
    const char *root = getenv("VMT_SOURCE_ROOT") ? getenv("VMT_SOURCE_ROOT") : ".";
    char arguments[4200];
    json_object *frames, *vcpu, *sample;

    snprintf(arguments, sizeof(arguments), "--example '%s/lib/export/STREAM.md'", root);
    frames = run_decoder(arguments);
    assert_kinds(frames, "header schema schema sources sample sample end");
    sample = last_frame(frames, "sample");
    cr_assert_eq(json_object_get_uint64(json_object_object_get(sample, "time_ns")), 1700000002123456789U);
    vcpu = member(json_object_object_get(sample, "sources"), "id", "vcpu-0");
    cr_assert_str_eq(json_object_to_json_string_ext(json_object_object_get(vcpu, "stats"), JSON_C_TO_STRING_PLAIN),
                     "{\"exits\":301,\"io_min\":null,\"drift\":-5,\"sizes\":[0,7,300]}");
    json_object_put(frames);
}

/* ---- self-contained ---- */

Test(export, full_map_says_what_json_says)
{
    struct vmt_buffer text = { 0 };
    json_object *frames, *map, *json;

    take();
    cr_assert_eq(vmt_msgpack_encode_full(snapshot, &out), 0);
    cr_assert_eq(vmt_json_encode(snapshot, 0, &text), 0);
    frames = decode(out.data, out.size);
    assert_kinds(frames, "map end");
    map = last_frame(frames, "map");
    text.data[text.size - 1] = '\0';
    json = json_tokener_parse(text.data);
    cr_assert_not_null(json);
    cr_assert_eq(json_object_get_uint64(json_object_object_get(map, "time")),
                 vmt_snapshot_segment(snapshot)->realtime_ns);
    json_object_object_del(map, "frame");
    json_object_object_del(map, "time");
    json_object_object_del(json, "time");
    cr_assert(json_object_equal(map, json), "%s\n%s", json_object_to_json_string(map),
              json_object_to_json_string(json));
    json_object_put(json);
    json_object_put(frames);
    vmt_buffer_free(&text);
}

Test(export, full_maps_stand_between_frames)
{
    json_object *frames;

    encode();
    cr_assert_eq(vmt_msgpack_encode_full(snapshot, &out), 0);
    encode();
    frames = decode(out.data, out.size);
    assert_kinds(frames, "header schema schema schema sources sample map sample end");
    json_object_put(frames);
}
