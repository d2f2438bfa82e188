/* SPDX-License-Identifier: MIT */
/* kvmtop: virtual machines and what they do, live. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/top/batch.h"
#include "cli/top/draw.h"
#include "cli/top/keys.h"
#include "cli/top/model.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/top/sampler.h"
#include "cli/sandbox.h"
#include "cli/top/screen_curses.h"

#define FIRST_INTERVAL_S 0.5 /* of the live view: rates as soon as they mean something */

enum { OPTION_JSON = 0x200, OPTION_CSV, OPTION_ASCII };

struct arguments {
    struct options common;
    int batch;
    enum batch_format format;
    long samples; /* 0: no end */
    double interval_s;
    int ascii;
    char **names;
    size_t name_count;
};

static const struct argp_option options[] = {
    { "delay", 'd', "SECONDS", 0, "Time between samples, 0.1 to 3600 (default 1)", 0 },
    { "iterations", 'n', "COUNT", 0, "End after COUNT samples", 0 },
    { "batch", 'b', NULL, 0, "Print a table for each sample (the default where stdout is no terminal)", 0 },
    { "json", OPTION_JSON, NULL, 0, "Print one JSON object on a line for each sample", 0 },
    { "csv", OPTION_CSV, NULL, 0, "Print one line of comma-separated values for each VM and source, each sample", 0 },
    { "ascii", OPTION_ASCII, NULL, 0, "Draw with ASCII characters only", 0 },
    { 0 },
};

static double parse_interval(const char *arg, struct argp_state *state)
{
    char *end;
    double value = strtod(arg, &end);

    if (end == arg || *end || !(value >= INTERVAL_MIN_S && value <= INTERVAL_MAX_S))
        argp_error(state, "-d needs a number of seconds from %g to %g, not '%s'", INTERVAL_MIN_S, INTERVAL_MAX_S, arg);
    return value;
}

static long parse_count(const char *arg, struct argp_state *state)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(arg, &end, 10);
    if (end == arg || *end || errno || value < 1)
        argp_error(state, "-n needs a number of samples from 1 on, not '%s'", arg);
    return value;
}

static void set_format(struct arguments *a, enum batch_format format, struct argp_state *state)
{
    if (a->format != BATCH_TEXT && a->format != format)
        argp_error(state, "--json and --csv exclude each other");
    a->format = format;
    a->batch = 1;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        return 0;
    case 'd':
        a->interval_s = parse_interval(arg, state);
        return 0;
    case 'n':
        a->samples = parse_count(arg, state);
        return 0;
    case 'b':
        a->batch = 1;
        return 0;
    case OPTION_JSON:
        set_format(a, BATCH_JSON, state);
        return 0;
    case OPTION_CSV:
        set_format(a, BATCH_CSV, state);
        return 0;
    case OPTION_ASCII:
        a->ascii = 1;
        return 0;
    case ARGP_KEY_ARGS:
        a->names = state->argv + state->next;
        a->name_count = (size_t)(state->argc - state->next);
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
    "Show virtual machines, their vCPUs and devices, and what they do, live.\v"
    "VM is the whole name of a virtual machine, or the path of a segment file; without any, all are shown. In the live "
    "view, h lists the keys.",
    children,
    NULL,
    NULL,
};

/* ---- time ---- */

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The next beat after now: beats keep their distance, however long the work takes, and missed ones are left out. */
static double next_beat(double last, double interval_s)
{
    double now = now_s();

    if (last + interval_s > now)
        return last + interval_s;
    return last + ((double)(long)((now - last) / interval_s) + 1) * interval_s;
}

static void sleep_until(double then)
{
    double left;

    while ((left = then - now_s()) > 0) {
        struct timespec t = { .tv_sec = (time_t)left };

        t.tv_nsec = (long)((left - (double)t.tv_sec) * 1e9);
        nanosleep(&t, NULL);
    }
}

/* ---- the two ways ---- */

static const char *where(const struct arguments *a)
{
    const char *variable = getenv("VMTALLY_DIR");

    if (a->common.dir)
        return a->common.dir;
    return variable && variable[0] ? variable : "the usual places, such as /run/vmtally";
}

static int out_of_memory(void)
{
    message_error("out of memory");
    return 1;
}

/* What sampler_find() or sampler_take() gave, said if it is an error; then 1, else 0. */
static int failed(int error, const struct arguments *a)
{
    char reason[256];

    if (error == -ENOMEM)
        return out_of_memory();
    if (error == -EACCES && strcmp(sandbox_text(), "none") != 0)
        message_error(
            "%s: permission denied; was the directory made anew? Then start kvmtop again: it may read no other "
            "than those that it found",
            where(a));
    else if (error < 0)
        message_error("%s: %s", where(a), message_reason(error, reason, sizeof(reason)));
    return error < 0;
}

static void enter_sandbox(const struct arguments *a) { sandbox_enter(&a->common, a->names, a->name_count, 0); }

/* What was asked for by name and can't be read, each once. 1 where there is any. */
static int say_failed(struct sampler *sampler)
{
    const struct sample_vm *vm;
    char reason[256];
    int failed = 0;

    while ((vm = sampler_failed(sampler)) != NULL) {
        message_error("%s: %s", vm->path, message_reason(vm->error, reason, sizeof(reason)));
        failed = 1;
    }
    return failed;
}

/* Nothing was found for that name. */
static void say_missing(const char *name, const struct arguments *a)
{
    char reason[256];

    if (!strchr(name, '/'))
        message_error("no VM '%s' in %s; 'vmtally list' shows those that there are", name, where(a));
    else /* where it has come meanwhile, EAGAIN says as much */
        message_error("%s: %s", name,
                      message_reason(access(name, F_OK) < 0 ? -errno : -EAGAIN, reason, sizeof(reason)));
}

/* Standard output can't be written any more; what is left in it goes, or exit() would try again. */
static int output_failed(int error)
{
    char reason[256];

    __fpurge(stdout);
    clearerr(stdout);
    if (error == -EPIPE) /* whoever read it has seen enough */
        return 0;
    message_error("standard output: %s", message_reason(error, reason, sizeof(reason)));
    return 1;
}

/* The first sample is what the first one printed is compared with. */
static int run_batch(struct sampler *sampler, const struct arguments *a)
{
    struct model model = { 0 };
    double beat = now_s();
    int unread = 0;
    int r;

    signal(SIGPIPE, SIG_IGN);
    enter_sandbox(a);
    if (failed(sampler_take(sampler), a))
        return 1;
    for (long i = 0; !a->samples || i < a->samples; i++) {
        beat = next_beat(beat, a->interval_s);
        sleep_until(beat);
        r = sampler_take(sampler);
        if (failed(r, a)) {
            model_free(&model);
            return 1;
        }
        r = model_build(&model, sampler_set(sampler), NULL);
        if (r == 0)
            r = batch_write(stdout, a->format, sampler_set(sampler), &model, i == 0, a->ascii);
        unread |= say_failed(sampler);
        if (r < 0)
            break;
    }
    model_free(&model);
    if (r == -ENOMEM)
        return out_of_memory();
    return r < 0 ? output_failed(r) | unread : message_finish(unread);
}

/* All that the live view keeps. */
struct live {
    struct sampler *sampler;
    const struct arguments *arguments;
    struct model model;
    struct detail detail;
    struct view view;
    struct grid grid;
};

static int live_draw(struct live *l)
{
    const struct sample_set *set = sampler_set(l->sampler);
    int rows, width;
    int r = model_build(&l->model, set, &l->view.folds);

    if (r == 0 && l->view.mode == VIEW_DETAIL) {
        r = detail_build(&l->detail, set, l->view.detail_key);
        r = r == -ENOENT ? 0 : r;
    }
    if (r < 0)
        return r;
    screen_size(&rows, &width);
    l->view.lines = l->view.mode == VIEW_HELP ? draw_help_lines() : l->detail.count;
    view_settle(&l->view, &l->model, draw_page(rows));
    r = grid_reset(&l->grid, rows, width);
    if (r < 0)
        return r;
    draw_view(&l->grid, set, &l->model, &l->detail, &l->view, where(l->arguments));
    screen_show(&l->grid);
    return 0;
}

/* Until the time has come, or somebody asks to end. */
static int live_wait(struct live *l, double *last, double *next)
{
    double left;

    while ((left = *next - now_s()) > 0 && !l->view.quit && !screen_ended()) {
        double interval = l->view.interval_s;
        int key;
        int r = 0;

        screen_wait(left);
        while (r == 0 && !l->view.quit && (key = screen_key()) != KEY_NONE_) {
            r = view_key(&l->view, &l->model, key);
            if (r == 0)
                r = live_draw(l); /* the next key is about what is seen now */
        }
        if (r < 0)
            return r;
        if (l->view.interval_s < interval || l->view.interval_s > interval)
            *next = *last + l->view.interval_s;
    }
    return 0;
}

static int live_loop(struct live *l)
{
    double last = now_s();
    double first = l->view.interval_s < FIRST_INTERVAL_S ? l->view.interval_s : FIRST_INTERVAL_S;
    double next = last + first;

    for (long taken = 0;;) {
        int r = live_draw(l);

        if (r == 0)
            r = live_wait(l, &last, &next);
        if (r < 0)
            return r;
        if (l->view.quit || screen_ended())
            return 0;
        if (!l->view.paused) {
            if (l->arguments->samples && taken++ == l->arguments->samples)
                return 0;
            r = sampler_take(l->sampler);
            if (r < 0)
                return r;
        }
        last = next;
        next = next_beat(last, l->view.interval_s);
    }
}

static int run_live(struct sampler *sampler, const struct arguments *a)
{
    struct live l = {
        .sampler = sampler,
        .arguments = a,
        .view = { .mode = VIEW_OVERVIEW, .interval_s = a->interval_s, .sandbox = "", .ascii = a->ascii },
    };
    int r;

    if (screen_open() < 0)
        return 1;
    enter_sandbox(a); /* the description of the terminal has been read */
    l.view.sandbox = sandbox_text();
    r = sampler_take(sampler);
    if (r == 0)
        r = live_loop(&l);
    screen_close();
    model_free(&l.model);
    detail_free(&l.detail);
    folds_free(&l.view.folds);
    grid_free(&l.grid);
    return failed(r, a) || (a->samples && say_failed(sampler));
}

/* Each VM takes a file descriptor, and shells often allow 1,024 where the system would allow more. */
static void allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct arguments a = { .interval_s = 1 };
    struct sampler *sampler = NULL;
    int status;

    setlocale(LC_CTYPE, "");
    btowc('a'); /* read now what the locale and the time zone take: later the sandbox is in the way */
    tzset();
    options_init();
    if (argp_parse(&parser, argc, argv, 0, NULL, &a))
        return 1;
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        a.ascii = 1;
    if (sampler_new(a.common.dir, a.names, a.name_count, &sampler) < 0)
        return out_of_memory();
    allow_files();
    status = failed(sampler_find(sampler), &a);
    if (!status && sampler_missing(sampler)) {
        say_missing(sampler_missing(sampler), &a);
        status = 1;
    }
    if (!status)
        status = a.batch || !isatty(STDOUT_FILENO) ? run_batch(sampler, &a) : run_live(sampler, &a);
    sampler_free(sampler);
    return status;
}
