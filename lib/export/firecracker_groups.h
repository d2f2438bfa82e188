/* SPDX-License-Identifier: MIT */
/* The groups of a line of Firecracker's metrics and what is in them, in its order (structures of its metrics.rs, and of
 * those beside its devices). Included by firecracker.h. */
#ifndef LIB_EXPORT_FIRECRACKER_GROUPS_H
#define LIB_EXPORT_FIRECRACKER_GROUPS_H

#include <stddef.h>

enum kind {
    COUNT,  /* what was counted since the last line (SharedIncMetric) */
    STORE,  /* as it is (SharedStoreMetric) */
    LATENCY /* min_us and max_us as they are, sum_us since the last line (LatencyAggregateMetrics) */
};

struct metric {
    const char *name;
    enum kind kind;
};

/* A list is X(COUNTS, STORES, LATENCIES). */
#define API_SERVER(C, S, L) S("process_startup_time_us") S("process_startup_time_cpu_us")
#define BALLOON(C, S, L)                                                                                               \
    C("activate_fails")                                                                                                \
    C("inflate_count")                                                                                                 \
    C("stats_updates_count")                                                                                           \
    C("stats_update_fails")                                                                                            \
    C("deflate_count")                                                                                                 \
    C("event_fails")                                                                                                   \
    C("free_page_report_count")                                                                                        \
    C("free_page_report_freed")                                                                                        \
    C("free_page_report_fails")                                                                                        \
    C("free_page_hint_count")                                                                                          \
    C("free_page_hint_freed")                                                                                          \
    C("free_page_hint_fails")
#define BLOCK(C, S, L)                                                                                                 \
    C("activate_fails")                                                                                                \
    C("cfg_fails")                                                                                                     \
    C("no_avail_buffer")                                                                                               \
    C("event_fails")                                                                                                   \
    C("execute_fails")                                                                                                 \
    C("invalid_reqs_count")                                                                                            \
    C("flush_count")                                                                                                   \
    C("queue_event_count")                                                                                             \
    C("rate_limiter_event_count")                                                                                      \
    C("update_count")                                                                                                  \
    C("update_fails")                                                                                                  \
    C("read_bytes")                                                                                                    \
    C("write_bytes")                                                                                                   \
    C("read_count")                                                                                                    \
    C("write_count")                                                                                                   \
    L("read_agg")                                                                                                      \
    L("write_agg")                                                                                                     \
    C("rate_limiter_throttled_events")                                                                                 \
    C("io_engine_throttled_events")                                                                                    \
    C("remaining_reqs_count")
#define DEPRECATED_API(C, S, L) C("deprecated_http_api_calls")
#define GET_API_REQUESTS(C, S, L)                                                                                      \
    C("instance_info_count")                                                                                           \
    C("machine_cfg_count")                                                                                             \
    C("mmds_count")                                                                                                    \
    C("vmm_version_count")                                                                                             \
    C("hotplug_memory_count")
#define I8042(C, S, L)                                                                                                 \
    C("error_count")                                                                                                   \
    C("missed_read_count")                                                                                             \
    C("missed_write_count")                                                                                            \
    C("read_count")                                                                                                    \
    C("reset_count")                                                                                                   \
    C("write_count")
#define RTC(C, S, L) C("error_count") C("missed_read_count") C("missed_write_count")
#define UART(C, S, L)                                                                                                  \
    C("error_count")                                                                                                   \
    C("flush_count")                                                                                                   \
    C("missed_read_count")                                                                                             \
    C("missed_write_count")                                                                                            \
    C("read_count")                                                                                                    \
    C("write_count")                                                                                                   \
    C("rate_limiter_dropped_bytes")
#define LATENCIES_US(C, S, L)                                                                                          \
    S("full_create_snapshot")                                                                                          \
    S("diff_create_snapshot")                                                                                          \
    S("load_snapshot")                                                                                                 \
    S("pause_vm")                                                                                                      \
    S("resume_vm")                                                                                                     \
    S("vmm_full_create_snapshot")                                                                                      \
    S("vmm_diff_create_snapshot")                                                                                      \
    S("vmm_load_snapshot")                                                                                             \
    S("vmm_pause_vm")                                                                                                  \
    S("vmm_resume_vm")
#define LOGGER(C, S, L) C("missed_metrics_count") C("metrics_fails") C("missed_log_count") C("rate_limited_log_count")
#define MMDS(C, S, L)                                                                                                  \
    C("rx_accepted")                                                                                                   \
    C("rx_accepted_err")                                                                                               \
    C("rx_accepted_unusual")                                                                                           \
    C("rx_bad_eth")                                                                                                    \
    C("rx_invalid_token")                                                                                              \
    C("rx_no_token")                                                                                                   \
    C("rx_count")                                                                                                      \
    C("tx_bytes")                                                                                                      \
    C("tx_count")                                                                                                      \
    C("tx_errors")                                                                                                     \
    C("tx_frames")                                                                                                     \
    C("connections_created")                                                                                           \
    C("connections_destroyed")
#define NET(C, S, L)                                                                                                   \
    C("activate_fails")                                                                                                \
    C("cfg_fails")                                                                                                     \
    C("no_rx_avail_buffer")                                                                                            \
    C("no_tx_avail_buffer")                                                                                            \
    C("event_fails")                                                                                                   \
    C("rx_queue_event_count")                                                                                          \
    C("rx_event_rate_limiter_count")                                                                                   \
    C("rx_rate_limiter_throttled")                                                                                     \
    C("rx_tap_event_count")                                                                                            \
    C("rx_bytes_count")                                                                                                \
    C("rx_packets_count")                                                                                              \
    C("rx_fails")                                                                                                      \
    C("rx_count")                                                                                                      \
    C("tap_read_fails")                                                                                                \
    C("tap_write_fails")                                                                                               \
    L("tap_write_agg")                                                                                                 \
    C("tx_bytes_count")                                                                                                \
    C("tx_malformed_frames")                                                                                           \
    C("tx_fails")                                                                                                      \
    C("tx_count")                                                                                                      \
    C("tx_packets_count")                                                                                              \
    C("tx_queue_event_count")                                                                                          \
    C("tx_rate_limiter_event_count")                                                                                   \
    C("tx_rate_limiter_throttled")                                                                                     \
    C("tx_spoofed_mac_count")                                                                                          \
    C("tx_remaining_reqs_count")
#define PATCH_API_REQUESTS(C, S, L)                                                                                    \
    C("drive_count")                                                                                                   \
    C("drive_fails")                                                                                                   \
    C("network_count")                                                                                                 \
    C("network_fails")                                                                                                 \
    C("machine_cfg_count")                                                                                             \
    C("machine_cfg_fails")                                                                                             \
    C("mmds_count")                                                                                                    \
    C("mmds_fails")                                                                                                    \
    C("hotplug_memory_count")                                                                                          \
    C("hotplug_memory_fails")                                                                                          \
    C("pmem_count")                                                                                                    \
    C("pmem_fails")
#define PUT_API_REQUESTS(C, S, L)                                                                                      \
    C("actions_count")                                                                                                 \
    C("actions_fails")                                                                                                 \
    C("boot_source_count")                                                                                             \
    C("boot_source_fails")                                                                                             \
    C("drive_count")                                                                                                   \
    C("drive_fails")                                                                                                   \
    C("logger_count")                                                                                                  \
    C("logger_fails")                                                                                                  \
    C("machine_cfg_count")                                                                                             \
    C("machine_cfg_fails")                                                                                             \
    C("cpu_cfg_count")                                                                                                 \
    C("cpu_cfg_fails")                                                                                                 \
    C("metrics_count")                                                                                                 \
    C("metrics_fails")                                                                                                 \
    C("network_count")                                                                                                 \
    C("network_fails")                                                                                                 \
    C("mmds_count")                                                                                                    \
    C("mmds_fails")                                                                                                    \
    C("vsock_count")                                                                                                   \
    C("vsock_fails")                                                                                                   \
    C("pmem_count")                                                                                                    \
    C("pmem_fails")                                                                                                    \
    C("serial_count")                                                                                                  \
    C("serial_fails")                                                                                                  \
    C("hotplug_memory_count")                                                                                          \
    C("hotplug_memory_fails")
#define SECCOMP(C, S, L) S("num_faults")
#define VCPU(C, S, L)                                                                                                  \
    C("exit_io_in")                                                                                                    \
    C("exit_io_out")                                                                                                   \
    C("exit_mmio_read")                                                                                                \
    C("exit_mmio_write")                                                                                               \
    C("failures")                                                                                                      \
    C("kvmclock_ctrl_fails")                                                                                           \
    L("exit_io_in_agg")                                                                                                \
    L("exit_io_out_agg")                                                                                               \
    L("exit_mmio_read_agg")                                                                                            \
    L("exit_mmio_write_agg")
#define VMM(C, S, L) S("panic_count")
#define SIGNALS(C, S, L) S("sigbus") S("sigsegv") S("sigxfsz") S("sigxcpu") C("sigpipe") S("sighup") S("sigill")
#define VSOCK(C, S, L)                                                                                                 \
    C("activate_fails")                                                                                                \
    C("cfg_fails")                                                                                                     \
    C("rx_queue_event_fails")                                                                                          \
    C("tx_queue_event_fails")                                                                                          \
    C("ev_queue_event_fails")                                                                                          \
    C("muxer_event_fails")                                                                                             \
    C("conn_event_fails")                                                                                              \
    C("rx_queue_event_count")                                                                                          \
    C("tx_queue_event_count")                                                                                          \
    C("rx_bytes_count")                                                                                                \
    C("tx_bytes_count")                                                                                                \
    C("rx_packets_count")                                                                                              \
    C("tx_packets_count")                                                                                              \
    C("conns_added")                                                                                                   \
    C("conns_killed")                                                                                                  \
    C("conns_removed")                                                                                                 \
    C("killq_resync")                                                                                                  \
    C("tx_flush_fails")                                                                                                \
    C("tx_write_fails")                                                                                                \
    C("rx_read_fails")
#define ENTROPY(C, S, L)                                                                                               \
    C("activate_fails")                                                                                                \
    C("entropy_event_fails")                                                                                           \
    C("entropy_event_count")                                                                                           \
    C("entropy_bytes")                                                                                                 \
    C("host_rng_fails")                                                                                                \
    C("entropy_rate_limiter_throttled")                                                                                \
    C("rate_limiter_event_count")
#define PMEM(C, S, L)                                                                                                  \
    C("activate_fails")                                                                                                \
    C("cfg_fails")                                                                                                     \
    C("event_fails")                                                                                                   \
    C("queue_event_count")                                                                                             \
    C("rate_limiter_throttled_events")                                                                                 \
    C("rate_limiter_event_count")
#define VHOST_USER(C, S, L)                                                                                            \
    C("activate_fails") C("cfg_fails") S("init_time_us") S("activate_time_us") S("config_change_time_us")
#define INTERRUPTS(C, S, L) C("triggers") C("config_updates")
#define MEMORY_HOTPLUG(C, S, L)                                                                                        \
    C("activate_fails")                                                                                                \
    C("queue_event_fails")                                                                                             \
    C("queue_event_count")                                                                                             \
    L("plug_agg")                                                                                                      \
    C("plug_count")                                                                                                    \
    C("plug_bytes")                                                                                                    \
    C("plug_fails")                                                                                                    \
    L("unplug_agg")                                                                                                    \
    C("unplug_count")                                                                                                  \
    C("unplug_bytes")                                                                                                  \
    C("unplug_fails")                                                                                                  \
    C("unplug_discard_fails")                                                                                          \
    L("unplug_all_agg")                                                                                                \
    C("unplug_all_count")                                                                                              \
    C("unplug_all_fails")                                                                                              \
    L("state_agg")                                                                                                     \
    C("state_count")                                                                                                   \
    C("state_fails")

#define EACH 1U      /* before it one group for each device, NAME_DEVICE */
#define EACH_ONLY 2U /* and no sum of them */
#define IF_THERE 4U  /* only where there is a source: Firecracker has it on one kind of machine */

/* X(name, target, prefix, flags, list): from sources of that target, what is called prefix and the metric's name. */
#define GROUPS(X)                                                                                                      \
    X("api_server", "vm", "", 0, API_SERVER)                                                                           \
    X("balloon", "balloon", "", 0, BALLOON)                                                                            \
    X("block", "block", "", EACH, BLOCK)                                                                               \
    X("deprecated_api", "deprecated_api", "", 0, DEPRECATED_API)                                                       \
    X("get_api_requests", "get_api_requests", "", 0, GET_API_REQUESTS)                                                 \
    X("i8042", "i8042", "", 0, I8042)                                                                                  \
    X("rtc", "rtc", "", IF_THERE, RTC)                                                                                 \
    X("uart", "uart", "", 0, UART)                                                                                     \
    X("latencies_us", "vm", "", 0, LATENCIES_US)                                                                       \
    X("logger", "logger", "", 0, LOGGER)                                                                               \
    X("mmds", "mmds", "", 0, MMDS)                                                                                     \
    X("net", "net", "", EACH, NET)                                                                                     \
    X("patch_api_requests", "patch_api_requests", "", 0, PATCH_API_REQUESTS)                                           \
    X("put_api_requests", "put_api_requests", "", 0, PUT_API_REQUESTS)                                                 \
    X("seccomp", "vm", "seccomp_", 0, SECCOMP)                                                                         \
    X("vcpu", "vcpu", "", 0, VCPU)                                                                                     \
    X("vmm", "vm", "", 0, VMM)                                                                                         \
    X("signals", "vm", "", 0, SIGNALS)                                                                                 \
    X("vsock", "vsock", "", 0, VSOCK)                                                                                  \
    X("entropy", "entropy", "", 0, ENTROPY)                                                                            \
    X("pmem", "pmem", "", EACH, PMEM)                                                                                  \
    X("vhost_user", "vhost_user", "", EACH | EACH_ONLY, VHOST_USER)                                                    \
    X("interrupts", "vm", "interrupts_", 0, INTERRUPTS)                                                                \
    X("memory_hotplug", "memory_hotplug", "", 0, MEMORY_HOTPLUG)

#define A_COUNT(name) { name, COUNT },
#define A_STORE(name) { name, STORE },
#define A_LATENCY(name) { name, LATENCY },
#define THE_METRICS(name, target, prefix, flags, list) list(A_COUNT, A_STORE, A_LATENCY)

/* Of all groups, one after the other. */
static const struct metric metrics[] = { GROUPS(THE_METRICS) };
#define METRICS (sizeof(metrics) / sizeof(metrics[0]))

struct group {
    const char *name;
    const char *target;
    const char *prefix;
    unsigned flags;
    unsigned count; /* of metrics */
};

#define ONE(name) +1
#define THE_GROUP(name, target, prefix, flags, list) { name, target, prefix, flags, 0 list(ONE, ONE, ONE) },

static const struct group groups[] = { GROUPS(THE_GROUP) };
#define GROUP_COUNT (sizeof(groups) / sizeof(groups[0]))

#endif
