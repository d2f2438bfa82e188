/* SPDX-License-Identifier: MIT */
/* Records for Fluent Forward: their bytes (tests/golden), what decode_records.py, which knows nothing but RECORDS.md, makes of
 * them, and which there are. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmtally/export.h>

#include "fixed_snapshot.h"
#include "golden.h"
#include "lib/export/buffer.h"
#include "scarce.h"

static struct vmt_snapshot *before, *later;
static struct vmt_delta *delta;
static struct vmt_records *records;
static struct vmt_buffer out;
static size_t count;

static void setup(void)
{
    before = fixed_snapshot();
    later = fixed_snapshot_later();
    cr_assert_eq(vmt_delta_new(&delta), 0);
    cr_assert_eq(vmt_delta_compute(delta, before, later), 0);
}

static void teardown(void)
{
    vmt_records_free(records);
    vmt_buffer_free(&out);
    vmt_delta_free(delta);
    vmt_snapshot_free(before);
    vmt_snapshot_free(later);
    fixed_forget();
}

TestSuite(records, .init = setup, .fini = teardown);

static void start(uint32_t strings, uint32_t deltas)
{
    const struct vmt_records_options options = { .struct_size = sizeof(options),
                                                 .host = "host-1",
                                                 .sender = "0123456789abcdef",
                                                 .strings = strings,
                                                 .deltas = deltas };

    vmt_records_free(records);
    cr_assert_eq(vmt_records_new(&options, &records), 0);
}

static int keep(void *arg, const struct vmt_snapshot *snapshot, size_t i, const struct vmt_schema *schema,
                const void *entry, size_t size)
{
    (void)arg;
    cr_assert_not_null(memmem(entry, size, schema->target, strlen(schema->target)));
    cr_assert_lt(i, vmt_snapshot_count(snapshot));
    cr_assert_eq(vmt_buffer_append(&out, entry, size), 0);
    count++;
    return 0;
}

static void encode(const struct vmt_snapshot *snapshot, const struct vmt_choice *choice)
{
    vmt_buffer_clear(&out);
    count = 0;
    cr_assert_eq(vmt_records_encode(records, snapshot, snapshot == later ? delta : NULL, NULL, 7, choice, keep, NULL),
                 0);
}

/* ---- the independent decoder ---- */

static void write_bytes(const char *path, const char *data, size_t size)
{
    FILE *f = fopen(path, "we");

    cr_assert(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, "%s: %s", path, strerror(errno));
}

static void write_document(const char *path, const struct vmt_snapshot *snapshot)
{
    struct vmt_buffer document = { 0 };

    cr_assert_eq(vmt_json_encode(snapshot, 0, &document), 0);
    write_bytes(path, document.data, document.size);
    vmt_buffer_free(&document);
}

static void run_decoder(const char *arguments, char *answer, size_t size)
{
    const char *root = getenv("VMT_SOURCE_ROOT") ? getenv("VMT_SOURCE_ROOT") : ".";
    char command[4 * PATH_MAX];
    size_t n;
    FILE *pipe;

    snprintf(command, sizeof(command), "/usr/bin/python3 '%s/tests/unit/decode_records.py' %s", root, arguments);
    pipe = popen(command, "re");
    cr_assert_not_null(pipe);
    n = fread(answer, 1, size - 1, pipe);
    answer[n] = '\0';
    (void)pclose(pipe);
}

static void assert_decoded(const char *flags, const struct vmt_snapshot *snapshot, const struct vmt_snapshot *older)
{
    char dir[] = "/tmp/vmtally-test-XXXXXX", entries[64], document[64], old[64], arguments[256], answer[4096];
    char expected[64];

    cr_assert_not_null(mkdtemp(dir));
    snprintf(entries, sizeof(entries), "%s/entries", dir);
    snprintf(document, sizeof(document), "%s/document", dir);
    snprintf(old, sizeof(old), "%s/older", dir);
    write_bytes(entries, out.data, out.size);
    write_document(document, snapshot);
    write_document(old, older ? older : snapshot);
    snprintf(arguments, sizeof(arguments), "%s %s %s %s", flags, entries, document, older ? old : "");
    run_decoder(arguments, answer, sizeof(answer));
    unlink(entries);
    unlink(document);
    unlink(old);
    rmdir(dir);
    snprintf(expected, sizeof(expected), "same: %zu records\n", count);
    cr_assert_str_eq(answer, expected);
}

/* ---- what there is ---- */

Test(records, totals_are_as_the_document_says)
{
    start(0, 0);
    encode(before, NULL);
    golden_compare("fixed.records", out.data, out.size);
    assert_decoded("", before, NULL);
}

Test(records, deltas_are_what_changed_since)
{
    start(0, 1);
    encode(later, NULL);
    golden_compare("fixed-later.records", out.data, out.size);
    assert_decoded("", later, before);
}

Test(records, as_strings_every_number_is_exact)
{
    start(1, 0);
    encode(before, NULL);
    golden_compare("fixed-strings.records", out.data, out.size);
    assert_decoded("--strings", before, NULL);
}

static int contains(const char *text) { return memmem(out.data, out.size, text, strlen(text)) != NULL; }

static size_t occurrences(const char *text)
{
    const char *at = out.data, *end = out.data + out.size;
    size_t n = 0;

    for (; (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL; at += strlen(text))
        n++;
    return n;
}

Test(records, without_anything_to_compare_with_deltas_are_totals_and_say_reset)
{
    start(0, 0);
    encode(before, NULL);
    cr_assert_eq(occurrences("\xa5reset\xc3"), 0);
    start(0, 1);
    encode(before, NULL);
    cr_assert_eq(occurrences("\xa5reset\xc3"), count);
    cr_assert(!contains("since_ns"));
    cr_assert_not_null(memmem(out.data, out.size,
                              "\xa5"
                              "exits\xcf\x00\x20\x00\x00\x00\x00\x00\x01",
                              15),
                       "the total of vcpu-0");
}

Test(records, a_vm_may_have_another_name_than_its_own)
{
    start(0, 0);
    cr_assert_eq(vmt_records_encode(records, before, NULL, "web-1~2", 7, NULL, keep, NULL), 0);
    cr_assert(contains("\xa2vm\xa7web-1~2") && !contains("\xa2vm\xa5web-1"));
}

/* ---- which there are ---- */

static int only_vcpus(void *arg, const struct vmt_snapshot *snapshot, size_t i)
{
    (void)arg;
    return strncmp(vmt_snapshot_source(snapshot, i)->id, "vm/vcpu-", 8) == 0;
}

static int by_name(void *arg, const struct vmt_schema *schema, const struct vmt_descriptor *d)
{
    (void)schema;
    return strcmp(d->name, arg) == 0;
}

Test(records, only_chosen_sources_and_statistics_are_in_them)
{
    struct vmt_choice choice = { .source = only_vcpus };
    char exits[] = "exits", hist[] = "io_latency_hist", none[] = "no_such";

    start(0, 0);
    encode(before, &choice);
    cr_assert_eq(count, 3);
    choice = (struct vmt_choice){ only_vcpus, by_name, exits };
    encode(before, &choice);
    cr_assert_eq(count, 3);
    cr_assert(contains("\xa1"
                       "c\x81\xa5"
                       "exits") &&
              !contains("run_time"));
    choice.arg = hist; /* alone it is a histogram like others */
    encode(before, &choice);
    cr_assert_eq(count, 2);
    cr_assert(contains("\xaaio_latency") && !contains("\xa3sum") && !contains("exits"));
    choice.arg = none;
    encode(before, &choice);
    cr_assert_eq(count, 0);
    encode(before, NULL);
    golden_compare("fixed.records", out.data, out.size);
}

static int stop_at_third(void *arg, const struct vmt_snapshot *snapshot, size_t i, const struct vmt_schema *schema,
                         const void *entry, size_t size)
{
    (void)snapshot;
    (void)schema;
    (void)i;
    (void)entry;
    (void)size;
    return ++*(int *)arg == 3 ? -EPIPE : 0;
}

Test(records, who_takes_them_may_end_it)
{
    int taken = 0;

    start(0, 0);
    cr_assert_eq(vmt_records_encode(records, before, NULL, NULL, 7, NULL, stop_at_third, &taken), -EPIPE);
    cr_assert_eq(taken, 3);
    encode(before, NULL);
    golden_compare("fixed.records", out.data, out.size);
}

Test(records, a_snapshot_that_was_never_taken_has_none)
{
    struct vmt_snapshot *empty = NULL;

    cr_assert_eq(vmt_snapshot_new(&empty), 0);
    start(0, 0);
    encode(empty, NULL);
    cr_assert_eq(count, 0);
    vmt_snapshot_free(empty);
}

/* ---- of one statistic, or two ---- */

static struct vmt_snapshot *snapshot_of(struct vmt_recorded *recorded, const struct vmt_schema *declared,
                                        const uint64_t *values)
{
    struct vmt_segment_info info = {
        .path = "/x/web-1.vmt", .name = "web-1", .realtime_ns = 1700000001123456789, .state = VMT_STATE_LIVE
    };
    struct vmt_sample sample = {
        .id = "", .values = values, .generation = 4, .created_ns = 1700000000500000000, .parent = UINT32_MAX
    };
    struct vmt_snapshot *snapshot = NULL;

    cr_assert_eq(vmt_recorded_schema(recorded, declared, &sample.schema), 0);
    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, &sample, 1), 0);
    return snapshot;
}

Test(records, a_source_that_is_leaving_and_the_one_in_its_place_are_no_doubles)
{
    const struct vmt_descriptor d = { .name = "exits", .help = "", .flags = VMT_TYPE_CUMULATIVE, .size = 1 };
    const struct vmt_schema declared = { "one", "test", "vcpu", &d, 1, 1 };
    const uint64_t values[] = { 100, 7 };
    struct vmt_segment_info info = { .path = "/x/web-1.vmt", .name = "web-1", .state = VMT_STATE_LIVE };
    struct vmt_sample samples[] = {
        { .id = "", .parent = UINT32_MAX, .generation = 2, .values = &values[1] },
        { .id = "vcpu-0", .entry = 1, .generation = 2, .created_ns = 5, .values = values, .flags = VMT_SAMPLE_LEAVING },
        { .id = "vcpu-0", .entry = 2, .generation = 2, .created_ns = 6, .values = &values[1] }
    };
    struct vmt_recorded *recorded = NULL;
    struct vmt_snapshot *snapshot = NULL;

    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(vmt_recorded_schema(recorded, &declared, &samples[i].schema), 0);
    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, 3), 0);
    start(0, 0);
    encode(snapshot, NULL);
    cr_assert_eq(count, 3);
    assert_decoded("", snapshot, NULL);
    vmt_snapshot_free(snapshot);
    vmt_recorded_free(recorded);
}

Test(records, a_schema_is_known_by_its_content_whatever_its_address)
{
    char name[16];
    uint64_t value = 3;

    start(0, 0);
    for (int i = 0; i < 3000; i++) { /* more than are remembered */
        const struct vmt_descriptor d = { .name = name, .help = "", .flags = VMT_TYPE_CUMULATIVE, .size = 1 };
        const struct vmt_schema schema = { "one", "test", "vcpu", &d, 1, 1 };
        struct vmt_recorded *recorded = NULL;
        struct vmt_snapshot *snapshot;

        snprintf(name, sizeof(name), "name_%05d", i % 2000);
        cr_assert_eq(vmt_recorded_new(&recorded), 0);
        snapshot = snapshot_of(recorded, &schema, &value);
        encode(snapshot, NULL);
        cr_assert(count == 1 && contains(name), "%s", name);
        vmt_snapshot_free(snapshot);
        vmt_recorded_free(recorded);
    }
}

#define BOTH_STATISTICS(X)                                                                                             \
    X(LOG, BOTH_IO, "io", BYTES, 4, 0, "Sizes")                                                                        \
    X(LATENCY, BOTH_LATENCY, "io", NANOSECONDS, 4, 0, "Times")
VMT_SCHEMA_ENUM(BOTH, BOTH_STATISTICS)
VMT_SCHEMA_DEFINE(both_schema, "both", "test", "block", BOTH, BOTH_STATISTICS)

Test(records, two_histograms_never_get_one_name)
{
    const uint64_t values[BOTH_SLOTS] = { [BOTH_IO] = 1, [BOTH_LATENCY + 2] = UINT64_MAX };
    struct vmt_recorded *recorded = NULL;
    struct vmt_snapshot *snapshot;

    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    snapshot = snapshot_of(recorded, &both_schema, values);
    start(0, 0);
    encode(snapshot, NULL);
    cr_assert(contains("\xa2io\x84") && contains("\xa7io_hist\x85"));
    cr_assert(!contains("\xa3min") && !contains("\xa3max"), "of nothing there is no least and no most");
    vmt_snapshot_free(snapshot);
    vmt_recorded_free(recorded);
}

/* ---- RECORDS.md ---- */

#define EXAMPLE_STATISTICS(X)                                                                                          \
    X(CUMULATIVE, EXAMPLE_EXITS, "exits", NONE, 1, 0, "Exits")                                                         \
    X(CUMULATIVE, EXAMPLE_RUN_TIME, "run_time", NANOSECONDS, 1, 0, "Time")                                             \
    X(SIGNED_INSTANT, EXAMPLE_DRIFT, "drift", NONE, 1, 0, "Drift")                                                     \
    X(LATENCY, EXAMPLE_IO, "io", NANOSECONDS, 4, 0, "Times")
VMT_SCHEMA_ENUM(EXAMPLE, EXAMPLE_STATISTICS)
VMT_SCHEMA_DEFINE(example_schema, "vcpu", "vmm", "vcpu", EXAMPLE, EXAMPLE_STATISTICS)

#define SEGMENT_STATISTICS(X) X(INSTANT, EXAMPLE_SOURCES, "sources", NONE, 1, 0, "Sources")
VMT_SCHEMA_ENUM(SEGMENT_EXAMPLE, SEGMENT_STATISTICS)
VMT_SCHEMA_DEFINE(segment_schema, "segment", "vmtally", "segment", SEGMENT_EXAMPLE, SEGMENT_STATISTICS)

static struct vmt_snapshot *make_example(struct vmt_recorded *recorded)
{
    static const char *const labels[] = { "rack=7", NULL };
    const uint64_t sources = 2;
    const uint64_t values[EXAMPLE_SLOTS] = {
        [EXAMPLE_EXITS] = (UINT64_C(1) << 53) + 1,
        [EXAMPLE_RUN_TIME] = 1234567890,
        [EXAMPLE_DRIFT] = (uint64_t)-5,
        [EXAMPLE_IO] = 2,
        [EXAMPLE_IO + 1] = 10,
        [EXAMPLE_IO + 2] = 3,
        [EXAMPLE_IO + 3] = 7,
        [EXAMPLE_IO + 6] = 1,
        [EXAMPLE_IO + 7] = 1,
    };
    struct vmt_segment_info info = { .path = "/run/vmtally/web-1.vmt",
                                     .name = "web-1",
                                     .labels = labels,
                                     .realtime_ns = 1700000001123456789,
                                     .state = VMT_STATE_LIVE };
    struct vmt_sample samples[] = {
        { .id = "", .values = &sources, .generation = 2, .created_ns = 1700000000000000000, .parent = UINT32_MAX },
        { .id = "vcpu-0", .values = values, .generation = 4, .created_ns = 1700000000500000000, .entry = 1 },
    };
    struct vmt_snapshot *snapshot = NULL;

    cr_assert_eq(vmt_recorded_schema(recorded, &segment_schema, &samples[0].schema), 0);
    cr_assert_eq(vmt_recorded_schema(recorded, &example_schema, &samples[1].schema), 0);
    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, 2), 0);
    return snapshot;
}

/* Not the segment. */
static int not_first(void *arg, const struct vmt_snapshot *snapshot, size_t i)
{
    (void)arg;
    (void)snapshot;
    return i > 0;
}

/* The bytes between "```hex" and "```". */
static size_t read_example(unsigned char *bytes, size_t size)
{
    const char *root = getenv("VMT_SOURCE_ROOT") ? getenv("VMT_SOURCE_ROOT") : ".";
    char path[PATH_MAX], line[512];
    size_t n = 0;
    int inside = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%s/lib/export/RECORDS.md", root);
    f = fopen(path, "re");
    cr_assert_not_null(f, "%s", path);
    while (fgets(line, sizeof(line), f) && !(inside && strncmp(line, "```", 3) == 0)) {
        unsigned value;
        int used;

        for (const char *at = line; inside && n < size && sscanf(at, "%2x%n", &value, &used) == 1; at += used)
            bytes[n++] = (unsigned char)value;
        inside |= strncmp(line, "```hex", 6) == 0;
    }
    fclose(f);
    return n;
}

Test(records, the_example_in_RECORDS_md_is_what_is_written)
{
    const struct vmt_choice choice = { .source = not_first };
    const char *root = getenv("VMT_SOURCE_ROOT") ? getenv("VMT_SOURCE_ROOT") : ".";
    struct vmt_recorded *recorded = NULL;
    struct vmt_snapshot *snapshot;
    unsigned char bytes[1024];
    char arguments[PATH_MAX + 64], answer[4096];

    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    snapshot = make_example(recorded);
    start(0, 0);
    encode(snapshot, &choice);
    if (getenv("VMT_GOLDEN")) {
        for (size_t i = 0; i < out.size; i++)
            fprintf(stderr, "%02x%c", (unsigned char)out.data[i], i % 32 == 31 ? '\n' : ' ');
    } else {
        cr_assert_eq(read_example(bytes, sizeof(bytes)), out.size);
        cr_assert_arr_eq(bytes, out.data, out.size);
    }
    snprintf(arguments, sizeof(arguments), "--example '%s/lib/export/RECORDS.md'", root);
    run_decoder(arguments, answer, sizeof(answer));
    cr_assert_not_null(strstr(answer, "\"exits\": 9007199254740993"), "%s", answer);
    vmt_snapshot_free(snapshot);
    vmt_recorded_free(recorded);
}

/* ---- no memory ---- */

static int only_count(void *arg, const struct vmt_snapshot *from, size_t i, const struct vmt_schema *schema,
                      const void *entry, size_t size)
{
    (void)arg;
    (void)from;
    (void)i;
    (void)schema;
    (void)entry;
    (void)size;
    return 0;
}

Test(records, where_memory_is_short_it_is_an_error_and_the_next_one_is_whole)
{
    bool failed = true;

    for (unsigned n = 1; failed; n++) {
        int r;

        start(0, 0);
        r = SCARCE(n, &failed, vmt_records_encode(records, before, NULL, NULL, 7, NULL, only_count, NULL));
        cr_assert_eq(r, failed ? -ENOMEM : 0, "%u: %d", n, r);
        cr_assert(failed || n > 20, "none failed");
        if (n % 50 && failed)
            continue;
        encode(before, NULL);
        golden_compare("fixed.records", out.data, out.size);
    }
}

Test(records, that_can_not_be_made_are_none)
{
    const struct vmt_records_options options = { .struct_size = sizeof(options), .host = "h", .sender = "s" };
    bool failed = true;
    int r = 0;

    for (unsigned n = 1; failed; n++) {
        struct vmt_records *made = NULL;

        r = SCARCE(n, &failed, vmt_records_new(&options, &made));
        cr_assert(r == (failed ? -ENOMEM : 0) && !made == failed);
        vmt_records_free(made);
    }
}

/* ---- options ---- */

Test(records, options_that_are_not_known_are_refused)
{
    struct {
        struct vmt_records_options known;
        uint64_t more;
    } options = { .known = { .struct_size = sizeof(options), .host = "h", .sender = "s" }, .more = 1 };

    cr_assert_eq(vmt_records_new(&options.known, &records), -EINVAL);
    options.more = 0;
    cr_assert_eq(vmt_records_new(&options.known, &records), 0);
    vmt_records_free(records);
    records = NULL;
    cr_assert_eq(vmt_records_new(NULL, &records), -EINVAL);
    options.known.host = NULL;
    cr_assert_eq(vmt_records_new(&options.known, &records), -EINVAL);
    options.known.host = "h";
    options.known.sender = NULL;
    cr_assert_eq(vmt_records_new(&options.known, &records), -EINVAL);
    options.known.struct_size = 1;
    cr_assert_eq(vmt_records_new(&options.known, &records), -EINVAL);
    cr_assert_null(records);
}
