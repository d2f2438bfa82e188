/* SPDX-License-Identifier: MIT */
#include "cli/query/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/nearest.h"
#include "cli/query/check.h"
#include "cli/query/hmp.h"
#include "cli/query/input.h"
#include "cli/query/stats.h"
#include "lib/export/json_writer.h"

/* ---- commands: each writes its value, or returns -1 with q->error ---- */

static const char *const no_arguments[] = { NULL };

static const struct vmt_snapshot *look(struct qmp *q)
{
    char why[sizeof(q->error.desc)];
    const struct vmt_snapshot *snapshot = q->look(q->arg, why, sizeof(why));

    if (!snapshot)
        qmp_error(&q->error, QMP_GENERIC, "%s", why);
    return snapshot;
}

static int write_nothing(struct vmt_writer *w)
{
    w->ops->open_map(w, 0);
    w->ops->close_map(w);
    return 0;
}

static int run_capabilities(struct qmp *q, struct json_object *arguments, struct vmt_writer *w)
{
    static const char *const known[] = { "enable", NULL };
    struct json_object *enable;

    if (argument_array(arguments, "", "enable", &enable, &q->error) || arguments_known(arguments, "", known, &q->error))
        return -1;
    if (enable && json_object_array_length(enable) > 0)
        return qmp_error(&q->error, QMP_GENERIC, "Capability %s not available",
                         json_object_get_string(json_object_array_get_idx(enable, 0)));
    q->negotiated = true;
    return write_nothing(w);
}

static void write_version(struct vmt_writer *w)
{
    unsigned major = 0, minor = 0, micro = 0;

    sscanf(VMTALLY_VERSION, "%u.%u.%u", &major, &minor, &micro);
    w->ops->open_map(w, 2);
    vmt_put_key(w, "qemu");
    w->ops->open_row(w, 3);
    vmt_put_number(w, "micro", micro);
    vmt_put_number(w, "minor", minor);
    vmt_put_number(w, "major", major);
    w->ops->close_map(w);
    vmt_put_string(w, "package", "vmtally " VMTALLY_VERSION);
    w->ops->close_map(w);
}

static int run_version(struct qmp *q, struct json_object *arguments, struct vmt_writer *w)
{
    if (arguments_known(arguments, "", no_arguments, &q->error))
        return -1;
    write_version(w);
    return 0;
}

static int run_name(struct qmp *q, struct json_object *arguments, struct vmt_writer *w)
{
    const struct vmt_snapshot *snapshot = NULL;

    if (arguments_known(arguments, "", no_arguments, &q->error) || !(snapshot = look(q)))
        return -1;
    w->ops->open_map(w, 1);
    vmt_put_string(w, "name", vmt_snapshot_segment(snapshot)->name);
    w->ops->close_map(w);
    return 0;
}

static int run_quit(struct qmp *q, struct json_object *arguments, struct vmt_writer *w)
{
    if (arguments_known(arguments, "", no_arguments, &q->error))
        return -1;
    q->quit = true;
    return write_nothing(w);
}

/* What request asks for, checked: its snapshot, or NULL with q->error. */
static const struct vmt_snapshot *look_for(struct qmp *q, const struct stats_request *request)
{
    const struct vmt_snapshot *snapshot = look(q);
    struct catalog catalog = { 0 };
    int r;

    if (!snapshot)
        return NULL;
    if (catalog_make(snapshot, &catalog) < 0) {
        qmp_error(&q->error, QMP_GENERIC, "out of memory");
        return NULL;
    }
    r = request_check(request, snapshot, &catalog, &q->error);
    catalog_free(&catalog);
    return r ? NULL : snapshot;
}

static int run_stats(struct qmp *q, struct json_object *arguments, struct vmt_writer *w)
{
    const struct vmt_snapshot *snapshot;
    struct stats_request request;

    if (request_from_json(arguments, &request, &q->error))
        return -1;
    snapshot = look_for(q, &request);
    if (snapshot)
        stats_write(&request, snapshot, q->most, w);
    request_free(&request);
    return snapshot ? 0 : -1;
}

static int run_schemas(struct qmp *q, struct json_object *arguments, struct vmt_writer *w)
{
    static const char *const known[] = { "provider", NULL };
    const struct vmt_snapshot *snapshot = NULL;
    struct catalog catalog = { 0 };
    const char *provider;
    int r;

    if (argument_string(arguments, "", "provider", false, &provider, &q->error) ||
        arguments_known(arguments, "", known, &q->error) || !(snapshot = look(q)))
        return -1;
    if (catalog_make(snapshot, &catalog) < 0)
        return qmp_error(&q->error, QMP_GENERIC, "out of memory");
    r = schemas_write(provider, &catalog, q->most, w, &q->error);
    catalog_free(&catalog);
    return r;
}

static int run_commands(struct qmp *q, struct json_object *arguments, struct vmt_writer *w);

static const struct command {
    const char *name;
    int (*run)(struct qmp *q, struct json_object *arguments, struct vmt_writer *w);
} commands[] = {
    { "qmp_capabilities", run_capabilities },
    { "query-stats", run_stats },
    { "query-stats-schemas", run_schemas },
    { "query-version", run_version },
    { "query-commands", run_commands },
    { "query-name", run_name },
    { "quit", run_quit },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int run_commands(struct qmp *q, struct json_object *arguments, struct vmt_writer *w)
{
    if (arguments_known(arguments, "", no_arguments, &q->error))
        return -1;
    w->ops->open_array(w, COMMANDS);
    for (size_t i = 0; i < COMMANDS; i++) {
        w->ops->open_row(w, 1);
        vmt_put_string(w, "name", commands[i].name);
        w->ops->close_map(w);
    }
    w->ops->close_array(w);
    return 0;
}

static int run(struct qmp *q, const struct input *r, struct vmt_writer *w)
{
    struct nearest near = { .asked = r->command };
    bool negotiates = strcmp(r->command, commands[0].name) == 0;
    char text[NEAREST_TEXT];

    if (!q->negotiated && !negotiates)
        return qmp_error(&q->error, QMP_NOT_FOUND, "Expecting capabilities negotiation with 'qmp_capabilities'");
    if (q->negotiated && negotiates)
        return qmp_error(&q->error, QMP_NOT_FOUND, "Capabilities negotiation is already complete, command ignored");
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, r->command) == 0)
            return commands[i].run(q, r->arguments, w);
        nearest_try(&near, commands[i].name);
    }
    return qmp_error(&q->error, QMP_NOT_FOUND, "The command %s has not been found%s", r->command,
                     nearest_text(&near, text, sizeof(text)));
}

/* ---- responses ---- */

static void write_id(struct vmt_json_writer *json, const struct input *r)
{
    if (!r->said.value)
        return;
    vmt_put_key(&json->base, "id");
    vmt_writer_put(&json->base, r->said.value, r->said.value_size);
    json->place = VMT_JSON_AFTER_VALUE;
}

static int write_error(struct qmp *q, const struct input *r, int pretty, struct vmt_buffer *out)
{
    struct vmt_json_writer json;
    struct vmt_writer *w = &json.base;
    size_t before = out->size;

    vmt_json_writer_init(&json, out, pretty);
    w->ops->start(w);
    w->ops->open_map(w, 2);
    vmt_put_key(w, "error");
    w->ops->open_row(w, 2);
    vmt_put_string(w, "class", q->error.class);
    vmt_put_string(w, "desc", q->error.desc);
    w->ops->close_map(w);
    write_id(&json, r);
    w->ops->close_map(w);
    return vmt_writer_finish(w, before);
}

static int no_room(struct qmp *q, int error)
{
    return error == -EFBIG
             ? qmp_error(&q->error, QMP_GENERIC,
                         "the answer takes more than %zu MiB; ask for fewer statistics, with \"vcpus\" or "
                         "\"providers\" and their \"names\"",
                         q->most >> 20)
             : qmp_error(&q->error, QMP_GENERIC, "out of memory");
}

static int respond(struct qmp *q, const struct input *r, int pretty, struct vmt_buffer *out)
{
    struct vmt_json_writer json;
    struct vmt_writer *w = &json.base;
    size_t before = out->size;

    vmt_json_writer_init(&json, out, pretty);
    w->ops->start(w);
    w->ops->open_map(w, 2);
    vmt_put_key(w, "return");
    if (run(q, r, w) == 0) {
        write_id(&json, r);
        w->ops->close_map(w);
        if (w->error == 0)
            return 0;
        no_room(q, w->error);
    }
    out->size = before;
    return write_error(q, r, pretty, out);
}

static int answer(struct qmp *q, const char *json, size_t size, int pretty, struct vmt_buffer *out)
{
    struct input request;
    int r;

    q->error.class = NULL;
    r = input_take(json, size, &request, &q->error) ? write_error(q, &request, pretty, out)
                                                    : respond(q, &request, pretty, out);
    input_free(&request);
    return r;
}

int qmp_answer(struct qmp *qmp, const char *json, size_t size, struct vmt_buffer *out)
{
    return answer(qmp, json, size, 0, out);
}

int qmp_refuse(struct qmp *qmp, const char *why, struct vmt_buffer *out)
{
    const struct input none = { 0 };

    qmp_error(&qmp->error, QMP_GENERIC, "%s", why);
    return write_error(qmp, &none, 0, out);
}

int qmp_greet(struct vmt_buffer *out)
{
    struct vmt_json_writer json;
    struct vmt_writer *w = &json.base;
    size_t before = out->size;

    vmt_json_writer_init(&json, out, 0);
    w->ops->start(w);
    w->ops->open_map(w, 1);
    vmt_put_key(w, "QMP");
    w->ops->open_map(w, 2);
    vmt_put_key(w, "version");
    write_version(w);
    vmt_put_key(w, "capabilities");
    w->ops->open_array(w, 0);
    w->ops->close_array(w);
    w->ops->close_map(w);
    w->ops->close_map(w);
    vmt_writer_put(w, "\r\n", 2);
    return vmt_writer_finish(w, before);
}

/* ---- for people ---- */

static int print_stats(struct qmp *q, const struct stats_request *request, struct vmt_buffer *out)
{
    const struct vmt_snapshot *snapshot = look_for(q, request);
    int r = snapshot ? hmp_print(request, snapshot, out) : 0;

    if (r == -EFBIG)
        no_room(q, r);
    return r == -EFBIG ? 0 : r;
}

static int print_words(struct qmp *q, char *words, struct vmt_buffer *out)
{
    struct stats_request request;
    int r;

    if (request_from_words(words, &request, &q->error))
        return 0;
    r = print_stats(q, &request, out);
    request_free(&request);
    return r;
}

/* A request that was taken. */
static int print_request(struct qmp *q, const struct input *r, struct vmt_buffer *out)
{
    struct stats_request request;
    int result;

    if (strcmp(r->command, "query-stats") != 0) {
        result = respond(q, r, 1, out);
        return result == 0 ? vmt_buffer_append(out, "\n", 1) : result;
    }
    if (request_from_json(r->arguments, &request, &q->error))
        return 0;
    result = print_stats(q, &request, out);
    request_free(&request);
    return result;
}

int qmp_answer_people(struct qmp *q, char *text, struct vmt_buffer *out)
{
    size_t before = out->size;
    char first = text[strspn(text, " \t\n")];
    struct input request;
    int r = 0;

    q->error.class = NULL;
    if (first != '{' && first != '[')
        return print_words(q, text, out);
    if (input_take(text, strlen(text), &request, &q->error) == 0)
        r = print_request(q, &request, out);
    input_free(&request);
    if (q->error.class)
        out->size = before;
    return r;
}
