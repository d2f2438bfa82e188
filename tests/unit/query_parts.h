/* SPDX-License-Identifier: MIT */
/* query_parts.h: a segment as vmtally query may find it, a session that asks of it, and requests that are wrong. */
#ifndef TESTS_UNIT_QUERY_PARTS_H
#define TESTS_UNIT_QUERY_PARTS_H

#include "helper.h"

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/segment.h>
#include <vmtally/count.h>
#include <vmtally/host.h>

#include "cli/query/asked.h"
#include "cli/query/session.h"
#include "lib/export/buffer.h"

#define VM_STATISTICS(X)                                                                                               \
    X(CUMULATIVE, TVM_RESETS, "resets", NONE, 1, 0, "")                                                                \
    X(INSTANT, TVM_MEMORY, "memory", MEBIBYTES, 1, 0, "")
VMT_SCHEMA_ENUM(TVM, VM_STATISTICS)
VMT_SCHEMA_DEFINE(tvm_schema, "vm", "vmm", "vm", TVM, VM_STATISTICS)

#define VCPU_STATISTICS(X)                                                                                             \
    X(CUMULATIVE, TCPU_EXITS, "exits", NONE, 1, 0, "")                                                                 \
    X(MINIMUM, TCPU_LEAST, "least", BYTES, 1, 0, "")                                                                   \
    X(SIGNED_INSTANT, TCPU_DRIFT, "drift", MICROSECONDS, 1, 0, "")                                                     \
    X(LINEAR, TCPU_SIZES, "sizes", BYTES, 4, 512, "")
VMT_SCHEMA_ENUM(TCPU, VCPU_STATISTICS)
VMT_SCHEMA_DEFINE(tcpu_schema, "vcpu", "vmm", "vcpu", TCPU, VCPU_STATISTICS)

/* As the kernel's. */
#define KERNEL_STATISTICS(X)                                                                                           \
    X(CUMULATIVE, TKVM_WAIT, "halt_wait_ns", NANOSECONDS, 1, 0, "")                                                    \
    X(LOG, TKVM_HIST, "halt_wait_hist", NANOSECONDS, 3, 0, "")                                                         \
    X(BOOLEAN, TKVM_GUEST, "guest_mode", BOOL, 1, 0, "")                                                               \
    X(CUMULATIVE, TKVM_POLL, "halt_poll_fail_ns", NANOSECONDS, 1, 0, "")                                               \
    X(CUMULATIVE, TKVM_EXITS, "exits", NONE, 1, 0, "")
VMT_SCHEMA_ENUM(TKVM, KERNEL_STATISTICS)
VMT_SCHEMA_DEFINE(tkvm_schema, "kvm-vcpu", "kvm", "vcpu", TKVM, KERNEL_STATISTICS)

/* Another of that provider and target, as after an update of one of them: the name that both have stands once. */
#define LATER_STATISTICS(X)                                                                                            \
    X(INSTANT, TLAT_EXITS, "exits", NONE, 1, 0, "")                                                                    \
    X(PEAK, TLAT_STEAL, "steal", CYCLES, 1, 0, "")
VMT_SCHEMA_ENUM(TLAT, LATER_STATISTICS)
VMT_SCHEMA_DEFINE(tlat_schema, "kvm-later", "kvm", "vcpu", TLAT, LATER_STATISTICS)

#define HANDLE_STATISTICS(X) X(INSTANT, THAN_FD, "stats_fd", NONE, 1, 0, "")
VMT_SCHEMA_ENUM(THAN, HANDLE_STATISTICS)
VMT_SCHEMA_DEFINE(than_schema, "kvm-fd", "kvm", "vm", THAN, HANDLE_STATISTICS)

#define BLOCK_STATISTICS(X) X(CUMULATIVE, TBLK_BYTES, "read_bytes", KIBIBYTES, 1, 0, "")
VMT_SCHEMA_ENUM(TBLK, BLOCK_STATISTICS)
VMT_SCHEMA_DEFINE(tblk_schema, "block", "vmm", "block", TBLK, BLOCK_STATISTICS)

static struct vmt_segment *segment;
static struct vmt_source *vm, *vcpus[2], *kernel, *later, *disk, *gone;
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;
static struct vmt_buffer out;
static struct session session;
static unsigned looks; /* how often a snapshot was asked for */
static bool away;      /* there is none */

static inline const struct vmt_snapshot *look(void *arg, char *why, size_t size)
{
    (void)arg;
    looks++;
    if (away) {
        snprintf(why, size, "web-1 has gone");
        return NULL;
    }
    cr_assert_eq(vmt_snapshot_take(snapshot, reader), 0);
    return snapshot;
}

static inline void add(const struct vmt_schema *schema, struct vmt_source *parent, const char *name,
                       struct vmt_source **ret)
{
    cr_assert_eq(vmt_source_add(segment, schema, parent, name, ret), 0, "%s", name);
}

static inline void count(void)
{
    struct vmt_shard *s = vmt_shard_acquire(vm);

    vmt_add(s, TVM_RESETS, 3);
    vmt_set(s, TVM_MEMORY, 512);
    s = vmt_shard_acquire(vcpus[0]);
    vmt_add(s, TCPU_EXITS, UINT64_MAX);
    vmt_set(s, TCPU_DRIFT, (uint64_t)INT64_MIN);
    vmt_record(s, TCPU_SIZES, 700);
    s = vmt_shard_acquire(vcpus[1]);
    vmt_minimum(s, TCPU_LEAST, 7);
    s = vmt_shard_acquire(kernel);
    vmt_add(s, TKVM_WAIT, 5);
    vmt_record(s, TKVM_HIST, 1);
    vmt_set(s, TKVM_GUEST, 1);
    vmt_add(s, TKVM_EXITS, (UINT64_C(1) << 53) + 1);
}

static inline void start(void)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web-1" };
    struct vmt_source *handle;

    test_dir_init();
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    add(&tvm_schema, NULL, "vm", &vm);
    add(&tcpu_schema, vm, "vcpu-0", &vcpus[0]);
    add(&tcpu_schema, vm, "vcpu-1", &vcpus[1]);
    add(&tkvm_schema, vcpus[0], "kvm", &kernel);
    add(&tlat_schema, vcpus[1], "kvm", &later);
    add(&than_schema, vm, "kvm-fd", &handle);
    add(&tblk_schema, vm, "disk-0", &disk);
    add(&tcpu_schema, vm, "vcpu-2", &gone);
    count();
    cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), NULL, &reader), 0);
    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
    /* Removed, but still held: a vCPU that was unplugged. */
    cr_assert_neq(vmt_shard_acquire(gone), VMT_SCRATCH);
    vmt_source_remove(gone);
    session = (struct session){ .qmp = { .look = look, .most = 1 << 20, .negotiated = true } };
}

static inline void end(void)
{
    session_end(&session);
    vmt_buffer_free(&out);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

static inline const char *text(void)
{
    cr_assert_eq(vmt_buffer_append(&out, "", 1), 0);
    return out.data;
}

static inline const char *ask(const char *json)
{
    vmt_buffer_clear(&out);
    cr_assert_eq(qmp_answer(&session.qmp, json, strlen(json), &out), 0);
    return text();
}

#define ANSWERS(json, expected)                                                                                        \
    do {                                                                                                               \
        const char *said_ = ask(json);                                                                                 \
        cr_expect_str_eq(said_, expected, "%s\nsaid     %s\nexpected %s", json, said_, expected);                      \
    } while (0)

#define STATS(arguments) "{\"execute\":\"query-stats\",\"arguments\":" arguments "}"
#define SCHEMAS(arguments) "{\"execute\":\"query-stats-schemas\",\"arguments\":" arguments "}"
#define RETURN(list) "{\"return\":" list "}"
#define VALUE(name, value) "{\"name\":\"" name "\",\"value\":" value "}"

static const struct {
    const char *json;
    const char *class;
    const char *desc;
} errors[] = {
    /* what QEMU 7.2 says, to the letter */
    { "{\"execute\":\"query-stats\"}", "GenericError", "Parameter 'target' is missing" },
    { STATS("{}"), "GenericError", "Parameter 'target' is missing" },
    { STATS("{\"target\":1}"), "GenericError", "Invalid parameter type for 'target', expected: string" },
    { STATS("{\"target\":null}"), "GenericError", "Invalid parameter type for 'target', expected: string" },
    { STATS("{\"target\":\"foo\"}"), "GenericError", "Parameter 'target' does not accept value 'foo'" },
    { STATS("{\"target\":\"vm\",\"x\":1}"), "GenericError", "Parameter 'x' is unexpected" },
    { STATS("{\"target\":\"vm\",\"vcpus\":[\"a\"]}"), "GenericError", "Parameter 'vcpus' is unexpected" },
    { STATS("{\"target\":\"vcpu\",\"vcpus\":\"a\"}"), "GenericError",
      "Invalid parameter type for 'vcpus', expected: array" },
    { STATS("{\"target\":\"vcpu\",\"vcpus\":[1]}"), "GenericError",
      "Invalid parameter type for 'vcpus[0]', expected: string" },
    { STATS("{\"target\":\"vm\",\"providers\":1}"), "GenericError",
      "Invalid parameter type for 'providers', expected: array" },
    { STATS("{\"target\":\"vm\",\"providers\":[1]}"), "GenericError",
      "Invalid parameter type for 'providers[0]', expected: object" },
    { STATS("{\"target\":\"vm\",\"providers\":[{}]}"), "GenericError", "Parameter 'providers[0].provider' is missing" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":\"xyz\"}]}"), "GenericError",
      "Parameter 'provider' does not accept value 'xyz'" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":2}]}"), "GenericError",
      "Invalid parameter type for 'providers[0].provider', expected: string" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":\"kvm\",\"names\":[1]}]}"), "GenericError",
      "Invalid parameter type for 'providers[0].names[0]', expected: string" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":\"kvm\",\"names\":\"a\"}]}"), "GenericError",
      "Invalid parameter type for 'providers[0].names', expected: array" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":\"kvm\",\"x\":[\"a\"]}]}"), "GenericError",
      "Parameter 'providers[0].x' is unexpected" },
    { SCHEMAS("{\"provider\":\"xyz\"}"), "GenericError", "Parameter 'provider' does not accept value 'xyz'" },
    { SCHEMAS("{\"provider\":1}"), "GenericError", "Invalid parameter type for 'provider', expected: string" },
    { SCHEMAS("{\"x\":1}"), "GenericError", "Parameter 'x' is unexpected" },
    { "{\"execute\":\"query-version\",\"arguments\":{\"x\":1}}", "GenericError", "Parameter 'x' is unexpected" },
    { "{\"execute\":\"query-name\",\"foo\":1}", "GenericError", "QMP input member 'foo' is unexpected" },
    { "{\"exec-oob\":\"query-name\"}", "GenericError", "QMP input member 'exec-oob' is unexpected" },
    { "{\"execute\":\"query-name\",\"arguments\":[1]}", "GenericError",
      "QMP input member 'arguments' must be an object" },
    { "{\"execute\":1}", "GenericError", "QMP input member 'execute' must be a string" },
    { "{\"arguments\":{}}", "GenericError", "QMP input lacks member 'execute'" },
    { "{}", "GenericError", "QMP input lacks member 'execute'" },
    { "[]", "GenericError", "QMP input must be a JSON object" },
    { "1", "GenericError", "QMP input must be a JSON object" },
    { "null", "GenericError", "QMP input must be a JSON object" },
    { "\"abc\"", "GenericError", "QMP input must be a JSON object" },
    { "{\"execute\":\"device_add\"}", "CommandNotFound", "The command device_add has not been found" },
    { "{\"execute\":\"qmp_capabilities\"}", "CommandNotFound",
      "Capabilities negotiation is already complete, command ignored" },
    { "{\"execute\":\"query-name\\u0000x\"}", "CommandNotFound",
      "The command query-name\\\\u0000x has not been found" },
    { "{\"execute\":\"query-name\",\"execute\\u0000\":\"quit\"}", "GenericError",
      "QMP input member 'execute\\\\u0000' is unexpected" },
    { "{\"execute\":\"query-name\",\"id\\u0000\":1}", "GenericError", "QMP input member 'id\\\\u0000' is unexpected" },
    { "{\"execute\\u0000\":\"query-name\"}", "GenericError", "QMP input member 'execute\\\\u0000' is unexpected" },
    { STATS("{\"target\":\"vm\\u0000x\"}"), "GenericError", "Parameter 'target' does not accept value 'vm\\\\u0000x'" },
    { STATS("{\"target\\u0000\":\"vm\"}"), "GenericError", "Parameter 'target' is missing" },
    { STATS("{\"target\":\"vm\",\"target\\u0000\":\"vcpu\"}"), "GenericError",
      "Parameter 'target\\\\u0000' is unexpected" },
    { "{\"execute\":\"query-name\",\"execute\":\"quit\"}", "GenericError", "JSON parse error, duplicate key" },
    { "{\"execute\":\"query-name\",\"exec\\u0075te\":\"quit\"}", "GenericError", "JSON parse error, duplicate key" },
    { "{\"id\":1,\"execute\":\"query-name\",\"id\":2}", "GenericError", "JSON parse error, duplicate key" },
    { "{\"execute\":\"query-name\",\"id\":[{\"a\":1,\"a\":1}]}", "GenericError", "JSON parse error, duplicate key" },
    { "{\"execute\":\"query-name\",\"arguments\":{},\"arguments\":{}}", "GenericError",
      "JSON parse error, duplicate key" },
    { STATS("{\"target\":\"vm\",\"target\":\"vcpu\"}"), "GenericError", "JSON parse error, duplicate key" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":\"vmm\",\"provider\":\"kvm\"}]}"), "GenericError",
      "JSON parse error, duplicate key" },
    { "{\"execute\":\"query-name\",\"id\":01}", "GenericError", "JSON parse error, stray '01'" },
    { "{\"execute\":\"query-name\",\"id\":nan}", "GenericError", "JSON parse error, invalid keyword 'nan'" },
    /* and what QEMU does not say */
    { "{\"execute\":\"query-stat\"}", "CommandNotFound",
      "The command query-stat has not been found; did you mean query-stats?" },
    { STATS("{\"target\":\"vcup\"}"), "GenericError",
      "Parameter 'target' does not accept value 'vcup'; did you mean vcpu?" },
    { STATS("{\"target\":\"blokc\"}"), "GenericError",
      "Parameter 'target' does not accept value 'blokc'; did you mean block?" },
    { SCHEMAS("{\"provider\":\"kvn\"}"), "GenericError",
      "Parameter 'provider' does not accept value 'kvn'; did you mean kvm?" },
    { STATS("{\"target\":\"vcpu\",\"vcpus\":[\"vm/vcpu-0\",\"vm/vcpu-9\"]}"), "GenericError",
      "no vcpu vm/vcpu-9; did you mean vm/vcpu-0?" },
    { STATS("{\"target\":\"vcpu\",\"vcpus\":[\"/machine/unattached/device[0]\"]}"), "GenericError",
      "no vcpu /machine/unattached/device[0]" },
    { STATS("{\"target\":\"vcpu\",\"vcpus\":[\"vm/disk-0\"]}"), "GenericError", "no vcpu vm/disk-0" },
    { STATS("{\"target\":\"vcpu\",\"providers\":[{\"provider\":\"kvm\",\"names\":[\"exits\",\"halt_poll_fial_ns\"]}]}"),
      "GenericError", "no statistic halt_poll_fial_ns; did you mean halt_poll_fail_ns?" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":\"vmm\",\"names\":[\"exits\"]}]}"), "GenericError",
      "no statistic exits of vmm and target vm; target vcpu has it" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":\"vmm\",\"names\":[\"zzz\"]}]}"), "GenericError",
      "no statistic zzz of vmm and target vm; query-stats-schemas says what there is" },
    { STATS("{\"target\":\"vm\",\"providers\":[{\"provider\":\"kvm\",\"names\":[\"zzz\"]}]}"), "GenericError",
      "no statistic zzz: nothing of kvm is known of target vm; 'vmtally list' says where counters come from" },
    { STATS("{\"target\":\"\\u001b[31m\"}"), "GenericError", "Parameter 'target' does not accept value '?[31m'" },
    { "{\"execute\":}", "GenericError", "JSON parse error, unexpected character" },
    { "}", "GenericError", "JSON parse error, unexpected character" },
    { "{\"execute\":\"query-name\"", "GenericError", "JSON parse error, unexpected end of data" },
    { "{\"execute\":\"query-name\"} x", "GenericError", "JSON parse error, invalid keyword 'x'" },
    { "{\"execute\":\"query-name\"} {}", "GenericError", "JSON parse error, unexpected character" },
    { "{\"execute\":\"query-name\",}", "GenericError", "JSON parse error, unexpected character" },
    { "{\"execute\":\"query-name\",\"id\":[1,]}", "GenericError", "JSON parse error, unexpected character" },
    { "{\"execute\":\"query-name\",\"id\":NaN}", "GenericError", "JSON parse error, stray 'NaN'" },
    { "{\"execute\":\"query-name\",\"id\":-Infinity}", "GenericError", "JSON parse error, stray '-Infinity'" },
    { "{\"execute\":\"query-name\",\"id\":TRUE}", "GenericError", "JSON parse error, stray 'TRUE'" },
    { "{\"execute\":\"query-name\",\"id\":nulll}", "GenericError", "JSON parse error, invalid keyword 'nulll'" },
    { "{\"execute\":\"query-name\",\"id\":-}", "GenericError", "JSON parse error, stray '-'" },
    { "{\"execute\":\"query-name\",\"id\":-.5}", "GenericError", "JSON parse error, stray '-.5'" },
    { "{\"execute\":\"query-name\",\"id\":1.}", "GenericError", "JSON parse error, stray '1.'" },
    { "{\"execute\":\"query-name\",\"id\":1e+}", "GenericError", "JSON parse error, stray '1e+'" },
    { "{\"execute\":\"query-name\",\"id\":1 2}", "GenericError",
      "JSON parse error, object value separator ',' expected" },
    { "{\"execute\":\"query-name\" /* it */}", "GenericError", "JSON parse error, stray '/*'" },
    { "{\"execute\":\"query-name\",\"id\":\"\t\"}", "GenericError",
      "JSON parse error, a control character in a string" },
    { "{\"execute\":\"query-name\",\"id\":\"\\\n\"}", "GenericError",
      "JSON parse error, a control character in a string" },
    { "{\"execute\":\"query-name\",\"id\":\"\\'\"}", "GenericError", "JSON parse error, invalid string sequence" },
    { "{\"execute\":\"query-na", "GenericError", "JSON parse error, a string without its end" },
    { "{\"execute\":\"query-na\\", "GenericError", "JSON parse error, a string without its end" },
    { "", "GenericError", "JSON parse error, unexpected end of data" },
    { "{\"execute\":\"query-name\",\"id\":\"\xff\"}", "GenericError", "JSON parse error, invalid utf-8 string" },
};

#endif
