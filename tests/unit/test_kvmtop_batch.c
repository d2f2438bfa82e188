/* SPDX-License-Identifier: MIT */
/* Samples as text, CSV and JSON: what is written, and that it stays what programs rely on. */
#include "json_beat.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <unistd.h>

#include <vmtally/export.h>

TestSuite(batch, .init = test_dir_init, .fini = test_dir_fini);

#define ODD_STATISTICS(X)                                                                                              \
    X(CUMULATIVE, ODD_FRAMES, "frames", NONE, 1, 0, "Frames drawn")                                                    \
    X(CUMULATIVE, ODD_PIXELS, "pixel_bytes", BYTES, 1, 0, "Bytes of pixels")                                           \
    X(MINIMUM, ODD_LEAST, "least", NANOSECONDS, 1, 0, "Least time")
VMT_SCHEMA_ENUM(ODD, ODD_STATISTICS)
VMT_SCHEMA_DEFINE(odd_schema, "odd", "test", "gpu", ODD, ODD_STATISTICS)

#define WORDS_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, WORDS_MANY, "many", NONE, 1, 0, "Many")                                                              \
    X(BOOLEAN, WORDS_ON, "on", BOOL, 1, 0, "On or off")                                                                \
    X(PEAK, WORDS_MOST, "most", BYTES, 1, 0, "")                                                                       \
    X(SIGNED_INSTANT, WORDS_DRIFT, "drift", NONE, 1, 0, "Either way")                                                  \
    X(LINEAR, WORDS_SIZES, "sizes", BYTES, 4, 10, "")                                                                  \
    X(LOG, WORDS_TIMES, "times", NANOSECONDS, 8, 0, "")
VMT_SCHEMA_ENUM(WORDS, WORDS_STATISTICS)
VMT_SCHEMA_DEFINE(words_schema, "words", "test", "words", WORDS, WORDS_STATISTICS)

/* Another VMM's idea of the same name. */
#define ELSE_STATISTICS(X) X(CUMULATIVE, ELSE_FRAMES, "frames", NONE, 1, 0, "Frames dropped")
VMT_SCHEMA_ENUM(ELSE, ELSE_STATISTICS)
VMT_SCHEMA_DEFINE(else_schema, "odd", "test", "gpu", ELSE, ELSE_STATISTICS)

/* ---- beats, written ---- */

struct writer {
    struct host host;
    struct batch_json *json;
    char *text; /* of the last beat */
    size_t size;
};

static void writer_init(struct writer *w, int schema_once)
{
    memset(w, 0, sizeof(*w));
    host_init(&w->host);
    cr_assert_eq(batch_json_new(schema_once, &w->json), 0);
}

static void writer_free(struct writer *w)
{
    free(w->text);
    batch_json_free(w->json);
    host_free(&w->host);
}

static FILE *writer_start(struct writer *w)
{
    FILE *f;

    free(w->text);
    w->text = NULL;
    f = open_memstream(&w->text, &w->size);
    cr_assert_not_null(f);
    return f;
}

/* A beat as JSON into text. */
static void json_take(struct writer *w)
{
    FILE *f = writer_start(w);

    json_beat(&w->host, w->json, f);
    fclose(f);
}

/* Line i of text, parsed: the caller's. NULL where there are fewer. */
static struct json_object *json_line(const struct writer *w, size_t i)
{
    const char *line = w->text;
    struct json_object *o;
    char *copy;

    for (; line && i; i--)
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    if (!line || !*line)
        return NULL;
    copy = strndup(line, strcspn(line, "\n"));
    cr_assert_not_null(copy);
    o = json_tokener_parse(copy);
    cr_assert_not_null(o, "%.200s", copy);
    free(copy);
    return o;
}

static size_t lines(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* ---- JSON ---- */

Test(batch, json_is_one_line_a_sample_and_exact)
{
    struct vmt_segment *segment = start("web-1");
    struct vmt_source *gpu = add(segment, &odd_schema, NULL, "gpu");
    struct writer w;

    vmt_count(gpu, ODD_FRAMES, UINT64_MAX - 1);
    vmt_count(gpu, ODD_PIXELS, (UINT64_C(1) << 53) + 1);
    writer_init(&w, 0);
    json_take(&w);
    cr_expect_not_null(strstr(w.text, "\"interval_s\":0,"), "%s", w.text);
    cr_expect_null(strstr(w.text, "\"rate\""), "one sample has no rates: %s", w.text);
    json_take(&w);
    cr_expect_eq(strchr(w.text, '\n'), w.text + w.size - 1);
    cr_expect_not_null(strstr(w.text,
                              "\"frames\":{\"type\":\"cumulative\",\"exponent\":0,\"value\":18446744073709551614,"
                              "\"rate\":0}"),
                       "%s", w.text);
    cr_expect_not_null(strstr(w.text, "\"value\":9007199254740993,"), "%s", w.text);
    cr_expect_not_null(strstr(w.text, "\"least\":{\"type\":\"instant\",\"unit\":\"seconds\",\"base\":10,"
                                      "\"exponent\":-9,\"value\":null}"),
                       "%s", w.text);
    writer_free(&w);
    vmt_segment_close(segment);
}

/* Members of a row of the export that kvmtop has too: the same there, or in neither. */
static void expect_same_words(struct json_object *ours, struct json_object *row)
{
    static const char *const keys[] = { "type", "unit", "base", "exponent", "size", "bucket-size", "value" };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct json_object *a = NULL;
        struct json_object *b = NULL;

        cr_expect_eq(json_object_object_get_ex(ours, keys[i], &a), json_object_object_get_ex(row, keys[i], &b));
        cr_expect(json_object_equal(a, b), "%s: %s, %s", keys[i], json_object_to_json_string(ours),
                  json_object_to_json_string(row));
    }
}

/* The newest snapshot of the first VM, as `vmtally show --json` has it: the caller's. */
static struct json_object *exported(const struct writer *w)
{
    struct vmt_buffer encoded = { 0 };
    struct json_object *document;
    char *text;

    cr_assert_eq(vmt_json_encode(sampler_set(w->host.sampler)->vms[0].snapshot, 0, &encoded), 0);
    text = calloc(1, encoded.size + 1); /* the buffer has no NUL */
    cr_assert_not_null(text);
    memcpy(text, encoded.data, encoded.size);
    document = json_tokener_parse(text);
    free(text);
    vmt_buffer_free(&encoded);
    return document;
}

Test(batch, json_has_the_words_of_the_export)
{
    struct vmt_segment *segment = start("web-1");
    struct vmt_source *words = add(segment, &words_schema, NULL, "words");
    struct json_object *line, *document, *vm, *sources;
    struct writer w;

    add(segment, &odd_schema, NULL, "gpu");
    vmt_count(words, WORDS_MANY, 3);
    vmt_count(words, WORDS_ON, 1);
    vmt_count(words, WORDS_DRIFT, (uint64_t)-5);
    writer_init(&w, 0);
    json_take(&w);
    json_take(&w);
    line = json_line(&w, 0);
    document = exported(&w);
    vm = at(get(line, "vms"), 0);
    cr_expect(json_object_equal(get(vm, "state"), get(document, "state")));
    cr_expect(json_object_equal(get(vm, "identity"), get(document, "identity")));
    sources = get(vm, "sources");
    cr_assert_eq(json_object_array_length(sources), 3);
    for (size_t i = 0; i < 3; i++) {
        struct json_object *other = NULL;
        struct json_object *rows;

        for (size_t k = 0; k < 3; k++) { /* siblings are in the order of the rows */
            if (json_object_equal(get(at(sources, i), "id"), get(at(get(document, "sources"), k), "id")))
                other = at(get(document, "sources"), k);
        }
        cr_assert_not_null(other);
        rows = get(other, "stats");
        cr_assert_gt(json_object_array_length(rows), 0);
        cr_expect_not_null(get(at(sources, i), "torn"));
        for (size_t k = 0; k < json_object_array_length(rows); k++)
            expect_same_words(get(get(at(sources, i), "stats"), text(at(rows, k), "name")), at(rows, k));
    }
    json_object_put(line);
    json_object_put(document);
    writer_free(&w);
    vmt_segment_close(segment);
}

/* The line that says what this source's values are: an object of lines before the last one, the caller's. */
static struct json_object *schema_of(const struct writer *w, int64_t id)
{
    for (size_t i = 0; i + 1 < lines(w->text); i++) {
        struct json_object *line = json_line(w, i);
        struct json_object *schema = get(line, "schema");

        cr_assert_not_null(schema, "%s", w->text);
        if (json_object_get_int64(get(schema, "id")) == id) {
            json_object_get(schema);
            json_object_put(line);
            return schema;
        }
        json_object_put(line);
    }
    return NULL;
}

Test(batch, json_says_each_schema_once_before_it_is_needed)
{
    struct vmt_segment *segment = start("web-1");
    struct vmt_segment *late;
    struct vmt_source *words = add(segment, &words_schema, NULL, "words");
    struct json_object *line, *document, *source, *rows, *schema, *stats;
    struct writer w;

    vmt_count(words, WORDS_MANY, 3);
    writer_init(&w, 1);
    json_take(&w);
    cr_assert_eq(lines(w.text), 3, "the segment's, words, and the sample: %s", w.text);
    line = json_line(&w, 2);
    document = exported(&w);
    source = at(get(at(get(line, "vms"), 0), "sources"), 1);
    cr_expect_str_eq(text(source, "schema"), "words");
    schema = schema_of(&w, json_object_get_int64(get(source, "schema_id")));
    cr_assert_not_null(schema, "%s", w.text);
    cr_expect_str_eq(text(schema, "name"), "words");
    cr_expect_str_eq(text(schema, "provider"), "test");
    cr_expect_str_eq(text(schema, "target"), "words");
    rows = get(at(get(document, "sources"), 1), "stats");
    stats = get(schema, "statistics");
    cr_assert_eq(json_object_array_length(stats), json_object_array_length(rows));
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        json_object_object_del(at(rows, i), "value");
        cr_expect(json_object_equal(at(stats, i), at(rows, i)), "%s", json_object_to_json_string(at(stats, i)));
    }
    cr_expect_str_eq(json_object_to_json_string_ext(get(get(source, "stats"), "many"), JSON_C_TO_STRING_PLAIN),
                     "{\"value\":3}");
    json_object_put(schema);
    json_object_put(line);
    json_object_put(document);

    json_take(&w);
    cr_expect_eq(lines(w.text), 1, "nothing is said twice: %s", w.text);
    cr_expect_null(strstr(w.text, "\"type\""), "%s", w.text);
    late = start("web-2");
    add(late, &words_schema, NULL, "words");
    json_take(&w);
    cr_expect_eq(lines(w.text), 1, "another VM has the same ones: %s", w.text);
    add(late, &odd_schema, NULL, "gpu");
    json_take(&w);
    cr_expect_eq(lines(w.text), 2, "%s", w.text);
    cr_expect_eq(strncmp(w.text, "{\"schema\":{\"id\":", 16), 0, "%s", w.text);
    writer_free(&w);
    vmt_segment_close(segment);
    vmt_segment_close(late);
}

Test(batch, json_tells_schemas_of_one_name_apart)
{
    struct vmt_segment *a = start("a");
    struct vmt_segment *b = start("b");
    struct json_object *line, *vms, *one, *other;
    struct writer w;

    add(a, &odd_schema, NULL, "gpu");
    add(b, &else_schema, NULL, "gpu");
    writer_init(&w, 1);
    json_take(&w);
    cr_assert_eq(lines(w.text), 4, "%s", w.text);
    line = json_line(&w, 3);
    vms = get(line, "vms");
    one = schema_of(&w, json_object_get_int64(get(at(get(at(vms, 0), "sources"), 1), "schema_id")));
    other = schema_of(&w, json_object_get_int64(get(at(get(at(vms, 1), "sources"), 1), "schema_id")));
    cr_assert(one && other);
    cr_expect_eq(json_object_array_length(get(one, "statistics")), 3);
    cr_expect_eq(json_object_array_length(get(other, "statistics")), 1);
    cr_expect_str_eq(text(at(get(other, "statistics"), 0), "help"), "Frames dropped");
    json_object_put(one);
    json_object_put(other);
    json_object_put(line);
    writer_free(&w);
    vmt_segment_close(a);
    vmt_segment_close(b);
}

Test(batch, json_has_what_the_model_shows_in_its_order)
{
    struct vmt_segment *a = start("a");
    struct vmt_segment *b = start("b");
    struct vmt_source *vm = add(a, &vmt_schema_vm, NULL, "vm");
    struct writer w;
    char why[128];

    add(a, &vmt_schema_vcpu, vm, "vcpu-10");
    add(a, &vmt_schema_vcpu, vm, "vcpu-2");
    add(b, &odd_schema, NULL, "gpu");
    add(b, &vmt_schema_vcpu, NULL, "vcpu-0");
    writer_init(&w, 1);
    w.host.options.sort = COLUMN_NAME;
    json_take(&w);
    cr_expect_str_eq(json_shown(w.text), "a:  vm vm/vcpu-2 vm/vcpu-10, b:  gpu vcpu-0");
    w.host.options.inverted = 1;
    json_take(&w);
    cr_expect_str_eq(json_shown(w.text), "b:  vcpu-0 gpu, a:  vm vm/vcpu-10 vm/vcpu-2");
    w.host.options.inverted = 0;
    writer_free(&w);

    writer_init(&w, 1);
    w.host.options.sort = COLUMN_NAME;
    cr_assert_eq(filter_new("vcpu-2", (struct filter **)&w.host.options.filter, why, sizeof(why)), 0);
    json_take(&w);
    cr_expect_str_eq(json_shown(w.text), "a:  vm vm/vcpu-2");
    cr_expect_null(strstr(w.text, "\"name\":\"odd\""), "nobody needs that schema: %s", w.text);
    filter_free((struct filter *)w.host.options.filter);
    w.host.options.filter = NULL;
    json_take(&w);
    cr_expect_str_eq(json_shown(w.text), "a:  vm vm/vcpu-2 vm/vcpu-10, b:  gpu vcpu-0");
    cr_expect_not_null(strstr(w.text, "\"name\":\"odd\""), "now it is: %s", w.text);
    writer_free(&w);
    vmt_segment_close(a);
    vmt_segment_close(b);
}

#define WIDE_STATISTICS(X) X(LINEAR, WIDE, "wide", NONE, 4000, 1, "Wide")
VMT_SCHEMA_ENUM(WIDE, WIDE_STATISTICS)
VMT_SCHEMA_DEFINE(wide_schema, "wide", "test", "wide", WIDE, WIDE_STATISTICS)
#define WIDE_SOURCES 900

Test(batch, json_of_a_vm_that_is_too_large_is_partial_and_costs_no_other_its_own)
{
    struct vmt_segment *wide = start("a");
    struct vmt_segment *other = start("b");
    struct json_object *line, *vms;
    struct writer w;

    for (int i = 0; i < WIDE_SOURCES; i++) {
        struct vmt_source *source;
        char id[16];

        snprintf(id, sizeof(id), "w%d", i);
        source = add(wide, &wide_schema, NULL, id);
        for (uint32_t slot = 0; slot < 4000; slot++)
            vmt_count(source, WIDE + slot, UINT64_MAX - 1);
    }
    add(other, &vmt_schema_vcpu, NULL, "vcpu-0");
    writer_init(&w, 0);
    json_take(&w);
    cr_expect_lt(w.size, (size_t)66 << 20);
    line = json_line(&w, 0);
    vms = get(line, "vms");
    cr_assert_eq(json_object_array_length(vms), 2);
    cr_expect(json_object_get_boolean(get(at(vms, 0), "partial")));
    cr_expect_lt(json_object_array_length(get(at(vms, 0), "sources")), (size_t)WIDE_SOURCES);
    cr_expect_gt(json_object_array_length(get(at(vms, 0), "sources")), (size_t)WIDE_SOURCES / 2);
    cr_expect_not(json_object_get_boolean(get(at(vms, 1), "partial")));
    cr_expect_eq(json_object_array_length(get(at(vms, 1), "sources")), 2);
    json_object_put(line);
    writer_free(&w);
    vmt_segment_close(wide);
    vmt_segment_close(other);
}

Test(batch, json_has_the_reason_where_a_vm_cannot_be_read)
{
    FILE *f = fopen(test_path("bad.vmt"), "w");
    struct json_object *line, *vm;
    struct writer w;

    cr_assert_not_null(f);
    fputs("this is no segment, and longer than nothing at all", f);
    fclose(f);
    writer_init(&w, 1);
    json_take(&w);
    line = json_line(&w, 0);
    vm = at(get(line, "vms"), 0);
    cr_expect_str_eq(text(vm, "name"), "bad");
    cr_expect_str_eq(text(vm, "state"), "not a vmtally segment");
    cr_expect_eq(json_object_array_length(get(vm, "sources")), 0);
    json_object_put(line);
    writer_free(&w);
}

Test(batch, json_without_vms_is_a_line_too)
{
    struct writer w;

    writer_init(&w, 1);
    json_take(&w);
    cr_expect_eq(lines(w.text), 1);
    cr_expect_not_null(strstr(w.text, "\"vms\":[]}\n"), "%s", w.text);
    writer_free(&w);
}

/* ---- CSV ---- */

/* In the order in which they came to be: whoever reads them counts on it. */
static const char csv_titles[] =
    "time_ns,interval_seconds,vm,source,schema,pid,state,age_seconds,vcpus,exits_per_second,top_exit,top_exit_share,"
    "run_share,io_bytes_per_second,io_operations_per_second,latency_p50_low_seconds,latency_p50_high_seconds,"
    "latency_p99_low_seconds,latency_p99_high_seconds";

Test(batch, csv_titles_stay_and_new_ones_come_after)
{
    struct writer w;
    FILE *f;

    writer_init(&w, 0);
    f = writer_start(&w);
    batch_csv_titles(f);
    fclose(f);
    cr_expect_eq(strncmp(w.text, csv_titles, sizeof(csv_titles) - 1), 0, "%s", w.text);
    cr_expect(w.text[sizeof(csv_titles) - 1] == ',' || w.text[sizeof(csv_titles) - 1] == '\n', "%s", w.text);
    writer_free(&w);
}

Test(batch, csv_has_one_line_for_each_source_and_as_many_fields_as_names)
{
    struct vmt_segment *segment = start("web-1");
    struct writer w;
    size_t fields = 0;
    size_t n = 0;
    char *rest;
    char *one;
    FILE *f;

    add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    writer_init(&w, 0);
    host_take(&w.host);
    host_take(&w.host);
    f = writer_start(&w);
    batch_csv_titles(f);
    batch_csv(f, &w.host.model);
    fclose(f);
    for (rest = w.text; (one = strsep(&rest, "\n")) != NULL && rest; n++) {
        size_t commas = 0;

        for (const char *p = one; *p; p++)
            commas += *p == ',';
        if (n == 0)
            fields = commas;
        cr_expect_eq(commas, fields, "%s", one);
    }
    cr_expect_eq(n, 3);
    writer_free(&w);
    vmt_segment_close(segment);
}

Test(batch, csv_has_no_formula_and_numbers_stay_numbers)
{
    struct vmt_segment *sum = start("@SUM");
    struct vmt_segment *number = start("-1");
    struct writer w;
    FILE *f;

    writer_init(&w, 0);
    host_take(&w.host);
    f = writer_start(&w);
    batch_csv(f, &w.host.model);
    fclose(f);
    cr_expect_not_null(strstr(w.text, ",'@SUM,"), "%s", w.text);
    cr_expect_not_null(strstr(w.text, ",-1,"), "%s", w.text);
    writer_free(&w);
    vmt_segment_close(sum);
    vmt_segment_close(number);
}

/* ---- text ---- */

Test(batch, text_has_head_totals_titles_rows_and_no_hidden_column)
{
    struct vmt_segment *segment = start("web-1");
    struct writer w;
    uint64_t hidden = UINT64_C(1) << column_find("pid");
    FILE *f;

    add(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
    writer_init(&w, 0);
    host_take(&w.host);
    host_take(&w.host);
    f = writer_start(&w);
    cr_assert_eq(batch_text(f, &w.host.model, 0, 1), 0);
    fclose(f);
    cr_expect_eq(lines(w.text), 6, "%s", w.text);
    cr_expect_eq(strncmp(w.text, "kvmtop", 6), 0, "%s", w.text);
    cr_expect_not_null(strstr(w.text, "\n1 VM: 1 live"), "%s", w.text);
    cr_expect_not_null(strstr(w.text, "\nNAME "), "%s", w.text);
    cr_expect_not_null(strstr(w.text, " PID "), "%s", w.text);
    cr_expect_not_null(strstr(w.text, "`- vcpu-0"), "%s", w.text);
    cr_expect_str_eq(w.text + w.size - 2, "\n\n", "an empty line after each sample");
    f = writer_start(&w);
    cr_assert_eq(batch_text(f, &w.host.model, hidden, 1), 0);
    fclose(f);
    cr_expect_null(strstr(w.text, " PID "), "%s", w.text);
    cr_expect_not_null(strstr(w.text, " STATE "), "%s", w.text);
    writer_free(&w);
    vmt_segment_close(segment);
}

/* ---- output ---- */

Test(batch, flush_says_that_nobody_reads_any_more)
{
    int ends[2];
    FILE *f;

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe(ends), 0);
    f = fdopen(ends[1], "w");
    cr_assert_not_null(f);
    batch_csv_titles(f);
    cr_expect_eq(batch_flush(f), 0);
    close(ends[0]);
    batch_csv_titles(f);
    cr_expect_eq(batch_flush(f), -EPIPE);
    fclose(f);
    f = fopen("/dev/full", "w");
    cr_assert_not_null(f);
    batch_csv_titles(f);
    cr_expect_eq(batch_flush(f), -ENOSPC);
    fclose(f);
}
