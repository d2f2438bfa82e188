/* SPDX-License-Identifier: MIT */
/* Snapshots as OpenMetrics and Prometheus' text: what is in the text, line by line. That other programs read it as it is meant
 * is tests/cli/test_metrics.sh's. */
#include "metrics_parts.h"

TestSuite(metrics, .init = init, .fini = fini);

/* ---- golden ---- */

static void compare(enum vmt_metrics_format format, const char *golden)
{
    struct vmt_snapshot *snapshot = fixed_snapshot();
    const struct vmt_metric own = { "sample_duration_seconds", "seconds", "How long it took", 0, 0.0125, NULL, NULL };

    cr_assert_eq(vmt_metrics_add(metrics, snapshot, NULL, NULL), 0);
    cr_assert_eq(vmt_metrics_add_own(metrics, &own), 0);
    text(format);
    golden_compare(golden, out.data, out.size);
    vmt_snapshot_free(snapshot);
}

Test(metrics, openmetrics_is_as_it_was) { compare(VMT_OPENMETRICS, "fixed.openmetrics"); }
Test(metrics, prometheus_text_is_as_it_was) { compare(VMT_PROMETHEUS, "fixed.prom"); }

/* ---- names ---- */

static const struct {
    const char *target;
    const char *statistic;
    uint32_t flags;
    int16_t exponent;
    const char *sample; /* without labels */
    const char *unit;
} names[] = {
    { "vcpu", "exits", VMT_TYPE_CUMULATIVE, 0, "kvmtop_vcpu_exits_total", NULL },
    { "block", "read_bytes", VMT_UNIT_BYTES, 0, "kvmtop_block_read_bytes_total", "bytes" },
    { "block", "read", VMT_UNIT_BYTES, 0, "kvmtop_block_read_bytes_total", "bytes" },
    { "net", "rx_bytes_count", VMT_UNIT_BYTES, 0, "kvmtop_net_rx_bytes_total", "bytes" },
    { "net", "rx_packets_count", 0, 0, "kvmtop_net_rx_packets_total", NULL },
    { "net", "rx_total", 0, 0, "kvmtop_net_rx_total", NULL },
    { "net", "rx_count_total", 0, 0, "kvmtop_net_rx_total", NULL },
    { "net", "count", 0, 0, "kvmtop_net_count_total", NULL },
    { "vcpu", "halt_wait_ns", VMT_UNIT_SECONDS, -9, "kvmtop_vcpu_halt_wait_seconds_total", "seconds" },
    { "vcpu", "steal_time_us", VMT_UNIT_SECONDS, -6, "kvmtop_vcpu_steal_time_seconds_total", "seconds" },
    { "vcpu", "ns", VMT_UNIT_SECONDS, -9, "kvmtop_vcpu_ns_seconds_total", "seconds" },
    { "vcpu", "seconds", VMT_UNIT_SECONDS, 0, "kvmtop_vcpu_seconds_total", "seconds" },
    { "vcpu", "time_us", 0, 0, "kvmtop_vcpu_time_us_total", NULL },
    { "vcpu", "spent", VMT_UNIT_CYCLES, 0, "kvmtop_vcpu_spent_cycles_total", "cycles" },
    { "vm", "memory_kib", VMT_TYPE_INSTANT | VMT_UNIT_BYTES | VMT_BASE_POW2, 10, "kvmtop_vm_memory_bytes", "bytes" },
    { "vm", "peak", VMT_TYPE_PEAK, 0, "kvmtop_vm_peak", NULL },
    { "vm", "running", VMT_TYPE_INSTANT | VMT_UNIT_BOOLEAN, 0, "kvmtop_vm_running", NULL },
    { "vm", "vcpu_count", VMT_TYPE_INSTANT, 0, "kvmtop_vm_vcpu_count_value", NULL },
    { "vm", "check_sum", VMT_TYPE_INSTANT, 0, "kvmtop_vm_check_sum_value", NULL },
    { "vm", "total_bucket", VMT_TYPE_INSTANT, 0, "kvmtop_vm_total_bucket_value", NULL },
    { "segment", "shards_created", 0, 0, "kvmtop_segment_shards_created_total", NULL },
    { "vm", "a-b.c:d\"e", 0, 0, "kvmtop_vm_a_b_c_d_e_total", NULL },
    { "v.m", "4xx", 0, 0, "kvmtop_v_m_4xx_total", NULL },
    { "vm", "lowest", VMT_TYPE_CUMULATIVE | VMT_AGGREGATION_MIN, 0, "kvmtop_vm_lowest", NULL },
    /* what is said of VMs, and of the exporter, nobody else says */
    { "vm", "up", VMT_TYPE_INSTANT, 0, "kvmtop_vm_up_1", NULL },
    { "vm", "info", VMT_TYPE_INSTANT, 0, "kvmtop_vm_info_1", NULL },
    { "exporter", "scrapes", 0, 0, "kvmtop_other_exporter_scrapes_total", NULL },
    { "exporter_x", "y", VMT_TYPE_INSTANT, 0, "kvmtop_other_exporter_x_y", NULL },
};

Test(metrics, names_say_kind_and_base_unit_once)
{
    static const uint64_t value = 1;

    for (size_t i = 0; i < LENGTH(names); i++) {
        struct vmt_descriptor d = {
            .name = names[i].statistic, .help = "", .flags = names[i].flags, .size = 1, .exponent = names[i].exponent
        };
        struct vmt_schema schema = { "s", "test", names[i].target, &d, 1, 1 };
        char line[256], unit[256];
        const char *all;

        vmt_metrics_clear(metrics);
        add(&(struct vm){ .name = "web", .sources = { { "x", &schema, &value, 0, 1 } } });
        all = text(VMT_OPENMETRICS);
        snprintf(line, sizeof(line), "%s{vm=\"web\",provider=\"test\",", names[i].sample);
        cr_assert_eq(begin(all, line), 1, "%s: no %s in\n%s", names[i].statistic, line, all);
        snprintf(unit, sizeof(unit), "# UNIT kvmtop_%s", names[i].target);
        cr_assert_eq(begin(all, unit), names[i].unit != NULL, "%s", names[i].statistic);
    }
}

Test(metrics, names_of_one_schema_stay_apart)
{
    const struct vmt_descriptor d[] = { counter("a-b", 0), counter("a.b", 1), counter("a_b", 2), counter("a", 3),
                                        counter("a_count", 4) };
    const struct vmt_schema schema = { "s", "test", "vm", d, LENGTH(d), LENGTH(d) };
    const uint64_t values[] = { 10, 11, 12, 13, 14 };
    const char *all;

    add(&(struct vm){ .name = "web", .sources = { { "vm", &schema, values, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    /* What needs no change has its own name, wherever it stands. */
    assert_line(all, "kvmtop_vm_a_b_total{vm=\"web\",provider=\"test\"} 12");
    assert_line(all, "kvmtop_vm_a_b_1_total{vm=\"web\",provider=\"test\"} 10");
    assert_line(all, "kvmtop_vm_a_b_2_total{vm=\"web\",provider=\"test\"} 11");
    assert_line(all, "kvmtop_vm_a_total{vm=\"web\",provider=\"test\"} 13");
    assert_line(all, "kvmtop_vm_a_count_total{vm=\"web\",provider=\"test\"} 14");
}

/* ---- numbers ---- */

static const struct {
    uint32_t flags;
    int16_t exponent;
    uint64_t value;
    int negative;
    int point;
    const char *text;
} scaled[] = {
    { 0, 0, 0, 0, 0, "0" },
    { 0, 0, 0, 1, 1, "0.0" },
    { 0, 0, UINT64_MAX, 0, 0, "18446744073709551615" },
    { 0, -9, 1023, 0, 1, "0.000001023" },
    { 0, -9, 1, 0, 0, "0.000000001" },
    { 0, -9, 1000000000, 0, 0, "1" },
    { 0, -9, 1000000000, 0, 1, "1.0" },
    { 0, -9, 1500000000, 1, 0, "-1.5" },
    { 0, -9, (UINT64_C(1) << 53) + 1, 0, 0, "9007199.254740993" },
    { 0, -9, UINT64_MAX, 0, 0, "18446744073.709551615" },
    { 0, -30, UINT64_MAX, 0, 0, "0.000000000018446744073709551615" },
    { 0, -30, 1, 0, 0, "0.000000000000000000000000000001" },
    { 0, 3, 7, 0, 0, "7000" },
    { 0, 60, 7, 0, 1, "7000000000000000000000000000000000000000000000000000000000000.0" },
    { 0, 60, 0, 0, 0, "0" },
    { VMT_BASE_POW2, 10, 3, 0, 0, "3072" },
    { VMT_BASE_POW2, 60, UINT64_MAX, 0, 0, "21267647932558653965307991459878666240" },
    { VMT_BASE_POW2, 20, UINT64_MAX, 1, 0, "-19342813113834066794250240" },
    { VMT_BASE_POW2, -1, 3, 0, 0, "1.5" },
    { VMT_BASE_POW2, -1, 4, 0, 1, "2.0" },
    { VMT_BASE_POW2, -30, 1, 0, 0, "0.000000000931322574615478515625" },
    { VMT_BASE_POW2, -30, UINT64_MAX, 0, 0, "17179869183.999999999068677425384521484375" },
};

Test(metrics, scaled_numbers_have_all_their_digits)
{
    for (size_t i = 0; i < LENGTH(scaled); i++) {
        struct vmt_descriptor d = { .flags = scaled[i].flags, .exponent = scaled[i].exponent };
        char got[VMT_SCALED_MAX + 1];
        size_t size = vmt_scaled(got, &d, scaled[i].value, scaled[i].negative, scaled[i].point);

        cr_assert_lt(size, VMT_SCALED_MAX);
        got[size] = '\0';
        cr_assert_str_eq(got, scaled[i].text);
    }
}

Test(metrics, digits_are_those_of_printf)
{
    uint64_t value = 1;

    for (int i = 0; i < 100000; i++) {
        char want[24], got[VMT_DECIMAL_MAX + 1];
        size_t size;

        value = value * UINT64_C(6364136223846793005) + 1442695040888963407;
        snprintf(want, sizeof(want), "%llu", (unsigned long long)(value >> i % 64));
        size = vmt_decimal(got, value >> i % 64);
        got[size] = '\0';
        cr_assert_str_eq(got, want);
    }
}

/* ---- labels ---- */

Test(metrics, labels_tell_where_it_is)
{
    const char *all;

    add(&(struct vm){ .name = "web",
                      .sources = { { "vm", &s_vm, &one, 0, 1 },
                                   { "vm/vcpu-0", &s_vcpu, &one, 0, 2 },
                                   { "vm/vcpu-0/kvm", &s_kvm_vcpu, &two, 0, VMT_ENTRY_KERNEL },
                                   { "vm/cpu7", &s_vcpu, &one, 0, 3 },
                                   { "vm/rootfs", &s_block, &one, 0, 4 },
                                   { "vm/rootfs/part-1", &s_block, &one, 0, 5 },
                                   { "vm-2", &s_vm, &one, 0, 6 },
                                   { "vm-2/vcpu-0", &s_vcpu, &one, 0, 7 },
                                   { "avif", &s_request, &one, 0, 8 },
                                   { "avif/request", &s_request, &one, 0, 9 },
                                   { "o\"d\\d", &s_block, &one, 0, 10 } } });
    add(&(struct vm){ .name = "db", .sources = { { "db", &s_vm, &one, 0, 1 }, { "db/vcpu-1", &s_vcpu, &one, 0, 2 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_vm_events_total{vm=\"web\",provider=\"vmm\"} 1");
    assert_line(all, "kvmtop_vcpu_events_total{vm=\"web\",provider=\"vmm\",vcpu=\"0\"} 1");
    assert_line(all, "kvmtop_vcpu_events_total{vm=\"web\",provider=\"kvm\",vcpu=\"0\"} 2");
    assert_line(all, "kvmtop_vcpu_events_total{vm=\"web\",provider=\"vmm\",vcpu=\"cpu7\"} 1");
    assert_line(all, "kvmtop_block_events_total{vm=\"web\",provider=\"vmm\",device=\"rootfs\"} 1");
    assert_line(all, "kvmtop_block_events_total{vm=\"web\",provider=\"vmm\",device=\"rootfs/part-1\"} 1");
    assert_line(all, "kvmtop_vm_events_total{vm=\"web\",provider=\"vmm\",device=\"vm-2\"} 1");
    assert_line(all, "kvmtop_vcpu_events_total{vm=\"web\",provider=\"vmm\",vcpu=\"0\",device=\"vm-2\"} 1");
    assert_line(all, "kvmtop_request_events_total{vm=\"web\",provider=\"vmm\",device=\"avif\"} 1");
    assert_line(all, "kvmtop_request_events_total{vm=\"web\",provider=\"vmm\",device=\"avif/request\"} 1");
    assert_line(all, "kvmtop_block_events_total{vm=\"web\",provider=\"vmm\",device=\"o\\\"d\\\\d\"} 1");
    assert_line(all, "kvmtop_vm_events_total{vm=\"db\",provider=\"vmm\"} 1");
    assert_line(all, "kvmtop_vcpu_events_total{vm=\"db\",provider=\"vmm\",vcpu=\"1\"} 1");
    assert_line(all, "kvmtop_segment_events_total{vm=\"web\",provider=\"test\"} 0");
}

Test(metrics, no_two_sources_have_the_same_labels)
{
    const char *all;

    /* Targets that are one in names, or of which one may begin a name of the other. */
    static const struct vmt_schema s_disk[] = { { "a", "vmm", "b.lock", &d_events, 1, 1 },
                                                { "a", "vmm", "b_lock", &d_events, 1, 1 },
                                                { "a", "vmm", "b", &d_events, 1, 1 } };

    add(&(struct vm){ .name = "db",
                      .sources = { { "x", &s_disk[0], &one, 0, 1 },
                                   { "x", &s_disk[1], &two, 0, 2 },
                                   { "x", &s_disk[2], &three, 0, 3 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_b_lock_events_total{vm=\"db\",provider=\"vmm\",device=\"x\"} 1");
    assert_line(all, "kvmtop_b_lock_events_total{vm=\"db\",provider=\"vmm\",device=\"x\",generation=\"2.4\"} 2");
    assert_line(all, "kvmtop_b_events_total{vm=\"db\",provider=\"vmm\",device=\"x\",generation=\"3.6\"} 3");
    vmt_metrics_clear(metrics);
    add(&(struct vm){ .name = "web",
                      .sources = { { "disk", &s_block, &one, VMT_SAMPLE_LEAVING, 4 },
                                   { "disk", &s_block, &two, 0, 5 },
                                   { "disk", &s_vcpu, &three, 0, 6 },
                                   { "disk", &s_block, &four, VMT_SAMPLE_LEAVING, 4 } } });
    all = text(VMT_OPENMETRICS);
    /* The new one has what it is called; entry and generation tell those that leave apart. */
    assert_line(all, "kvmtop_block_events_total{vm=\"web\",provider=\"vmm\",device=\"disk\"} 2");
    assert_line(all, "kvmtop_block_events_total{vm=\"web\",provider=\"vmm\",device=\"disk\",generation=\"4.2\"} 1");
    assert_line(all, "kvmtop_block_events_total{vm=\"web\",provider=\"vmm\",device=\"disk\",generation=\"4.8\"} 4");
    assert_line(all, "kvmtop_vcpu_events_total{vm=\"web\",provider=\"vmm\",vcpu=\"disk\"} 3");
    assert_line(all, "kvmtop_exporter_sources_left_out 0");
}

Test(metrics, what_nothing_tells_apart_is_left_out_and_counted)
{
    struct vmt_snapshot *snapshot =
        make(&(struct vm){ .name = "web", .sources = { { "disk", &s_block, &one, 0, 4 } } });
    struct vmt_sample *twin = (struct vmt_sample *)(uintptr_t)vmt_snapshot_source(snapshot, 0);
    const char *all;

    /* A hostile recording: the segment's own source is told to be what the disk is. */
    *twin = *vmt_snapshot_source(snapshot, 1);
    twin->parent = UINT32_MAX;
    twin->id = "";
    cr_assert_eq(vmt_metrics_add(metrics, snapshot, "x", NULL), 0);
    vmt_snapshot_free(snapshot);
    snapshot = make(&(struct vm){ .name = "web",
                                  .sources = { { "disk", &s_block, &one, 0, 4 },
                                               { "disk", &s_block, &two, 0, 4 },
                                               { "disk", &s_block, &three, 0, 4 } } });
    for (size_t i = 2; i < 4; i++)
        ((struct vmt_sample *)(uintptr_t)vmt_snapshot_source(snapshot, i))->generation = 4;
    cr_assert_eq(vmt_metrics_add(metrics, snapshot, "y", NULL), 0);
    vmt_snapshot_free(snapshot);
    all = text(VMT_OPENMETRICS);
    cr_assert_eq(begin(all, "kvmtop_block_events_total{vm=\"y\""), 2, "%s", all);
    assert_line(all, "kvmtop_exporter_sources_left_out 1");
}

Test(metrics, labels_of_a_vm_are_on_its_info_only)
{
    static const char *const labels[] = { "a-b=1", "a.b=2", "path=x", "empty", "q=\"\\", NULL };
    const char *all;

    add(&(struct vm){ .name = "web", .labels = labels, .sources = { { "vm", &s_vm, &one, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_vm_info{vm=\"web\",name=\"web\",uid=\"0\",path=\"/run/vmtally/x.vmt\",label_a_b=\"1\","
                     "label_a_b_2=\"2\",label_path=\"x\",label_empty=\"\",label_q=\"\\\"\\\\\"} 1");
    assert_line(all, "# TYPE kvmtop_vm info");
    assert_line(all, "kvmtop_vm_events_total{vm=\"web\",provider=\"vmm\"} 1");
    all = text(VMT_PROMETHEUS);
    assert_line(all, "# TYPE kvmtop_vm_info gauge");
    assert_none(all, "# UNIT");
    assert_none(all, "# EOF");
}

Test(metrics, vms_of_one_name_are_told_apart)
{
    static const char *const given[] = { "a", "a~2", "a", "a", "a~2" };
    static const char *const want[] = { "a", "a~2", "a~3", "a~4", "a~2~2" };
    const char *all;

    for (size_t i = 0; i < LENGTH(given); i++)
        add(&(struct vm){ .name = given[i], .sources = { { "vm", &s_vm, &one, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    for (size_t i = 0; i < LENGTH(want); i++) {
        char line[128];

        snprintf(line, sizeof(line), "kvmtop_vm_events_total{vm=\"%s\",provider=\"vmm\"} 1", want[i]);
        assert_line(all, line);
    }
}

/* ---- states, and what is absent ---- */

Test(metrics, of_a_vm_that_has_gone_there_is_its_state_only)
{
    for (int state = 0; state < VMT_STATE_COUNT; state++) {
        bool running = state == VMT_STATE_LIVE || state == VMT_STATE_STALLED;
        char line[128];
        const char *all;

        vmt_metrics_clear(metrics);
        add(&(struct vm){ .name = "web", .state = (enum vmt_state)state, .sources = { { "vm", &s_vm, &one, 0, 1 } } });
        all = text(VMT_OPENMETRICS);
        snprintf(line, sizeof(line), "kvmtop_vm_state{vm=\"web\",kvmtop_vm_state=\"%s\"} 1",
                 vmt_state_name((enum vmt_state)state));
        assert_line(all, line);
        cr_assert_eq(begin(all, "kvmtop_vm_state{"), VMT_STATE_COUNT);
        assert_line(all, running ? "kvmtop_vm_up{vm=\"web\"} 1" : "kvmtop_vm_up{vm=\"web\"} 0");
        cr_assert_eq(begin(all, "kvmtop_vm_info{vm=\"web\""), 1);
        cr_assert_eq(begin(all, "kvmtop_vm_events_total"), running, "%s", all);
        cr_assert_eq(begin(all, "kvmtop_vm_partial{"), running);
    }
}

Test(metrics, what_is_absent_is_left_out)
{
    const struct vmt_descriptor d[] = {
        { "least", "", VMT_TYPE_INSTANT | VMT_AGGREGATION_MIN, 0, 0, 0, 1, 0, 0, 0, { 0 } },
        { "most", "", VMT_TYPE_PEAK | VMT_SIGNED, 1, 0, 0, 1, 0, 0, 0, { 0 } },
        { "low", "", VMT_TYPE_INSTANT | VMT_SIGNED, 2, 0, 0, 1, 0, 0, 0, { 0 } },
    };
    const struct vmt_schema schema = { "s", "test", "vm", d, 3, 3 };
    const uint64_t values[] = { UINT64_MAX, (uint64_t)INT64_MIN, (uint64_t)-5 };
    const char *all;

    add(&(struct vm){ .name = "web",
                      .sources = { { "vm", &schema, values, 0, 1 }, { "x", &s_block, NULL, VMT_SAMPLE_ABSENT, 2 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_vm_low{vm=\"web\",provider=\"test\"} -5");
    assert_none(all, "kvmtop_block_events");
    cr_assert_null(strstr(all, "kvmtop_vm_least"), "a family without samples is not there at all");
    cr_assert_null(strstr(all, "kvmtop_vm_most"));
}

/* ---- histograms ---- */

Test(metrics, a_latency_is_one_histogram)
{
    const char *all;

    add(&(struct vm){ .name = "web", .sources = { { "vm", &latency_schema, latency_values, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "# HELP kvmtop_vm_io_seconds Time");
    assert_line(all, "# TYPE kvmtop_vm_io_seconds histogram");
    assert_line(all, "kvmtop_vm_io_seconds_bucket{vm=\"web\",provider=\"vmm\",le=\"0.0\"} 1");
    assert_line(all, "kvmtop_vm_io_seconds_bucket{vm=\"web\",provider=\"vmm\",le=\"0.000000001\"} 3");
    assert_line(all, "kvmtop_vm_io_seconds_bucket{vm=\"web\",provider=\"vmm\",le=\"0.000000003\"} 3");
    assert_line(all, "kvmtop_vm_io_seconds_bucket{vm=\"web\",provider=\"vmm\",le=\"+Inf\"} 7");
    assert_line(all, "kvmtop_vm_io_seconds_count{vm=\"web\",provider=\"vmm\"} 7");
    assert_line(all, "kvmtop_vm_io_seconds_sum{vm=\"web\",provider=\"vmm\"} 1.5");
    assert_line(all, "kvmtop_vm_io_min_seconds{vm=\"web\",provider=\"vmm\"} 0.000000001");
    assert_line(all, "kvmtop_vm_io_max_seconds{vm=\"web\",provider=\"vmm\"} 1.49999999");
    assert_none(all, "kvmtop_vm_io_total");
    assert_none(all, "kvmtop_vm_io_sum");
}

Test(metrics, a_histogram_without_a_sum_gets_none)
{
    const char *all;

    add(&(struct vm){ .name = "web", .sources = { { "vm", &latency_schema, latency_values, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "# TYPE kvmtop_vm_wait_hist_seconds histogram");
    assert_line(all, "kvmtop_vm_wait_hist_seconds_bucket{vm=\"web\",provider=\"vmm\",le=\"+Inf\"} 11");
    assert_none(all, "kvmtop_vm_wait_hist_seconds_count");
    assert_none(all, "kvmtop_vm_wait_hist_seconds_sum");
    assert_line(all, "kvmtop_vm_wait_seconds_total{vm=\"web\",provider=\"vmm\"} 0.000000099");
    all = text(VMT_PROMETHEUS);
    assert_line(all, "kvmtop_vm_wait_hist_seconds_count{vm=\"web\",provider=\"vmm\"} 11");
    assert_none(all, "kvmtop_vm_wait_hist_seconds_sum");
}

/* An owner that died in the middle, or a hostile one. */
Test(metrics, the_count_is_what_the_buckets_hold)
{
    uint64_t values[L_SLOTS];
    const char *all;

    memcpy(values, latency_values, sizeof(values));
    values[L_IO] = 1000;
    values[L_WAIT] = values[L_WAIT + 1] = UINT64_MAX;
    add(&(struct vm){ .name = "web", .sources = { { "vm", &latency_schema, values, 0, 1 } } });
    all = text(VMT_OPENMETRICS);
    assert_line(all, "kvmtop_vm_io_seconds_count{vm=\"web\",provider=\"vmm\"} 7");
    assert_line(all, "kvmtop_vm_wait_hist_seconds_bucket{vm=\"web\",provider=\"vmm\",le=\"0.000000001\"} "
                     "18446744073709551615");
}

Test(metrics, buckets_end_where_kvms_do)
{
    static const struct vmt_descriptor d[] = {
        { "lin", "", VMT_TYPE_LINEAR_HIST | VMT_UNIT_BYTES, 0, 10, 0, 3, 0, 0, 0, { 0 } },
        { "log", "", VMT_TYPE_LOG_HIST, 3, 0, 0, 70, 0, 0, 0, { 0 } },
        { "all", "", VMT_TYPE_LOG_HIST, 73, 0, 0, 1, 0, 0, 0, { 0 } },
    };
    static const struct vmt_schema schema = { "s", "test", "vm", d, 3, 74 };
    uint64_t values[74];
    const char *all;

    for (int i = 0; i < 74; i++)
        values[i] = 1;
    add(&(struct vm){ .name = "web", .sources = { { "vm", &schema, values, 0, 1 } } });
    all = text(VMT_PROMETHEUS);
    cr_assert_eq(begin(all, "kvmtop_vm_lin_bytes_bucket"), 3);
    assert_line(all, "kvmtop_vm_lin_bytes_bucket{vm=\"web\",provider=\"test\",le=\"9.0\"} 1");
    assert_line(all, "kvmtop_vm_lin_bytes_bucket{vm=\"web\",provider=\"test\",le=\"19.0\"} 2");
    /* 64 is the last that has a bound; what is behind it is beyond all bounds */
    cr_assert_eq(begin(all, "kvmtop_vm_log_bucket"), 66, "%s", all);
    assert_line(all, "kvmtop_vm_log_bucket{vm=\"web\",provider=\"test\",le=\"9223372036854775807.0\"} 64");
    assert_line(all, "kvmtop_vm_log_bucket{vm=\"web\",provider=\"test\",le=\"18446744073709551615.0\"} 65");
    assert_line(all, "kvmtop_vm_log_bucket{vm=\"web\",provider=\"test\",le=\"+Inf\"} 70");
    assert_line(all, "kvmtop_vm_all_bucket{vm=\"web\",provider=\"test\",le=\"+Inf\"} 1");
}
