/* SPDX-License-Identifier: MIT */
/* vmtally query: QEMU's questions, QEMU's answers: of one VM, whatever its VMM is. */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/host.h"
#include "cli/message.h"
#include "cli/query/listen.h"
#include "cli/query/serve.h"
#include "cli/query/session.h"
#include "cli/sandbox.h"
#include "cli/select.h"
#include "lib/export/buffer.h"

enum { OPTION_VM = 0x200, OPTION_HMP, OPTION_LISTEN };

#define SOCKET "unix:"

struct arguments {
    struct options *common;
    char *vm;           /* NULL: the only one */
    char *request;      /* NULL: a session */
    const char *socket; /* NULL: of standard input and output */
    int hmp;
};

static const struct argp_option options[] = {
    { "vm", OPTION_VM, "VM", 0, "The VM that is asked; without it the only one there is", 0 },
    { "hmp", OPTION_HMP, NULL, 0, "Print as QEMU's 'info stats' does; REQUEST may be what stands behind these words",
      0 },
    { "listen", OPTION_LISTEN, "unix:PATH", 0, "QMP sessions with the clients of a socket, until a signal", 0 },
    { 0 },
};

static error_t check(const struct arguments *a, struct argp_state *state)
{
    if (a->socket && a->request)
        argp_error(state, "--listen takes its requests from clients: '%s' is one too many", a->request);
    else if (a->hmp && !a->request)
        argp_error(state, "--hmp needs a request: TARGET [NAMES [PROVIDER]], such as 'vcpu exits kvm'");
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_VM:
        a->vm = arg;
        return 0;
    case OPTION_HMP:
        a->hmp = 1;
        return 0;
    case OPTION_LISTEN:
        if (strncmp(arg, SOCKET, strlen(SOCKET)) != 0 || !arg[strlen(SOCKET)])
            argp_error(state, "--listen needs unix:PATH, not '%s'", arg);
        a->socket = arg + strlen(SOCKET);
        return 0;
    case ARGP_KEY_ARG:
        if (a->request)
            argp_error(state, "one request at a time: '%s' is one too many; quote what belongs together", arg);
        a->request = arg;
        return 0;
    case ARGP_KEY_SUCCESS:
        return check(a, state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    "[REQUEST]",
    "Ask a VM as QEMU's monitor (QMP) is asked: query-stats, query-stats-schemas, query-name, query-version, "
    "query-commands."
    "\vREQUEST is a QMP command: '{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vcpu\"}}'. Without it a QMP "
    "session is held on standard input and output. VM is the name that 'vmtally list' shows, the path of a segment "
    "file, "
    "or the pid of a VM without one.",
    children,
    NULL,
    NULL,
};

/* Choose the VM, from within the sandbox. 0, or -1 after a message. */
static int start(const struct arguments *a, unsigned flags, struct asked *asked)
{
    bool session = !a->request;

    host_start(a->common, session);
    sandbox_enter(a->common, (char *const *)&a->vm, a->vm != NULL, flags);
    if (asked_find(a->common, a->vm, session, asked) == 0)
        return 0;
    host_say_trouble(a->common, a->vm ? "" : NULL);
    host_stop(a->common);
    return -1;
}

static void stop(const struct arguments *a, struct asked *asked)
{
    host_say_trouble(a->common, asked->path);
    asked_free(asked);
    host_stop(a->common);
}

/* ---- one request ---- */

static int answer(const struct arguments *a, struct qmp *qmp, struct vmt_buffer *out)
{
    int r = a->hmp ? qmp_answer_people(qmp, a->request, out) : qmp_answer(qmp, a->request, strlen(a->request), out);

    if (r == 0 && out->size > 0 && !a->hmp)
        r = vmt_buffer_append(out, "\n", 1);
    return r;
}

static int ask(const struct arguments *a)
{
    struct qmp qmp = { .look = asked_look, .most = VMT_BUFFER_MAX / 2, .negotiated = true };
    struct vmt_buffer out = { 0 };
    struct asked asked;
    int status;

    if (start(a, 0, &asked))
        return 1;
    qmp.arg = &asked;
    status = answer(a, &qmp, &out) < 0;
    if (status)
        message_error("out of memory");
    else if (out.size > 0)
        status = message_write(out.data, out.size);
    if (qmp.error.class) {
        message_error("%s", qmp.error.desc);
        status = 1;
    }
    vmt_buffer_free(&out);
    stop(a, &asked);
    return status;
}

/* ---- sessions ---- */

static int hold_session(const struct arguments *a)
{
    struct asked asked;
    int status;

    if (start(a, 0, &asked))
        return 1;
    status = session_run(&asked);
    stop(a, &asked);
    return status;
}

static int serve(void *arg, int listener)
{
    const struct arguments *a = arg;
    struct asked asked;
    int status;

    serve_prepare();
    if (start(a, SANDBOX_SERVE, &asked))
        return 1;
    (void)selection_take(a->common, asked.path, asked.snapshot); /* of which vmt_host_trouble() is */
    host_say_trouble(a->common, asked.path);
    status = serve_clients(listener, &asked, SERVE_PATIENCE_NS);
    stop(a, &asked);
    return status;
}

int cmd_query(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { .common = common };
    struct listener listener;

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    if (!arguments.socket)
        return arguments.request ? ask(&arguments) : hold_session(&arguments);
    return listener_open(arguments.socket, &listener) ? 1 : listener_run(&listener, serve, &arguments);
}
