/* SPDX-License-Identifier: MIT */
/* vmtally query, from the bytes of a request to those of its response, on snapshots of segments made here. */
#include "query_parts.h"

TestSuite(query, .init = start, .fini = end);

/* ---- what is asked and answered ---- */

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

Test(query, errors_have_qemus_classes_and_words)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        char expected[1024];

        snprintf(expected, sizeof(expected), "{\"error\":{\"class\":\"%s\",\"desc\":\"%s\"}}", errors[i].class,
                 errors[i].desc);
        ANSWERS(errors[i].json, expected);
        cr_expect_not(session.qmp.quit, "%s", errors[i].json);
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
                                       "18446744073709551616",
                                       "-9223372036854775809",
                                       "123456789012345678901234567890",
                                       "-0",
                                       "-0.0",
                                       "1.0",
                                       "1E5",
                                       "1e+999",
                                       "2.5",
                                       "-0.5e3",
                                       "true",
                                       "null",
                                       "[]",
                                       "{}",
                                       "\"a b\"",
                                       "\"\\u0000\\n\\\"/ü\"",
                                       "\"\\/\\u00fc\\ud83d\\ude00\\ud83d\x7f\"",
                                       "\"a,\\\"b\\\":}]\"",
                                       "{\"id\":{\"id\":1},\"b\":2,\"a\":3}",
                                       "{\"k\\u0000\":1,\"k\":2}",
                                       "[1, {\"a\" : 2} ]",
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

Test(query, ids_are_found_wherever_they_stand_and_however_they_are_spelled)
{
    ANSWERS("{ \"id\" : 7 , \"execute\" : \"query-name\" }", "{\"return\":{\"name\":\"web-1\"},\"id\":7}");
    ANSWERS("{\"arguments\":{},\"\\u0069d\":\"x:,\",\"execute\":\"query-name\"}",
            "{\"return\":{\"name\":\"web-1\"},\"id\":\"x:,\"}");
    ANSWERS("{\"execute\":\"query-name\",\"id\":\n[1,\r\n\t2]\n}", "{\"return\":{\"name\":\"web-1\"},\"id\":[1,   2]}");
    ANSWERS("{'execute':'query-name','id':{'a\\'':'\"','b\"':'\\\\'}}",
            "{\"return\":{\"name\":\"web-1\"},\"id\":{\"a'\":\"\\\"\",\"b\\\"\":\"\\\\\"}}");
    ANSWERS("{\"execute\":\"query-name\",\"arguments\":{\"id\":1}}",
            "{\"error\":{\"class\":\"GenericError\",\"desc\":\"Parameter 'id' is unexpected\"}}");
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
