/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "message.h"

enum { OPTION_DIR = 0x100, OPTION_NO_SANDBOX };

static const struct argp_option options[] = {
    { "dir", OPTION_DIR, "DIR", 0, "Look for segments in DIR only, instead of $VMTALLY_DIR or the usual places", 90 },
    { "no-sandbox", OPTION_NO_SANDBOX, NULL, 0, "Keep all rights of the process, for a debugger", 90 },
    { NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0 },
    { 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;

    switch (key) {
    case OPTION_DIR:
        if (!arg[0])
            argp_error(state, "--dir needs the name of a directory");
        o->dir = arg;
        return 0;
    case OPTION_NO_SANDBOX:
        o->no_sandbox = 1;
        return 0;
    case 'h':
        argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp options_argp = { options, parse, NULL, NULL, NULL, NULL, NULL };

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "%s %s\n", program_invocation_short_name, VMTALLY_VERSION);
}

/* argp ends the process itself after --help and --version: that output is checked too. */
static void flush_at_exit(void)
{
    if (message_finish(0))
        _Exit(1);
}

void options_init(void)
{
    argp_err_exit_status = 2;
    argp_program_version_hook = print_version;
    atexit(flush_at_exit);
}

void options_say_dir(const struct options *o, int given)
{
    const char *dir = o->dir ? o->dir : secure_getenv("VMTALLY_DIR");

    if (!dir || !dir[0] || (o->dir && !given))
        return;
    if (access(dir, F_OK) < 0 && errno == ENOENT)
        message_error("%s: no such directory; it is what %s names", dir, o->dir ? "--dir" : "VMTALLY_DIR");
}
