/* SPDX-License-Identifier: MIT */
/* vmtally stream: samples of VMs, at each beat, into a file, a FIFO or standard output. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../channel.h"
#include "../commands.h"
#include "../message.h"
#include "../numbers.h"
#include "../sandbox.h"
#include "../service.h"
#include "stream.h"

enum { OPTION_FORMAT = 0x200, OPTION_INTERVAL = 'i', OPTION_COUNT = 'n', OPTION_OUTPUT = 'o' };

#define INTERVAL 1.0
#define INTERVAL_FIRECRACKER 60.0 /* as theirs */
#define INTERVAL_MIN 0.01
#define INTERVAL_MAX 86400.0
#define END_MS 10000 /* that the reader may take to end */

static const struct argp_option options[] = {
    { "format", OPTION_FORMAT, "FORMAT", 0,
      "msgpack; json: an object a line; firecracker: Firecracker's metrics, a line a VM, with what changed since the "
      "last",
      0 },
    { "interval", OPTION_INTERVAL, "SECONDS", 0, "Between samples; 1 if not given, 60 for firecracker, as theirs", 0 },
    { "count", OPTION_COUNT, "COUNT", 0, "End after so many samples", 0 },
    { "output", OPTION_OUTPUT, "FILE", 0,
      "Append to FILE, or write into a FIFO as somebody reads it; '-': standard output", 0 },
    { 0 },
};

static void check(struct stream_arguments *a, struct argp_state *state)
{
    char all[FORMAT_NAMES];

    if (!a->format)
        argp_error(state, "which format? --format %s", format_names(all, sizeof(all), FORMAT_STREAM));
    else if (a->format->flags & FORMAT_BINARY && !a->output && isatty(STDOUT_FILENO))
        argp_error(state, "%s is not for a terminal; use --output FILE or a pipe", a->format->name);
    else if (a->interval == 0)
        a->interval = a->format->id == FORMAT_FIRECRACKER ? INTERVAL_FIRECRACKER : INTERVAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct stream_arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_FORMAT:
        a->format = format_find(arg, FORMAT_STREAM, state);
        return 0;
    case OPTION_INTERVAL:
        a->interval = option_seconds(state, "--interval", arg, INTERVAL_MIN, INTERVAL_MAX);
        return 0;
    case OPTION_COUNT:
        a->count = option_count(state, "--count", arg);
        return 0;
    case OPTION_OUTPUT:
        if (!arg[0])
            argp_error(state, "--output needs the name of a file");
        a->output = strcmp(arg, "-") == 0 ? NULL : arg;
        return 0;
    case ARGP_KEY_ARGS:
        a->vms = state->argv + state->next;
        a->vm_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_SUCCESS:
        check(a, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    "[VM...]",
    "Write samples of VMs, or of all that come and go, one after the other."
    "\vVM is the name that 'vmtally list' shows, the path of a segment file, or the pid of a VM without one. Who reads "
    "too slowly is waited for at most half an interval, and 10 seconds: then he misses whole lines, and Firecracker's "
    "format says in the next one how many, with all that they would have told. SIGUSR1: sample now. SIGHUP: FILE was "
    "moved away, begin a new one. SIGTERM, SIGINT: sample "
    "once "
    "more, then end. 'vmtally cat' turns msgpack into other formats.",
    children,
    NULL,
    NULL,
};

static int failed(const char *what, int error)
{
    char reason[256];

    message_error("%s: %s", what, message_reason(error, reason, sizeof(reason)));
    return 1;
}

static int run(struct stream_arguments *a)
{
    struct sigaction hangup;
    bool ended = false;
    int signals;
    int channel = -1;
    int status, reader;
    pid_t child;

    a->stays = sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_IGN;
    signals = service_signals();
    if (signals < 0)
        return failed("signals", signals);
    child = channel_start(stream_reader, a, &channel);
    if (child < 0)
        return failed("no process to read segments", (int)child);
    sandbox_enter_speaker(a->common);
    status = stream_writer(a, channel, signals, &ended);
    close(channel);
    reader = channel_end(child, END_MS);
    close(signals);
    /* Whom we have left has not failed; but one that was ended by a signal has. */
    return status | (ended ? reader != 0 : reader < 0);
}

int cmd_stream(int argc, char **argv, struct options *common)
{
    struct stream_arguments arguments = { .common = common };

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    return run(&arguments);
}
