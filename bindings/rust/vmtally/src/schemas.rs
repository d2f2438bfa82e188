// SPDX-License-Identifier: MIT
//! Ready-made schemas, so that different VMMs count the same things under the same names: those of
//! `vmtally/schemas.h`. Made by bindings/generate.py: don't edit.

use crate::kinds::*;
use crate::units::*;

crate::schema! {
    /// Source 0 of each segment. The library itself counts here; VMMs don't.
    #[derive(Debug)]
    pub struct SegmentOwn("segment", provider = "vmtally", target = "segment") {
        /// Sources that could not be added for want of an entry, space or memory
        pub dropped_sources: Cumulative,
        /// Shards that could not be had: what was counted into scratch memory instead is lost
        pub dropped_shards: Cumulative,
        /// Sources added since the segment was created
        pub sources_added: Cumulative,
        /// Sources removed, their counts kept by their parents
        pub sources_removed: Cumulative,
        /// Shards newly made; taking over a released one is not counted
        pub shards_created: Cumulative,
        /// Shards taken over from an owner that died in the middle of a group
        pub shards_torn: Cumulative,
    }
}

crate::schema! {
    /// A virtual machine as a whole. Firecracker spreads these over several objects: interrupts_ and seccomp_ are the
    /// names of those whose fields alone say nothing; the others are of api_server, vmm, latencies_us and signals.
    #[derive(Debug)]
    pub struct Vm("vm", provider = "vmm", target = "vm") {
        /// vCPUs plugged in
        pub vcpus: Instant,
        /// Guest memory, as configured
        pub memory_bytes: Instant<Bytes>,
        /// Time from the start of the VMM process until it was ready
        pub process_startup_time_us: Instant<Microseconds>,
        /// CPU time that the VMM process and its launcher took until it was ready
        pub process_startup_time_cpu_us: Instant<Microseconds>,
        /// 1 once the VMM has panicked
        pub panic_count: Instant,
        /// Interrupts that devices raised in the guest
        pub interrupts_triggers: Cumulative,
        /// Changes of interrupt vectors and their routes
        pub interrupts_config_updates: Cumulative,
        /// System calls that the seccomp filter caught
        pub seccomp_num_faults: Instant,
        /// Last full snapshot made: time as the API's user saw it
        pub full_create_snapshot: Instant<Microseconds>,
        /// Last incremental snapshot made: time as the API's user saw it
        pub diff_create_snapshot: Instant<Microseconds>,
        /// Last snapshot loaded: time as the API's user saw it
        pub load_snapshot: Instant<Microseconds>,
        /// Last pause: time as the API's user saw it
        pub pause_vm: Instant<Microseconds>,
        /// Last resumption: time as the API's user saw it
        pub resume_vm: Instant<Microseconds>,
        /// Last full snapshot made: time within the VMM alone
        pub vmm_full_create_snapshot: Instant<Microseconds>,
        /// Last incremental snapshot made: time within the VMM alone
        pub vmm_diff_create_snapshot: Instant<Microseconds>,
        /// Last snapshot loaded: time within the VMM alone
        pub vmm_load_snapshot: Instant<Microseconds>,
        /// Last pause: time within the VMM alone
        pub vmm_pause_vm: Instant<Microseconds>,
        /// Last resumption: time within the VMM alone
        pub vmm_resume_vm: Instant<Microseconds>,
        /// 1 once SIGBUS came: a bad access to mapped memory
        pub sigbus: Instant,
        /// 1 once SIGSEGV came: a bad access to memory
        pub sigsegv: Instant,
        /// 1 once SIGXFSZ came: a file outgrew its limit
        pub sigxfsz: Instant,
        /// 1 once SIGXCPU came: the limit of CPU time was reached
        pub sigxcpu: Instant,
        /// SIGPIPEs survived: writes to something that nobody reads
        pub sigpipe: Cumulative,
        /// 1 once SIGHUP came: the terminal or session is gone
        pub sighup: Instant,
        /// 1 once SIGILL came: an instruction that the CPU refused
        pub sigill: Instant,
    }
}

crate::schema! {
    /// A vCPU. Those before exit_io_in are ours.
    #[derive(Debug)]
    pub struct Vcpu("vcpu", provider = "vmm", target = "vcpu") {
        /// Returns of KVM_RUN, whatever the reason
        pub exits: Cumulative,
        /// Exits because the guest halted
        pub exit_hlt: Cumulative,
        /// Exits because a signal interrupted KVM_RUN
        pub exit_intr: Cumulative,
        /// Exits because the guest can take interrupts again
        pub exit_irq_window: Cumulative,
        /// Exits for a reason that has no counter of its own
        pub exit_other: Cumulative,
        /// Time spent in KVM_RUN
        pub run_time: Cumulative<Nanoseconds>,
        /// Time that the VMM takes to handle an exit
        pub io_latency: Latency<40, Nanoseconds>,
        /// Time spent halted, waiting for something to do
        pub halt_time: Cumulative<Nanoseconds>,
        /// Exits for reads from an I/O port
        pub exit_io_in: Cumulative,
        /// Exits for writes to an I/O port
        pub exit_io_out: Cumulative,
        /// Exits for reads from memory-mapped I/O
        pub exit_mmio_read: Cumulative,
        /// Exits for writes to memory-mapped I/O
        pub exit_mmio_write: Cumulative,
        /// Errors while the vCPU ran: KVM_RUN failed, or an exit that the VMM can't handle
        pub failures: Cumulative,
        /// Failures to tell the guest's clock about a pause (KVM_KVMCLOCK_CTRL)
        pub kvmclock_ctrl_fails: Cumulative,
        /// Time to handle a read from an I/O port
        pub exit_io_in_agg: Latency<40, Nanoseconds>,
        /// Time to handle a write to an I/O port
        pub exit_io_out_agg: Latency<40, Nanoseconds>,
        /// Time to handle a read from memory-mapped I/O
        pub exit_mmio_read_agg: Latency<40, Nanoseconds>,
        /// Time to handle a write to memory-mapped I/O
        pub exit_mmio_write_agg: Latency<40, Nanoseconds>,
    }
}

crate::schema! {
    /// A block device.
    #[derive(Debug)]
    pub struct Block("block", provider = "vmm", target = "block") {
        /// Failures to activate the device for the guest's driver
        pub activate_fails: Cumulative,
        /// Bad accesses to the configuration space
        pub cfg_fails: Cumulative,
        /// Times the queue was looked at and held no request
        pub no_avail_buffer: Cumulative,
        /// Failures to handle an event of the device
        pub event_fails: Cumulative,
        /// Requests that could not be carried out
        pub execute_fails: Cumulative,
        /// Requests that make no sense
        pub invalid_reqs_count: Cumulative,
        /// Flushes that the guest asked for
        pub flush_count: Cumulative,
        /// Kicks: the guest said that the queue has something
        pub queue_event_count: Cumulative,
        /// Times the rate limiter let the device go on
        pub rate_limiter_event_count: Cumulative,
        /// Changes of the device's backing while it runs
        pub update_count: Cumulative,
        /// Failed changes of the device's backing
        pub update_fails: Cumulative,
        /// Bytes that the guest has read
        pub read_bytes: Cumulative<Bytes>,
        /// Bytes that the guest has written
        pub write_bytes: Cumulative<Bytes>,
        /// Reads completed
        pub read_count: Cumulative,
        /// Writes completed
        pub write_count: Cumulative,
        /// Time that a read takes
        pub read_agg: Latency<40, Nanoseconds>,
        /// Time that a write takes
        pub write_agg: Latency<40, Nanoseconds>,
        /// Times the rate limiter made the queue wait
        pub rate_limiter_throttled_events: Cumulative,
        /// Times the queue waited because the I/O engine was full
        pub io_engine_throttled_events: Cumulative,
        /// Requests left in the queue, added up each time it was served
        pub remaining_reqs_count: Cumulative,
    }
}

crate::schema! {
    /// A network device. Received (rx) and transmitted (tx) are the guest's: rx goes from the tap to the guest.
    #[derive(Debug)]
    pub struct Net("net", provider = "vmm", target = "net") {
        /// Failures to activate the device for the guest's driver
        pub activate_fails: Cumulative,
        /// Bad accesses to the configuration space
        pub cfg_fails: Cumulative,
        /// Times a frame waited because the guest offered no receive buffer
        pub no_rx_avail_buffer: Cumulative,
        /// Times the transmit queue was looked at and held no frame
        pub no_tx_avail_buffer: Cumulative,
        /// Failures to handle an event of the device
        pub event_fails: Cumulative,
        /// Kicks of the receive queue: the guest offered buffers
        pub rx_queue_event_count: Cumulative,
        /// Times the rate limiter let reception go on
        pub rx_event_rate_limiter_count: Cumulative,
        /// Times the rate limiter made reception wait
        pub rx_rate_limiter_throttled: Cumulative,
        /// Times the tap said that it has frames
        pub rx_tap_event_count: Cumulative,
        /// Bytes handed to the guest
        pub rx_bytes_count: Cumulative<Bytes>,
        /// Packets handed to the guest
        pub rx_packets_count: Cumulative,
        /// Errors on the way to the guest
        pub rx_fails: Cumulative,
        /// Reads for reception that brought a frame
        pub rx_count: Cumulative,
        /// Failed reads from the tap
        pub tap_read_fails: Cumulative,
        /// Failed writes to the tap
        pub tap_write_fails: Cumulative,
        /// Time that a write to the tap takes
        pub tap_write_agg: Latency<40, Nanoseconds>,
        /// Bytes taken from the guest
        pub tx_bytes_count: Cumulative<Bytes>,
        /// Frames of the guest that are too short, too long or not whole
        pub tx_malformed_frames: Cumulative,
        /// Errors on the way from the guest
        pub tx_fails: Cumulative,
        /// Writes for transmission that took a frame away
        pub tx_count: Cumulative,
        /// Packets taken from the guest
        pub tx_packets_count: Cumulative,
        /// Kicks of the transmit queue: the guest has frames
        pub tx_queue_event_count: Cumulative,
        /// Times the rate limiter let transmission go on
        pub tx_rate_limiter_event_count: Cumulative,
        /// Times the rate limiter made transmission wait
        pub tx_rate_limiter_throttled: Cumulative,
        /// Packets that the guest sent under another MAC address than its own
        pub tx_spoofed_mac_count: Cumulative,
        /// Frames left in the transmit queue, added up each time it was served
        pub tx_remaining_reqs_count: Cumulative,
    }
}

crate::schema! {
    /// A vsock device. tx goes from the guest to the host's socket.
    #[derive(Debug)]
    pub struct Vsock("vsock", provider = "vmm", target = "vsock") {
        /// Failures to activate the device for the guest's driver
        pub activate_fails: Cumulative,
        /// Bad accesses to the configuration space
        pub cfg_fails: Cumulative,
        /// Failures to handle a kick of the receive queue
        pub rx_queue_event_fails: Cumulative,
        /// Failures to handle a kick of the transmit queue
        pub tx_queue_event_fails: Cumulative,
        /// Failures to handle a kick of the event queue
        pub ev_queue_event_fails: Cumulative,
        /// Failures to handle an event of the multiplexer of connections
        pub muxer_event_fails: Cumulative,
        /// Failures to handle an event of a connection
        pub conn_event_fails: Cumulative,
        /// Kicks of the receive queue: the guest offered buffers
        pub rx_queue_event_count: Cumulative,
        /// Kicks of the transmit queue: the guest has packets
        pub tx_queue_event_count: Cumulative,
        /// Bytes handed to the guest
        pub rx_bytes_count: Cumulative<Bytes>,
        /// Bytes taken from the guest
        pub tx_bytes_count: Cumulative<Bytes>,
        /// Packets handed to the guest
        pub rx_packets_count: Cumulative,
        /// Packets taken from the guest
        pub tx_packets_count: Cumulative,
        /// Connections opened
        pub conns_added: Cumulative,
        /// Connections cut off by the device
        pub conns_killed: Cumulative,
        /// Connections taken out of the table, however they ended
        pub conns_removed: Cumulative,
        /// Times the queue of connections due to be cut was built anew
        pub killq_resync: Cumulative,
        /// Failures to empty a connection's buffer into the host's socket
        pub tx_flush_fails: Cumulative,
        /// Failed writes to the host's socket
        pub tx_write_fails: Cumulative,
        /// Failed reads from the host's socket
        pub rx_read_fails: Cumulative,
    }
}

crate::schema! {
    /// A memory balloon.
    #[derive(Debug)]
    pub struct Balloon("balloon", provider = "vmm", target = "balloon") {
        /// Failures to activate the device for the guest's driver
        pub activate_fails: Cumulative,
        /// Inflations: the guest gave memory up
        pub inflate_count: Cumulative,
        /// Memory statistics that the guest's driver sent
        pub stats_updates_count: Cumulative,
        /// Memory statistics that could not be had or read
        pub stats_update_fails: Cumulative,
        /// Deflations: the guest took memory back
        pub deflate_count: Cumulative,
        /// Failures to handle an event of the device
        pub event_fails: Cumulative,
        /// Ranges that the guest reported as free
        pub free_page_report_count: Cumulative,
        /// Memory given back to the host by reporting
        pub free_page_report_freed: Cumulative<Bytes>,
        /// Reported ranges that could not be given back
        pub free_page_report_fails: Cumulative,
        /// Ranges that the guest hinted at as free
        pub free_page_hint_count: Cumulative,
        /// Memory given back to the host by hinting
        pub free_page_hint_freed: Cumulative<Bytes>,
        /// Hinted ranges that could not be given back
        pub free_page_hint_fails: Cumulative,
    }
}

crate::schema! {
    /// A guest program of a compute server. Those after binary_size are the VMOD_KVM counters, which TinyKVM keeps for
    /// all programs together: here each program has its own, and the parent's total is theirs.
    #[derive(Debug)]
    pub struct Program("program", provider = "vmm", target = "program") {
        /// Times the program was replaced while it served
        pub live_updates: Cumulative,
        /// State handed from the old to the new program by live updates
        pub live_update_transfer_bytes: Cumulative<Bytes>,
        /// Time that requests have waited for a machine of their own
        pub reservation_time: Cumulative<Nanoseconds>,
        /// Requests that gave up waiting for a machine
        pub reservation_timeouts: Cumulative,
        /// Size of the program's ELF file as loaded
        pub binary_size: Instant<Bytes>,
        /// Times the program could not be fetched or initialized
        pub program_notfound: Cumulative,
        /// Runs ended by an exception
        pub program_exception: Cumulative,
        /// Runs ended because their time was up
        pub program_timeout: Cumulative,
        /// Answers with an HTTP status of 400 to 499
        pub program_status_4xx: Cumulative,
        /// Answers with an HTTP status of 500 to 599
        pub program_status_5xx: Cumulative,
        /// Time spent running, the scheduler's pauses included
        pub cpu_time: Cumulative<Nanoseconds>,
        /// Time spent fetching content from the server itself
        pub fetch_time: Cumulative<Nanoseconds>,
        /// Requests made to the server itself
        pub self_requests: Cumulative,
        /// Requests made to the server itself that failed
        pub self_requests_failed: Cumulative,
    }
}

crate::schema! {
    /// The machines of a program that serve requests: one source, a shard for each machine.
    #[derive(Debug)]
    pub struct Request("request", provider = "vmm", target = "request") {
        /// Times a machine was put to work
        pub invocations: Cumulative,
        /// Times a machine was put back to its initial state
        pub resets: Cumulative,
        /// Full resets, which keep nothing of the machine's memory
        pub resets_full: Cumulative,
        /// Runs ended by an exception, those over memory not counted
        pub exceptions: Cumulative,
        /// Runs ended because the machine was out of memory
        pub exception_oom: Cumulative,
        /// Runs ended by a bad access to memory
        pub exception_mem: Cumulative,
        /// Runs ended because their time was up
        pub timeouts: Cumulative,
        /// Time spent waiting for a machine to be free
        pub reservation_time: Cumulative<Nanoseconds>,
        /// Time spent on resets
        pub reset_time: Cumulative<Nanoseconds>,
        /// CPU time spent on the work itself
        pub request_cpu_time: Cumulative<Nanoseconds>,
        /// CPU time spent on handling exceptions
        pub exception_cpu_time: Cumulative<Nanoseconds>,
        /// Bytes handed in to be worked on
        pub input_bytes: Cumulative<Bytes>,
        /// Bytes of results
        pub output_bytes: Cumulative<Bytes>,
        /// Results with an HTTP status of 200 to 299
        pub status_2xx: Cumulative,
        /// Results with an HTTP status of 300 to 399
        pub status_3xx: Cumulative,
        /// Results with an HTTP status of 400 to 499
        pub status_4xx: Cumulative,
        /// Results with an HTTP status of 500 to 599
        pub status_5xx: Cumulative,
        /// Address space that machines may use
        pub vm_address_space: Instant<Bytes>,
        /// Main memory that machines may use
        pub vm_main_memory: Instant<Bytes>,
        /// Memory that machines may have for copies of pages they write to
        pub vm_bank_capacity: Instant<Bytes>,
        /// The most memory for copies of pages that a machine ever had
        pub vm_bank_highest: Peak<Bytes>,
        /// Memory for copies of pages in use now
        pub vm_bank_current: Instant<Bytes>,
        /// Tasks waiting for their turn
        pub tasks_queued: Instant,
    }
}

crate::schema! {
    /// The machine of a program that its requests share as storage.
    #[derive(Debug)]
    pub struct Storage("storage", provider = "vmm", target = "storage") {
        /// Times a machine was put to work
        pub invocations: Cumulative,
        /// Times a machine was put back to its initial state
        pub resets: Cumulative,
        /// Full resets, which keep nothing of the machine's memory
        pub resets_full: Cumulative,
        /// Runs ended by an exception, those over memory not counted
        pub exceptions: Cumulative,
        /// Runs ended because the machine was out of memory
        pub exception_oom: Cumulative,
        /// Runs ended by a bad access to memory
        pub exception_mem: Cumulative,
        /// Runs ended because their time was up
        pub timeouts: Cumulative,
        /// Time spent waiting for a machine to be free
        pub reservation_time: Cumulative<Nanoseconds>,
        /// Time spent on resets
        pub reset_time: Cumulative<Nanoseconds>,
        /// CPU time spent on the work itself
        pub request_cpu_time: Cumulative<Nanoseconds>,
        /// CPU time spent on handling exceptions
        pub exception_cpu_time: Cumulative<Nanoseconds>,
        /// Bytes handed in to be worked on
        pub input_bytes: Cumulative<Bytes>,
        /// Bytes of results
        pub output_bytes: Cumulative<Bytes>,
        /// Results with an HTTP status of 200 to 299
        pub status_2xx: Cumulative,
        /// Results with an HTTP status of 300 to 399
        pub status_3xx: Cumulative,
        /// Results with an HTTP status of 400 to 499
        pub status_4xx: Cumulative,
        /// Results with an HTTP status of 500 to 599
        pub status_5xx: Cumulative,
        /// Address space that machines may use
        pub vm_address_space: Instant<Bytes>,
        /// Main memory that machines may use
        pub vm_main_memory: Instant<Bytes>,
        /// Memory that machines may have for copies of pages they write to
        pub vm_bank_capacity: Instant<Bytes>,
        /// The most memory for copies of pages that a machine ever had
        pub vm_bank_highest: Peak<Bytes>,
        /// Memory for copies of pages in use now
        pub vm_bank_current: Instant<Bytes>,
        /// Tasks waiting for their turn
        pub tasks_queued: Instant,
        /// Tasks with a date to run in storage
        pub tasks_inschedule: Instant,
    }
}

/// Each of them, and what it must be equal to.
#[cfg(test)]
pub(crate) fn pairs() -> Vec<(crate::SchemaRef<'static>, &'static vmtally_sys::vmt_schema)> {
    // SAFETY: immutable statics of the C library.
    unsafe {
        vec![
            (
                <SegmentOwn as crate::Schema>::schema(),
                &vmtally_sys::vmt_schema_segment,
            ),
            (<Vm as crate::Schema>::schema(), &vmtally_sys::vmt_schema_vm),
            (<Vcpu as crate::Schema>::schema(), &vmtally_sys::vmt_schema_vcpu),
            (<Block as crate::Schema>::schema(), &vmtally_sys::vmt_schema_block),
            (<Net as crate::Schema>::schema(), &vmtally_sys::vmt_schema_net),
            (<Vsock as crate::Schema>::schema(), &vmtally_sys::vmt_schema_vsock),
            (<Balloon as crate::Schema>::schema(), &vmtally_sys::vmt_schema_balloon),
            (<Program as crate::Schema>::schema(), &vmtally_sys::vmt_schema_program),
            (<Request as crate::Schema>::schema(), &vmtally_sys::vmt_schema_request),
            (<Storage as crate::Schema>::schema(), &vmtally_sys::vmt_schema_storage),
        ]
    }
}
