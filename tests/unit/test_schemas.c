/* SPDX-License-Identifier: MIT */
/* The ready-made schemas: sound, and with the names that Firecracker's and TinyKVM's users know. */
#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/schemas.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A row of a list macro, as written: what the enum and the descriptors made of it is compared with. */
struct row {
    const char *name;
    uint32_t id, slots;
    int is_latency;
};
#define IS_LATENCY(kind) (sizeof(#kind) == sizeof("LATENCY") && #kind[0] == 'L' && #kind[1] == 'A')
#define ROW(kind, id, name, unit, size, bucket, help) { name, id, VMT_SLOTS_##kind(size), IS_LATENCY(kind) },

static const struct row segment_rows[] = { VMT_SEGMENT_STATISTICS(ROW) };
static const struct row vm_rows[] = { VMT_VM_STATISTICS(ROW) };
static const struct row vcpu_rows[] = { VMT_VCPU_STATISTICS(ROW) };
static const struct row block_rows[] = { VMT_BLOCK_STATISTICS(ROW) };
static const struct row net_rows[] = { VMT_NET_STATISTICS(ROW) };
static const struct row vsock_rows[] = { VMT_VSOCK_STATISTICS(ROW) };
static const struct row balloon_rows[] = { VMT_BALLOON_STATISTICS(ROW) };
static const struct row program_rows[] = { VMT_PROGRAM_STATISTICS(ROW) };
static const struct row request_rows[] = { VMT_REQUEST_STATISTICS(ROW) };
static const struct row storage_rows[] = { VMT_STORAGE_STATISTICS(ROW) };

#define ENTRY(lower, upper, provider)                                                                                  \
    {                                                                                                                  \
        &vmt_schema_##lower, #lower, provider, VMT_##upper##_SLOTS, lower##_rows, LENGTH(lower##_rows)                 \
    }
static const struct {
    const struct vmt_schema *schema;
    const char *name, *provider;
    uint32_t slots;
    const struct row *rows;
    size_t row_count;
} schemas[] = {
    ENTRY(segment, SEGMENT, "vmtally"), ENTRY(vm, VM, "vmm"),           ENTRY(vcpu, VCPU, "vmm"),
    ENTRY(block, BLOCK, "vmm"),         ENTRY(net, NET, "vmm"),         ENTRY(vsock, VSOCK, "vmm"),
    ENTRY(balloon, BALLOON, "vmm"),     ENTRY(program, PROGRAM, "vmm"), ENTRY(request, REQUEST, "vmm"),
    ENTRY(storage, STORAGE, "vmm"),
};

/* Every schema s and every descriptor d of it. */
#define EACH_SCHEMA(s) for (size_t s = 0; s < LENGTH(schemas); s++)
#define EACH_DESCRIPTOR(s, d)                                                                                          \
    EACH_SCHEMA(s)                                                                                                     \
    for (const struct vmt_descriptor *d = schemas[s].schema->descriptors, *d##_end = d + schemas[s].schema->count;     \
         d < d##_end; d++)

static int is_histogram(const struct vmt_descriptor *d)
{
    return (d->flags & VMT_TYPE_MASK) == VMT_TYPE_LINEAR_HIST || (d->flags & VMT_TYPE_MASK) == VMT_TYPE_LOG_HIST;
}

static int is_printable(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || *text == ',')
            return 0;
    return 1;
}

Test(schemas, are_called_after_their_target_and_say_who_counts)
{
    EACH_SCHEMA(s)
    {
        const struct vmt_schema *schema = schemas[s].schema;

        cr_assert_str_eq(schema->name, schemas[s].name);
        cr_assert_str_eq(schema->target, schemas[s].name);
        cr_assert_str_eq(schema->provider, schemas[s].provider);
        cr_assert_lt(strlen(schema->name), 24);
        cr_assert_lt(strlen(schema->provider), 24);
        cr_assert(is_printable(schema->name) && is_printable(schema->provider));
    }
}

Test(schemas, keep_the_limits_of_the_format)
{
    EACH_SCHEMA(s)
    {
        cr_assert_gt(schemas[s].schema->count, 0);
        cr_assert_leq(schemas[s].schema->count, VMT_DESCRIPTORS_MAX);
        cr_assert_leq(schemas[s].schema->slots, VMT_SLOTS_MAX);
    }
}

Test(schemas, slots_are_dense_and_in_order)
{
    uint32_t next = 0;

    EACH_DESCRIPTOR(s, d)
    {
        if (d == schemas[s].schema->descriptors)
            next = 0;
        cr_assert_eq(d->slot, next, "%s.%s is at %u, not %u", schemas[s].name, d->name, d->slot, next);
        cr_assert_gt(d->size, 0);
        next += d->size;
        if (d + 1 == d_end)
            cr_assert_eq(schemas[s].schema->slots, next, "%s has %u slots", schemas[s].name, next);
    }
}

Test(schemas, enum_and_descriptors_agree_with_the_list)
{
    EACH_SCHEMA(s)
    {
        uint32_t next = 0, descriptors = 0;

        cr_assert_eq(schemas[s].slots, schemas[s].schema->slots, "%s", schemas[s].name);
        for (const struct row *row = schemas[s].rows; row < schemas[s].rows + schemas[s].row_count; row++) {
            char name[VMT_NAME_SIZE];
            const struct vmt_descriptor *d;

            cr_assert_eq(row->id, next, "%s.%s", schemas[s].name, row->name);
            snprintf(name, sizeof(name), "%s%s", row->name, row->is_latency ? "_count" : "");
            d = vmt_schema_find(schemas[s].schema, name);
            cr_assert(d, "%s.%s", schemas[s].name, name);
            cr_assert_eq(d->slot, row->id, "%s.%s", schemas[s].name, name);
            next += row->slots;
            descriptors += row->is_latency ? 5 : 1;
        }
        cr_assert_eq(next, schemas[s].slots, "%s", schemas[s].name);
        cr_assert_eq(descriptors, schemas[s].schema->count, "%s", schemas[s].name);
    }
}

Test(schemas, names_are_short_printable_and_unique)
{
    EACH_DESCRIPTOR(s, d)
    {
        cr_assert_gt(strlen(d->name), 0);
        cr_assert_lt(strlen(d->name), VMT_NAME_SIZE, "%s.%s", schemas[s].name, d->name);
        cr_assert(is_printable(d->name), "%s.%s", schemas[s].name, d->name);
        for (const struct vmt_descriptor *other = d + 1; other < d_end; other++)
            cr_assert_str_neq(d->name, other->name, "%s", schemas[s].name);
    }
}

Test(schemas, every_statistic_has_one_line_of_help)
{
    cr_assert(setlocale(LC_ALL, "C.UTF-8"));
    EACH_DESCRIPTOR(s, d)
    {
        size_t length = strlen(d->help);

        cr_assert_gt(length, 0, "%s.%s", schemas[s].name, d->name);
        cr_assert_lt(length, VMT_HELP_MAX, "%s.%s", schemas[s].name, d->name);
        cr_assert_neq(mbstowcs(NULL, d->help, 0), (size_t)-1, "%s.%s is not UTF-8", schemas[s].name, d->name);
        for (size_t i = 0; i < length; i++)
            cr_assert((unsigned char)d->help[i] >= ' ' && d->help[i] != 0x7f, "%s.%s", schemas[s].name, d->name);
    }
}

Test(schemas, flags_are_those_of_the_format)
{
    const uint32_t known = VMT_TYPE_MASK | VMT_UNIT_MASK | VMT_BASE_MASK | VMT_AGGREGATION_MASK | VMT_SIGNED;

    EACH_DESCRIPTOR(s, d)
    {
        cr_assert_eq(d->flags & ~known, 0, "%s.%s", schemas[s].name, d->name);
        cr_assert_leq(d->flags & VMT_TYPE_MASK, VMT_TYPE_MAX, "%s.%s", schemas[s].name, d->name);
        cr_assert_leq(d->flags & VMT_UNIT_MASK, VMT_UNIT_MAX, "%s.%s", schemas[s].name, d->name);
        cr_assert_leq(d->flags & VMT_BASE_MASK, VMT_BASE_MAX, "%s.%s", schemas[s].name, d->name);
        cr_assert_leq(d->flags & VMT_AGGREGATION_MASK, VMT_AGGREGATION_LAST, "%s.%s", schemas[s].name, d->name);
        cr_assert_leq(d->level, VMT_LEVEL_DEBUG, "%s.%s", schemas[s].name, d->name);
        cr_assert_leq(d->minuend, schemas[s].schema->count, "%s.%s", schemas[s].name, d->name);
        cr_assert(d->reserved[0] == 0 && d->reserved[1] == 0 && d->reserved[2] == 0);
    }
}

Test(schemas, pass_what_the_kernels_selftest_asserts)
{
    EACH_DESCRIPTOR(s, d)
    {
        switch (d->flags & VMT_UNIT_MASK) {
        case VMT_UNIT_NONE:
        case VMT_UNIT_BYTES:
        case VMT_UNIT_CYCLES:
            cr_assert_geq(d->exponent, 0, "%s.%s", schemas[s].name, d->name);
            break;
        case VMT_UNIT_SECONDS:
            cr_assert_leq(d->exponent, 0, "%s.%s", schemas[s].name, d->name);
            break;
        case VMT_UNIT_BOOLEAN:
            cr_assert_eq(d->exponent, 0, "%s.%s", schemas[s].name, d->name);
            break;
        }
        cr_assert_eq(d->bucket_size != 0, (d->flags & VMT_TYPE_MASK) == VMT_TYPE_LINEAR_HIST, "%s.%s", schemas[s].name,
                     d->name);
        cr_assert(is_histogram(d) || d->size == 1, "%s.%s", schemas[s].name, d->name);
        cr_assert_geq(schemas[s].schema->slots, schemas[s].schema->count);
    }
}

/* ---- latencies ---- */

static const struct {
    const char *suffix;
    uint32_t flags;
} latency_parts[] = {
    { "_count", VMT_TYPE_CUMULATIVE | VMT_UNIT_NONE },
    { "_sum", VMT_TYPE_CUMULATIVE | VMT_UNIT_SECONDS },
    { "_min", VMT_TYPE_INSTANT | VMT_UNIT_SECONDS | VMT_AGGREGATION_MIN },
    { "_max", VMT_TYPE_PEAK | VMT_UNIT_SECONDS },
    { "_hist", VMT_TYPE_LOG_HIST | VMT_UNIT_SECONDS },
};

static const struct {
    const struct vmt_schema *schema;
    const char *name;
} latencies[] = {
    { &vmt_schema_vcpu, "io_latency" },          { &vmt_schema_vcpu, "exit_io_in_agg" },
    { &vmt_schema_vcpu, "exit_io_out_agg" },     { &vmt_schema_vcpu, "exit_mmio_read_agg" },
    { &vmt_schema_vcpu, "exit_mmio_write_agg" }, { &vmt_schema_block, "read_agg" },
    { &vmt_schema_block, "write_agg" },          { &vmt_schema_net, "tap_write_agg" },
};

Test(schemas, parts_of_a_latency_are_one_group_of_nanoseconds)
{
    for (size_t l = 0; l < LENGTH(latencies); l++) {
        uint16_t group = 0;
        uint32_t members = 0;

        for (size_t p = 0; p < LENGTH(latency_parts); p++) {
            char name[VMT_NAME_SIZE];
            const struct vmt_descriptor *d;

            snprintf(name, sizeof(name), "%s%s", latencies[l].name, latency_parts[p].suffix);
            d = vmt_schema_find(latencies[l].schema, name);
            cr_assert(d, "%s", name);
            cr_assert_eq(d->flags, latency_parts[p].flags, "%s", name);
            cr_assert_eq(d->exponent, p == 0 ? 0 : -9, "%s", name);
            cr_assert_eq(d->size, p == 4 ? 40 : 1, "%s", name);
            cr_assert_neq(d->group, 0, "%s", name);
            cr_assert(p == 0 || d->group == group, "%s", name);
            group = d->group;
        }
        for (uint32_t i = 0; i < latencies[l].schema->count; i++)
            members += latencies[l].schema->descriptors[i].group == group;
        cr_assert_eq(members, LENGTH(latency_parts), "%s", latencies[l].name);
    }
}

Test(schemas, nothing_else_is_in_a_group)
{
    size_t grouped = 0;

    EACH_DESCRIPTOR(s, d)
    grouped += d->group != 0;
    cr_assert_eq(grouped, LENGTH(latencies) * LENGTH(latency_parts));
}

/* ---- names that are not to be changed ---- */

#define NAMES(...)                                                                                                     \
    (const char *const[]) { __VA_ARGS__, NULL }
static const struct {
    const struct vmt_schema *schema;
    const char *const *names;
} promised[] = {
    { &vmt_schema_segment,
      NAMES("dropped_sources", "dropped_shards", "sources_added", "sources_removed", "shards_created", "shards_torn") },
    { &vmt_schema_vm,
      NAMES("vcpus", "memory_bytes", "process_startup_time_us", "process_startup_time_cpu_us", "panic_count",
            "interrupts_triggers", "interrupts_config_updates", "seccomp_num_faults", "full_create_snapshot",
            "diff_create_snapshot", "load_snapshot", "pause_vm", "resume_vm", "vmm_full_create_snapshot",
            "vmm_diff_create_snapshot", "vmm_load_snapshot", "vmm_pause_vm", "vmm_resume_vm", "sigbus", "sigsegv",
            "sigxfsz", "sigxcpu", "sigpipe", "sighup", "sigill") },
    { &vmt_schema_vcpu,
      NAMES("exits", "exit_hlt", "exit_intr", "exit_irq_window", "exit_other", "run_time", "halt_time", "exit_io_in",
            "exit_io_out", "exit_mmio_read", "exit_mmio_write", "failures", "kvmclock_ctrl_fails") },
    { &vmt_schema_block, NAMES("activate_fails", "cfg_fails", "no_avail_buffer", "event_fails", "execute_fails",
                               "invalid_reqs_count", "flush_count", "queue_event_count", "rate_limiter_event_count",
                               "update_count", "update_fails", "read_bytes", "write_bytes", "read_count", "write_count",
                               "rate_limiter_throttled_events", "io_engine_throttled_events", "remaining_reqs_count") },
    { &vmt_schema_net, NAMES("activate_fails", "cfg_fails", "no_rx_avail_buffer", "no_tx_avail_buffer", "event_fails",
                             "rx_queue_event_count", "rx_event_rate_limiter_count", "rx_rate_limiter_throttled",
                             "rx_tap_event_count", "rx_bytes_count", "rx_packets_count", "rx_fails", "rx_count",
                             "tap_read_fails", "tap_write_fails", "tx_bytes_count", "tx_malformed_frames", "tx_fails",
                             "tx_count", "tx_packets_count", "tx_queue_event_count", "tx_rate_limiter_event_count",
                             "tx_rate_limiter_throttled", "tx_spoofed_mac_count", "tx_remaining_reqs_count") },
    { &vmt_schema_vsock,
      NAMES("activate_fails", "cfg_fails", "rx_queue_event_fails", "tx_queue_event_fails", "ev_queue_event_fails",
            "muxer_event_fails", "conn_event_fails", "rx_queue_event_count", "tx_queue_event_count", "rx_bytes_count",
            "tx_bytes_count", "rx_packets_count", "tx_packets_count", "conns_added", "conns_killed", "conns_removed",
            "killq_resync", "tx_flush_fails", "tx_write_fails", "rx_read_fails") },
    { &vmt_schema_balloon,
      NAMES("activate_fails", "inflate_count", "stats_updates_count", "stats_update_fails", "deflate_count",
            "event_fails", "free_page_report_count", "free_page_report_freed", "free_page_report_fails",
            "free_page_hint_count", "free_page_hint_freed", "free_page_hint_fails") },
    { &vmt_schema_program,
      NAMES("live_updates", "live_update_transfer_bytes", "reservation_time", "reservation_timeouts", "binary_size",
            "program_notfound", "program_exception", "program_timeout", "program_status_4xx", "program_status_5xx",
            "cpu_time", "fetch_time", "self_requests", "self_requests_failed") },
#define MACHINE_NAMES                                                                                                  \
    "invocations", "resets", "resets_full", "exceptions", "exception_oom", "exception_mem", "timeouts",                \
        "reservation_time", "reset_time", "request_cpu_time", "exception_cpu_time", "input_bytes", "output_bytes",     \
        "status_2xx", "status_3xx", "status_4xx", "status_5xx", "vm_address_space", "vm_main_memory",                  \
        "vm_bank_capacity", "vm_bank_highest", "vm_bank_current", "tasks_queued"
    { &vmt_schema_request, NAMES(MACHINE_NAMES) },
    { &vmt_schema_storage, NAMES(MACHINE_NAMES, "tasks_inschedule") },
};

Test(schemas, have_firecrackers_and_tinykvms_names)
{
    for (size_t p = 0; p < LENGTH(promised); p++)
        for (const char *const *name = promised[p].names; *name; name++)
            cr_assert(vmt_schema_find(promised[p].schema, *name), "%s.%s is gone", promised[p].schema->name, *name);
}

Test(schemas, segment_is_as_the_library_counts)
{
    for (uint32_t i = 0; promised[0].names[i]; i++) {
        cr_assert_str_eq(vmt_schema_segment.descriptors[i].name, promised[0].names[i]);
        cr_assert_eq(vmt_schema_segment.descriptors[i].flags, VMT_TYPE_CUMULATIVE | VMT_UNIT_NONE);
    }
    cr_assert_eq(vmt_schema_segment.count, 6);
    cr_assert(VMT_SEGMENT_DROPPED_SOURCES == 0 && VMT_SEGMENT_DROPPED_SHARDS == 1 && VMT_SEGMENT_SOURCES_ADDED == 2 &&
              VMT_SEGMENT_SOURCES_REMOVED == 3 && VMT_SEGMENT_SHARDS_CREATED == 4 && VMT_SEGMENT_SHARDS_TORN == 5);
}

/* What their values mean, where the name has to be believed. */
static const struct {
    const struct vmt_schema *schema;
    const char *name;
    uint32_t flags;
    int16_t exponent;
} meanings[] = {
    { &vmt_schema_vm, "memory_bytes", VMT_TYPE_INSTANT | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_vm, "process_startup_time_us", VMT_TYPE_INSTANT | VMT_UNIT_SECONDS, -6 },
    { &vmt_schema_vm, "process_startup_time_cpu_us", VMT_TYPE_INSTANT | VMT_UNIT_SECONDS, -6 },
    { &vmt_schema_vm, "pause_vm", VMT_TYPE_INSTANT | VMT_UNIT_SECONDS, -6 },
    { &vmt_schema_vm, "vmm_load_snapshot", VMT_TYPE_INSTANT | VMT_UNIT_SECONDS, -6 },
    { &vmt_schema_vm, "panic_count", VMT_TYPE_INSTANT, 0 },
    { &vmt_schema_vm, "sigsegv", VMT_TYPE_INSTANT, 0 },
    { &vmt_schema_vm, "sigpipe", VMT_TYPE_CUMULATIVE, 0 },
    { &vmt_schema_vm, "interrupts_triggers", VMT_TYPE_CUMULATIVE, 0 },
    { &vmt_schema_vcpu, "run_time", VMT_TYPE_CUMULATIVE | VMT_UNIT_SECONDS, -9 },
    { &vmt_schema_vcpu, "halt_time", VMT_TYPE_CUMULATIVE | VMT_UNIT_SECONDS, -9 },
    { &vmt_schema_block, "read_bytes", VMT_TYPE_CUMULATIVE | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_block, "write_bytes", VMT_TYPE_CUMULATIVE | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_block, "remaining_reqs_count", VMT_TYPE_CUMULATIVE, 0 },
    { &vmt_schema_net, "rx_bytes_count", VMT_TYPE_CUMULATIVE | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_vsock, "tx_bytes_count", VMT_TYPE_CUMULATIVE | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_balloon, "free_page_hint_freed", VMT_TYPE_CUMULATIVE | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_program, "reservation_time", VMT_TYPE_CUMULATIVE | VMT_UNIT_SECONDS, -9 },
    { &vmt_schema_program, "live_update_transfer_bytes", VMT_TYPE_CUMULATIVE | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_request, "request_cpu_time", VMT_TYPE_CUMULATIVE | VMT_UNIT_SECONDS, -9 },
    { &vmt_schema_request, "vm_bank_highest", VMT_TYPE_PEAK | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_request, "vm_bank_current", VMT_TYPE_INSTANT | VMT_UNIT_BYTES | VMT_BASE_POW2, 0 },
    { &vmt_schema_storage, "tasks_queued", VMT_TYPE_INSTANT, 0 },
    { &vmt_schema_storage, "tasks_inschedule", VMT_TYPE_INSTANT, 0 },
};

Test(schemas, types_units_and_scales_are_the_originals)
{
    for (size_t m = 0; m < LENGTH(meanings); m++) {
        const struct vmt_descriptor *d = vmt_schema_find(meanings[m].schema, meanings[m].name);

        cr_assert(d, "%s", meanings[m].name);
        cr_assert_eq(d->flags, meanings[m].flags, "%s.%s", meanings[m].schema->name, d->name);
        cr_assert_eq(d->exponent, meanings[m].exponent, "%s.%s", meanings[m].schema->name, d->name);
    }
}

/* ---- finding ---- */

Test(schema_find, finds_each_descriptor_by_its_whole_name_only)
{
    EACH_DESCRIPTOR(s, d)
    cr_assert_eq(vmt_schema_find(schemas[s].schema, d->name), d);
    cr_assert_null(vmt_schema_find(&vmt_schema_vcpu, ""));
    cr_assert_null(vmt_schema_find(&vmt_schema_vcpu, "exit"));
    cr_assert_null(vmt_schema_find(&vmt_schema_vcpu, "exits_"));
    cr_assert_null(vmt_schema_find(&vmt_schema_vcpu, "io_latency"));
    cr_assert_null(vmt_schema_find(&vmt_schema_block, "exits"));
}
