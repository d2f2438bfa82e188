/* SPDX-License-Identifier: MIT */
/* vmtally check: the verdict on one segment file. */
#include <stdio.h>
#include <string.h>

#include <vmtally/reader.h>

#include "commands.h"
#include "message.h"
#include "sandbox.h"
#include "segment.h"

struct arguments {
    struct options *common;
    char **files;
    int count;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case ARGP_KEY_ARGS:
        a->files = state->argv + state->next;
        a->count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which file? 'vmtally list' shows where they are");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    NULL,
    parse,
    "FILE...",
    "Look at every block of a segment file and say what state it is in."
    "\vA segment that is live, closed or died is sound; with any other, or with what is no segment, the exit status "
    "is 1.",
    children,
    NULL,
    NULL,
};

/* Whether all that such a file says can be relied on. */
static int sound(int state) { return state == VMT_STATE_LIVE || state == VMT_STATE_CLOSED || state == VMT_STATE_DIED; }

/* One file; whether it is sound. */
static int check(const char *file)
{
    char name[4096];
    char why[512] = "";
    int state;

    if (segment_process(file)) {
        message_error("%s: a process, no segment file; 'vmtally show %s' shows what the kernel counts of its VMs", file,
                      file);
        return 0;
    }
    state = vmt_check(file, why, sizeof(why));
    if (state < 0)
        message_error("%s: %s", file, message_reason(state, why, sizeof(why)));
    else
        printf("%s: %s%s%s\n", message_printable(file, name, sizeof(name)), vmt_state_name((enum vmt_state)state),
               why[0] ? ": " : "", why);
    return sound(state);
}

int cmd_check(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { common, NULL, 0 };
    int status = 0;

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    sandbox_enter(common, arguments.files, (size_t)arguments.count, SANDBOX_ALL_PATHS);
    for (int i = 0; i < arguments.count; i++)
        status |= !check(arguments.files[i]);
    return status;
}
