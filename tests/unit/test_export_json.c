/* SPDX-License-Identifier: MIT */
/* JSON of a real segment's snapshot, parsed again by json-c. */
#include "export_segment.h"
#include "json_parts.h"

#include <sys/resource.h>
#include <time.h>

TestSuite(export_json, .init = make_segment, .fini = remove_segment);

/* Encode the snapshot and parse it. The caller's. */
static json_object *parse(int pretty)
{
    json_object *json;

    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_json_encode(snapshot, pretty, &out), 0);
    cr_assert_eq(out.data[out.size - 1], '\n');
    out.data[out.size - 1] = '\0';
    cr_assert_eq(strlen(out.data), out.size - 1);
    json = json_tokener_parse(out.data);
    cr_assert_not_null(json, "%s", out.data);
    return json;
}

static json_object *statistic(json_object *json, const char *id, const char *name)
{
    return find_with(get(find_with(get(json, "sources"), "id", id), "stats"), "name", name);
}

static void assert_values(json_object *value, const struct vmt_descriptor *d, const uint64_t *values)
{
    int is_list = json_object_is_type(value, json_type_array);

    cr_assert_eq(is_list, d->size > 1);
    for (uint32_t i = 0; i < d->size; i++) {
        json_object *one = is_list ? json_object_array_get_idx(value, i) : value;
        char want[24];

        expect(d, values[d->slot + i], want);
        if ((d->flags & VMT_UNIT_MASK) == VMT_UNIT_BOOLEAN)
            strcpy(want, values[d->slot] ? "true" : "false");
        cr_expect_str_eq(one ? json_object_get_string(one) : "null", want, "%s: want %s", d->name, want);
    }
}

Test(export_json, values_are_those_of_the_snapshot)
{
    json_object *json, *sources;

    take();
    json = parse(0);
    cr_assert_null(strchr(out.data, '\n'));
    sources = get(json, "sources");
    cr_assert_eq(json_object_array_length(sources), vmt_snapshot_count(snapshot));
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *s = vmt_snapshot_source(snapshot, i);
        json_object *one = find_with(sources, "id", s->id), *stats = get(one, "stats");

        cr_assert_eq(json_object_array_length(stats), s->schema->count);
        for (uint32_t k = 0; k < s->schema->count; k++)
            assert_values(get(json_object_array_get_idx(stats, k), "value"), &s->schema->descriptors[k], s->values);
        cr_assert_eq(json_object_get_uint64(get(one, "generation")), s->generation);
        cr_assert_eq(json_object_get_uint64(get(one, "created_ns")), s->created_ns);
        if (i == 0)
            cr_assert_null(get(one, "parent"));
        else
            cr_assert_str_eq(text(one, "parent"), vmt_snapshot_source(snapshot, s->parent)->id);
    }
    json_object_put(json);
}

/* In the text itself: a parser may have made a double of them, or the nearest. */
Test(export_json, numbers_are_exact_in_the_text)
{
    take();
    json_object_put(parse(0));
    cr_assert_not_null(strstr(out.data, "\"value\":18446744073709551615}"));
    cr_assert_not_null(strstr(out.data, "\"value\":9007199254740993}"));
    cr_assert_not_null(strstr(out.data, "\"value\":-9223372036854775808}"));
    cr_assert_not_null(strstr(out.data, "\"value\":-70000}"));
}

Test(export_json, words_are_qemus)
{
    json_object *json, *one;

    take();
    json = parse(0);
    one = statistic(json, "vm/full", "exits");
    cr_assert_str_eq(text(one, "type"), "cumulative");
    cr_assert_eq(json_object_get_int(get(one, "exponent")), 0);
    cr_assert_not(json_object_object_get_ex(one, "unit", NULL));
    cr_assert_not(json_object_object_get_ex(one, "base", NULL));
    one = statistic(json, "vm/full", "time");
    cr_assert_str_eq(text(one, "unit"), "seconds");
    cr_assert_eq(json_object_get_int(get(one, "base")), 10);
    cr_assert_eq(json_object_get_int(get(one, "exponent")), -9);
    cr_assert_not(json_object_object_get_ex(one, "bucket-size", NULL));
    one = statistic(json, "vm/full", "memory");
    cr_assert_str_eq(text(one, "type"), "instant");
    cr_assert_str_eq(text(one, "unit"), "bytes");
    cr_assert_eq(json_object_get_int(get(one, "base")), 2);
    cr_assert_eq(json_object_get_int(get(one, "exponent")), 20);
    one = statistic(json, "vm/full", "peak");
    cr_assert_str_eq(text(one, "type"), "peak");
    cr_assert_str_eq(text(one, "unit"), "cycles");
    one = statistic(json, "vm/full", "running");
    cr_assert_str_eq(text(one, "unit"), "boolean");
    cr_assert_str_eq(json_object_to_json_string(get(one, "value")), "true");
    cr_assert_str_eq(json_object_to_json_string(get(statistic(json, "vm/empty", "running"), "value")), "false");
    one = statistic(json, "vm/full", "linear");
    cr_assert_str_eq(text(one, "type"), "linear-histogram");
    cr_assert_eq(json_object_get_int(get(one, "bucket-size")), 10);
    cr_assert_str_eq(json_object_to_json_string_ext(get(one, "value"), JSON_C_TO_STRING_PLAIN), "[0,0,1,0]");
    cr_assert_str_eq(text(statistic(json, "vm/full", "log"), "type"), "log2-histogram");
    json_object_put(json);
}

Test(export_json, a_total_of_booleans_says_how_many)
{
    json_object *json, *total;

    take();
    json = parse(0);
    total = find_with(get(find_with(get(json, "sources"), "id", "vm"), "totals"), "schema", "all");
    cr_assert_eq(json_object_get_int(get(total, "sources")), 2);
    cr_assert_str_eq(json_object_to_json_string(get(find_with(get(total, "stats"), "name", "running"), "value")), "1");
    cr_assert_eq(json_object_get_uint64(get(find_with(get(total, "stats"), "name", "time"), "value")), BEYOND_DOUBLE);
    json_object_put(json);
}

Test(export_json, time_is_rfc_3339_with_nanoseconds)
{
    const struct vmt_segment_info *info;
    json_object *json;
    char left[8], want[16];
    struct tm tm = { 0 };
    unsigned long nanoseconds;

    take();
    info = vmt_snapshot_segment(snapshot);
    json = parse(0);
    cr_assert_eq(sscanf(text(json, "time"), "%d-%d-%dT%d:%d:%d.%9lu%7s", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                        &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &nanoseconds, left),
                 8);
    cr_assert_eq(strlen(text(json, "time")), strlen("2026-01-02T03:04:05.123456789Z"));
    cr_assert_str_eq(left, "Z");
    tm.tm_year -= 1900;
    tm.tm_mon--;
    cr_assert_eq((uint64_t)timegm(&tm) * 1000000000U + nanoseconds, info->realtime_ns);
    cr_assert_eq(json_object_get_uint64(get(json, "time_ns")), info->realtime_ns);
    cr_assert_eq(json_object_get_uint64(get(json, "begin_ns")), info->begin_ns);
    cr_assert_eq(json_object_get_uint64(get(json, "end_ns")), info->end_ns);
    cr_assert_str_eq(text(json, "state"), "live");
    cr_assert_eq(strlen(text(json, "identity")), 32);
    snprintf(want, sizeof(want), "%02x%02x", info->identity[0], info->identity[1]);
    cr_assert_eq(strncmp(text(json, "identity"), want, 4), 0);
    json_object_put(json);
}

Test(export_json, names_do_not_inject)
{
    static const char id[] = "\"},{\"id\":\"x\\\\\\u0000";
    static const struct vmt_descriptor d = { .name = "a\":1,\"b\\", .help = "\"\\ é", .size = 1 };
    static const struct vmt_schema hostile = { "\"s\\", "p\":{", "t\"]", &d, 1, 1 };
    struct vmt_source *added;
    json_object *json, *one;
    char full_id[64];
    size_t before;

    take();
    before = vmt_snapshot_count(snapshot);
    cr_assert_eq(vmt_source_add(segment, &hostile, vm, id, &added), 0);
    snprintf(full_id, sizeof(full_id), "vm/%s", id);
    take();
    for (int pretty = 0; pretty < 2; pretty++) {
        json = parse(pretty);
        cr_assert_eq(json_object_array_length(get(json, "sources")), before + 1);
        one = find_with(get(json, "sources"), "id", full_id);
        cr_assert_str_eq(text(one, "schema"), hostile.name);
        cr_assert_str_eq(text(one, "provider"), hostile.provider);
        cr_assert_str_eq(text(one, "target"), hostile.target);
        cr_assert_eq(json_object_array_length(get(one, "stats")), 1);
        one = json_object_array_get_idx(get(one, "stats"), 0);
        cr_assert_str_eq(text(one, "name"), d.name);
        cr_assert_str_eq(text(one, "help"), d.help);
        cr_assert_str_eq(text(get(json, "labels"), "note"), "a \"b\" \\ ü");
        cr_assert_eq(json_object_object_length(get(json, "labels")), 2);
        json_object_put(json);
    }
}

Test(export_json, pretty_says_the_same)
{
    json_object *plain, *pretty;

    vmt_snapshot_want_shards(snapshot, 1);
    take();
    plain = parse(0);
    pretty = parse(1);
    cr_assert_not_null(strstr(out.data, "\n  \"name\": \"web-1\",\n"));
    cr_assert(json_object_equal(plain, pretty));
    json_object_put(plain);
    json_object_put(pretty);
}

Test(export_json, shards_add_up_to_their_source)
{
    json_object *json, *one, *shards;
    struct vmt_source *full;
    struct vmt_shard *second;
    uint64_t sum = 0;

    cr_assert_eq(vmt_source_find(segment, "vm/full", &full), 0);
    second = vmt_shard_acquire(full);
    vmt_add(second, ALL_TIME, 5);
    vmt_snapshot_want_shards(snapshot, 1);
    take();
    json = parse(0);
    one = find_with(get(json, "sources"), "id", "vm/full");
    shards = get(one, "shards");
    cr_assert_eq(json_object_array_length(shards), source("vm/full")->shard_count);
    for (size_t i = 0; i < json_object_array_length(shards); i++) {
        json_object *values = get(json_object_array_get_idx(shards, i), "values");

        cr_assert_eq(json_object_array_length(values), all_schema.count);
        sum += json_object_get_uint64(json_object_array_get_idx(values, 1));
    }
    cr_assert_eq(sum, BEYOND_DOUBLE + 5);
    cr_assert_eq(json_object_get_uint64(get(find_with(get(one, "stats"), "name", "time"), "value")), sum);
    json_object_put(json);
}

/* AddressSanitizer, ThreadSanitizer and valgrind can't do without address space. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER
#endif
#endif
#if !defined(HAS_SANITIZER) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                      \
    !(defined(SANITIZED) && SANITIZED)
Test(export_json, without_memory_says_so_and_leaves_the_buffer)
{
    struct vmt_msgpack *stream;
    struct vmt_buffer full = { .data = out.data, .size = VMT_BUFFER_MAX, .capacity = VMT_BUFFER_MAX };
    struct rlimit none = { 0, 0 }, before;
    size_t size, begun;
    int r[3];

    take();
    cr_assert_eq(vmt_msgpack_new(&stream), 0);
    cr_assert_eq(vmt_json_encode(snapshot, 0, &full), -EFBIG, "a document has an end");
    cr_assert_eq(vmt_msgpack_encode_full(snapshot, &full), -EFBIG);
    cr_assert_eq(vmt_msgpack_encode(stream, snapshot, &full), -EFBIG);
    cr_assert_eq(full.size, VMT_BUFFER_MAX);
    cr_assert_eq(getrlimit(RLIMIT_AS, &before), 0);
    cr_assert_eq(vmt_msgpack_encode(stream, snapshot, &out), 0);
    begun = out.size;
    /* Nearly full, and so large that growth has to come from mmap, which gives nothing any more. */
    while (out.size < 16U << 20)
        cr_assert_eq(vmt_json_encode(snapshot, 0, &out), 0);
    size = out.capacity - 64;
    memset(out.data + out.size, ' ', size - out.size);
    out.size = size;
    none.rlim_max = before.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_AS, &none), 0);
    r[0] = vmt_json_encode(snapshot, 0, &out);
    r[1] = vmt_msgpack_encode_full(snapshot, &out);
    r[2] = vmt_msgpack_encode(stream, snapshot, &out);
    cr_assert_eq(setrlimit(RLIMIT_AS, &before), 0);
    cr_assert_eq(r[0], -ENOMEM);
    cr_assert_eq(r[1], -ENOMEM);
    cr_assert_eq(r[2], -ENOMEM);
    cr_assert_eq(out.size, size);

    /* The stream has lost a sample, so it starts anew. */
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_msgpack_encode(stream, snapshot, &out), 0);
    cr_assert_geq(out.size, begun);
    cr_assert_eq(memcmp(out.data, "\x9e\x00\x01\xa7VMTALLY", 11), 0);
    vmt_msgpack_free(stream);
}
#endif
