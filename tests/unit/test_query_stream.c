/* SPDX-License-Identifier: MIT */
/* Requests of vmtally query in a stream: wherever it is cut, however large they are, whatever they are. */
#include "query_parts.h"

TestSuite(query_stream, .init = start, .fini = end);

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
    { "{\"execute\":\"query-name\",\"execute\":\"quit\"}" ASK, ERROR("JSON parse error, duplicate key") NAME },
    { "{\"execute\":\"query-name\",\"id\":[1,\n2]}", "{\"return\":{\"name\":\"web-1\"},\"id\":[1, 2]}\r\n" },
    { "{\"execute\":[", "" },
};

Test(query_stream, requests_are_found_wherever_a_stream_is_cut)
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

Test(query_stream, a_request_has_its_limit_and_the_next_is_answered)
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

Test(query_stream, a_line_without_end_holds_no_memory_and_ends_with_its_line)
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

Test(query_stream, brackets_go_as_deep_as_they_may)
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

Test(query_stream, a_session_begins_with_its_capabilities)
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
Test(query_stream, whatever_comes_is_answered_with_json, .timeout = 60)
{
    char data[2048];

    srand(7);
    for (int round = 0; round < 20000; round++) {
        const char *json = errors[(size_t)rand() % (sizeof(errors) / sizeof(errors[0]))].json;
        size_t size = (size_t)snprintf(data, sizeof(data), "%s%s", json,
                                       streams[(size_t)rand() % (sizeof(streams) / sizeof(streams[0]))].said);

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
