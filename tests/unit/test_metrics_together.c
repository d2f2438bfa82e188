/* SPDX-License-Identifier: MIT */
/* Scrapes of VMs that contradict each other, of a part of what there is, again and again, and of more than there is room for. */
#include "metrics_parts.h"
#include "scarce.h"

TestSuite(metrics_together, .init = init, .fini = fini);

/* ---- what contradicts ---- */

static const struct vmt_descriptor d_counter = { "x", "b", VMT_TYPE_CUMULATIVE, 0, 0, 0, 1, 0, 0, 0, { 0 } };
static const struct vmt_descriptor d_gauge = { "x", "a", VMT_TYPE_INSTANT, 0, 0, 0, 1, 0, 0, 0, { 0 } };
static const struct vmt_descriptor d_hist = { "x", "", VMT_TYPE_LOG_HIST, 0, 0, 0, 2, 0, 0, 0, { 0 } };
static const struct vmt_descriptor d_x_count = { "x_y", "", VMT_TYPE_CUMULATIVE, 0, 0, 0, 1, 0, 0, 0, { 0 } };
static const struct vmt_schema contradictory[] = {
    { "s", "test", "vm", &d_counter, 1, 1 },
    { "s", "test", "vm", &d_gauge, 1, 1 },
    { "s", "test", "vm", &d_hist, 1, 2 },
    { "s", "test", "vm", &d_x_count, 1, 1 },
};

/* Sorted, so that the order in which families and lines come is not looked at. */
static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static char *sorted(const char *all)
{
    static char *at[1000];
    char *copy = strdup(all), *ret = calloc(1, strlen(all) + 2);
    size_t count = 0;

    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
        at[count++] = line;
    qsort(at, count, sizeof(*at), by_text);
    for (size_t i = 0; i < count; i++)
        strcat(strcat(ret, at[i]), "\n");
    free(copy);
    return ret;
}

Test(metrics_together, types_that_contradict_change_no_series)
{
    static const uint64_t values[] = { 5, 6 };
    char *first = NULL;

    for (int order = 0; order < 6; order++) {
        const char *all;
        char *now;

        vmt_metrics_clear(metrics);
        for (int i = 0; i < 3; i++) {
            static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                              { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
            char name[2] = { (char)('a' + orders[order][i]), '\0' };

            add(&(struct vm){ .name = name, .sources = { { "vm", &contradictory[orders[order][i]], values, 0, 1 } } });
        }
        all = text(VMT_OPENMETRICS);
        assert_line(all, "kvmtop_vm_x_total{vm=\"a\",provider=\"test\"} 5");
        assert_line(all, "kvmtop_vm_x{vm=\"b\",provider=\"test\"} 5");
        assert_line(all, "kvmtop_vm_x_bucket{vm=\"c\",provider=\"test\",le=\"+Inf\"} 11");
        assert_line(all, "# TYPE kvmtop_vm_x gauge");
        assert_line(all, "# TYPE kvmtop_vm_x_total unknown");
        assert_line(all, "# TYPE kvmtop_vm_x_bucket unknown");
        assert_line(all, "# HELP kvmtop_vm_x a");
        now = sorted(all);
        if (first)
            cr_assert_str_eq(now, first, "the order in which VMs came shows");
        free(first);
        first = now;
    }
    free(first);
}

Test(metrics_together, a_family_called_as_anothers_sample_is_none)
{
    static const struct vmt_descriptor d_created = { "x_created", "", VMT_TYPE_CUMULATIVE, 0, 0, 0, 1, 0, 0, 0, { 0 } };
    static const struct vmt_descriptor d_bucket = { "x_bucket", "", VMT_TYPE_CUMULATIVE, 0, 0, 0, 1, 0, 0, 0, { 0 } };
    static const struct vmt_schema s_created = { "s", "test", "vm", &d_created, 1, 1 };
    static const struct vmt_schema s_bucket = { "s", "test", "vm", &d_bucket, 1, 1 };
    static const uint64_t values[] = { 5, 6 };
    const char *all;

    add(&(struct vm){ .name = "a", .sources = { { "vm", &s_created, values, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "# TYPE kvmtop_vm_x_created counter"); /* nothing is wrong with it alone */
    add(&(struct vm){ .name = "b", .sources = { { "vm", &contradictory[0], values, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "# TYPE kvmtop_vm_x_created_total unknown");
    assert_line(all, "# TYPE kvmtop_vm_x_total unknown");
    vmt_metrics_clear(metrics);
    add(&(struct vm){ .name = "a", .sources = { { "vm", &s_bucket, values, 0, 1 } } });
    add(&(struct vm){ .name = "b", .sources = { { "vm", &contradictory[2], values, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "# TYPE kvmtop_vm_x_bucket_total unknown");
    assert_line(all, "kvmtop_vm_x_bucket_total{vm=\"a\",provider=\"test\"} 5");
    assert_line(all, "# TYPE kvmtop_vm_x_bucket unknown");
    assert_none(all, "# TYPE kvmtop_vm_x histogram");
}

/* ---- what is chosen ---- */

static const char *chosen_statistic;

static int choose_source(void *arg, const struct vmt_snapshot *snapshot, size_t i)
{
    return strcmp(vmt_snapshot_source(snapshot, i)->id, arg) == 0;
}

static int choose_statistic(void *arg, const struct vmt_schema *schema, const struct vmt_descriptor *d)
{
    (void)arg;
    (void)schema;
    return strstr(chosen_statistic, d->name) != NULL;
}

Test(metrics_together, only_what_is_chosen_is_there)
{
    struct vmt_snapshot *snapshot = make(&(struct vm){
        .name = "web",
        .sources = { { "vm", &latency_schema, latency_values, 0, 1 }, { "disk", &s_block, &one, 0, 2 } } });
    struct vmt_choice choice = { .source = choose_source, .arg = (char[]){ "disk" } };
    const char *all;

    cr_assert_eq(vmt_metrics_add(metrics, snapshot, NULL, &choice), 0);
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_block_events_total{vm=\"web\",provider=\"vmm\",device=\"disk\"} 1");
    assert_none(all, "kvmtop_vm_io");
    assert_none(all, "kvmtop_segment");

    vmt_metrics_clear(metrics);
    choice = (struct vmt_choice){ .statistic = choose_statistic };
    chosen_statistic = "wait_ns";
    cr_assert_eq(vmt_metrics_add(metrics, snapshot, NULL, &choice), 0);
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_vm_wait_seconds_total{vm=\"web\",provider=\"vmm\"} 0.000000099");
    assert_none(all, "kvmtop_vm_io");
    assert_none(all, "kvmtop_block");
    assert_none(all, "# TYPE kvmtop_block");
    vmt_snapshot_free(snapshot);
}

/* Without its buckets a latency has the same sum and count, by the same names. */
Test(metrics_together, a_latency_without_buckets_is_a_summary)
{
    struct vmt_snapshot *snapshot =
        make(&(struct vm){ .name = "web", .sources = { { "vm", &latency_schema, latency_values, 0, 1 } } });
    struct vmt_choice choice = { .statistic = choose_statistic };
    const char *all;

    chosen_statistic = "io_count io_sum";
    cr_assert_eq(vmt_metrics_add(metrics, snapshot, NULL, &choice), 0);
    all = text(VMT_OPENMETRICS);
    assert_line(all, "# TYPE kvmtop_vm_io_seconds summary");
    assert_line(all, "kvmtop_vm_io_seconds_count{vm=\"web\",provider=\"vmm\"} 7");
    assert_line(all, "kvmtop_vm_io_seconds_sum{vm=\"web\",provider=\"vmm\"} 1.5");
    assert_none(all, "kvmtop_vm_io_seconds_bucket");
    vmt_snapshot_free(snapshot);
}

/* ---- again and again ---- */

Test(metrics_together, a_second_scrape_is_as_the_first)
{
    struct vmt_snapshot *snapshot = fixed_snapshot();
    char *first = NULL;

    for (int i = 0; i < 20; i++) {
        vmt_metrics_clear(metrics);
        cr_assert_eq(vmt_metrics_add(metrics, snapshot, NULL, NULL), 0);
        if (i % 3 == 0)
            add(&(struct vm){ .name = "other", .state = VMT_STATE_DIED, .sources = { { "vm", &s_vm, &one, 0, 1 } } });
        if (i % 7 == 0)
            vmt_metrics_clear(metrics);
        if (i % 3 == 0 || i % 7 == 0)
            continue;
        text(VMT_OPENMETRICS);
        if (first)
            cr_assert_str_eq(out.data, first);
        free(first);
        first = strdup(out.data);
    }
    free(first);
    vmt_snapshot_free(snapshot);
}

/* A VMM that is started anew with other statistics each time: what is no longer there is forgotten. */
Test(metrics_together, schemas_are_forgotten)
{
    for (int i = 0; i < 200; i++) {
        char name[32];
        struct vmt_descriptor d = counter(name, 0);
        struct vmt_schema schema = { "s", "test", "vm", &d, 1, 1 };
        const char *all;

        snprintf(name, sizeof(name), "statistic_%d", i);
        vmt_metrics_clear(metrics);
        add(&(struct vm){ .name = "web", .sources = { { "vm", &schema, &one, 0, 1 } } });
        all = text(VMT_OPENMETRICS);
        cr_assert_eq(begin(all, "kvmtop_vm_statistic_"), 1);
    }
    cr_assert_leq(metrics->plan_count, METRICS_KEPT_SCRAPES + 3);
}

Test(metrics_together, what_the_exporter_says_of_itself)
{
    const struct vmt_metric all_own[] = {
        { "scrapes", NULL, "Scrapes", 1, 3, NULL, NULL },
        { "build_info", NULL, "Version", 0, 1, "version", "1\"2" },
        { "seen_seconds", "seconds", NULL, 0, 0.1, NULL, NULL },
        { "large", NULL, "L", 0, 12345678901234.0, NULL, NULL },
        { "scrapes", NULL, "Scrapes", 1, 4, NULL, NULL },
    };
    const struct vmt_metric bad = { "bad", NULL, "Bad", 0, NAN, NULL, NULL };
    const char *all;

    for (size_t i = 0; i < LENGTH(all_own); i++)
        cr_assert_eq(vmt_metrics_add_own(metrics, &all_own[i]), 0);
    cr_assert_eq(vmt_metrics_add_own(metrics, &bad), -EINVAL);
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_exporter_scrapes_total 4");
    assert_line(all, "# TYPE kvmtop_exporter_scrapes counter");
    assert_line(all, "kvmtop_exporter_build_info{version=\"1\\\"2\"} 1");
    assert_line(all, "kvmtop_exporter_seen_seconds 0.1");
    assert_line(all, "kvmtop_exporter_large 12345678901234");
    cr_assert_str_eq(all + strlen(all) - 6, "# EOF\n");
    all = text(VMT_PROMETHEUS);
    assert_line(all, "# TYPE kvmtop_exporter_scrapes_total counter");
}

/* ---- limits ---- */

/* 1,024 histograms. */
static const struct vmt_descriptor *wide(void)
{
    static struct vmt_descriptor d[1024];
    static char of[1024][16];

    for (uint32_t i = 0; i < LENGTH(d); i++) {
        snprintf(of[i], sizeof(of[i]), "s_%u", i);
        d[i] = counter(of[i], i * 4);
        d[i].flags = VMT_TYPE_LOG_HIST;
        d[i].size = 4;
    }
    return d;
}

/* One that has more statistics than may be: it loses some, others lose nothing. */
Test(metrics_together, a_vm_with_too_many_statistics_takes_nothing_from_others)
{
    static struct vmt_schema schemas[16];
    static char schema_names[16][8];
    static const uint64_t values[4096];
    struct vm greedy = { .name = "greedy" };
    const char *all;

    for (size_t i = 0; i < LENGTH(schemas); i++) {
        snprintf(schema_names[i], sizeof(schema_names[i]), "s-%zu", i);
        schemas[i] = (struct vmt_schema){ schema_names[i], "test", schema_names[i], wide(), 1024, 4096 };
        greedy.sources[i].id = schema_names[i];
        greedy.sources[i].schema = &schemas[i];
        greedy.sources[i].values = values;
        greedy.sources[i].entry = (uint32_t)i + 1;
    }
    add(&greedy);
    add(&(struct vm){ .name = "web", .sources = { { "vm", &s_vm, &one, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_vm_events_total{vm=\"web\",provider=\"vmm\"} 1");
    cr_assert_eq(begin(all, "kvmtop_s_0_s_1_bucket"), 4);
    /* 32,768 values are allowed, source 0 has one of them */
    assert_line(all, "kvmtop_exporter_sources_left_out 9");
}

/* One that has more sources than may be: they would be 75 MB of text. */
Test(metrics_together, a_vm_with_too_much_text_takes_nothing_from_others)
{
    static uint64_t values[4096];
    const struct vmt_schema schema = { "wide", "test", "device", wide(), 1024, 4096 };
    static char ids[SOURCES_MAX][8];
    struct vm greedy = { .name = "greedy" };
    const char *all;
    int rows;

    memset(values, 0xff, sizeof(values));
    for (uint32_t i = 0; i < SOURCES_MAX; i++) {
        snprintf(ids[i], sizeof(ids[i]), "d-%u", i);
        greedy.sources[i].id = ids[i];
        greedy.sources[i].schema = &schema;
        greedy.sources[i].values = values;
        greedy.sources[i].entry = i + 1;
    }
    add(&greedy);
    add(&(struct vm){ .name = "web", .sources = { { "vm", &s_vm, &one, 0, 1 } } });
    cr_assert_gt(metrics->left_out, SOURCES_MAX / 4);
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_vm_events_total{vm=\"web\",provider=\"vmm\"} 1");
    rows = begin(all, "kvmtop_device_s_7_bucket{vm=\"greedy\"");
    cr_assert_eq(rows, 4 * (SOURCES_MAX - (int)metrics->left_out));
    cr_assert_lt(out.size, METRICS_VM_TEXT + 1000000);
    cr_assert_gt(out.size, METRICS_VM_TEXT / 2);
    /* ... and its memory does not stay for ever. */
    vmt_metrics_clear(metrics);
    add(&(struct vm){ .name = "web", .sources = { { "vm", &s_vm, &one, 0, 1 } } });
    vmt_metrics_clear(metrics);
    cr_assert_leq(metrics->values.capacity, 1 << 20);
}

/* As many as all would fill a scrape, were they let. */
Test(metrics_together, many_vms_with_too_much_leave_each_other_its_share)
{
    enum { GREEDY = 40, SCHEMAS = 8 };
    static uint64_t values[4096];
    static struct vmt_schema schemas[GREEDY][SCHEMAS];
    static char ids[SOURCES_MAX][8], texts[GREEDY * SCHEMAS][16], vms[GREEDY][16];
    const char *all;

    memset(values, 0xff, sizeof(values));
    for (uint32_t i = 0; i < SOURCES_MAX; i++)
        snprintf(ids[i], sizeof(ids[i]), "d-%u", i);
    vmt_metrics_expect(metrics, GREEDY + 1);
    for (uint32_t n = 0; n < GREEDY; n++) {
        struct vm greedy = { .name = vms[n] };

        snprintf(vms[n], sizeof(vms[n]), "greedy-%u", n);
        for (uint32_t i = 0; i < SCHEMAS; i++) {
            char *name = texts[n * SCHEMAS + i];

            snprintf(name, sizeof(texts[0]), "s-%u-%u", n, i);
            schemas[n][i] = (struct vmt_schema){ name, "test", name, wide(), 1024, 4096 };
        }
        for (uint32_t i = 0; i < SOURCES_MAX; i++) {
            greedy.sources[i].id = ids[i];
            greedy.sources[i].schema = &schemas[n][i % SCHEMAS];
            greedy.sources[i].values = values;
            greedy.sources[i].entry = i + 1;
        }
        add(&greedy);
    }
    cr_assert_gt(metrics->left_out, 0);
    metrics->left_out = 0;
    add(&(struct vm){ .name = "web", .sources = { { "vm", &s_vm, &one, 0, 1 } } });
    cr_assert_eq(metrics->left_out, 0);
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_vm_events_total{vm=\"web\",provider=\"vmm\"} 1");
    cr_assert_gt(begin(all, "kvmtop_s_39_0_s_7_bucket{vm=\"greedy-39\""), 0, "the last one has some of its sources");
    cr_assert_leq(metrics->text_bytes, METRICS_TEXT);
    cr_assert_leq(metrics->slots, METRICS_SLOTS);
}

Test(metrics_together, running_out_of_memory_is_an_error)
{
    struct vmt_snapshot *snapshot = fixed_snapshot();
    bool failed = true;
    int r, refused = 0;

    for (unsigned n = 1; failed; n++) {
        struct vmt_metrics *m;

        cr_assert_eq(vmt_metrics_new(&m), 0);
        r = SCARCE(n, &failed, vmt_metrics_add(m, snapshot, NULL, NULL));
        cr_assert(r == 0 || (failed && r == -ENOMEM), "allocation %u: %d", n, r); /* some can be done without */
        refused += r != 0;
        vmt_buffer_clear(&out);
        cr_assert_eq(vmt_metrics_write(m, VMT_OPENMETRICS, &out), 0); /* what there is, is whole */
        vmt_metrics_clear(m);
        cr_assert_eq(vmt_metrics_add(m, snapshot, NULL, NULL), 0);
        vmt_metrics_free(m);
    }
    cr_assert_gt(refused, 10);
    cr_assert_eq(vmt_metrics_add(metrics, snapshot, NULL, NULL), 0);
    failed = true;
    for (unsigned n = 1; failed; n++) {
        vmt_buffer_free(&out);
        r = SCARCE(n, &failed, vmt_metrics_write(metrics, VMT_OPENMETRICS, &out));
        cr_assert_eq(r, failed ? -ENOMEM : 0);
        cr_assert(!failed || out.size == 0);
    }
    vmt_snapshot_free(snapshot);
}
