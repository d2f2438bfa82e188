// SPDX-License-Identifier: MIT
// vmtally/schemas.hpp: the ready-made schemas of <vmtally/schemas.h>, typed. Made by bindings/generate.py: don't edit.
#ifndef VMTALLY_SCHEMAS_HPP
#define VMTALLY_SCHEMAS_HPP

#include <vmtally/schema.hpp>
#include <vmtally/schemas.h>

namespace vmtally::schemas
{

// Source 0 of each segment. The library itself counts here; VMMs don't.
struct segment {
    static constexpr slot<segment, kind::cumulative> dropped_sources{ VMT_SEGMENT_DROPPED_SOURCES };
    static constexpr slot<segment, kind::cumulative> dropped_shards{ VMT_SEGMENT_DROPPED_SHARDS };
    static constexpr slot<segment, kind::cumulative> sources_added{ VMT_SEGMENT_SOURCES_ADDED };
    static constexpr slot<segment, kind::cumulative> sources_removed{ VMT_SEGMENT_SOURCES_REMOVED };
    static constexpr slot<segment, kind::cumulative> shards_created{ VMT_SEGMENT_SHARDS_CREATED };
    static constexpr slot<segment, kind::cumulative> shards_torn{ VMT_SEGMENT_SHARDS_TORN };
    static const vmt_schema &schema() noexcept { return vmt_schema_segment; }
};

// A virtual machine as a whole. Firecracker spreads these over several objects: interrupts_ and seccomp_ are the names
// of those whose fields alone say nothing; the others are of api_server, vmm, latencies_us and signals.
struct vm {
    static constexpr slot<vm, kind::instant> vcpus{ VMT_VM_VCPUS };
    static constexpr slot<vm, kind::instant> memory_bytes{ VMT_VM_MEMORY_BYTES };
    static constexpr slot<vm, kind::instant> process_startup_time_us{ VMT_VM_PROCESS_STARTUP_TIME_US };
    static constexpr slot<vm, kind::instant> process_startup_time_cpu_us{ VMT_VM_PROCESS_STARTUP_TIME_CPU_US };
    static constexpr slot<vm, kind::instant> panic_count{ VMT_VM_PANIC_COUNT };
    static constexpr slot<vm, kind::cumulative> interrupts_triggers{ VMT_VM_INTERRUPTS_TRIGGERS };
    static constexpr slot<vm, kind::cumulative> interrupts_config_updates{ VMT_VM_INTERRUPTS_CONFIG_UPDATES };
    static constexpr slot<vm, kind::instant> seccomp_num_faults{ VMT_VM_SECCOMP_NUM_FAULTS };
    static constexpr slot<vm, kind::instant> full_create_snapshot{ VMT_VM_FULL_CREATE_SNAPSHOT };
    static constexpr slot<vm, kind::instant> diff_create_snapshot{ VMT_VM_DIFF_CREATE_SNAPSHOT };
    static constexpr slot<vm, kind::instant> load_snapshot{ VMT_VM_LOAD_SNAPSHOT };
    static constexpr slot<vm, kind::instant> pause_vm{ VMT_VM_PAUSE_VM };
    static constexpr slot<vm, kind::instant> resume_vm{ VMT_VM_RESUME_VM };
    static constexpr slot<vm, kind::instant> vmm_full_create_snapshot{ VMT_VM_VMM_FULL_CREATE_SNAPSHOT };
    static constexpr slot<vm, kind::instant> vmm_diff_create_snapshot{ VMT_VM_VMM_DIFF_CREATE_SNAPSHOT };
    static constexpr slot<vm, kind::instant> vmm_load_snapshot{ VMT_VM_VMM_LOAD_SNAPSHOT };
    static constexpr slot<vm, kind::instant> vmm_pause_vm{ VMT_VM_VMM_PAUSE_VM };
    static constexpr slot<vm, kind::instant> vmm_resume_vm{ VMT_VM_VMM_RESUME_VM };
    static constexpr slot<vm, kind::instant> sigbus{ VMT_VM_SIGBUS };
    static constexpr slot<vm, kind::instant> sigsegv{ VMT_VM_SIGSEGV };
    static constexpr slot<vm, kind::instant> sigxfsz{ VMT_VM_SIGXFSZ };
    static constexpr slot<vm, kind::instant> sigxcpu{ VMT_VM_SIGXCPU };
    static constexpr slot<vm, kind::cumulative> sigpipe{ VMT_VM_SIGPIPE };
    static constexpr slot<vm, kind::instant> sighup{ VMT_VM_SIGHUP };
    static constexpr slot<vm, kind::instant> sigill{ VMT_VM_SIGILL };
    static const vmt_schema &schema() noexcept { return vmt_schema_vm; }
};

// A vCPU. Those before exit_io_in are ours.
struct vcpu {
    static constexpr slot<vcpu, kind::cumulative> exits{ VMT_VCPU_EXITS };
    static constexpr slot<vcpu, kind::cumulative> exit_hlt{ VMT_VCPU_EXIT_HLT };
    static constexpr slot<vcpu, kind::cumulative> exit_intr{ VMT_VCPU_EXIT_INTR };
    static constexpr slot<vcpu, kind::cumulative> exit_irq_window{ VMT_VCPU_EXIT_IRQ_WINDOW };
    static constexpr slot<vcpu, kind::cumulative> exit_other{ VMT_VCPU_EXIT_OTHER };
    static constexpr slot<vcpu, kind::cumulative> run_time{ VMT_VCPU_RUN_TIME };
    static constexpr slot<vcpu, kind::latency<VMT_VCPU_IO_LATENCY_BUCKETS>> io_latency{ VMT_VCPU_IO_LATENCY };
    static constexpr slot<vcpu, kind::cumulative> halt_time{ VMT_VCPU_HALT_TIME };
    static constexpr slot<vcpu, kind::cumulative> exit_io_in{ VMT_VCPU_EXIT_IO_IN };
    static constexpr slot<vcpu, kind::cumulative> exit_io_out{ VMT_VCPU_EXIT_IO_OUT };
    static constexpr slot<vcpu, kind::cumulative> exit_mmio_read{ VMT_VCPU_EXIT_MMIO_READ };
    static constexpr slot<vcpu, kind::cumulative> exit_mmio_write{ VMT_VCPU_EXIT_MMIO_WRITE };
    static constexpr slot<vcpu, kind::cumulative> failures{ VMT_VCPU_FAILURES };
    static constexpr slot<vcpu, kind::cumulative> kvmclock_ctrl_fails{ VMT_VCPU_KVMCLOCK_CTRL_FAILS };
    static constexpr slot<vcpu, kind::latency<VMT_VCPU_EXIT_IO_IN_AGG_BUCKETS>> exit_io_in_agg{
        VMT_VCPU_EXIT_IO_IN_AGG
    };
    static constexpr slot<vcpu, kind::latency<VMT_VCPU_EXIT_IO_OUT_AGG_BUCKETS>> exit_io_out_agg{
        VMT_VCPU_EXIT_IO_OUT_AGG
    };
    static constexpr slot<vcpu, kind::latency<VMT_VCPU_EXIT_MMIO_READ_AGG_BUCKETS>> exit_mmio_read_agg{
        VMT_VCPU_EXIT_MMIO_READ_AGG
    };
    static constexpr slot<vcpu, kind::latency<VMT_VCPU_EXIT_MMIO_WRITE_AGG_BUCKETS>> exit_mmio_write_agg{
        VMT_VCPU_EXIT_MMIO_WRITE_AGG
    };
    static const vmt_schema &schema() noexcept { return vmt_schema_vcpu; }
};

// A block device.
struct block {
    static constexpr slot<block, kind::cumulative> activate_fails{ VMT_BLOCK_ACTIVATE_FAILS };
    static constexpr slot<block, kind::cumulative> cfg_fails{ VMT_BLOCK_CFG_FAILS };
    static constexpr slot<block, kind::cumulative> no_avail_buffer{ VMT_BLOCK_NO_AVAIL_BUFFER };
    static constexpr slot<block, kind::cumulative> event_fails{ VMT_BLOCK_EVENT_FAILS };
    static constexpr slot<block, kind::cumulative> execute_fails{ VMT_BLOCK_EXECUTE_FAILS };
    static constexpr slot<block, kind::cumulative> invalid_reqs_count{ VMT_BLOCK_INVALID_REQS_COUNT };
    static constexpr slot<block, kind::cumulative> flush_count{ VMT_BLOCK_FLUSH_COUNT };
    static constexpr slot<block, kind::cumulative> queue_event_count{ VMT_BLOCK_QUEUE_EVENT_COUNT };
    static constexpr slot<block, kind::cumulative> rate_limiter_event_count{ VMT_BLOCK_RATE_LIMITER_EVENT_COUNT };
    static constexpr slot<block, kind::cumulative> update_count{ VMT_BLOCK_UPDATE_COUNT };
    static constexpr slot<block, kind::cumulative> update_fails{ VMT_BLOCK_UPDATE_FAILS };
    static constexpr slot<block, kind::cumulative> read_bytes{ VMT_BLOCK_READ_BYTES };
    static constexpr slot<block, kind::cumulative> write_bytes{ VMT_BLOCK_WRITE_BYTES };
    static constexpr slot<block, kind::cumulative> read_count{ VMT_BLOCK_READ_COUNT };
    static constexpr slot<block, kind::cumulative> write_count{ VMT_BLOCK_WRITE_COUNT };
    static constexpr slot<block, kind::latency<VMT_BLOCK_READ_AGG_BUCKETS>> read_agg{ VMT_BLOCK_READ_AGG };
    static constexpr slot<block, kind::latency<VMT_BLOCK_WRITE_AGG_BUCKETS>> write_agg{ VMT_BLOCK_WRITE_AGG };
    static constexpr slot<block, kind::cumulative> rate_limiter_throttled_events{
        VMT_BLOCK_RATE_LIMITER_THROTTLED_EVENTS
    };
    static constexpr slot<block, kind::cumulative> io_engine_throttled_events{ VMT_BLOCK_IO_ENGINE_THROTTLED_EVENTS };
    static constexpr slot<block, kind::cumulative> remaining_reqs_count{ VMT_BLOCK_REMAINING_REQS_COUNT };
    static const vmt_schema &schema() noexcept { return vmt_schema_block; }
};

// A network device. Received (rx) and transmitted (tx) are the guest's: rx goes from the tap to the guest.
struct net {
    static constexpr slot<net, kind::cumulative> activate_fails{ VMT_NET_ACTIVATE_FAILS };
    static constexpr slot<net, kind::cumulative> cfg_fails{ VMT_NET_CFG_FAILS };
    static constexpr slot<net, kind::cumulative> no_rx_avail_buffer{ VMT_NET_NO_RX_AVAIL_BUFFER };
    static constexpr slot<net, kind::cumulative> no_tx_avail_buffer{ VMT_NET_NO_TX_AVAIL_BUFFER };
    static constexpr slot<net, kind::cumulative> event_fails{ VMT_NET_EVENT_FAILS };
    static constexpr slot<net, kind::cumulative> rx_queue_event_count{ VMT_NET_RX_QUEUE_EVENT_COUNT };
    static constexpr slot<net, kind::cumulative> rx_event_rate_limiter_count{ VMT_NET_RX_EVENT_RATE_LIMITER_COUNT };
    static constexpr slot<net, kind::cumulative> rx_rate_limiter_throttled{ VMT_NET_RX_RATE_LIMITER_THROTTLED };
    static constexpr slot<net, kind::cumulative> rx_tap_event_count{ VMT_NET_RX_TAP_EVENT_COUNT };
    static constexpr slot<net, kind::cumulative> rx_bytes_count{ VMT_NET_RX_BYTES_COUNT };
    static constexpr slot<net, kind::cumulative> rx_packets_count{ VMT_NET_RX_PACKETS_COUNT };
    static constexpr slot<net, kind::cumulative> rx_fails{ VMT_NET_RX_FAILS };
    static constexpr slot<net, kind::cumulative> rx_count{ VMT_NET_RX_COUNT };
    static constexpr slot<net, kind::cumulative> tap_read_fails{ VMT_NET_TAP_READ_FAILS };
    static constexpr slot<net, kind::cumulative> tap_write_fails{ VMT_NET_TAP_WRITE_FAILS };
    static constexpr slot<net, kind::latency<VMT_NET_TAP_WRITE_AGG_BUCKETS>> tap_write_agg{ VMT_NET_TAP_WRITE_AGG };
    static constexpr slot<net, kind::cumulative> tx_bytes_count{ VMT_NET_TX_BYTES_COUNT };
    static constexpr slot<net, kind::cumulative> tx_malformed_frames{ VMT_NET_TX_MALFORMED_FRAMES };
    static constexpr slot<net, kind::cumulative> tx_fails{ VMT_NET_TX_FAILS };
    static constexpr slot<net, kind::cumulative> tx_count{ VMT_NET_TX_COUNT };
    static constexpr slot<net, kind::cumulative> tx_packets_count{ VMT_NET_TX_PACKETS_COUNT };
    static constexpr slot<net, kind::cumulative> tx_queue_event_count{ VMT_NET_TX_QUEUE_EVENT_COUNT };
    static constexpr slot<net, kind::cumulative> tx_rate_limiter_event_count{ VMT_NET_TX_RATE_LIMITER_EVENT_COUNT };
    static constexpr slot<net, kind::cumulative> tx_rate_limiter_throttled{ VMT_NET_TX_RATE_LIMITER_THROTTLED };
    static constexpr slot<net, kind::cumulative> tx_spoofed_mac_count{ VMT_NET_TX_SPOOFED_MAC_COUNT };
    static constexpr slot<net, kind::cumulative> tx_remaining_reqs_count{ VMT_NET_TX_REMAINING_REQS_COUNT };
    static const vmt_schema &schema() noexcept { return vmt_schema_net; }
};

// A vsock device. tx goes from the guest to the host's socket.
struct vsock {
    static constexpr slot<vsock, kind::cumulative> activate_fails{ VMT_VSOCK_ACTIVATE_FAILS };
    static constexpr slot<vsock, kind::cumulative> cfg_fails{ VMT_VSOCK_CFG_FAILS };
    static constexpr slot<vsock, kind::cumulative> rx_queue_event_fails{ VMT_VSOCK_RX_QUEUE_EVENT_FAILS };
    static constexpr slot<vsock, kind::cumulative> tx_queue_event_fails{ VMT_VSOCK_TX_QUEUE_EVENT_FAILS };
    static constexpr slot<vsock, kind::cumulative> ev_queue_event_fails{ VMT_VSOCK_EV_QUEUE_EVENT_FAILS };
    static constexpr slot<vsock, kind::cumulative> muxer_event_fails{ VMT_VSOCK_MUXER_EVENT_FAILS };
    static constexpr slot<vsock, kind::cumulative> conn_event_fails{ VMT_VSOCK_CONN_EVENT_FAILS };
    static constexpr slot<vsock, kind::cumulative> rx_queue_event_count{ VMT_VSOCK_RX_QUEUE_EVENT_COUNT };
    static constexpr slot<vsock, kind::cumulative> tx_queue_event_count{ VMT_VSOCK_TX_QUEUE_EVENT_COUNT };
    static constexpr slot<vsock, kind::cumulative> rx_bytes_count{ VMT_VSOCK_RX_BYTES_COUNT };
    static constexpr slot<vsock, kind::cumulative> tx_bytes_count{ VMT_VSOCK_TX_BYTES_COUNT };
    static constexpr slot<vsock, kind::cumulative> rx_packets_count{ VMT_VSOCK_RX_PACKETS_COUNT };
    static constexpr slot<vsock, kind::cumulative> tx_packets_count{ VMT_VSOCK_TX_PACKETS_COUNT };
    static constexpr slot<vsock, kind::cumulative> conns_added{ VMT_VSOCK_CONNS_ADDED };
    static constexpr slot<vsock, kind::cumulative> conns_killed{ VMT_VSOCK_CONNS_KILLED };
    static constexpr slot<vsock, kind::cumulative> conns_removed{ VMT_VSOCK_CONNS_REMOVED };
    static constexpr slot<vsock, kind::cumulative> killq_resync{ VMT_VSOCK_KILLQ_RESYNC };
    static constexpr slot<vsock, kind::cumulative> tx_flush_fails{ VMT_VSOCK_TX_FLUSH_FAILS };
    static constexpr slot<vsock, kind::cumulative> tx_write_fails{ VMT_VSOCK_TX_WRITE_FAILS };
    static constexpr slot<vsock, kind::cumulative> rx_read_fails{ VMT_VSOCK_RX_READ_FAILS };
    static const vmt_schema &schema() noexcept { return vmt_schema_vsock; }
};

// A memory balloon.
struct balloon {
    static constexpr slot<balloon, kind::cumulative> activate_fails{ VMT_BALLOON_ACTIVATE_FAILS };
    static constexpr slot<balloon, kind::cumulative> inflate_count{ VMT_BALLOON_INFLATE_COUNT };
    static constexpr slot<balloon, kind::cumulative> stats_updates_count{ VMT_BALLOON_STATS_UPDATES_COUNT };
    static constexpr slot<balloon, kind::cumulative> stats_update_fails{ VMT_BALLOON_STATS_UPDATE_FAILS };
    static constexpr slot<balloon, kind::cumulative> deflate_count{ VMT_BALLOON_DEFLATE_COUNT };
    static constexpr slot<balloon, kind::cumulative> event_fails{ VMT_BALLOON_EVENT_FAILS };
    static constexpr slot<balloon, kind::cumulative> free_page_report_count{ VMT_BALLOON_FREE_PAGE_REPORT_COUNT };
    static constexpr slot<balloon, kind::cumulative> free_page_report_freed{ VMT_BALLOON_FREE_PAGE_REPORT_FREED };
    static constexpr slot<balloon, kind::cumulative> free_page_report_fails{ VMT_BALLOON_FREE_PAGE_REPORT_FAILS };
    static constexpr slot<balloon, kind::cumulative> free_page_hint_count{ VMT_BALLOON_FREE_PAGE_HINT_COUNT };
    static constexpr slot<balloon, kind::cumulative> free_page_hint_freed{ VMT_BALLOON_FREE_PAGE_HINT_FREED };
    static constexpr slot<balloon, kind::cumulative> free_page_hint_fails{ VMT_BALLOON_FREE_PAGE_HINT_FAILS };
    static const vmt_schema &schema() noexcept { return vmt_schema_balloon; }
};

// A guest program of a compute server. Those after binary_size are the VMOD_KVM counters, which TinyKVM keeps for all
// programs together: here each program has its own, and the parent's total is theirs.
struct program {
    static constexpr slot<program, kind::cumulative> live_updates{ VMT_PROGRAM_LIVE_UPDATES };
    static constexpr slot<program, kind::cumulative> live_update_transfer_bytes{
        VMT_PROGRAM_LIVE_UPDATE_TRANSFER_BYTES
    };
    static constexpr slot<program, kind::cumulative> reservation_time{ VMT_PROGRAM_RESERVATION_TIME };
    static constexpr slot<program, kind::cumulative> reservation_timeouts{ VMT_PROGRAM_RESERVATION_TIMEOUTS };
    static constexpr slot<program, kind::instant> binary_size{ VMT_PROGRAM_BINARY_SIZE };
    static constexpr slot<program, kind::cumulative> program_notfound{ VMT_PROGRAM_PROGRAM_NOTFOUND };
    static constexpr slot<program, kind::cumulative> program_exception{ VMT_PROGRAM_PROGRAM_EXCEPTION };
    static constexpr slot<program, kind::cumulative> program_timeout{ VMT_PROGRAM_PROGRAM_TIMEOUT };
    static constexpr slot<program, kind::cumulative> program_status_4xx{ VMT_PROGRAM_PROGRAM_STATUS_4XX };
    static constexpr slot<program, kind::cumulative> program_status_5xx{ VMT_PROGRAM_PROGRAM_STATUS_5XX };
    static constexpr slot<program, kind::cumulative> cpu_time{ VMT_PROGRAM_CPU_TIME };
    static constexpr slot<program, kind::cumulative> fetch_time{ VMT_PROGRAM_FETCH_TIME };
    static constexpr slot<program, kind::cumulative> self_requests{ VMT_PROGRAM_SELF_REQUESTS };
    static constexpr slot<program, kind::cumulative> self_requests_failed{ VMT_PROGRAM_SELF_REQUESTS_FAILED };
    static const vmt_schema &schema() noexcept { return vmt_schema_program; }
};

// The machines of a program that serve requests: one source, a shard for each machine.
struct request {
    static constexpr slot<request, kind::cumulative> invocations{ VMT_REQUEST_INVOCATIONS };
    static constexpr slot<request, kind::cumulative> resets{ VMT_REQUEST_RESETS };
    static constexpr slot<request, kind::cumulative> resets_full{ VMT_REQUEST_RESETS_FULL };
    static constexpr slot<request, kind::cumulative> exceptions{ VMT_REQUEST_EXCEPTIONS };
    static constexpr slot<request, kind::cumulative> exception_oom{ VMT_REQUEST_EXCEPTION_OOM };
    static constexpr slot<request, kind::cumulative> exception_mem{ VMT_REQUEST_EXCEPTION_MEM };
    static constexpr slot<request, kind::cumulative> timeouts{ VMT_REQUEST_TIMEOUTS };
    static constexpr slot<request, kind::cumulative> reservation_time{ VMT_REQUEST_RESERVATION_TIME };
    static constexpr slot<request, kind::cumulative> reset_time{ VMT_REQUEST_RESET_TIME };
    static constexpr slot<request, kind::cumulative> request_cpu_time{ VMT_REQUEST_REQUEST_CPU_TIME };
    static constexpr slot<request, kind::cumulative> exception_cpu_time{ VMT_REQUEST_EXCEPTION_CPU_TIME };
    static constexpr slot<request, kind::cumulative> input_bytes{ VMT_REQUEST_INPUT_BYTES };
    static constexpr slot<request, kind::cumulative> output_bytes{ VMT_REQUEST_OUTPUT_BYTES };
    static constexpr slot<request, kind::cumulative> status_2xx{ VMT_REQUEST_STATUS_2XX };
    static constexpr slot<request, kind::cumulative> status_3xx{ VMT_REQUEST_STATUS_3XX };
    static constexpr slot<request, kind::cumulative> status_4xx{ VMT_REQUEST_STATUS_4XX };
    static constexpr slot<request, kind::cumulative> status_5xx{ VMT_REQUEST_STATUS_5XX };
    static constexpr slot<request, kind::instant> vm_address_space{ VMT_REQUEST_VM_ADDRESS_SPACE };
    static constexpr slot<request, kind::instant> vm_main_memory{ VMT_REQUEST_VM_MAIN_MEMORY };
    static constexpr slot<request, kind::instant> vm_bank_capacity{ VMT_REQUEST_VM_BANK_CAPACITY };
    static constexpr slot<request, kind::peak> vm_bank_highest{ VMT_REQUEST_VM_BANK_HIGHEST };
    static constexpr slot<request, kind::instant> vm_bank_current{ VMT_REQUEST_VM_BANK_CURRENT };
    static constexpr slot<request, kind::instant> tasks_queued{ VMT_REQUEST_TASKS_QUEUED };
    static const vmt_schema &schema() noexcept { return vmt_schema_request; }
};

// The machine of a program that its requests share as storage.
struct storage {
    static constexpr slot<storage, kind::cumulative> invocations{ VMT_STORAGE_INVOCATIONS };
    static constexpr slot<storage, kind::cumulative> resets{ VMT_STORAGE_RESETS };
    static constexpr slot<storage, kind::cumulative> resets_full{ VMT_STORAGE_RESETS_FULL };
    static constexpr slot<storage, kind::cumulative> exceptions{ VMT_STORAGE_EXCEPTIONS };
    static constexpr slot<storage, kind::cumulative> exception_oom{ VMT_STORAGE_EXCEPTION_OOM };
    static constexpr slot<storage, kind::cumulative> exception_mem{ VMT_STORAGE_EXCEPTION_MEM };
    static constexpr slot<storage, kind::cumulative> timeouts{ VMT_STORAGE_TIMEOUTS };
    static constexpr slot<storage, kind::cumulative> reservation_time{ VMT_STORAGE_RESERVATION_TIME };
    static constexpr slot<storage, kind::cumulative> reset_time{ VMT_STORAGE_RESET_TIME };
    static constexpr slot<storage, kind::cumulative> request_cpu_time{ VMT_STORAGE_REQUEST_CPU_TIME };
    static constexpr slot<storage, kind::cumulative> exception_cpu_time{ VMT_STORAGE_EXCEPTION_CPU_TIME };
    static constexpr slot<storage, kind::cumulative> input_bytes{ VMT_STORAGE_INPUT_BYTES };
    static constexpr slot<storage, kind::cumulative> output_bytes{ VMT_STORAGE_OUTPUT_BYTES };
    static constexpr slot<storage, kind::cumulative> status_2xx{ VMT_STORAGE_STATUS_2XX };
    static constexpr slot<storage, kind::cumulative> status_3xx{ VMT_STORAGE_STATUS_3XX };
    static constexpr slot<storage, kind::cumulative> status_4xx{ VMT_STORAGE_STATUS_4XX };
    static constexpr slot<storage, kind::cumulative> status_5xx{ VMT_STORAGE_STATUS_5XX };
    static constexpr slot<storage, kind::instant> vm_address_space{ VMT_STORAGE_VM_ADDRESS_SPACE };
    static constexpr slot<storage, kind::instant> vm_main_memory{ VMT_STORAGE_VM_MAIN_MEMORY };
    static constexpr slot<storage, kind::instant> vm_bank_capacity{ VMT_STORAGE_VM_BANK_CAPACITY };
    static constexpr slot<storage, kind::peak> vm_bank_highest{ VMT_STORAGE_VM_BANK_HIGHEST };
    static constexpr slot<storage, kind::instant> vm_bank_current{ VMT_STORAGE_VM_BANK_CURRENT };
    static constexpr slot<storage, kind::instant> tasks_queued{ VMT_STORAGE_TASKS_QUEUED };
    static constexpr slot<storage, kind::instant> tasks_inschedule{ VMT_STORAGE_TASKS_INSCHEDULE };
    static const vmt_schema &schema() noexcept { return vmt_schema_storage; }
};

} // namespace vmtally::schemas

#endif
