/* SPDX-License-Identifier: MIT */
/* Lines of Firecracker's metrics: its groups and names, and that nothing is lost or told twice to any reader. */
#include "fixed_snapshot.h"
#include "golden.h"
#include "parts.h"
#include "scarce.h"

#include <json-c/json.h>

#include <vmtally/export.h>

static struct vmt_segment *segment;
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;
static struct vmt_source *vm;
static struct vmt_firecracker *lines;
static struct vmt_buffer out;

static void setup(void)
{
    test_dir_init();
    segment = new_segment("web-1");
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    snapshot = new_snapshot();
    cr_assert_eq(vmt_firecracker_new(&lines), 0);
}

static void teardown(void)
{
    vmt_buffer_free(&out);
    vmt_firecracker_free(lines);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(firecracker, .init = setup, .fini = teardown);

/* ---- lines, parsed ---- */

/* One line, which ends with the buffer. The caller's. */
static json_object *parse(void)
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

static json_object *line_of(struct vmt_firecracker *of, const struct vmt_snapshot *from)
{
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_firecracker_encode(of, from, NULL, &out), 0);
    return parse();
}

/* What there is now, told to one of its readers, who keeps it. */
static json_object *told_to(struct vmt_firecracker *of)
{
    json_object *line;

    take(snapshot, reader);
    line = line_of(of, snapshot);
    vmt_firecracker_keep(of);
    return line;
}

/* The number at "block.read_agg.sum_us". */
static uint64_t number(json_object *line, const char *path)
{
    char *copy = strdup(path), *rest = copy;
    json_object *at = line;

    for (char *key; (key = strsep(&rest, "."));)
        cr_assert(json_object_object_get_ex(at, key, &at), "no %s in %s", key, path);
    free(copy);
    cr_assert(json_object_is_type(at, json_type_int), "%s", path);
    return json_object_get_uint64(at);
}

static bool has(json_object *line, const char *group) { return json_object_object_get_ex(line, group, NULL); }

/* The same, of a line that is freed. */
static uint64_t told(struct vmt_firecracker *of, const char *path)
{
    json_object *line = told_to(of);
    uint64_t value = number(line, path);

    json_object_put(line);
    return value;
}

static struct vmt_shard *device(const struct vmt_schema *schema, const char *id, struct vmt_source **ret)
{
    struct vmt_source *source = add_source(segment, schema, vm, id);

    if (ret)
        *ret = source;
    return vmt_shard_acquire(source);
}

/* ---- what is in a line ---- */

#define AGG "{min_us max_us sum_us}"
#define BLOCK_NAMES                                                                                                    \
    "activate_fails cfg_fails no_avail_buffer event_fails execute_fails invalid_reqs_count flush_count "               \
    "queue_event_count rate_limiter_event_count update_count update_fails read_bytes write_bytes read_count "          \
    "write_count read_agg" AGG " write_agg" AGG " rate_limiter_throttled_events io_engine_throttled_events "           \
    "remaining_reqs_count"
#define NET_NAMES                                                                                                      \
    "activate_fails cfg_fails no_rx_avail_buffer no_tx_avail_buffer event_fails rx_queue_event_count "                 \
    "rx_event_rate_limiter_count rx_rate_limiter_throttled rx_tap_event_count rx_bytes_count rx_packets_count "        \
    "rx_fails rx_count tap_read_fails tap_write_fails tap_write_agg" AGG " tx_bytes_count tx_malformed_frames "        \
    "tx_fails tx_count tx_packets_count tx_queue_event_count tx_rate_limiter_event_count "                             \
    "tx_rate_limiter_throttled tx_spoofed_mac_count tx_remaining_reqs_count"

/* As in Firecracker's tests/host_tools/fcmetrics.py, in the order of its src/vmm/src/logger/metrics.rs. */
static const char *const expected[][2] = {
    { "api_server", "process_startup_time_us process_startup_time_cpu_us" },
    { "balloon",
      "activate_fails inflate_count stats_updates_count stats_update_fails deflate_count event_fails "
      "free_page_report_count free_page_report_freed free_page_report_fails free_page_hint_count free_page_hint_freed "
      "free_page_hint_fails" },
    { "block_disk-1", BLOCK_NAMES },
    { "block_rootfs", BLOCK_NAMES },
    { "block", BLOCK_NAMES },
    { "deprecated_api", "deprecated_http_api_calls" },
    { "get_api_requests", "instance_info_count machine_cfg_count mmds_count vmm_version_count hotplug_memory_count" },
    { "i8042", "error_count missed_read_count missed_write_count read_count reset_count write_count" },
    { "uart", "error_count flush_count missed_read_count missed_write_count read_count write_count "
              "rate_limiter_dropped_bytes" },
    { "latencies_us",
      "full_create_snapshot diff_create_snapshot load_snapshot pause_vm resume_vm vmm_full_create_snapshot "
      "vmm_diff_create_snapshot vmm_load_snapshot vmm_pause_vm vmm_resume_vm" },
    { "logger", "missed_metrics_count metrics_fails missed_log_count rate_limited_log_count" },
    { "mmds",
      "rx_accepted rx_accepted_err rx_accepted_unusual rx_bad_eth rx_invalid_token rx_no_token rx_count tx_bytes "
      "tx_count tx_errors tx_frames connections_created connections_destroyed" },
    { "net_eth0", NET_NAMES },
    { "net_eth1", NET_NAMES },
    { "net", NET_NAMES },
    { "patch_api_requests",
      "drive_count drive_fails network_count network_fails machine_cfg_count machine_cfg_fails mmds_count mmds_fails "
      "hotplug_memory_count hotplug_memory_fails pmem_count pmem_fails" },
    { "put_api_requests",
      "actions_count actions_fails boot_source_count boot_source_fails drive_count drive_fails logger_count "
      "logger_fails machine_cfg_count machine_cfg_fails cpu_cfg_count cpu_cfg_fails metrics_count metrics_fails "
      "network_count network_fails mmds_count mmds_fails vsock_count vsock_fails pmem_count pmem_fails serial_count "
      "serial_fails hotplug_memory_count hotplug_memory_fails" },
    { "seccomp", "num_faults" },
    { "vcpu", "exit_io_in exit_io_out exit_mmio_read exit_mmio_write failures kvmclock_ctrl_fails exit_io_in_agg" AGG
              " exit_io_out_agg" AGG " exit_mmio_read_agg" AGG " exit_mmio_write_agg" AGG },
    { "vmm", "panic_count" },
    { "signals", "sigbus sigsegv sigxfsz sigxcpu sigpipe sighup sigill" },
    { "vsock",
      "activate_fails cfg_fails rx_queue_event_fails tx_queue_event_fails ev_queue_event_fails muxer_event_fails "
      "conn_event_fails rx_queue_event_count tx_queue_event_count rx_bytes_count tx_bytes_count rx_packets_count "
      "tx_packets_count conns_added conns_killed conns_removed killq_resync tx_flush_fails tx_write_fails "
      "rx_read_fails" },
    { "entropy", "activate_fails entropy_event_fails entropy_event_count entropy_bytes host_rng_fails "
                 "entropy_rate_limiter_throttled rate_limiter_event_count" },
    { "pmem", "activate_fails cfg_fails event_fails queue_event_count rate_limiter_throttled_events "
              "rate_limiter_event_count" },
    { "interrupts", "triggers config_updates" },
    { "memory_hotplug",
      "activate_fails queue_event_fails queue_event_count plug_agg" AGG " plug_count plug_bytes plug_fails "
      "unplug_agg" AGG " unplug_count unplug_bytes unplug_fails unplug_discard_fails unplug_all_agg" AGG
      " unplug_all_count unplug_all_fails state_agg" AGG " state_count state_fails" },
};

static void append_names(json_object *group, char *text, size_t size)
{
    const char *space = "";

    json_object_object_foreach(group, key, value)
    {
        size_t n = strlen(text);

        snprintf(text + n, size - n, "%s%s", space, key);
        space = " ";
        if (!json_object_is_type(value, json_type_object)) {
            cr_assert(json_object_is_type(value, json_type_int), "%s is no number", key);
            continue;
        }
        strcat(text, "{");
        append_names(value, text, size - 1);
        strcat(text, "}");
    }
}

Test(firecracker, groups_and_names_are_firecrackers)
{
    struct vmt_snapshot *fixed = fixed_snapshot_later();
    json_object *line = line_of(lines, fixed);
    size_t i = 0;
    char names[2048];

    cr_assert_eq(strncmp(out.data, "{\"utc_timestamp_ms\":1700000070123,\"api_server\":{", 48), 0, "%.60s", out.data);
    json_object_object_foreach(line, key, value)
    {
        if (strcmp(key, "utc_timestamp_ms") == 0)
            continue;
        cr_assert_lt(i, LENGTH(expected), "%s is not Firecracker's", key);
        cr_assert_str_eq(key, expected[i][0]);
        names[0] = '\0';
        append_names(value, names, sizeof(names));
        cr_assert_str_eq(names, expected[i][1], "%s: %s", key, names);
        i++;
    }
    cr_assert_eq(i, LENGTH(expected));
    json_object_put(line);
    vmt_snapshot_free(fixed);
    fixed_forget();
}

Test(firecracker, what_a_vmm_counts_itself_has_its_group)
{
#define UART_STATISTICS(X)                                                                                             \
    X(CUMULATIVE, UART_READS, "read_count", NONE, 1, 0, "Reads")                                                       \
    X(CUMULATIVE, UART_OTHER, "breaks", NONE, 1, 0, "Not Firecracker's")                                               \
    X(INSTANT, UART_WRITES, "write_count", NONE, 1, 0, "No count")                                                     \
    X(CUMULATIVE, UART_DROPPED, "rate_limiter_dropped_bytes", KIBIBYTES, 1, 0, "Dropped")
    VMT_SCHEMA_ENUM(UART, UART_STATISTICS)
    static const struct vmt_descriptor descriptors[] = { UART_STATISTICS(VMT_ROW_DESCRIPTOR) };
    const struct vmt_schema uart = { "uart", "vmm", "uart", descriptors, LENGTH(descriptors), UART_SLOTS };
    static const struct vmt_descriptor errors = { .name = "error_count", .help = "Errors", .size = 1 };
    const struct vmt_schema odd = { "odd", "vmm", "rtc", descriptors, LENGTH(descriptors), UART_SLOTS };
    const struct vmt_schema rtc = { "rtc", "vmm", "rtc", &errors, 1, 1 };
    struct vmt_shard *shard = device(&uart, "com1", NULL);
    json_object *line;

    vmt_add(shard, UART_READS, 3);
    vmt_add(shard, UART_OTHER, 5);
    vmt_set(shard, UART_WRITES, 7);
    vmt_add(shard, UART_DROPPED, 2);
    line = told_to(lines);
    cr_assert_eq(number(line, "uart.read_count"), 3);
    cr_assert_eq(number(line, "uart.write_count"), 0, "an instant is no count");
    cr_assert_eq(number(line, "uart.rate_limiter_dropped_bytes"), 2048);
    cr_assert_not(has(line, "rtc"), "only some of Firecracker's machines have one");
    json_object_put(line);

    add_source(segment, &odd, vm, "odd");
    line = told_to(lines);
    cr_assert_not(has(line, "rtc"), "nothing of it is counted");
    json_object_put(line);
    vmt_add(device(&rtc, "clock", NULL), 0, 9);
    cr_assert_eq(told(lines, "rtc.error_count"), 9);
}

Test(firecracker, the_name_is_the_id_that_comes_second)
{
    json_object *line;

    take(snapshot, reader);
    cr_assert_eq(vmt_firecracker_encode(lines, snapshot, "we\"b\\1", &out), 0);
    cr_assert_not_null(strstr(out.data, ",\"id\":\"we\\\"b\\\\1\",\"api_server\":{"));
    cr_assert_eq(strncmp(out.data, "{\"utc_timestamp_ms\":", 20), 0);
    line = parse();
    cr_assert_eq(number(line, "utc_timestamp_ms"), vmt_snapshot_segment(snapshot)->realtime_ns / 1000000);
    json_object_put(line);
}

Test(firecracker, fixed_snapshots_give_the_golden_lines)
{
    struct vmt_snapshot *before = fixed_snapshot(), *later = fixed_snapshot_later();

    cr_assert_eq(vmt_firecracker_encode(lines, before, NULL, &out), 0);
    golden_compare("fixed.firecracker", out.data, out.size);
    vmt_firecracker_keep(lines);
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_firecracker_encode(lines, later, NULL, &out), 0);
    golden_compare("fixed-later.firecracker", out.data, out.size);
    vmt_snapshot_free(before);
    vmt_snapshot_free(later);
    fixed_forget();
}

/* ---- counts ---- */

Test(firecracker, counts_are_since_the_vm_began_then_since_the_last_line)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);

    vmt_add(shard, VMT_BLOCK_READ_COUNT, 5);
    vmt_add(shard, VMT_BLOCK_READ_BYTES, (UINT64_C(1) << 53) + 1);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 5);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 0);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 2);
    cr_assert_eq(told(lines, "block.read_count"), 2);
    cr_assert_eq(told(lines, "block.read_count"), 0);
}

Test(firecracker, a_u64_is_exact)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);

    vmt_add(shard, VMT_BLOCK_READ_BYTES, (UINT64_C(1) << 53) + 1);
    vmt_add(shard, VMT_BLOCK_WRITE_BYTES, UINT64_MAX);
    take(snapshot, reader);
    cr_assert_eq(vmt_firecracker_encode(lines, snapshot, NULL, &out), 0);
    out.data[out.size - 1] = '\0';
    cr_assert_not_null(strstr(out.data, "\"read_bytes\":9007199254740993,\"write_bytes\":18446744073709551615,"));
}

Test(firecracker, readers_do_not_steal_from_one_another)
{
    struct vmt_shard *shard = device(&vmt_schema_net, "eth0", NULL);
    struct vmt_firecracker *other;

    cr_assert_eq(vmt_firecracker_new(&other), 0);
    vmt_add(shard, VMT_NET_TX_COUNT, 10);
    cr_assert_eq(told(lines, "net_eth0.tx_count"), 10);
    vmt_add(shard, VMT_NET_TX_COUNT, 7);
    cr_assert_eq(told(lines, "net_eth0.tx_count"), 7);
    cr_assert_eq(told(other, "net_eth0.tx_count"), 17);
    cr_assert_eq(told(other, "net.tx_count"), 0);
    cr_assert_eq(told(lines, "net.tx_count"), 0);
    vmt_firecracker_free(other);
}

Test(firecracker, what_a_missed_line_had_is_in_the_next_which_counts_it)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);
    json_object *line;

    cr_assert_eq(told(lines, "logger.missed_metrics_count"), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        vmt_add(shard, VMT_BLOCK_WRITE_COUNT, 4);
        take(snapshot, reader);
        line = line_of(lines, snapshot);
        cr_assert_eq(number(line, "block.write_count"), 4 * i);
        cr_assert_eq(number(line, "block_rootfs.write_count"), 4 * i);
        cr_assert_eq(number(line, "logger.missed_metrics_count"), i - 1);
        json_object_put(line);
        vmt_firecracker_miss(lines);
    }
    line = told_to(lines);
    cr_assert_eq(number(line, "block.write_count"), 12);
    cr_assert_eq(number(line, "logger.missed_metrics_count"), 3);
    json_object_put(line);
    line = told_to(lines);
    cr_assert_eq(number(line, "block.write_count"), 0);
    cr_assert_eq(number(line, "logger.missed_metrics_count"), 0);
    json_object_put(line);
}

Test(firecracker, the_groups_of_devices_add_up_to_theirs)
{
    struct vmt_shard *shards[3];

    for (int i = 0; i < 3; i++) {
        char id[] = { 'd', (char)('a' + i), '\0' };

        shards[i] = device(&vmt_schema_block, id, NULL);
    }
    for (uint64_t round = 0; round < 4; round++) {
        uint64_t count = 0, sum = 0;
        json_object *line;

        for (uint64_t i = 0; i < 3; i++) {
            vmt_add(shards[i], VMT_BLOCK_READ_COUNT, i + round);
            vmt_latency(shards[i], VMT_BLOCK_READ_AGG, VMT_BLOCK_READ_AGG_BUCKETS, 1500 + 777 * i + 1001 * round);
        }
        line = told_to(lines);
        json_object_object_foreach(line, key, group)
        {
            if (strncmp(key, "block_", 6) == 0) {
                count += number(group, "read_count");
                sum += number(group, "read_agg.sum_us");
            }
        }
        cr_assert_eq(number(line, "block.read_count"), count);
        cr_assert_eq(count, 3 + 3 * round);
        cr_assert_eq(number(line, "block.read_agg.sum_us"), sum);
        json_object_put(line);
    }
}

Test(firecracker, what_a_removed_device_has_counted_is_not_lost)
{
    struct vmt_source *source;
    struct vmt_shard *shard = device(&vmt_schema_block, "disk", &source);
    uint64_t all = 0;
    json_object *line;

    vmt_add(shard, VMT_BLOCK_READ_COUNT, 100);
    all += told(lines, "block.read_count");
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 11);
    vmt_shard_release(shard);
    vmt_source_remove(source);

    /* It comes back, as another one. */
    shard = device(&vmt_schema_block, "disk", &source);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 3);
    line = told_to(lines);
    cr_assert_eq(number(line, "block_disk.read_count"), 3);
    cr_assert_eq(number(line, "block.read_count"), 14);
    all += number(line, "block.read_count");
    json_object_put(line);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 6);
    vmt_shard_release(shard);
    vmt_source_remove(source);
    line = told_to(lines);
    cr_assert_not(has(line, "block_disk"));
    all += number(line, "block.read_count");
    json_object_put(line);
    cr_assert_eq(all, 120);
    cr_assert_eq(told(lines, "block.read_count"), 0);
}

Test(firecracker, devices_of_one_name_are_one_as_there)
{
    struct vmt_source *other = add_source(segment, &vmt_schema_vm, NULL, "vm2"), *twin;
    json_object *line;

    vmt_add(device(&vmt_schema_block, "data", NULL), VMT_BLOCK_READ_COUNT, 1);
    vmt_add(device(&vmt_schema_block, "block-data", NULL), VMT_BLOCK_READ_COUNT, 20);
    twin = add_source(segment, &vmt_schema_block, other, "data");
    vmt_add(vmt_shard_acquire(twin), VMT_BLOCK_READ_COUNT, 300);
    line = told_to(lines);
    cr_assert_eq(number(line, "block_data.read_count"), 321);
    cr_assert_eq(number(line, "block.read_count"), 321);
    cr_assert_not(has(line, "block_block-data"));
    json_object_put(line);
    cr_assert_null(strstr(strstr(out.data, "\"block_data\":") + 1, "\"block_data\":"), "the key is there twice");
}

Test(firecracker, a_nasty_name_is_valid_json)
{
    json_object *line;

    vmt_add(device(&vmt_schema_net, FIXED_NASTY, NULL), VMT_NET_RX_COUNT, 8);
    vmt_add(device(&vmt_schema_net, "net-", NULL), VMT_NET_RX_COUNT, 9);
    line = told_to(lines);
    cr_assert(has(line, "net_" FIXED_NASTY), "%s", out.data);
    cr_assert_eq(number(line, "net_net-.rx_count"), 9);
    cr_assert_eq(number(line, "net.rx_count"), 17);
    json_object_put(line);
}

/* ---- what is stored, and latencies ---- */

Test(firecracker, stored_metrics_are_as_they_are)
{
    struct vmt_shard *shard = vmt_shard_acquire(vm);
    json_object *line;

    vmt_set(shard, VMT_VM_PROCESS_STARTUP_TIME_US, 12345);
    vmt_set(shard, VMT_VM_VMM_PAUSE_VM, 77);
    vmt_set(shard, VMT_VM_SECCOMP_NUM_FAULTS, 2);
    vmt_set(shard, VMT_VM_SIGSEGV, 1);
    vmt_add(shard, VMT_VM_SIGPIPE, 3);
    vmt_add(shard, VMT_VM_INTERRUPTS_TRIGGERS, 40);
    for (int i = 0; i < 3; i++) {
        line = told_to(lines);
        cr_assert_eq(number(line, "api_server.process_startup_time_us"), 12345);
        cr_assert_eq(number(line, "latencies_us.vmm_pause_vm"), 77);
        cr_assert_eq(number(line, "seccomp.num_faults"), 2);
        cr_assert_eq(number(line, "signals.sigsegv"), 1);
        cr_assert_eq(number(line, "signals.sigpipe"), i ? 0 : 3);
        cr_assert_eq(number(line, "interrupts.triggers"), i ? 0 : 40);
        json_object_put(line);
    }
}

Test(firecracker, least_and_most_stay_and_the_sum_is_since_the_last_line)
{
    struct vmt_shard *a = device(&vmt_schema_vcpu, "vcpu-0", NULL), *b = device(&vmt_schema_vcpu, "vcpu-1", NULL);
    struct vmt_shard *disk = device(&vmt_schema_block, "rootfs", NULL);
    json_object *line = told_to(lines);

    cr_assert_eq(number(line, "vcpu.exit_io_in_agg.min_us"), 0);
    cr_assert_eq(number(line, "vcpu.exit_io_in_agg.max_us"), 0);
    json_object_put(line);
    vmt_latency(a, VMT_VCPU_EXIT_IO_IN_AGG, VMT_VCPU_EXIT_IO_IN_AGG_BUCKETS, 9000);
    vmt_latency(b, VMT_VCPU_EXIT_IO_IN_AGG, VMT_VCPU_EXIT_IO_IN_AGG_BUCKETS, 70000);
    vmt_latency(disk, VMT_BLOCK_WRITE_AGG, VMT_BLOCK_WRITE_AGG_BUCKETS, 5000);
    for (int i = 0; i < 2; i++) {
        line = told_to(lines);
        cr_assert_eq(number(line, "vcpu.exit_io_in_agg.min_us"), 9);
        cr_assert_eq(number(line, "vcpu.exit_io_in_agg.max_us"), 70);
        cr_assert_eq(number(line, "vcpu.exit_io_in_agg.sum_us"), i ? 0 : 79);
        cr_assert_eq(number(line, "block_rootfs.write_agg.min_us"), 5);
        cr_assert_eq(number(line, "block_rootfs.write_agg.sum_us"), i ? 0 : 5);
        cr_assert_eq(number(line, "block.write_agg.sum_us"), i ? 0 : 5);
        cr_assert_eq(number(line, "block.write_agg.max_us"), 0, "there is no aggregate of it there");
        json_object_put(line);
    }
}

Test(firecracker, parts_of_a_microsecond_are_told_later)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);
    uint64_t sum = 0;

    for (int i = 0; i < 10; i++) {
        vmt_latency(shard, VMT_BLOCK_READ_AGG, VMT_BLOCK_READ_AGG_BUCKETS, 1700);
        sum += told(lines, "block_rootfs.read_agg.sum_us");
    }
    cr_assert_eq(sum, 17);
}

/* ---- restarts, and what can't be read ---- */

static void start_again(int resume)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "web-1", .keep = 1, .resume = (uint32_t)resume
    };

    vmt_reader_close(reader);
    vmt_segment_close(segment);
    segment = NULL;
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
}

Test(firecracker, a_restart_that_goes_on_goes_on_and_another_vm_begins_at_0)
{
    struct vmt_shard *shard;
    json_object *line;

    start_again(0);
    vmt_add(device(&vmt_schema_block, "rootfs", NULL), VMT_BLOCK_READ_COUNT, 50);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 50);
    start_again(1);
    shard = device(&vmt_schema_block, "rootfs", NULL);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 6);
    line = told_to(lines);
    cr_assert_eq(number(line, "block_rootfs.read_count"), 6);
    cr_assert_eq(number(line, "block.read_count"), 6);
    json_object_put(line);
    start_again(0);
    vmt_add(device(&vmt_schema_block, "rootfs", NULL), VMT_BLOCK_READ_COUNT, 4);
    line = told_to(lines);
    cr_assert_eq(number(line, "block_rootfs.read_count"), 4);
    cr_assert_eq(number(line, "block.read_count"), 4);
    json_object_put(line);
}

/* A snapshot of a VM with two disks, the second of which may be missing or absent. */
static void rebuild(struct vmt_recorded *recorded, uint64_t first, uint64_t second, uint32_t count, uint32_t flags)
{
    static uint64_t values[4][VMT_BLOCK_SLOTS + VMT_SEGMENT_SLOTS];
    struct vmt_segment_info info = { .path = "/p", .name = "n", .identity = { 7 } };
    struct vmt_sample samples[3] = {
        { .id = "", .parent = UINT32_MAX, .generation = 2, .values = values[0] },
        { .id = "a", .entry = 1, .generation = 4, .created_ns = 1, .values = values[1] },
        { .id = "b", .entry = 2, .generation = 6, .created_ns = 1, .values = values[2], .flags = flags },
    };

    values[1][VMT_BLOCK_READ_COUNT] = first;
    values[2][VMT_BLOCK_READ_COUNT] = second;
    info.flags = count == 3 ? 0 : VMT_SNAPSHOT_PARTIAL;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(vmt_recorded_schema(recorded, i ? &vmt_schema_block : &vmt_schema_segment, &samples[i].schema), 0);
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, count), 0);
}

Test(firecracker, what_can_not_be_read_is_told_when_it_can)
{
    static const struct {
        uint32_t count, flags;
    } gaps[] = { { 2, 0 }, { 3, VMT_SAMPLE_ABSENT } };
    struct vmt_recorded *recorded;
    json_object *line;

    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    for (size_t i = 0; i < LENGTH(gaps); i++) {
        struct vmt_firecracker *own;

        cr_assert_eq(vmt_firecracker_new(&own), 0);
        rebuild(recorded, 10, 200, 3, 0);
        json_object_put(line_of(own, snapshot));
        vmt_firecracker_keep(own);
        for (int again = 0; again < 2; again++) {
            rebuild(recorded, 10, 0, gaps[i].count, gaps[i].flags);
            line = line_of(own, snapshot);
            vmt_firecracker_keep(own);
            cr_assert_eq(number(line, "block.read_count"), 0);
            json_object_put(line);
        }
        rebuild(recorded, 11, 203, 3, 0);
        line = line_of(own, snapshot);
        cr_assert_eq(number(line, "block_a.read_count"), 1);
        cr_assert_eq(number(line, "block_b.read_count"), 3);
        cr_assert_eq(number(line, "block.read_count"), 4);
        json_object_put(line);
        vmt_firecracker_free(own);
    }
    vmt_recorded_free(recorded);
}

Test(firecracker, a_snapshot_that_could_not_be_taken_tells_nothing_and_loses_nothing)
{
    struct vmt_shard *shard = device(&vmt_schema_block, "rootfs", NULL);
    struct vmt_snapshot *empty = new_snapshot();
    json_object *line;

    vmt_add(shard, VMT_BLOCK_READ_COUNT, 5);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 5);
    line = line_of(lines, empty);
    vmt_firecracker_keep(lines);
    cr_assert_eq(number(line, "block.read_count"), 0);
    json_object_put(line);
    vmt_add(shard, VMT_BLOCK_READ_COUNT, 1);
    cr_assert_eq(told(lines, "block_rootfs.read_count"), 1);
    vmt_snapshot_free(empty);
}

/* ---- out of memory ---- */

Test(firecracker, without_memory_nothing_is_told_and_nothing_lost)
{
    struct vmt_source *sources[40];
    bool failed = true;
    unsigned n;

    for (int i = 0; i < 40; i++) {
        sources[i] = NULL;
        cr_assert_eq(vmt_source_addf(segment, i % 2 ? &vmt_schema_block : &vmt_schema_net, vm, &sources[i], "d%d", i),
                     0);
        vmt_add(vmt_shard_acquire(sources[i]), VMT_BLOCK_READ_COUNT, 1);
    }
    take(snapshot, reader);
    for (n = 1; failed; n++) {
        struct vmt_firecracker *own = NULL;
        struct vmt_buffer small = { 0 };
        json_object *line;
        int r = SCARCE(n, &failed, vmt_firecracker_new(&own));

        if (r == 0 && !failed)
            r = SCARCE(n, &failed, vmt_firecracker_encode(own, snapshot, NULL, &small));
        cr_assert_eq(r, failed ? -ENOMEM : 0, "%s without allocation %u", strerror(-r), n);
        if (failed && own) {
            cr_assert_eq(small.size, 0);
            vmt_firecracker_miss(own);
            line = line_of(own, snapshot);
            cr_assert_eq(number(line, "block.read_count"), 20);
            cr_assert_eq(number(line, "logger.missed_metrics_count"), 1);
            json_object_put(line);
        }
        vmt_buffer_free(&small);
        vmt_firecracker_free(own);
        cr_assert_lt(n, 1000);
    }
    cr_assert_gt(n, 8);
}
