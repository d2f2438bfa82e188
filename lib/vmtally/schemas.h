/* SPDX-License-Identifier: MIT */
/* vmtally/schemas.h: ready-made schemas, so that different VMMs count the same things under the same names.
 *
 * block, net, vsock, balloon, most of vcpu and of vm are Firecracker's (its docs/metrics.md), program, request and
 * storage TinyKVM's (docs/statistics.md of libvmod-tinykvm): names and meanings are theirs, the words are ours, and
 * nobody renames a row. Two things differ. Times are whole nanoseconds where they add up, so TinyKVM's seconds and
 * the microseconds of Firecracker's latencies are this times a power of ten. Firecracker's min_us, max_us and sum_us
 * of a latency NAME are NAME_min, NAME_max and NAME_sum here, with NAME_count and NAME_hist beside them.
 *
 * A VMM that counts more declares a schema of its own (vmtally/schema.h) and adds a second source.
 */
#ifndef VMTALLY_SCHEMAS_H
#define VMTALLY_SCHEMAS_H

#include <vmtally/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Source 0 of each segment. The library itself counts here; VMMs don't. */
#define VMT_SEGMENT_STATISTICS(X)                                                                                      \
    X(CUMULATIVE, VMT_SEGMENT_DROPPED_SOURCES, "dropped_sources", NONE, 1, 0,                                          \
      "Sources that could not be added for want of an entry, space or memory")                                         \
    X(CUMULATIVE, VMT_SEGMENT_DROPPED_SHARDS, "dropped_shards", NONE, 1, 0,                                            \
      "Shards that could not be had: what was counted into scratch memory instead is lost")                            \
    X(CUMULATIVE, VMT_SEGMENT_SOURCES_ADDED, "sources_added", NONE, 1, 0,                                              \
      "Sources added since the segment was created")                                                                   \
    X(CUMULATIVE, VMT_SEGMENT_SOURCES_REMOVED, "sources_removed", NONE, 1, 0,                                          \
      "Sources removed, their counts kept by their parents")                                                           \
    X(CUMULATIVE, VMT_SEGMENT_SHARDS_CREATED, "shards_created", NONE, 1, 0,                                            \
      "Shards newly made; taking over a released one is not counted")                                                  \
    X(CUMULATIVE, VMT_SEGMENT_SHARDS_TORN, "shards_torn", NONE, 1, 0,                                                  \
      "Shards taken over from an owner that died in the middle of a group")
VMT_SCHEMA_ENUM(VMT_SEGMENT, VMT_SEGMENT_STATISTICS)
extern const struct vmt_schema vmt_schema_segment;

/* A virtual machine as a whole. Firecracker spreads these over several objects: interrupts_ and seccomp_ are the names
 * of those whose fields alone say nothing; the others are of api_server, vmm, latencies_us and signals. */
#define VMT_VM_STATISTICS(X)                                                                                           \
    X(INSTANT, VMT_VM_VCPUS, "vcpus", NONE, 1, 0, "vCPUs plugged in")                                                  \
    X(INSTANT, VMT_VM_MEMORY_BYTES, "memory_bytes", BYTES, 1, 0, "Guest memory, as configured")                        \
    X(INSTANT, VMT_VM_PROCESS_STARTUP_TIME_US, "process_startup_time_us", MICROSECONDS, 1, 0,                          \
      "Time from the start of the VMM process until it was ready")                                                     \
    X(INSTANT, VMT_VM_PROCESS_STARTUP_TIME_CPU_US, "process_startup_time_cpu_us", MICROSECONDS, 1, 0,                  \
      "CPU time that the VMM process and its launcher took until it was ready")                                        \
    X(INSTANT, VMT_VM_PANIC_COUNT, "panic_count", NONE, 1, 0, "1 once the VMM has panicked")                           \
    X(CUMULATIVE, VMT_VM_INTERRUPTS_TRIGGERS, "interrupts_triggers", NONE, 1, 0,                                       \
      "Interrupts that devices raised in the guest")                                                                   \
    X(CUMULATIVE, VMT_VM_INTERRUPTS_CONFIG_UPDATES, "interrupts_config_updates", NONE, 1, 0,                           \
      "Changes of interrupt vectors and their routes")                                                                 \
    X(INSTANT, VMT_VM_SECCOMP_NUM_FAULTS, "seccomp_num_faults", NONE, 1, 0,                                            \
      "System calls that the seccomp filter caught")                                                                   \
    X(INSTANT, VMT_VM_FULL_CREATE_SNAPSHOT, "full_create_snapshot", MICROSECONDS, 1, 0,                                \
      "Last full snapshot made: time as the API's user saw it")                                                        \
    X(INSTANT, VMT_VM_DIFF_CREATE_SNAPSHOT, "diff_create_snapshot", MICROSECONDS, 1, 0,                                \
      "Last incremental snapshot made: time as the API's user saw it")                                                 \
    X(INSTANT, VMT_VM_LOAD_SNAPSHOT, "load_snapshot", MICROSECONDS, 1, 0,                                              \
      "Last snapshot loaded: time as the API's user saw it")                                                           \
    X(INSTANT, VMT_VM_PAUSE_VM, "pause_vm", MICROSECONDS, 1, 0, "Last pause: time as the API's user saw it")           \
    X(INSTANT, VMT_VM_RESUME_VM, "resume_vm", MICROSECONDS, 1, 0, "Last resumption: time as the API's user saw it")    \
    X(INSTANT, VMT_VM_VMM_FULL_CREATE_SNAPSHOT, "vmm_full_create_snapshot", MICROSECONDS, 1, 0,                        \
      "Last full snapshot made: time within the VMM alone")                                                            \
    X(INSTANT, VMT_VM_VMM_DIFF_CREATE_SNAPSHOT, "vmm_diff_create_snapshot", MICROSECONDS, 1, 0,                        \
      "Last incremental snapshot made: time within the VMM alone")                                                     \
    X(INSTANT, VMT_VM_VMM_LOAD_SNAPSHOT, "vmm_load_snapshot", MICROSECONDS, 1, 0,                                      \
      "Last snapshot loaded: time within the VMM alone")                                                               \
    X(INSTANT, VMT_VM_VMM_PAUSE_VM, "vmm_pause_vm", MICROSECONDS, 1, 0, "Last pause: time within the VMM alone")       \
    X(INSTANT, VMT_VM_VMM_RESUME_VM, "vmm_resume_vm", MICROSECONDS, 1, 0,                                              \
      "Last resumption: time within the VMM alone")                                                                    \
    X(INSTANT, VMT_VM_SIGBUS, "sigbus", NONE, 1, 0, "1 once SIGBUS came: a bad access to mapped memory")               \
    X(INSTANT, VMT_VM_SIGSEGV, "sigsegv", NONE, 1, 0, "1 once SIGSEGV came: a bad access to memory")                   \
    X(INSTANT, VMT_VM_SIGXFSZ, "sigxfsz", NONE, 1, 0, "1 once SIGXFSZ came: a file outgrew its limit")                 \
    X(INSTANT, VMT_VM_SIGXCPU, "sigxcpu", NONE, 1, 0, "1 once SIGXCPU came: the limit of CPU time was reached")        \
    X(CUMULATIVE, VMT_VM_SIGPIPE, "sigpipe", NONE, 1, 0, "SIGPIPEs survived: writes to something that nobody reads")   \
    X(INSTANT, VMT_VM_SIGHUP, "sighup", NONE, 1, 0, "1 once SIGHUP came: the terminal or session is gone")             \
    X(INSTANT, VMT_VM_SIGILL, "sigill", NONE, 1, 0, "1 once SIGILL came: an instruction that the CPU refused")
VMT_SCHEMA_ENUM(VMT_VM, VMT_VM_STATISTICS)
extern const struct vmt_schema vmt_schema_vm;

/* A vCPU. Those before exit_io_in are ours. */
#define VMT_VCPU_STATISTICS(X)                                                                                         \
    X(CUMULATIVE, VMT_VCPU_EXITS, "exits", NONE, 1, 0, "Returns of KVM_RUN, whatever the reason")                      \
    X(CUMULATIVE, VMT_VCPU_EXIT_HLT, "exit_hlt", NONE, 1, 0, "Exits because the guest halted")                         \
    X(CUMULATIVE, VMT_VCPU_EXIT_INTR, "exit_intr", NONE, 1, 0, "Exits because a signal interrupted KVM_RUN")           \
    X(CUMULATIVE, VMT_VCPU_EXIT_IRQ_WINDOW, "exit_irq_window", NONE, 1, 0,                                             \
      "Exits because the guest can take interrupts again")                                                             \
    X(CUMULATIVE, VMT_VCPU_EXIT_OTHER, "exit_other", NONE, 1, 0, "Exits for a reason that has no counter of its own")  \
    X(CUMULATIVE, VMT_VCPU_RUN_TIME, "run_time", NANOSECONDS, 1, 0, "Time spent in KVM_RUN")                           \
    X(LATENCY, VMT_VCPU_IO_LATENCY, "io_latency", NANOSECONDS, 40, 0, "Time that the VMM takes to handle an exit")     \
    X(CUMULATIVE, VMT_VCPU_HALT_TIME, "halt_time", NANOSECONDS, 1, 0,                                                  \
      "Time spent halted, waiting for something to do")                                                                \
    X(CUMULATIVE, VMT_VCPU_EXIT_IO_IN, "exit_io_in", NONE, 1, 0, "Exits for reads from an I/O port")                   \
    X(CUMULATIVE, VMT_VCPU_EXIT_IO_OUT, "exit_io_out", NONE, 1, 0, "Exits for writes to an I/O port")                  \
    X(CUMULATIVE, VMT_VCPU_EXIT_MMIO_READ, "exit_mmio_read", NONE, 1, 0, "Exits for reads from memory-mapped I/O")     \
    X(CUMULATIVE, VMT_VCPU_EXIT_MMIO_WRITE, "exit_mmio_write", NONE, 1, 0, "Exits for writes to memory-mapped I/O")    \
    X(CUMULATIVE, VMT_VCPU_FAILURES, "failures", NONE, 1, 0,                                                           \
      "Errors while the vCPU ran: KVM_RUN failed, or an exit that the VMM can't handle")                               \
    X(CUMULATIVE, VMT_VCPU_KVMCLOCK_CTRL_FAILS, "kvmclock_ctrl_fails", NONE, 1, 0,                                     \
      "Failures to tell the guest's clock about a pause (KVM_KVMCLOCK_CTRL)")                                          \
    X(LATENCY, VMT_VCPU_EXIT_IO_IN_AGG, "exit_io_in_agg", NANOSECONDS, 40, 0,                                          \
      "Time to handle a read from an I/O port")                                                                        \
    X(LATENCY, VMT_VCPU_EXIT_IO_OUT_AGG, "exit_io_out_agg", NANOSECONDS, 40, 0,                                        \
      "Time to handle a write to an I/O port")                                                                         \
    X(LATENCY, VMT_VCPU_EXIT_MMIO_READ_AGG, "exit_mmio_read_agg", NANOSECONDS, 40, 0,                                  \
      "Time to handle a read from memory-mapped I/O")                                                                  \
    X(LATENCY, VMT_VCPU_EXIT_MMIO_WRITE_AGG, "exit_mmio_write_agg", NANOSECONDS, 40, 0,                                \
      "Time to handle a write to memory-mapped I/O")
VMT_SCHEMA_ENUM(VMT_VCPU, VMT_VCPU_STATISTICS)
extern const struct vmt_schema vmt_schema_vcpu;

/* A block device. */
#define VMT_BLOCK_STATISTICS(X)                                                                                        \
    X(CUMULATIVE, VMT_BLOCK_ACTIVATE_FAILS, "activate_fails", NONE, 1, 0,                                              \
      "Failures to activate the device for the guest's driver")                                                        \
    X(CUMULATIVE, VMT_BLOCK_CFG_FAILS, "cfg_fails", NONE, 1, 0, "Bad accesses to the configuration space")             \
    X(CUMULATIVE, VMT_BLOCK_NO_AVAIL_BUFFER, "no_avail_buffer", NONE, 1, 0,                                            \
      "Times the queue was looked at and held no request")                                                             \
    X(CUMULATIVE, VMT_BLOCK_EVENT_FAILS, "event_fails", NONE, 1, 0, "Failures to handle an event of the device")       \
    X(CUMULATIVE, VMT_BLOCK_EXECUTE_FAILS, "execute_fails", NONE, 1, 0, "Requests that could not be carried out")      \
    X(CUMULATIVE, VMT_BLOCK_INVALID_REQS_COUNT, "invalid_reqs_count", NONE, 1, 0, "Requests that make no sense")       \
    X(CUMULATIVE, VMT_BLOCK_FLUSH_COUNT, "flush_count", NONE, 1, 0, "Flushes that the guest asked for")                \
    X(CUMULATIVE, VMT_BLOCK_QUEUE_EVENT_COUNT, "queue_event_count", NONE, 1, 0,                                        \
      "Kicks: the guest said that the queue has something")                                                            \
    X(CUMULATIVE, VMT_BLOCK_RATE_LIMITER_EVENT_COUNT, "rate_limiter_event_count", NONE, 1, 0,                          \
      "Times the rate limiter let the device go on")                                                                   \
    X(CUMULATIVE, VMT_BLOCK_UPDATE_COUNT, "update_count", NONE, 1, 0, "Changes of the device's backing while it runs") \
    X(CUMULATIVE, VMT_BLOCK_UPDATE_FAILS, "update_fails", NONE, 1, 0, "Failed changes of the device's backing")        \
    X(CUMULATIVE, VMT_BLOCK_READ_BYTES, "read_bytes", BYTES, 1, 0, "Bytes that the guest has read")                    \
    X(CUMULATIVE, VMT_BLOCK_WRITE_BYTES, "write_bytes", BYTES, 1, 0, "Bytes that the guest has written")               \
    X(CUMULATIVE, VMT_BLOCK_READ_COUNT, "read_count", NONE, 1, 0, "Reads completed")                                   \
    X(CUMULATIVE, VMT_BLOCK_WRITE_COUNT, "write_count", NONE, 1, 0, "Writes completed")                                \
    X(LATENCY, VMT_BLOCK_READ_AGG, "read_agg", NANOSECONDS, 40, 0, "Time that a read takes")                           \
    X(LATENCY, VMT_BLOCK_WRITE_AGG, "write_agg", NANOSECONDS, 40, 0, "Time that a write takes")                        \
    X(CUMULATIVE, VMT_BLOCK_RATE_LIMITER_THROTTLED_EVENTS, "rate_limiter_throttled_events", NONE, 1, 0,                \
      "Times the rate limiter made the queue wait")                                                                    \
    X(CUMULATIVE, VMT_BLOCK_IO_ENGINE_THROTTLED_EVENTS, "io_engine_throttled_events", NONE, 1, 0,                      \
      "Times the queue waited because the I/O engine was full")                                                        \
    X(CUMULATIVE, VMT_BLOCK_REMAINING_REQS_COUNT, "remaining_reqs_count", NONE, 1, 0,                                  \
      "Requests left in the queue, added up each time it was served")
VMT_SCHEMA_ENUM(VMT_BLOCK, VMT_BLOCK_STATISTICS)
extern const struct vmt_schema vmt_schema_block;

/* A network device. Received (rx) and transmitted (tx) are the guest's: rx goes from the tap to the guest. */
#define VMT_NET_STATISTICS(X)                                                                                          \
    X(CUMULATIVE, VMT_NET_ACTIVATE_FAILS, "activate_fails", NONE, 1, 0,                                                \
      "Failures to activate the device for the guest's driver")                                                        \
    X(CUMULATIVE, VMT_NET_CFG_FAILS, "cfg_fails", NONE, 1, 0, "Bad accesses to the configuration space")               \
    X(CUMULATIVE, VMT_NET_NO_RX_AVAIL_BUFFER, "no_rx_avail_buffer", NONE, 1, 0,                                        \
      "Times a frame waited because the guest offered no receive buffer")                                              \
    X(CUMULATIVE, VMT_NET_NO_TX_AVAIL_BUFFER, "no_tx_avail_buffer", NONE, 1, 0,                                        \
      "Times the transmit queue was looked at and held no frame")                                                      \
    X(CUMULATIVE, VMT_NET_EVENT_FAILS, "event_fails", NONE, 1, 0, "Failures to handle an event of the device")         \
    X(CUMULATIVE, VMT_NET_RX_QUEUE_EVENT_COUNT, "rx_queue_event_count", NONE, 1, 0,                                    \
      "Kicks of the receive queue: the guest offered buffers")                                                         \
    X(CUMULATIVE, VMT_NET_RX_EVENT_RATE_LIMITER_COUNT, "rx_event_rate_limiter_count", NONE, 1, 0,                      \
      "Times the rate limiter let reception go on")                                                                    \
    X(CUMULATIVE, VMT_NET_RX_RATE_LIMITER_THROTTLED, "rx_rate_limiter_throttled", NONE, 1, 0,                          \
      "Times the rate limiter made reception wait")                                                                    \
    X(CUMULATIVE, VMT_NET_RX_TAP_EVENT_COUNT, "rx_tap_event_count", NONE, 1, 0,                                        \
      "Times the tap said that it has frames")                                                                         \
    X(CUMULATIVE, VMT_NET_RX_BYTES_COUNT, "rx_bytes_count", BYTES, 1, 0, "Bytes handed to the guest")                  \
    X(CUMULATIVE, VMT_NET_RX_PACKETS_COUNT, "rx_packets_count", NONE, 1, 0, "Packets handed to the guest")             \
    X(CUMULATIVE, VMT_NET_RX_FAILS, "rx_fails", NONE, 1, 0, "Errors on the way to the guest")                          \
    X(CUMULATIVE, VMT_NET_RX_COUNT, "rx_count", NONE, 1, 0, "Reads for reception that brought a frame")                \
    X(CUMULATIVE, VMT_NET_TAP_READ_FAILS, "tap_read_fails", NONE, 1, 0, "Failed reads from the tap")                   \
    X(CUMULATIVE, VMT_NET_TAP_WRITE_FAILS, "tap_write_fails", NONE, 1, 0, "Failed writes to the tap")                  \
    X(LATENCY, VMT_NET_TAP_WRITE_AGG, "tap_write_agg", NANOSECONDS, 40, 0, "Time that a write to the tap takes")       \
    X(CUMULATIVE, VMT_NET_TX_BYTES_COUNT, "tx_bytes_count", BYTES, 1, 0, "Bytes taken from the guest")                 \
    X(CUMULATIVE, VMT_NET_TX_MALFORMED_FRAMES, "tx_malformed_frames", NONE, 1, 0,                                      \
      "Frames of the guest that are too short, too long or not whole")                                                 \
    X(CUMULATIVE, VMT_NET_TX_FAILS, "tx_fails", NONE, 1, 0, "Errors on the way from the guest")                        \
    X(CUMULATIVE, VMT_NET_TX_COUNT, "tx_count", NONE, 1, 0, "Writes for transmission that took a frame away")          \
    X(CUMULATIVE, VMT_NET_TX_PACKETS_COUNT, "tx_packets_count", NONE, 1, 0, "Packets taken from the guest")            \
    X(CUMULATIVE, VMT_NET_TX_QUEUE_EVENT_COUNT, "tx_queue_event_count", NONE, 1, 0,                                    \
      "Kicks of the transmit queue: the guest has frames")                                                             \
    X(CUMULATIVE, VMT_NET_TX_RATE_LIMITER_EVENT_COUNT, "tx_rate_limiter_event_count", NONE, 1, 0,                      \
      "Times the rate limiter let transmission go on")                                                                 \
    X(CUMULATIVE, VMT_NET_TX_RATE_LIMITER_THROTTLED, "tx_rate_limiter_throttled", NONE, 1, 0,                          \
      "Times the rate limiter made transmission wait")                                                                 \
    X(CUMULATIVE, VMT_NET_TX_SPOOFED_MAC_COUNT, "tx_spoofed_mac_count", NONE, 1, 0,                                    \
      "Packets that the guest sent under another MAC address than its own")                                            \
    X(CUMULATIVE, VMT_NET_TX_REMAINING_REQS_COUNT, "tx_remaining_reqs_count", NONE, 1, 0,                              \
      "Frames left in the transmit queue, added up each time it was served")
VMT_SCHEMA_ENUM(VMT_NET, VMT_NET_STATISTICS)
extern const struct vmt_schema vmt_schema_net;

/* A vsock device. tx goes from the guest to the host's socket. */
#define VMT_VSOCK_STATISTICS(X)                                                                                        \
    X(CUMULATIVE, VMT_VSOCK_ACTIVATE_FAILS, "activate_fails", NONE, 1, 0,                                              \
      "Failures to activate the device for the guest's driver")                                                        \
    X(CUMULATIVE, VMT_VSOCK_CFG_FAILS, "cfg_fails", NONE, 1, 0, "Bad accesses to the configuration space")             \
    X(CUMULATIVE, VMT_VSOCK_RX_QUEUE_EVENT_FAILS, "rx_queue_event_fails", NONE, 1, 0,                                  \
      "Failures to handle a kick of the receive queue")                                                                \
    X(CUMULATIVE, VMT_VSOCK_TX_QUEUE_EVENT_FAILS, "tx_queue_event_fails", NONE, 1, 0,                                  \
      "Failures to handle a kick of the transmit queue")                                                               \
    X(CUMULATIVE, VMT_VSOCK_EV_QUEUE_EVENT_FAILS, "ev_queue_event_fails", NONE, 1, 0,                                  \
      "Failures to handle a kick of the event queue")                                                                  \
    X(CUMULATIVE, VMT_VSOCK_MUXER_EVENT_FAILS, "muxer_event_fails", NONE, 1, 0,                                        \
      "Failures to handle an event of the multiplexer of connections")                                                 \
    X(CUMULATIVE, VMT_VSOCK_CONN_EVENT_FAILS, "conn_event_fails", NONE, 1, 0,                                          \
      "Failures to handle an event of a connection")                                                                   \
    X(CUMULATIVE, VMT_VSOCK_RX_QUEUE_EVENT_COUNT, "rx_queue_event_count", NONE, 1, 0,                                  \
      "Kicks of the receive queue: the guest offered buffers")                                                         \
    X(CUMULATIVE, VMT_VSOCK_TX_QUEUE_EVENT_COUNT, "tx_queue_event_count", NONE, 1, 0,                                  \
      "Kicks of the transmit queue: the guest has packets")                                                            \
    X(CUMULATIVE, VMT_VSOCK_RX_BYTES_COUNT, "rx_bytes_count", BYTES, 1, 0, "Bytes handed to the guest")                \
    X(CUMULATIVE, VMT_VSOCK_TX_BYTES_COUNT, "tx_bytes_count", BYTES, 1, 0, "Bytes taken from the guest")               \
    X(CUMULATIVE, VMT_VSOCK_RX_PACKETS_COUNT, "rx_packets_count", NONE, 1, 0, "Packets handed to the guest")           \
    X(CUMULATIVE, VMT_VSOCK_TX_PACKETS_COUNT, "tx_packets_count", NONE, 1, 0, "Packets taken from the guest")          \
    X(CUMULATIVE, VMT_VSOCK_CONNS_ADDED, "conns_added", NONE, 1, 0, "Connections opened")                              \
    X(CUMULATIVE, VMT_VSOCK_CONNS_KILLED, "conns_killed", NONE, 1, 0, "Connections cut off by the device")             \
    X(CUMULATIVE, VMT_VSOCK_CONNS_REMOVED, "conns_removed", NONE, 1, 0,                                                \
      "Connections taken out of the table, however they ended")                                                        \
    X(CUMULATIVE, VMT_VSOCK_KILLQ_RESYNC, "killq_resync", NONE, 1, 0,                                                  \
      "Times the queue of connections due to be cut was built anew")                                                   \
    X(CUMULATIVE, VMT_VSOCK_TX_FLUSH_FAILS, "tx_flush_fails", NONE, 1, 0,                                              \
      "Failures to empty a connection's buffer into the host's socket")                                                \
    X(CUMULATIVE, VMT_VSOCK_TX_WRITE_FAILS, "tx_write_fails", NONE, 1, 0, "Failed writes to the host's socket")        \
    X(CUMULATIVE, VMT_VSOCK_RX_READ_FAILS, "rx_read_fails", NONE, 1, 0, "Failed reads from the host's socket")
VMT_SCHEMA_ENUM(VMT_VSOCK, VMT_VSOCK_STATISTICS)
extern const struct vmt_schema vmt_schema_vsock;

/* A memory balloon. */
#define VMT_BALLOON_STATISTICS(X)                                                                                      \
    X(CUMULATIVE, VMT_BALLOON_ACTIVATE_FAILS, "activate_fails", NONE, 1, 0,                                            \
      "Failures to activate the device for the guest's driver")                                                        \
    X(CUMULATIVE, VMT_BALLOON_INFLATE_COUNT, "inflate_count", NONE, 1, 0, "Inflations: the guest gave memory up")      \
    X(CUMULATIVE, VMT_BALLOON_STATS_UPDATES_COUNT, "stats_updates_count", NONE, 1, 0,                                  \
      "Memory statistics that the guest's driver sent")                                                                \
    X(CUMULATIVE, VMT_BALLOON_STATS_UPDATE_FAILS, "stats_update_fails", NONE, 1, 0,                                    \
      "Memory statistics that could not be had or read")                                                               \
    X(CUMULATIVE, VMT_BALLOON_DEFLATE_COUNT, "deflate_count", NONE, 1, 0, "Deflations: the guest took memory back")    \
    X(CUMULATIVE, VMT_BALLOON_EVENT_FAILS, "event_fails", NONE, 1, 0, "Failures to handle an event of the device")     \
    X(CUMULATIVE, VMT_BALLOON_FREE_PAGE_REPORT_COUNT, "free_page_report_count", NONE, 1, 0,                            \
      "Ranges that the guest reported as free")                                                                        \
    X(CUMULATIVE, VMT_BALLOON_FREE_PAGE_REPORT_FREED, "free_page_report_freed", BYTES, 1, 0,                           \
      "Memory given back to the host by reporting")                                                                    \
    X(CUMULATIVE, VMT_BALLOON_FREE_PAGE_REPORT_FAILS, "free_page_report_fails", NONE, 1, 0,                            \
      "Reported ranges that could not be given back")                                                                  \
    X(CUMULATIVE, VMT_BALLOON_FREE_PAGE_HINT_COUNT, "free_page_hint_count", NONE, 1, 0,                                \
      "Ranges that the guest hinted at as free")                                                                       \
    X(CUMULATIVE, VMT_BALLOON_FREE_PAGE_HINT_FREED, "free_page_hint_freed", BYTES, 1, 0,                               \
      "Memory given back to the host by hinting")                                                                      \
    X(CUMULATIVE, VMT_BALLOON_FREE_PAGE_HINT_FAILS, "free_page_hint_fails", NONE, 1, 0,                                \
      "Hinted ranges that could not be given back")
VMT_SCHEMA_ENUM(VMT_BALLOON, VMT_BALLOON_STATISTICS)
extern const struct vmt_schema vmt_schema_balloon;

/* A guest program of a compute server. Those after binary_size are the VMOD_KVM counters, which TinyKVM keeps for
 * all programs together: here each program has its own, and the parent's total is theirs. */
#define VMT_PROGRAM_STATISTICS(X)                                                                                      \
    X(CUMULATIVE, VMT_PROGRAM_LIVE_UPDATES, "live_updates", NONE, 1, 0,                                                \
      "Times the program was replaced while it served")                                                                \
    X(CUMULATIVE, VMT_PROGRAM_LIVE_UPDATE_TRANSFER_BYTES, "live_update_transfer_bytes", BYTES, 1, 0,                   \
      "State handed from the old to the new program by live updates")                                                  \
    X(CUMULATIVE, VMT_PROGRAM_RESERVATION_TIME, "reservation_time", NANOSECONDS, 1, 0,                                 \
      "Time that requests have waited for a machine of their own")                                                     \
    X(CUMULATIVE, VMT_PROGRAM_RESERVATION_TIMEOUTS, "reservation_timeouts", NONE, 1, 0,                                \
      "Requests that gave up waiting for a machine")                                                                   \
    X(INSTANT, VMT_PROGRAM_BINARY_SIZE, "binary_size", BYTES, 1, 0, "Size of the program's ELF file as loaded")        \
    X(CUMULATIVE, VMT_PROGRAM_PROGRAM_NOTFOUND, "program_notfound", NONE, 1, 0,                                        \
      "Times the program could not be fetched or initialized")                                                         \
    X(CUMULATIVE, VMT_PROGRAM_PROGRAM_EXCEPTION, "program_exception", NONE, 1, 0, "Runs ended by an exception")        \
    X(CUMULATIVE, VMT_PROGRAM_PROGRAM_TIMEOUT, "program_timeout", NONE, 1, 0, "Runs ended because their time was up")  \
    X(CUMULATIVE, VMT_PROGRAM_PROGRAM_STATUS_4XX, "program_status_4xx", NONE, 1, 0,                                    \
      "Answers with an HTTP status of 400 to 499")                                                                     \
    X(CUMULATIVE, VMT_PROGRAM_PROGRAM_STATUS_5XX, "program_status_5xx", NONE, 1, 0,                                    \
      "Answers with an HTTP status of 500 to 599")                                                                     \
    X(CUMULATIVE, VMT_PROGRAM_CPU_TIME, "cpu_time", NANOSECONDS, 1, 0,                                                 \
      "Time spent running, the scheduler's pauses included")                                                           \
    X(CUMULATIVE, VMT_PROGRAM_FETCH_TIME, "fetch_time", NANOSECONDS, 1, 0,                                             \
      "Time spent fetching content from the server itself")                                                            \
    X(CUMULATIVE, VMT_PROGRAM_SELF_REQUESTS, "self_requests", NONE, 1, 0, "Requests made to the server itself")        \
    X(CUMULATIVE, VMT_PROGRAM_SELF_REQUESTS_FAILED, "self_requests_failed", NONE, 1, 0,                                \
      "Requests made to the server itself that failed")
VMT_SCHEMA_ENUM(VMT_PROGRAM, VMT_PROGRAM_STATISTICS)
extern const struct vmt_schema vmt_schema_program;

/* What a machine of such a program counts, be it for requests or for storage. P_ is VMT_REQUEST or VMT_STORAGE. */
#define VMT_MACHINE_STATISTICS_(X, P_)                                                                                 \
    X(CUMULATIVE, P_##_INVOCATIONS, "invocations", NONE, 1, 0, "Times a machine was put to work")                      \
    X(CUMULATIVE, P_##_RESETS, "resets", NONE, 1, 0, "Times a machine was put back to its initial state")              \
    X(CUMULATIVE, P_##_RESETS_FULL, "resets_full", NONE, 1, 0,                                                         \
      "Full resets, which keep nothing of the machine's memory")                                                       \
    X(CUMULATIVE, P_##_EXCEPTIONS, "exceptions", NONE, 1, 0,                                                           \
      "Runs ended by an exception, those over memory not counted")                                                     \
    X(CUMULATIVE, P_##_EXCEPTION_OOM, "exception_oom", NONE, 1, 0, "Runs ended because the machine was out of memory") \
    X(CUMULATIVE, P_##_EXCEPTION_MEM, "exception_mem", NONE, 1, 0, "Runs ended by a bad access to memory")             \
    X(CUMULATIVE, P_##_TIMEOUTS, "timeouts", NONE, 1, 0, "Runs ended because their time was up")                       \
    X(CUMULATIVE, P_##_RESERVATION_TIME, "reservation_time", NANOSECONDS, 1, 0,                                        \
      "Time spent waiting for a machine to be free")                                                                   \
    X(CUMULATIVE, P_##_RESET_TIME, "reset_time", NANOSECONDS, 1, 0, "Time spent on resets")                            \
    X(CUMULATIVE, P_##_REQUEST_CPU_TIME, "request_cpu_time", NANOSECONDS, 1, 0, "CPU time spent on the work itself")   \
    X(CUMULATIVE, P_##_EXCEPTION_CPU_TIME, "exception_cpu_time", NANOSECONDS, 1, 0,                                    \
      "CPU time spent on handling exceptions")                                                                         \
    X(CUMULATIVE, P_##_INPUT_BYTES, "input_bytes", BYTES, 1, 0, "Bytes handed in to be worked on")                     \
    X(CUMULATIVE, P_##_OUTPUT_BYTES, "output_bytes", BYTES, 1, 0, "Bytes of results")                                  \
    X(CUMULATIVE, P_##_STATUS_2XX, "status_2xx", NONE, 1, 0, "Results with an HTTP status of 200 to 299")              \
    X(CUMULATIVE, P_##_STATUS_3XX, "status_3xx", NONE, 1, 0, "Results with an HTTP status of 300 to 399")              \
    X(CUMULATIVE, P_##_STATUS_4XX, "status_4xx", NONE, 1, 0, "Results with an HTTP status of 400 to 499")              \
    X(CUMULATIVE, P_##_STATUS_5XX, "status_5xx", NONE, 1, 0, "Results with an HTTP status of 500 to 599")              \
    X(INSTANT, P_##_VM_ADDRESS_SPACE, "vm_address_space", BYTES, 1, 0, "Address space that machines may use")          \
    X(INSTANT, P_##_VM_MAIN_MEMORY, "vm_main_memory", BYTES, 1, 0, "Main memory that machines may use")                \
    X(INSTANT, P_##_VM_BANK_CAPACITY, "vm_bank_capacity", BYTES, 1, 0,                                                 \
      "Memory that machines may have for copies of pages they write to")                                               \
    X(PEAK, P_##_VM_BANK_HIGHEST, "vm_bank_highest", BYTES, 1, 0,                                                      \
      "The most memory for copies of pages that a machine ever had")                                                   \
    X(INSTANT, P_##_VM_BANK_CURRENT, "vm_bank_current", BYTES, 1, 0, "Memory for copies of pages in use now")          \
    X(INSTANT, P_##_TASKS_QUEUED, "tasks_queued", NONE, 1, 0, "Tasks waiting for their turn")

/* The machines of a program that serve requests: one source, a shard for each machine. */
#define VMT_REQUEST_STATISTICS(X) VMT_MACHINE_STATISTICS_(X, VMT_REQUEST)
VMT_SCHEMA_ENUM(VMT_REQUEST, VMT_REQUEST_STATISTICS)
extern const struct vmt_schema vmt_schema_request;

/* The machine of a program that its requests share as storage. */
#define VMT_STORAGE_STATISTICS(X)                                                                                      \
    VMT_MACHINE_STATISTICS_(X, VMT_STORAGE)                                                                            \
    X(INSTANT, VMT_STORAGE_TASKS_INSCHEDULE, "tasks_inschedule", NONE, 1, 0, "Tasks with a date to run in storage")
VMT_SCHEMA_ENUM(VMT_STORAGE, VMT_STORAGE_STATISTICS)
extern const struct vmt_schema vmt_schema_storage;

#ifdef __cplusplus
}
#endif

#endif
