/* SPDX-License-Identifier: MIT */
/* A client of vmtally query: whatever it writes, in whatever pieces, is answered by JSON texts of one line each, or by
 * text that is fit to print. The first byte of an input chooses which; 0xfe ends a piece. */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "bases.h"
#include "cli/query/session.h"
#include "judge.h"
#include "lib/export/buffer.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define PIECE_END 0xfe
#define ANSWER_MAX (1U << 20)

/* data[0] */
#define HOW_PEOPLE 1U /* text for people */
#define HOW_GREETS 2U /* capabilities are to be negotiated first */
#define HOW_LITTLE 4U /* answers may have a hundred bytes */
#define HOW_AWAY 8U   /* the VM has gone */

static struct vmt_snapshot *snapshot;
static unsigned looks;

/* Instead of cli/query/asked.c. */
const struct vmt_snapshot *asked_look(void *arg, char *why, size_t size)
{
    const uint8_t *how = arg;

    looks++;
    if (*how & HOW_AWAY)
        snprintf(why, size, "it has gone");
    return *how & HOW_AWAY ? NULL : snapshot;
}

static void judge_error(const struct qmp *qmp)
{
    if (!qmp->error.class)
        return;
    ENSURE(memchr(qmp->error.desc, 0, sizeof(qmp->error.desc)), "no end");
    judge_text(qmp->error.desc, false);
}

/* {"return": ...} or {"error": ...}, on one line. */
static void judge_answer(const char *text, size_t size, const struct qmp *qmp)
{
    struct json_tokener *t = json_tokener_new_ex(100);
    struct json_object *answer, *member;

    ENSURE(t, "no memory");
    ENSURE(strlen(text) == size && !strchr(text, '\n') && !strchr(text, '\r'), "not one line");
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    answer = json_tokener_parse_ex(t, text, (int)size + 1);
    ENSURE(answer && json_tokener_get_error(t) == json_tokener_success, "no JSON: %s", text);
    ENSURE(json_object_object_get_ex(answer, qmp->error.class ? "error" : "return", &member), "%s", text);
    json_object_put(answer);
    json_tokener_free(t);
}

/* As a session takes it. */
static void judge_piece(struct session *session, const uint8_t *data, size_t size, struct vmt_buffer *out)
{
    unsigned idle = 0;

    for (size_t at = 0; at < size;) {
        long n;

        vmt_buffer_clear(out);
        looks = 0;
        n = session_take(session, (const char *)data + at, size - at, out);
        ENSURE(n >= 0 && (size_t)n <= size - at, "%ld of %zu bytes", n, size - at);
        idle = n ? 0 : idle + 1;
        ENSURE(idle < 2, "it stands still");
        ENSURE(looks < 2, "%u snapshots for one request", looks);
        at += (size_t)n;
        if (out->size == 0)
            continue;
        ENSURE(out->size > 2 && memcmp(out->data + out->size - 2, "\r\n", 2) == 0, "no end of a line");
        out->data[out->size - 2] = '\0';
        judge_answer(out->data, out->size - 2, &session->qmp);
        judge_error(&session->qmp);
    }
}

static void judge_session(struct session *session, const uint8_t *data, size_t size, struct vmt_buffer *out)
{
    while (size) {
        const uint8_t *end = memchr(data, PIECE_END, size);
        size_t n = end ? (size_t)(end - data) : size;

        judge_piece(session, data, n, out);
        n += end != NULL;
        data += n;
        size -= n;
    }
    if (!frame_end(&session->frame))
        return;
    vmt_buffer_clear(out);
    ENSURE(qmp_answer(&session->qmp, session->frame.text, session->frame.size, out) == 0, "no memory");
    ENSURE(vmt_buffer_append(out, "", 1) == 0, "no memory");
    judge_answer(out->data, out->size - 1, &session->qmp);
}

/* Of lines; each fit to print, but for an id, which is the client's own. */
static void judge_people(struct qmp *qmp, const uint8_t *data, size_t size, struct vmt_buffer *out)
{
    char *text = malloc(size + 1);
    bool has_id;
    int r;

    ENSURE(text, "no memory");
    memcpy(text, data, size);
    text[size] = '\0';
    has_id = strstr(text, "id");
    r = qmp_answer_people(qmp, text, out);
    ENSURE(r == 0 && (!qmp->error.class || out->size == 0), "%s", strerror(-r));
    judge_error(qmp);
    ENSURE(vmt_buffer_append(out, "", 1) == 0 && strlen(out->data) == out->size - 1, "a NUL in it");
    for (char *line = out->data, *end; *line && !has_id; line = end + 1) {
        end = strchr(line, '\n');
        ENSURE(end, "no end of a line");
        *end = '\0';
        judge_text(line, false);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t how = size ? data[0] : 0;
    struct session session = { .qmp = {
                                   .look = asked_look, .arg = &how, .most = how & HOW_LITTLE ? 100 : ANSWER_MAX } };
    struct vmt_buffer out = { 0 };

    session.qmp.negotiated = !(how & HOW_GREETS);
    if (size && how & HOW_PEOPLE)
        judge_people(&session.qmp, data + 1, size - 1, &out);
    else if (size)
        judge_session(&session, data + 1, size - 1, &out);
    session_end(&session);
    vmt_buffer_free(&out);
    return 0;
}

/* ---- words that mean something ---- */

static const char *const words[] = {
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-1e999",
    "NaN",
    "\\u202e",
    "\\ud800",
    "\\u0000",
    "1e",
    "\t",
    "\n",
    "\xff",
    "{\"execute\":",
    "\"arguments\":",
    "\"id\":",
    "\"query-stats\"",
    "\"query-stats-schemas\"",
    "\"query-commands\"",
    "\"qmp_capabilities\"",
    "\"quit\"",
    "\"query-name\"",
    "\"query-version\"",
    "\"target\":",
    "\"vm\"",
    "\"vcpu\"",
    "\"vcpus\":",
    "\"vm/vcpu-0\"",
    "\"providers\":",
    "\"provider\":",
    "\"kvm\"",
    "\"test\"",
    "\"names\":",
    "\"exits\"",
    "\"enable\":",
    "info stats ",
    "vcpu ",
    "exits,events ",
    "*",
    "-p ",
    "\xfe",
    "\\\\",
    "'",
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const char *word = words[seed / 16 % (sizeof(words) / sizeof(words[0]))];
    size_t n = strlen(word), at = size ? 1 + (seed / 1024) % size : 0;

    if (seed % 4 == 0 || at == 0 || n > max_size - size)
        return LLVMFuzzerMutate(data, size, max_size);
    if (seed % 4 == 1 && n <= size - at) { /* instead of what stands there */
        memcpy(data + at, word, n);
        return size;
    }
    memmove(data + at + n, data + at, size - at);
    memcpy(data + at, word, n);
    return size + n;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct vmt_reader *reader = NULL;

    (void)argc;
    (void)argv;
    fuzz_bases_make();
    fuzz_file_show(&fuzz_bases[fuzz_base_count - 2].file, FUZZ_LOCKED);
    fuzz_events_start(NULL, NULL, UINT32_MAX);
    ENSURE(vmt_reader_open(FUZZ_PATH, NULL, &reader) == 0 && vmt_snapshot_new(&snapshot) == 0, "no memory");
    ENSURE(vmt_snapshot_take(snapshot, reader) == 0, "it is not sound");
    vmt_reader_close(reader);
    return 0;
}
