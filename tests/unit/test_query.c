/* SPDX-License-Identifier: MIT */
/* vmtally query, from the bytes of a request to those of its response, on snapshots of segments made here. */
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

static const struct vmt_snapshot *look(void *arg, char *why, size_t size)
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

static void add(const struct vmt_schema *schema, struct vmt_source *parent, const char *name, struct vmt_source **ret)
{
    cr_assert_eq(vmt_source_add(segment, schema, parent, name, ret), 0, "%s", name);
}

static void count(void)
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

static void start(void)
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

static void end(void)
{
    session_end(&session);
    vmt_buffer_free(&out);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(query, .init = start, .fini = end);

/* ---- what is asked and answered ---- */

static const char *text(void)
{
    cr_assert_eq(vmt_buffer_append(&out, "", 1), 0);
    return out.data;
}

static const char *ask(const char *json)
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

Test(query, a_vm_has_no_path)
{
    ANSWERS(STATS("{\"target\":\"vm\"}"),
            RETURN("[{\"provider\":\"vmm\",\"stats\":[" VALUE("resets", "3") "," VALUE("memory", "512") "]}]"));
}

#define VMM_0                                                                                                          \
    VALUE("exits", "18446744073709551615") "," VALUE("drift", "-9223372036854775808") "," VALUE("sizes", "[0,1,0,0]")
#define VMM_1 VALUE("exits", "0") "," VALUE("least", "7") "," VALUE("drift", "0") "," VALUE("sizes", "[0,0,0,0]")
#define KVM_0                                                                                                          \
    VALUE("halt_wait_ns", "5")                                                                                         \
    "," VALUE("halt_wait_hist", "[0,1,0]") "," VALUE("guest_mode", "true") "," VALUE(                                  \
        "halt_poll_fail_ns", "0") "," VALUE("exits", "9007199254740993")
#define KVM_1 VALUE("exits", "0") "," VALUE("steal", "0")
#define OF(provider, path, stats) "{\"provider\":\"" provider "\",\"qom-path\":\"" path "\",\"stats\":[" stats "]}"

Test(query, both_providers_speak_of_one_vcpu_and_the_one_that_is_leaving_is_left_out)
{
    ANSWERS(STATS("{\"target\":\"vcpu\"}"),
            RETURN("[" OF("vmm", "vm/vcpu-0", VMM_0) "," OF("kvm", "vm/vcpu-0", KVM_0) "," OF(
                "vmm", "vm/vcpu-1", VMM_1) "," OF("kvm", "vm/vcpu-1", KVM_1) "]"));
}

Test(query, any_target_of_the_snapshot_may_be_asked)
{
    ANSWERS(STATS("{\"target\":\"block\"}"), RETURN("[" OF("vmm", "vm/disk-0", VALUE("read_bytes", "0")) "]"));
}

Test(query, filters_leave_what_was_asked_for)
{
    ANSWERS(STATS("{\"target\":\"vcpu\",\"vcpus\":[\"vm/vcpu-1\"]}"),
            RETURN("[" OF("vmm", "vm/vcpu-1", VMM_1) "," OF("kvm", "vm/vcpu-1", KVM_1) "]"));
    ANSWERS(STATS("{\"target\":\"vcpu\",\"vcpus\":[]}"), RETURN("[]"));
    ANSWERS(STATS("{\"target\":\"vcpu\",\"providers\":[{\"provider\":\"kvm\"}]}"),
            RETURN("[" OF("kvm", "vm/vcpu-0", KVM_0) "," OF("kvm", "vm/vcpu-1", KVM_1) "]"));
    ANSWERS(STATS("{\"target\":\"vcpu\",\"providers\":[]}"), RETURN("[]"));
    ANSWERS(STATS("{\"target\":\"vcpu\",\"vcpus\":[\"vm/vcpu-0\",\"vm/vcpu-0\"],\"providers\":[{\"provider\":\"kvm\","
                  "\"names\":[\"guest_mode\",\"exits\",\"exits\"]}]}"),
            RETURN("[" OF("kvm", "vm/vcpu-0", VALUE("guest_mode", "true") "," VALUE("exits", "9007199254740993")) "]"));
    ANSWERS(STATS("{\"target\":\"vcpu\",\"providers\":[{\"provider\":\"kvm\",\"names\":[]}]}"), RETURN("[]"));
    ANSWERS(
        STATS("{\"target\":\"vcpu\",\"providers\":[{\"provider\":\"kvm\",\"names\":[\"steal\"]},{\"provider\":\"vmm\","
              "\"names\":[\"least\"]}]}"),
        RETURN("[" OF("kvm", "vm/vcpu-1", VALUE("steal", "0")) "," OF("vmm", "vm/vcpu-1", VALUE("least", "7")) "]"));
}

#define ENTRY(provider, target, stats) "{\"provider\":\"" provider "\",\"target\":\"" target "\",\"stats\":[" stats "]}"
#define PLAIN(name, type) "{\"name\":\"" name "\",\"type\":\"" type "\",\"exponent\":0}"
#define NANO(name, type)                                                                                               \
    "{\"name\":\"" name "\",\"type\":\"" type "\",\"unit\":\"seconds\",\"base\":10,\"exponent\":-9}"
#define KVM_SCHEMA                                                                                                     \
    ENTRY("kvm", "vcpu",                                                                                               \
          NANO("halt_wait_ns", "cumulative") "," NANO(                                                                 \
              "halt_wait_hist",                                                                                        \
              "log2-histogram") ",{\"name\":\"guest_mode\","                                                           \
                                "\"type\":\"instant\","                                                                \
                                "\"unit\":\"boolean\","                                                                \
                                "\"exponent\":0}," NANO("halt_poll_fail_ns", "cumulative") "," PLAIN(                  \
                                    "exits", "cumulative") ",{\"name\":\"steal\",\"type\":\"peak\",\"unit\":"          \
                                                           "\"cycles\",\"exponent\":0}")
#define VMM_SCHEMA                                                                                                     \
    ENTRY("vmm", "vcpu",                                                                                               \
          PLAIN("exits", "cumulative") ",{\"name\":\"least\",\"type\":\"instant\",\"unit\":\"bytes\",\"exponent\":0}," \
                                       "{\"name\":\"drift\",\"type\":\"instant\",\"unit\":\"seconds\",\"base\":10,"    \
                                       "\"exponent\":-6},{\"name\":\"sizes\",\"type\":\"linear-histogram\","           \
                                       "\"unit\":\"bytes\",\"exponent\":0,\"bucket-size\":512}")
#define VM_SCHEMA                                                                                                      \
    ENTRY("vmm", "vm",                                                                                                 \
          PLAIN("resets", "cumulative") ",{\"name\":\"memory\",\"type\":\"instant\",\"unit\":\"bytes\",\"base\":2,"    \
                                        "\"exponent\":20}")

Test(query, schemas_are_united_and_a_handle_is_none)
{
    ANSWERS(SCHEMAS("{\"provider\":\"kvm\"}"), RETURN("[" KVM_SCHEMA "]"));
    cr_expect_not_null(strstr(ask("{\"execute\":\"query-stats-schemas\"}"), KVM_SCHEMA "," VMM_SCHEMA "," VM_SCHEMA),
                       "%s", out.data);
    cr_expect_null(strstr(ask("{\"execute\":\"query-stats-schemas\"}"), "stats_fd"));
}

Test(query, other_commands)
{
    ANSWERS("{\"execute\":\"query-name\"}", RETURN("{\"name\":\"web-1\"}"));
    ANSWERS("{\"execute\":\"query-version\"}", RETURN("{\"qemu\":{\"micro\":0,\"minor\":0,\"major\":1},\"package\":"
                                                      "\"vmtally " VMTALLY_VERSION "\"}"));
    ANSWERS("{\"execute\":\"query-commands\"}",
            RETURN("[{\"name\":\"qmp_capabilities\"},{\"name\":\"query-stats\"},{\"name\":\"query-stats-schemas\"},"
                   "{\"name\":\"query-version\"},{\"name\":\"query-commands\"},{\"name\":\"query-name\"},"
                   "{\"name\":\"quit\"}]"));
    cr_expect_not(session.qmp.quit);
    ANSWERS("{\"execute\":\"quit\"}", RETURN("{}"));
    cr_expect(session.qmp.quit);
}

/* ---- errors ---- */

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
    { STATS("{\"target\":\"vm\\u0000\"}"), "GenericError",
      "Parameter 'target' does not accept value 'vm' with \\\\u0000 behind it" },
    { STATS("{\"target\":\"\\u001b[31m\"}"), "GenericError", "Parameter 'target' does not accept value '?[31m'" },
    { "{\"execute\":\"query-name\",\"id\":NaN}", "GenericError", "JSON parse error, a number that is none" },
    { "{\"execute\":}", "GenericError", "JSON parse error, unexpected character" },
    { "}", "GenericError", "JSON parse error, unexpected character" },
    { "{\"execute\":\"query-name\"} x", "GenericError", "JSON parse error, unexpected character" },
    { "{\"execute\":\"query-name\"", "GenericError", "JSON parse error, unexpected end of data" },
    { "", "GenericError", "JSON parse error, unexpected end of data" },
    { "{\"execute\":\"query-name\",\"id\":\"\xff\"}", "GenericError", "JSON parse error, invalid utf-8 string" },
};

Test(query, errors_have_qemus_classes_and_words)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        char expected[1024];

        snprintf(expected, sizeof(expected), "{\"error\":{\"class\":\"%s\",\"desc\":\"%s\"}}", errors[i].class,
                 errors[i].desc);
        ANSWERS(errors[i].json, expected);
    }
}

Test(query, what_is_wrong_in_itself_costs_no_snapshot)
{
    ask(STATS("{\"target\":1}"));
    ask("{\"execute\":\"query-version\"}");
    ask("{");
    cr_expect_eq(looks, 0);
    ask(STATS("{\"target\":\"vcpu\"}"));
    ask("{\"execute\":\"query-stats-schemas\"}");
    cr_expect_eq(looks, 2, "one a request");
}

Test(query, a_vm_that_has_gone_is_an_error_and_may_come_back)
{
    away = true;
    ANSWERS("{\"execute\":\"query-name\",\"id\":1}",
            "{\"error\":{\"class\":\"GenericError\",\"desc\":\"web-1 has gone\"},\"id\":1}");
    cr_expect_not_null(strstr(ask(STATS("{\"target\":\"vm\"}")), "web-1 has gone"));
    away = false;
    ANSWERS("{\"execute\":\"query-name\"}", RETURN("{\"name\":\"web-1\"}"));
}

Test(query, ids_come_back_as_they_are)
{
    static const char *const ids[] = { "1",
                                       "-7",
                                       "18446744073709551615",
                                       "2.5",
                                       "-0.5e3",
                                       "true",
                                       "null",
                                       "[]",
                                       "{}",
                                       "\"a b\"",
                                       "\"\\u0000\\n\\\"/ü\"",
                                       "{\"a\":[1,{\"b\":null}],\"c\":\"\"}" };
    char json[256], expected[256];

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(json, sizeof(json), "{\"execute\":\"query-name\",\"id\":%s}", ids[i]);
        snprintf(expected, sizeof(expected), "{\"return\":{\"name\":\"web-1\"},\"id\":%s}", ids[i]);
        ANSWERS(json, expected);
        snprintf(json, sizeof(json), "{\"id\":%s,\"x\":0}", ids[i]);
        snprintf(expected, sizeof(expected),
                 "{\"error\":{\"class\":\"GenericError\",\"desc\":\"QMP input member 'x' is unexpected\"},\"id\":%s}",
                 ids[i]);
        ANSWERS(json, expected);
    }
}

Test(query, a_response_has_its_limit)
{
    session.qmp.most = 100;
    ANSWERS(STATS("{\"target\":\"vcpu\"}"),
            "{\"error\":{\"class\":\"GenericError\",\"desc\":\"the answer takes more than 0 MiB; ask for fewer "
            "statistics, with \\\"vcpus\\\" or \\\"providers\\\" and their \\\"names\\\"\"}}");
    cr_expect_not_null(strstr(ask("{\"execute\":\"query-stats-schemas\"}"), "the answer takes more than"));
    cr_expect_not_null(strstr(ask(STATS("{\"target\":\"block\"}")), "read_bytes"), "what fits is answered");
}

Test(query, as_many_filters_as_there_may_be)
{
    char json[65536];

    for (int n = 64; n <= 65; n++) {
        int size = sprintf(json, "{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"block\",\"providers\":[");

        for (int i = 0; i < n; i++)
            size += sprintf(json + size, "%s{\"provider\":\"vmm\"}", i ? "," : "");
        strcpy(json + size, "]}}");
        ask(json);
        cr_expect_eq(strstr(out.data, "has 65 elements; at most 64 are answered") != NULL, n == 65, "%d: %s", n,
                     out.data);
    }
}

/* ---- for people ---- */

static const char *print(const char *words)
{
    char line[512];

    snprintf(line, sizeof(line), "%s", words);
    vmt_buffer_clear(&out);
    cr_assert_eq(qmp_answer_people(&session.qmp, line, &out), 0);
    if (!session.qmp.error.class)
        return text();
    cr_assert_eq(out.size, 0);
    return session.qmp.error.desc;
}

#define PRINTS(words, expected)                                                                                        \
    do {                                                                                                               \
        const char *said_ = print(words);                                                                              \
        cr_expect_str_eq(said_, expected, "%s\nsaid:\n%s\nexpected:\n%s", words, said_, expected);                     \
    } while (0)

#define KVM_LINES                                                                                                      \
    "    halt_wait_ns (cumulative, ns): 5\n"                                                                           \
    "    halt_wait_hist (log2-histogram, ns): [1]=0 [2]=1 [3]=0 \n"                                                    \
    "    guest_mode (instant, boolean): yes\n"                                                                         \
    "    halt_poll_fail_ns (cumulative, ns): 0\n"                                                                      \
    "    exits (cumulative): 9007199254740993\n"

Test(query, words_are_answered_as_info_stats_does)
{
    PRINTS("vm", "provider: vmm\n    resets (cumulative): 3\n    memory (instant, MiB): 512\n");
    PRINTS("vm *", "provider: vmm\n    resets (cumulative): 3\n    memory (instant, MiB): 512\n");
    PRINTS(" vm  resets,memory\tvmm ", "    resets (cumulative): 3\n    memory (instant, MiB): 512\n");
    PRINTS("vm memory, vmm", "    memory (instant, MiB): 512\n");
    PRINTS("block", "provider: vmm\n    read_bytes (cumulative, KiB): 0\n");
    PRINTS("vcpu guest_mode", "provider: kvm\n    guest_mode (instant, boolean): yes\n");
    PRINTS("vcpu exits kvm", "qom-path: vm/vcpu-0\n    exits (cumulative): 9007199254740993\n"
                             "qom-path: vm/vcpu-1\n    exits (instant): 0\n");
    PRINTS("vcpu", "qom-path: vm/vcpu-0\nprovider: vmm\n    exits (cumulative): 18446744073709551615\n"
                   "    drift (instant, us): -9223372036854775808\n"
                   "    sizes (linear-histogram, B, bucket size=512): [1]=0 [2]=1 [3]=0 [4]=0 \n"
                   "provider: kvm\n" KVM_LINES
                   "qom-path: vm/vcpu-1\nprovider: vmm\n    exits (cumulative): 0\n    least (instant, B): 7\n"
                   "    drift (instant, us): 0\n"
                   "    sizes (linear-histogram, B, bucket size=512): [1]=0 [2]=0 [3]=0 [4]=0 \n"
                   "provider: kvm\n    exits (instant): 0\n    steal (peak, cycles): 0\n");
}

Test(query, json_is_printed_for_people_too)
{
    PRINTS(STATS("{\"target\":\"vcpu\",\"vcpus\":[\"vm/vcpu-0\"],\"providers\":[{\"provider\":\"kvm\"}]}"), KVM_LINES);
    PRINTS("{\"execute\":\"query-name\"}", "{\n  \"return\": {\n    \"name\": \"web-1\"\n  }\n}\n");
}

Test(query, wrong_words_are_said)
{
    PRINTS("", "stats: string expected; TARGET [NAMES [PROVIDER]], such as 'vcpu exits kvm'");
    PRINTS("foo", "invalid stats target foo");
    PRINTS("vcup", "invalid stats target vcup; did you mean vcpu?");
    PRINTS("vm * xyz", "invalid stats provider xyz");
    PRINTS("vcpu exist", "no statistic exist; did you mean exits?");
    PRINTS("vm zzz", "no statistic zzz of target vm; query-stats-schemas says what there is");
    PRINTS("vm resets vmm more", "stats: extraneous characters at the end of line; TARGET [NAMES [PROVIDER]]");
    PRINTS("{\"execute\":\"query-name\",", "JSON parse error, unexpected end of data");
    PRINTS(STATS("{\"target\":1}"), "Invalid parameter type for 'target', expected: string");
}

/* ---- streams ---- */

/* Responses to a stream that comes in pieces of that size, a line each. */
static const char *feed(const char *data, size_t size, size_t piece)
{
    vmt_buffer_clear(&out);
    while (size > 0) {
        size_t n = piece < size ? piece : size;

        while (n > 0) {
            long used = session_take(&session, data, n, &out);

            cr_assert(used >= 0 && (size_t)used <= n, "%ld", used);
            data += used;
            n -= (size_t)used;
            size -= (size_t)used;
        }
    }
    return text();
}

#define NAME "{\"return\":{\"name\":\"web-1\"}}\r\n"
#define ERROR(desc) "{\"error\":{\"class\":\"GenericError\",\"desc\":\"" desc "\"}}\r\n"
#define ASK "{\"execute\":\"query-name\"}"

static const struct {
    const char *said;
    const char *answered;
} streams[] = {
    { ASK "\n", NAME },
    { ASK, NAME },
    { ASK ASK " " ASK, NAME NAME NAME },
    { " \r\n\t{ \"execute\"\n:\r\n\"query-name\" \n }", NAME },
    { "{'execute':'query-name','id':'}\"'}", "{\"return\":{\"name\":\"web-1\"},\"id\":\"}\\\"\"}\r\n" },
    { "{\"execute\":\"query-name\",\"id\":\"\\\"}\"}", "{\"return\":{\"name\":\"web-1\"},\"id\":\"\\\"}\"}\r\n" },
    { "}" ASK, ERROR("JSON parse error, unexpected character") NAME },
    { "{\"execute\":}" ASK, ERROR("JSON parse error, unexpected character") NAME },
    { "12 [] \"x\"" ASK, ERROR("QMP input must be a JSON object") ERROR("QMP input must be a JSON object")
                             ERROR("QMP input must be a JSON object") NAME },
    { "null\n" ASK, ERROR("QMP input must be a JSON object") NAME },
    { "{\"execute\":\"query-na\n" ASK, ERROR("JSON parse error, a string without its end") NAME },
    { "{\"execute\":[\xff" ASK, ERROR("JSON parse error, a string without its end") NAME },
    { "{\"execute\":[", "" },
};

Test(query, requests_are_found_wherever_a_stream_is_cut)
{
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        size_t size = strlen(streams[i].said);

        for (size_t piece = 1; piece <= size; piece++) {
            const char *said = feed(streams[i].said, size, piece);

            cr_expect_str_eq(said, streams[i].answered, "%s in pieces of %zu:\nsaid %s\nexpected %s", streams[i].said,
                             piece, said, streams[i].answered);
        }
        session_end(&session);
    }
}

/* size bytes: {"execute":"query-name","id":"xxx..."} */
static char *long_request(size_t size)
{
    static const char head[] = "{\"execute\":\"query-name\",\"id\":\"";
    char *json = malloc(size + 1);

    cr_assert_not_null(json);
    memset(json, 'x', size);
    memcpy(json, head, sizeof(head) - 1);
    strcpy(json + size - 2, "\"}");
    return json;
}

Test(query, a_request_has_its_limit_and_the_next_is_answered)
{
    for (size_t more = 0; more < 3; more++) {
        char *json = long_request(FRAME_BYTES + more);

        feed(json, FRAME_BYTES + more, 4096);
        cr_expect_eq(strncmp(out.data, "{\"return\"", 9) == 0, more == 0, "%zu: %.100s", more, out.data);
        if (more)
            cr_expect_str_eq(out.data, ERROR("JSON text size limit exceeded: 65536 bytes"));
        cr_expect_str_eq(feed(ASK, strlen(ASK), 1), NAME);
        free(json);
    }
}

Test(query, a_line_without_end_holds_no_memory_and_ends_with_its_line)
{
    char *many = malloc(1 << 20);

    cr_assert_not_null(many);
    memset(many, 'x', 1 << 20);
    cr_expect_str_eq(feed(many, 1 << 20, 65536), ERROR("JSON text size limit exceeded: 65536 bytes"), "said once");
    cr_expect_str_eq(feed("x\n" ASK, 2 + strlen(ASK), 1), NAME);
    memset(many, '[', 1 << 20);
    cr_expect_str_eq(feed(many, 1 << 20, 65536), ERROR("JSON nesting depth limit exceeded"), "said once");
    cr_expect_str_eq(feed("\n" ASK, 1 + strlen(ASK), 1), NAME);
    free(many);
}

Test(query, brackets_go_as_deep_as_they_may)
{
    char json[256];

    for (int n = FRAME_DEPTH - 2; n <= FRAME_DEPTH + 1; n++) {
        int size = sprintf(json, "{\"execute\":\"query-name\",\"id\":");

        memset(json + size, '[', (size_t)n);
        memset(json + size + n, ']', (size_t)n);
        strcpy(json + size + 2 * n, "}");
        feed(json, strlen(json), 7);
        cr_expect_eq(strncmp(out.data, "{\"return\"", 9) == 0, n < FRAME_DEPTH, "%d: %s", n, out.data);
        cr_expect_str_eq(feed(ASK, strlen(ASK), 1), NAME);
    }
}

Test(query, a_session_begins_with_its_capabilities)
{
    struct asked asked = { .path = NULL };

    cr_assert_eq(session_start(&session, &asked, 1 << 20, &out), 0);
    cr_expect_str_eq(
        text(),
        "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":0,\"major\":1},\"package\":\"vmtally " VMTALLY_VERSION
        "\"},\"capabilities\":[]}}\r\n");
    session.qmp.look = look;
    ANSWERS(ASK, "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"Expecting capabilities negotiation with "
                 "'qmp_capabilities'\"}}");
    ANSWERS("{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}",
            "{\"error\":{\"class\":\"GenericError\",\"desc\":\"Capability oob not available\"}}");
    ANSWERS("{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]},\"id\":0}", "{\"return\":{},\"id\":0}");
    ANSWERS(ASK, RETURN("{\"name\":\"web-1\"}"));
}

/* ---- hostile ---- */

/* Whatever comes, what goes back is JSON, a line a response. */
static void expect_lines(const char *said)
{
    while (*said) {
        const char *line_end = strstr(said, "\r\n");
        struct json_tokener *t = json_tokener_new();
        struct json_object *o;

        cr_assert(line_end && t);
        json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        o = json_tokener_parse_ex(t, said, (int)(line_end - said));
        cr_assert_eq(json_tokener_get_error(t), json_tokener_success, "%.*s", (int)(line_end - said), said);
        cr_assert(json_object_object_get_ex(o, "return", NULL) != json_object_object_get_ex(o, "error", NULL));
        json_object_put(o);
        json_tokener_free(t);
        said = line_end + 2;
    }
}

/* Requests of the tables above, with bytes changed, dropped and doubled. */
Test(query, whatever_comes_is_answered_with_json, .timeout = 60)
{
    char data[2048];

    srand(7);
    for (int round = 0; round < 20000; round++) {
        const char *json = errors[(size_t)rand() % (sizeof(errors) / sizeof(errors[0]))].json;
        size_t size = (size_t)snprintf(data, sizeof(data), "%s%s", json, streams[(size_t)rand() % 12].said);

        for (int i = rand() % 4; i > 0 && size > 1; i--) {
            size_t at = (size_t)rand() % size, n = (size_t)rand() % (size - at) % 16;

            if (rand() % 2)
                data[at] = (char)rand();
            else if (rand() % 2 && size + n < sizeof(data))
                memmove(data + at + n, data + at, size - at), size += n;
            else
                memmove(data + at, data + at + n, size - at - n), size -= n;
        }
        expect_lines(feed(data, size, 1 + (size_t)rand() % 64));
    }
}
