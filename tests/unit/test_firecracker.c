/* SPDX-License-Identifier: MIT */
/* What is in a line of Firecracker's metrics: its groups and names, what is stored, and latencies. */
#include "fixed_snapshot.h"
#include "golden.h"

#include "firecracker_line.h"

TestSuite(firecracker, .init = firecracker_init, .fini = firecracker_fini);

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
