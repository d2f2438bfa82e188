/* SPDX-License-Identifier: MIT */
/* TinyKVM's document: its keys, sums and times, and which programs are in it under which names. */
#include "fixed_snapshot.h"
#include "golden.h"
#include "json_parts.h"
#include "parts.h"
#include "scarce.h"

#include <vmtally/export.h>

static struct vmt_segment *segment;
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;
static struct vmt_buffer out;

static void setup(void)
{
    test_dir_init();
    segment = new_segment("varnish");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    snapshot = new_snapshot();
    vmt_snapshot_want_shards(snapshot, 1);
}

static void teardown(void)
{
    vmt_buffer_free(&out);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(tinykvm, .init = setup, .fini = teardown);

static json_object *document_of(const struct vmt_snapshot *from, const char *pattern)
{
    json_object *json;

    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_tinykvm_encode(from, pattern, 0, &out), 0);
    cr_assert_gt(out.size, 0, "no program");
    cr_assert_eq(memchr(out.data, '\n', out.size), out.data + out.size - 1);
    out.data[out.size - 1] = '\0';
    json = json_tokener_parse(out.data);
    cr_assert_not_null(json, "%s", out.data);
    return json;
}

static json_object *document(const char *pattern)
{
    take(snapshot, reader);
    return document_of(snapshot, pattern);
}

static json_object *machines(json_object *json, const char *program)
{
    return get(get(get(json, program), "request"), "machines");
}

/* Its keys, in order. */
static const char *keys(json_object *map)
{
    static char all[2048];

    all[0] = '\0';
    json_object_object_foreach(map, key, value)
    {
        (void)value;
        strcat(strcat(all, *all ? " " : ""), key);
    }
    return all;
}

static struct vmt_source *program(const char *name) { return add_source(segment, &vmt_schema_program, NULL, name); }

static struct vmt_shard *machine(struct vmt_source *request) { return vmt_shard_acquire(request); }

/* ---- keys ---- */

#define MACHINE_KEYS(scheduled)                                                                                        \
    "exception_cpu_time exception_mem exception_oom exceptions input_bytes invocations output_bytes "                  \
    "request_cpu_time reservation_time reset_time resets resets_full status_2xx status_3xx status_4xx "                \
    "status_5xx " scheduled "tasks_queued timeouts vm_address_space vm_bank_capacity vm_bank_current "                 \
    "vm_bank_highest vm_main_memory"

Test(tinykvm, keys_are_those_of_its_statistics)
{
    struct vmt_snapshot *fixed = fixed_snapshot();
    json_object *json = document_of(fixed, NULL), *avif = get(json, "avif");

    cr_assert_str_eq(keys(json), "VMOD_KVM avif " FIXED_NASTY);
    cr_assert_str_eq(keys(avif), "program request storage");
    cr_assert_str_eq(keys(get(avif, "program")),
                     "binary_size live_update_transfer_bytes live_updates reservation_time reservation_timeouts");
    cr_assert_str_eq(keys(get(avif, "request")), "machines totals");
    cr_assert_str_eq(keys(get(avif, "storage")), MACHINE_KEYS("tasks_inschedule "));
    cr_assert_eq(json_object_array_length(machines(json, "avif")), 2);
    cr_assert_str_eq(keys(json_object_array_get_idx(machines(json, "avif"), 1)), MACHINE_KEYS(""));
    cr_assert_str_eq(keys(get(get(avif, "request"), "totals")),
                     "exception_cpu_time exceptions input_bytes invocations output_bytes request_cpu_time "
                     "reservation_time reset_time resets resets_full status_2xx status_3xx status_4xx status_5xx "
                     "timeouts");
    cr_assert_str_eq(keys(get(json, "VMOD_KVM")),
                     "cpu_time fetch_time program_exception program_notfound program_status_4xx program_status_5xx "
                     "program_timeout self_requests self_requests_failed");
    cr_assert_str_eq(keys(get(json, FIXED_NASTY)), "program request", "it has no storage");
    json_object_put(json);
    vmt_snapshot_free(fixed);
    fixed_forget();
}

Test(tinykvm, fixed_snapshots_give_the_golden_document)
{
    struct vmt_snapshot *fixed = fixed_snapshot();

    cr_assert_eq(vmt_tinykvm_encode(fixed, NULL, 0, &out), 0);
    golden_compare("fixed.tinykvm", out.data, out.size);
    vmt_snapshot_free(fixed);
    fixed_forget();
}

/* ---- values ---- */

Test(tinykvm, times_are_seconds_and_every_nanosecond_is_there)
{
    struct vmt_source *avif = program("avif"), *request = add_source(segment, &vmt_schema_request, avif, "request");
    struct vmt_shard *shard = machine(request);
    json_object *json, *one;

    vmt_add(vmt_shard_acquire(avif), VMT_PROGRAM_RESERVATION_TIME, 84359645);
    vmt_add(shard, VMT_REQUEST_REQUEST_CPU_TIME, 14630498847);
    vmt_add(shard, VMT_REQUEST_RESERVATION_TIME, 1933);
    vmt_add(shard, VMT_REQUEST_RESET_TIME, UINT64_MAX);
    vmt_add(shard, VMT_REQUEST_EXCEPTION_CPU_TIME, 2000000000);
    json = document(NULL);
    one = json_object_array_get_idx(machines(json, "avif"), 0);
    cr_assert_str_eq(text(get(get(json, "avif"), "program"), "reservation_time"), "0.084359645");
    cr_assert_str_eq(text(one, "request_cpu_time"), "14.630498847");
    cr_assert_str_eq(text(one, "reservation_time"), "0.000001933");
    cr_assert_str_eq(text(one, "reset_time"), "18446744073.709551615");
    cr_assert_str_eq(text(one, "exception_cpu_time"), "2.0");
    cr_assert_str_eq(text(get(json, "VMOD_KVM"), "cpu_time"), "0.0");
    json_object_put(json);
}

Test(tinykvm, a_u64_is_exact)
{
    struct vmt_source *request = add_source(segment, &vmt_schema_request, program("avif"), "request");
    struct vmt_shard *shard = machine(request);

    vmt_add(shard, VMT_REQUEST_INPUT_BYTES, (UINT64_C(1) << 53) + 1);
    vmt_add(shard, VMT_REQUEST_OUTPUT_BYTES, UINT64_MAX);
    json_object_put(document(NULL));
    cr_assert_not_null(strstr(out.data, "\"input_bytes\":9007199254740993,"));
    cr_assert_not_null(strstr(out.data, "\"output_bytes\":18446744073709551615,"));
}

Test(tinykvm, totals_are_the_sums_of_its_machines_and_exceptions_those_over_memory_too)
{
    struct vmt_source *request = add_source(segment, &vmt_schema_request, program("avif"), "request");
    json_object *json, *totals;

    for (uint64_t i = 1; i <= 3; i++) {
        struct vmt_shard *shard = machine(request);

        vmt_add(shard, VMT_REQUEST_INVOCATIONS, 10 * i);
        vmt_add(shard, VMT_REQUEST_EXCEPTIONS, i);
        vmt_add(shard, VMT_REQUEST_EXCEPTION_OOM, 100);
        vmt_add(shard, VMT_REQUEST_EXCEPTION_MEM, 1000);
        vmt_add(shard, VMT_REQUEST_RESERVATION_TIME, 500000000);
        vmt_set(shard, VMT_REQUEST_VM_MAIN_MEMORY, i << 20);
    }
    json = document(NULL);
    cr_assert_eq(json_object_array_length(machines(json, "avif")), 3);
    for (size_t i = 0; i < 3; i++) {
        json_object *one = json_object_array_get_idx(machines(json, "avif"), i);

        cr_assert_eq(json_object_get_uint64(get(one, "exceptions")) * 10,
                     json_object_get_uint64(get(one, "invocations")));
        cr_assert_eq(json_object_get_uint64(get(one, "exception_oom")), 100);
    }
    totals = get(get(get(json, "avif"), "request"), "totals");
    cr_assert_str_eq(text(totals, "invocations"), "60");
    cr_assert_str_eq(text(totals, "exceptions"), "3306");
    cr_assert_str_eq(text(totals, "reservation_time"), "1.5");
    cr_assert_str_eq(text(get(get(json, "avif"), "program"), "reservation_time"), "1.5",
                     "of the program nobody counts it: it is what its machines say");
    json_object_put(json);
}

Test(tinykvm, a_machine_is_a_shard_and_what_all_count_into_is_shown_only_if_they_do)
{
    struct vmt_source *request = add_source(segment, &vmt_schema_request, program("avif"), "request");
    struct vmt_shard *first = machine(request), *second = machine(request);
    json_object *json;

    (void)second;
    vmt_shard_release(first); /* between two requests */
    vmt_count(request, VMT_REQUEST_TIMEOUTS, 0);
    json = document(NULL);
    cr_assert_eq(json_object_array_length(machines(json, "avif")), 2);
    json_object_put(json);
    vmt_count(request, VMT_REQUEST_TIMEOUTS, 4);
    json = document(NULL);
    cr_assert_eq(json_object_array_length(machines(json, "avif")), 3);
    cr_assert_str_eq(text(get(get(get(json, "avif"), "request"), "totals"), "timeouts"), "4");
    json_object_put(json);

    /* Shards are not there: all machines as one. */
    vmt_snapshot_want_shards(snapshot, 0);
    json = document(NULL);
    cr_assert_eq(json_object_array_length(machines(json, "avif")), 1);
    cr_assert_str_eq(text(get(get(get(json, "avif"), "request"), "totals"), "timeouts"), "4");
    json_object_put(json);
}

Test(tinykvm, globals_are_of_all_programs_that_there_were_whatever_the_pattern)
{
    struct vmt_source *gone = program("gone");
    struct vmt_shard *shard = vmt_shard_acquire(gone);
    json_object *json;

    vmt_add(shard, VMT_PROGRAM_PROGRAM_TIMEOUT, 1);
    vmt_add(shard, VMT_PROGRAM_CPU_TIME, 1500000000);
    vmt_shard_release(shard);
    vmt_source_remove(gone);
    vmt_add(vmt_shard_acquire(program("a")), VMT_PROGRAM_PROGRAM_TIMEOUT, 20);
    vmt_add(vmt_shard_acquire(program("b")), VMT_PROGRAM_PROGRAM_TIMEOUT, 300);
    json = document("b");
    cr_assert_str_eq(keys(json), "VMOD_KVM b");
    cr_assert_str_eq(text(get(json, "VMOD_KVM"), "program_timeout"), "321");
    cr_assert_str_eq(text(get(json, "VMOD_KVM"), "cpu_time"), "1.5");
    json_object_put(json);
}

Test(tinykvm, what_could_not_be_read_is_null)
{
    struct vmt_recorded *recorded;
    uint64_t values[4][VMT_PROGRAM_SLOTS + VMT_REQUEST_SLOTS + VMT_SEGMENT_SLOTS] = { 0 };
    struct vmt_segment_info info = { .path = "/p", .name = "n" };
    struct vmt_sample samples[] = {
        { .id = "", .parent = UINT32_MAX, .generation = 2, .values = values[0] },
        { .id = "a", .entry = 1, .generation = 4, .values = values[1], .flags = VMT_SAMPLE_ABSENT },
        { .id = "a/request",
          .entry = 2,
          .generation = 6,
          .parent = 1,
          .values = values[2],
          .flags = VMT_SAMPLE_ABSENT },
    };
    json_object *json;

    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    cr_assert_eq(vmt_recorded_schema(recorded, &vmt_schema_segment, &samples[0].schema), 0);
    cr_assert_eq(vmt_recorded_schema(recorded, &vmt_schema_program, &samples[1].schema), 0);
    cr_assert_eq(vmt_recorded_schema(recorded, &vmt_schema_request, &samples[2].schema), 0);
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, LENGTH(samples)), 0);
    json = document_of(snapshot, NULL);
    cr_assert_str_eq(text(get(get(json, "a"), "program"), "reservation_time"), "null");
    cr_assert_str_eq(text(json_object_array_get_idx(machines(json, "a"), 0), "invocations"), "null");
    cr_assert_str_eq(text(get(get(get(json, "a"), "request"), "totals"), "invocations"), "null");
    json_object_put(json);
    vmt_recorded_free(recorded);
}

/* ---- which programs, and their names ---- */

Test(tinykvm, without_programs_there_is_nothing)
{
    vmt_add(vmt_shard_acquire(add_source(segment, &vmt_schema_block, NULL, "disk")), VMT_BLOCK_READ_COUNT, 1);
    take(snapshot, reader);
    cr_assert_eq(vmt_tinykvm_encode(snapshot, NULL, 0, &out), 0);
    cr_assert_eq(out.size, 0);
    program("avif");
    take(snapshot, reader);
    cr_assert_eq(vmt_tinykvm_encode(snapshot, "webp", 0, &out), 0);
    cr_assert_eq(out.size, 0);
    vmt_snapshot_free(snapshot);
    snapshot = new_snapshot(); /* never taken */
    cr_assert_eq(vmt_tinykvm_encode(snapshot, NULL, 0, &out), 0);
    cr_assert_eq(out.size, 0);
}

Test(tinykvm, a_pattern_matches_names_as_a_whole)
{
    static const struct {
        const char *pattern, *keys; /* NULL: none */
    } rows[] = {
        { "avif", "VMOD_KVM avif" },
        { "avi", NULL },
        { "", NULL },
        { "avi|avif", "VMOD_KVM avif" },
        { "avif|.*2", "VMOD_KVM avif avif-2" },
        { "a.*", "VMOD_KVM avif avif-2" },
        { "^avif$", "VMOD_KVM avif" },
        { "a)|vif", NULL },
        { "avif.|avif", "VMOD_KVM avif" },
        { "[a-z]{4}", "VMOD_KVM avif" },
        { "f[[:alpha:]]+", "VMOD_KVM fetch" },
        { ".{1,255}", "VMOD_KVM avif avif-2 fetch" },
    };

    program("fetch");
    program("avif-2");
    program("avif");
    take(snapshot, reader);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        json_object *json;

        if (rows[i].keys) {
            json = document_of(snapshot, rows[i].pattern);
            cr_assert_str_eq(keys(json), rows[i].keys, "%s: %s", rows[i].pattern, keys(json));
            json_object_put(json);
        } else {
            vmt_buffer_clear(&out);
            cr_assert_eq(vmt_tinykvm_encode(snapshot, rows[i].pattern, 0, &out), 0, "%s", rows[i].pattern);
            cr_assert_eq(out.size, 0, "%s: %.*s", rows[i].pattern, (int)out.size, out.data);
        }
    }
}

Test(tinykvm, a_pattern_that_is_none_or_too_expensive_is_refused)
{
    static const char *const patterns[] = {
        "(",
        "[a",
        "[[:",
        "a{",
        "a{2",
        "a{3,2}",
        "*{3}",
        "(a{1,255}){1,255}",
        "a{255}{255}",
        "a{255}*",
        "a{255}+",
        "a*{255}",
        "(a){9}",
        "a)|(vif",
        "(^|$)*",
        "a|^avif",
        "avif$|b",
        "\\bavif",
        "\\<avif",
        "(a*)\\1",
        "[[:alpha:]]*{2}",
        "a{200}b{0,200}c{113}",
        "a{18446744073709551615}",
        "a{-1}",
        "a{ 1}",
    };
    char longer[258];

    program("avif");
    take(snapshot, reader);
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    cr_assert_eq(vmt_tinykvm_encode(snapshot, longer, 0, &out), -EINVAL);
    cr_assert_eq(vmt_tinykvm_encode(snapshot, longer + 1, 0, &out), 0);
    for (size_t i = 0; i < LENGTH(patterns); i++) {
        cr_assert_eq(vmt_tinykvm_encode(snapshot, patterns[i], 0, &out), -EINVAL, "%s", patterns[i]);
        cr_assert_eq(out.size, 0);
    }
}

/* The worst that are not refused, against names made for them. */
Test(tinykvm, a_pattern_takes_bounded_time_and_memory)
{
    static const char *const pieces[] = { "(.*a", "(a*)*", "a?", "(a|b", "[ab]{0,15}", "((((a*)*)*)*)*", "(.*)" };
    char pattern[257], name[48];

    for (int i = 0; i < 300; i++) {
        for (size_t k = 0; k < sizeof(name) - 1; k++)
            name[k] = (k < 9 ? i >> k : i * 7919 >> k % 13) & 1 ? 'a' : 'b';
        name[sizeof(name) - 1] = '\0';
        program(name);
    }
    take(snapshot, reader);
    for (size_t i = 0; i < LENGTH(pieces); i++) {
        uint64_t before = test_address_space();
        struct timespec start, end;
        int r;

        pattern[0] = '\0';
        while (strlen(pattern) + 2 * strlen(pieces[i]) + 1 < 200)
            strcat(pattern, pieces[i]);
        for (const char *open = pattern; i == 0 || i == 3; open++) { /* close what is open */
            if (!*open)
                break;
            if (*open == '(')
                strcat(pattern, ")");
        }
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
        r = vmt_tinykvm_encode(snapshot, pattern, 0, &out);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
        cr_expect(r == 0 || r == -EINVAL || r == -ENOMEM, "%s: %d", pattern, r);
        cr_expect_lt(end.tv_sec - start.tv_sec, 30, "%s", pattern);
        cr_expect_lt(test_address_space(), before + (UINT64_C(1) << 28), "%s", pattern);
        vmt_buffer_clear(&out);
    }
}

Test(tinykvm, programs_of_one_name_are_called_by_their_ids)
{
    struct vmt_source *a = add_source(segment, &vmt_schema_vm, NULL, "tenant-a");
    struct vmt_source *b = add_source(segment, &vmt_schema_vm, NULL, "tenant-b");
    json_object *json;

    vmt_add(vmt_shard_acquire(add_source(segment, &vmt_schema_program, b, "avif")), VMT_PROGRAM_LIVE_UPDATES, 2);
    vmt_add(vmt_shard_acquire(add_source(segment, &vmt_schema_program, a, "avif")), VMT_PROGRAM_LIVE_UPDATES, 1);
    add_source(segment, &vmt_schema_program, a, "webp");
    json = document(NULL);
    cr_assert_str_eq(keys(json), "VMOD_KVM tenant-a/avif tenant-b/avif webp");
    cr_assert_str_eq(text(get(get(json, "tenant-b/avif"), "program"), "live_updates"), "2");
    json_object_put(json);
}

Test(tinykvm, of_a_live_update_the_new_program_is_shown)
{
    struct vmt_source *old = program("avif"), *request = add_source(segment, &vmt_schema_request, old, "request");
    struct vmt_shard *shard = machine(request);
    json_object *json;

    vmt_add(shard, VMT_REQUEST_INVOCATIONS, 1000);
    vmt_source_remove(old); /* a request is still at work */
    json = document(NULL);
    cr_assert_str_eq(keys(json), "VMOD_KVM avif", "it is all there is");
    json_object_put(json);
    request = add_source(segment, &vmt_schema_request, program("avif"), "request");
    vmt_add(machine(request), VMT_REQUEST_INVOCATIONS, 3);
    json = document(NULL);
    cr_assert_str_eq(keys(json), "VMOD_KVM avif");
    cr_assert_str_eq(text(get(get(get(json, "avif"), "request"), "totals"), "invocations"), "3");
    json_object_put(json);
    vmt_shard_release(shard);
}

Test(tinykvm, nasty_names_are_valid_json_and_none_is_there_twice)
{
    json_object *json;

    add_source(segment, &vmt_schema_storage, program(FIXED_NASTY), "storage");
    vmt_add(vmt_shard_acquire(program("VMOD_KVM")), VMT_PROGRAM_LIVE_UPDATES, 5);
    json = document(NULL);
    cr_assert_str_eq(keys(json), "/VMOD_KVM VMOD_KVM " FIXED_NASTY);
    cr_assert_str_eq(text(get(get(json, "/VMOD_KVM"), "program"), "live_updates"), "5");
    json_object_put(json);
}

Test(tinykvm, pretty_says_the_same_on_several_lines)
{
    struct vmt_snapshot *fixed = fixed_snapshot();
    json_object *flat = document_of(fixed, NULL), *pretty;

    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_tinykvm_encode(fixed, NULL, 1, &out), 0);
    out.data[out.size - 1] = '\0';
    cr_assert_not_null(strstr(out.data, "\n  \"avif\": {\n"));
    pretty = json_tokener_parse(out.data);
    cr_assert(json_object_equal(flat, pretty));
    json_object_put(flat);
    json_object_put(pretty);
    vmt_snapshot_free(fixed);
    fixed_forget();
}

/* ---- out of memory ---- */

Test(tinykvm, without_memory_the_buffer_is_as_it_was)
{
    bool failed = true;
    unsigned n;

    for (int i = 0; i < 40; i++) {
        char name[] = { 'p', (char)('0' + i / 10), (char)('0' + i % 10), '\0' };

        vmt_shard_acquire(add_source(segment, &vmt_schema_request, program(name), "request"));
    }
    take(snapshot, reader);
    for (n = 1; failed; n++) {
        struct vmt_buffer small = { 0 };
        int r = SCARCE(n, &failed, vmt_tinykvm_encode(snapshot, "p.*", 0, &small));

        cr_assert_eq(r, failed ? -ENOMEM : 0, "%s without allocation %u", strerror(-r), n);
        cr_assert_eq(small.size == 0, failed);
        vmt_buffer_free(&small);
        cr_assert_lt(n, 1000);
    }
    cr_assert_gt(n, 50, "there are 40 keys");
}
