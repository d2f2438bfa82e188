/* SPDX-License-Identifier: MIT */
/* vmtally: look at VMs from the command line. This file finds the command. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "message.h"
#include "nearest.h"

static const struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv, struct options *common);
} commands[] = {
    { "list", "every VM found: name, pid, state, sources, age", cmd_list },
    { "show", "the values of a VM, with units and help", cmd_show },
    { "schema", "what VMs count: names, types, units and help", cmd_schema },
    { "query", "QEMU's query-stats, answered in QEMU's shape", cmd_query },
    { "export", "one snapshot in any of eight formats, for other programs", cmd_export },
    { "stream", "samples, one after the other, into a file or a FIFO", cmd_stream },
    { "cat", "a stream read back, and written in another format", cmd_cat },
    { "forward", "samples to a collector, over Fluent Forward", cmd_forward },
    { "serve", "metrics for Prometheus, over HTTP", cmd_serve },
    { "check", "the verdict on a segment file", cmd_check },
    { "gc", "remove segments whose writer is gone", cmd_gc },
    { "help", "what a command does, and its options", NULL },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct arguments {
    struct options common;
    int first; /* index in argv of the command, 0: none */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        return 0;
    case ARGP_KEY_ARG:
        a->first = state->next - 1;
        state->next = state->argc; /* the rest is the command's */
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state,
                   "which command? one of: list, show, schema, query, export, stream, cat, forward, serve, check, gc");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The list of commands in --help. */
static char *help_filter(int key, const char *text, void *input)
{
    char *all = NULL;
    size_t size = 0;
    FILE *out;

    (void)input;
    if (key != ARGP_KEY_HELP_PRE_DOC)
        return (char *)text; /* argp's own type; it frees only what differs */
    out = open_memstream(&all, &size);
    if (!out)
        return (char *)text;
    fprintf(out, "%s\n\nCommands:\n", text);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "%s  %-8s %s", i ? "\n" : "", commands[i].name, commands[i].summary);
    fclose(out);
    return all;
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    NULL,
    parse,
    "COMMAND [ARGUMENT...]",
    "Look at the counters of running virtual machines."
    "\v'vmtally help COMMAND' tells more. Segments are looked for in --dir, else $VMTALLY_DIR, else in /run/vmtally, "
    "$XDG_RUNTIME_DIR/vmtally and /dev/shm/vmtally-UID.",
    children,
    help_filter,
    NULL,
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int unknown(const char *name)
{
    struct nearest nearest = { .asked = name };
    char near[NEAREST_TEXT];

    for (size_t i = 0; i < COMMANDS; i++)
        nearest_try(&nearest, commands[i].name);
    message_error("no command %s%s", name,
                  nearest.found ? nearest_text(&nearest, near, sizeof(near)) : "; 'vmtally --help' lists them all");
    return 2;
}

static int run(const struct command *command, int argc, char **argv, struct options *common)
{
    char name[64];

    snprintf(name, sizeof(name), "vmtally %s", command->name);
    argv[0] = name; /* in the messages and the help of argp */
    return message_finish(command->run(argc, argv, common));
}

int main(int argc, char **argv)
{
    struct arguments arguments = { .first = 0 };
    const struct command *command;
    char help[] = "--help";
    char *asked[] = { NULL, help, NULL };

    options_init();
    signal(SIGXFSZ, SIG_IGN); /* a write past the limit gives an error that is said */
    if (argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &arguments))
        return 1;
    argc -= arguments.first;
    argv += arguments.first;
    command = find(argv[0]);
    if (!command)
        return unknown(argv[0]);
    if (command->run)
        return run(command, argc, argv, &arguments.common);
    if (argc > 2) {
        message_error("help is for one command; try 'vmtally help %s'", argv[1]);
        return 2;
    }
    command = argc == 2 ? find(argv[1]) : NULL;
    if (argc == 2 && !command && argv[1][0] != '-')
        return unknown(argv[1]);
    if (command && command->run)
        return run(command, 2, asked, &arguments.common);
    asked[0] = program_invocation_short_name;
    return argp_parse(&parser, 2, asked, 0, NULL, &arguments) != 0; /* ends there */
}
