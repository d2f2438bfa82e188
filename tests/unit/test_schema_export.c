/* SPDX-License-Identifier: MIT */
/* Schemas without values, as JSON and as msgpack. */
#include "export_segment.h"

#include <json-c/json.h>
#include <msgpack.h>

#include <vmtally/schemas.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Every key that there is. */
static const struct vmt_descriptor every[] = {
    { .name = "exits", .help = "All of them", .size = 1 },
    { .name = "time", .flags = VMT_FLAGS_NANOSECONDS, .slot = 1, .exponent = -9, .size = 1, .minuend = 1 },
    { .name = "memory",
      .help = "",
      .flags = VMT_FLAGS_MEBIBYTES | VMT_TYPE_INSTANT | VMT_AGGREGATION_MAX,
      .slot = 2,
      .exponent = 20,
      .size = 1,
      .level = VMT_LEVEL_DEBUG },
    { .name = "drift",
      .help = "a \"b\" ü",
      .flags = VMT_FLAGS_CYCLES | VMT_TYPE_PEAK | VMT_SIGNED,
      .slot = 3,
      .size = 1,
      .group = 65535 },
    { .name = "ready", .flags = VMT_FLAGS_BOOL | VMT_TYPE_INSTANT, .slot = 4, .size = 1 },
    { .name = "linear", .flags = VMT_TYPE_LINEAR_HIST, .slot = 5, .bucket_size = UINT32_MAX, .size = 3 },
    { .name = "log", .flags = VMT_FLAGS_BYTES | VMT_TYPE_LOG_HIST, .slot = 8, .size = 32 },
};
static const struct vmt_schema every_key = { "every", "test", "thing", every, COUNT(every), 40 };
static const struct vmt_schema none = { "process", "kvm", "process", NULL, 0, 0 };
static const struct vmt_schema *const both[] = { &every_key, &none };

#define STATS                                                                                                          \
    "{\"name\":\"exits\",\"kind\":\"cumulative\",\"count\":1,\"help\":\"All of them\"},"                               \
    "{\"name\":\"time\",\"kind\":\"cumulative\",\"unit\":\"seconds\",\"scale\":{\"base\":\"pow10\","                   \
    "\"exponent\":-9},\"count\":1,\"minuend\":\"exits\"},"                                                             \
    "{\"name\":\"memory\",\"kind\":\"instant\",\"unit\":\"bytes\",\"scale\":{\"base\":\"pow2\",\"exponent\":20},"      \
    "\"count\":1,\"aggregation\":\"max\",\"level\":\"debug\"},"                                                        \
    "{\"name\":\"drift\",\"kind\":\"peak\",\"unit\":\"cycles\",\"count\":1,\"signed\":true,\"group\":65535,"           \
    "\"help\":\"a \\\"b\\\" ü\"},"                                                                                    \
    "{\"name\":\"ready\",\"kind\":\"instant\",\"unit\":\"boolean\",\"count\":1},"                                      \
    "{\"name\":\"linear\",\"kind\":\"linear-histogram\",\"count\":3,\"bucket-size\":4294967295},"                      \
    "{\"name\":\"log\",\"kind\":\"log2-histogram\",\"unit\":\"bytes\",\"count\":32}"

static const char *encoded(const char *const *const *vms, size_t count)
{
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_schema_json_encode(both, vms, count, 0, &out), 0);
    out.data[out.size - 1] = '\0';
    cr_assert_eq(strlen(out.data), out.size - 1);
    return out.data;
}

Test(schema_export, json_has_the_form_that_was_discussed_and_what_descriptors_have_beside_it)
{
    cr_assert_str_eq(encoded(NULL, 2),
                     "[{\"name\":\"every\",\"provider\":\"test\",\"target\":\"thing\",\"stats\":[" STATS
                     "]},{\"name\":\"process\",\"provider\":\"kvm\",\"target\":\"process\","
                     "\"stats\":[]}]");
    vmt_buffer_free(&out);
}

Test(schema_export, json_says_which_vms_have_it_if_it_is_told)
{
    static const char *const first[] = { "web-1", "a \"b\"", NULL }, *const nobody[] = { NULL };
    const char *const *vms[] = { first, nobody };

    cr_assert_str_eq(encoded(vms, 2),
                     "[{\"name\":\"every\",\"provider\":\"test\",\"target\":\"thing\",\"vms\":[\"web-1\","
                     "\"a \\\"b\\\"\"],\"stats\":[" STATS
                     "]},{\"name\":\"process\",\"provider\":\"kvm\",\"target\":\"process\",\"vms\":[],"
                     "\"stats\":[]}]");
    vmt_buffer_free(&out);
}

Test(schema_export, of_nothing_is_an_empty_array)
{
    cr_assert_str_eq(encoded(NULL, 0), "[]");
    vmt_buffer_free(&out);
}

/* As JSON, what was unpacked: json-c writes it as the encoder does, but for the order of a map, which both keep. */
static json_object *to_json(const msgpack_object *o)
{
    json_object *json = NULL;

    switch (o->type) {
    case MSGPACK_OBJECT_MAP:
        json = json_object_new_object();
        for (uint32_t i = 0; i < o->via.map.size; i++) {
            char key[64];

            snprintf(key, sizeof(key), "%.*s", (int)o->via.map.ptr[i].key.via.str.size,
                     o->via.map.ptr[i].key.via.str.ptr);
            json_object_object_add(json, key, to_json(&o->via.map.ptr[i].val));
        }
        return json;
    case MSGPACK_OBJECT_ARRAY:
        json = json_object_new_array();
        for (uint32_t i = 0; i < o->via.array.size; i++)
            json_object_array_add(json, to_json(&o->via.array.ptr[i]));
        return json;
    case MSGPACK_OBJECT_STR:
        return json_object_new_string_len(o->via.str.ptr, (int)o->via.str.size);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return json_object_new_uint64(o->via.u64);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return json_object_new_int64(o->via.i64);
    case MSGPACK_OBJECT_BOOLEAN:
        return json_object_new_boolean(o->via.boolean);
    default:
        cr_assert_fail("a value of type %d", (int)o->type);
        return NULL;
    }
}

#define PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

Test(schema_export, msgpack_says_the_same)
{
    static const char *const names[] = { "web-1", NULL };
    const char *const *vms[] = { names, names };
    struct vmt_buffer packed = { 0 };
    msgpack_unpacked unpacked;
    json_object *json;
    size_t at = 0;

    cr_assert_eq(vmt_schema_msgpack_encode(both, vms, 2, &packed), 0);
    msgpack_unpacked_init(&unpacked);
    cr_assert_eq(msgpack_unpack_next(&unpacked, packed.data, packed.size, &at), MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(at, packed.size);
    json = to_json(&unpacked.data);
    cr_assert_str_eq(json_object_to_json_string_ext(json, PLAIN), encoded(vms, 2));
    json_object_put(json);
    msgpack_unpacked_destroy(&unpacked);
    vmt_buffer_free(&packed);
    vmt_buffer_free(&out);
}

Test(schema_export, indented_is_the_same_document)
{
    json_object *json;

    cr_assert_eq(vmt_schema_json_encode(both, NULL, 2, 1, &out), 0);
    out.data[out.size - 1] = '\0';
    cr_assert_not_null(strstr(out.data, "\n    \"stats\": [\n      {\"name\": \"exits\", "), "%s", out.data);
    json = json_tokener_parse(out.data);
    cr_assert_not_null(json);
    cr_assert_str_eq(json_object_to_json_string_ext(json, PLAIN), encoded(NULL, 2));
    json_object_put(json);
    vmt_buffer_free(&out);
}

/* A library's user has them without any segment. */
Test(schema_export, declared_schemas_can_be_written_too)
{
    static const struct vmt_schema *const schemas[] = { &vmt_schema_vm, &vmt_schema_vcpu };
    json_object *json;

    cr_assert_eq(vmt_schema_json_encode(schemas, NULL, 2, 0, &out), 0);
    out.data[out.size - 1] = '\0';
    json = json_tokener_parse(out.data);
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(json_object_array_length(json_object_object_get(json_object_array_get_idx(json, i), "stats")),
                     schemas[i]->count);
    json_object_put(json);
    vmt_buffer_free(&out);
}

Test(schema_export, of_a_segment_is_that_of_its_writer, .init = make_segment, .fini = remove_segment)
{
    static const struct vmt_schema *const written = &all_schema;
    const struct vmt_schema *read;
    struct vmt_buffer other = { 0 };

    take();
    read = source("vm/full")->schema;
    cr_assert_eq(vmt_schema_json_encode(&written, NULL, 1, 0, &out), 0);
    cr_assert_eq(vmt_schema_json_encode(&read, NULL, 1, 0, &other), 0);
    cr_assert_eq(out.size, other.size);
    cr_assert_arr_eq(out.data, other.data, out.size);
    vmt_buffer_free(&other);
}

Test(schema_export, is_appended_or_an_error_that_changes_nothing)
{
    struct vmt_buffer full = { .size = VMT_BUFFER_MAX, .capacity = VMT_BUFFER_MAX };
    size_t before;

    cr_expect_eq(vmt_schema_json_encode(both, NULL, 2, 0, &full), -EFBIG);
    cr_expect_eq(vmt_schema_msgpack_encode(both, NULL, 2, &full), -EFBIG);
    cr_expect_eq(full.size, VMT_BUFFER_MAX);
    cr_assert_eq(vmt_schema_json_encode(both, NULL, 2, 0, &out), 0);
    before = out.size;
    cr_assert_eq(vmt_schema_json_encode(both, NULL, 2, 0, &out), 0);
    cr_assert_eq(out.size, 2 * before);
    cr_assert_arr_eq(out.data, out.data + before, before);
    vmt_buffer_free(&out);
}
