/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <time.h>

#include "cli/message.h"
#include "cli/sandbox.h"
#include "cli/top/batch.h"
#include "cli/top/run.h"

struct batch {
    struct run *run;
    struct history *history;
    struct batch_json *json; /* NULL: another format */
    struct filter *filter;
    struct model model;
    long written;
    int trouble; /* that was said already, as run_trouble() has it */
};

static void sleep_until(double then)
{
    double left;

    while ((left = then - run_now_s()) > 0) {
        struct timespec t = { .tv_sec = (time_t)left };

        t.tv_nsec = (long)((left - (double)t.tv_sec) * 1e9);
        nanosleep(&t, NULL);
    }
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

static int observe(void *arg, const struct sample_set *set, const struct sample_vm *vm)
{
    struct batch *b = arg;
    int r = history_observe(b->history, set, vm);

    return r == 0 && b->json && history_count(b->history) ? batch_json_vm(b->json, vm) : r;
}

/* Each once a run. */
static void say_trouble(struct batch *b)
{
    char text[RUN_TROUBLE_TEXT];
    int trouble = run_trouble(b->run, text, sizeof(text));

    if (trouble & ~b->trouble)
        message_error("%s", text);
    b->trouble |= trouble;
}

static int take(struct batch *b)
{
    struct sampler *sampler = b->run->sampler;
    int r = history_begin(b->history, sampler_epoch(sampler));

    if (r == 0)
        r = sampler_take(sampler, observe, b);
    say_trouble(b);
    return r == 0 ? history_end(b->history, sampler_set(sampler)) : r;
}

/* 0, -ENOMEM, or that standard output can't be written. */
static int write_beat(struct batch *b)
{
    const struct settings *s = &b->run->settings;
    struct model_options options = {
        .beat = history_count(b->history) - 1, .filter = b->filter, .sort = s->sort, .inverted = s->inverted
    };
    int r = model_build(&b->model, b->history, &options);

    if (r < 0)
        return r;
    switch (b->run->arguments->format) {
    case BATCH_TEXT:
        r = batch_text(stdout, &b->model, s->hidden_columns, s->ascii);
        break;
    case BATCH_CSV:
        if (!b->written)
            batch_csv_titles(stdout);
        batch_csv(stdout, &b->model);
        break;
    case BATCH_JSON:
        r = batch_json_end(b->json, stdout, sampler_set(b->run->sampler), &b->model);
        break;
    }
    b->written++;
    return r == 0 ? batch_flush(stdout) : r;
}

/* The first sample is what the first one printed is compared with. Nobody looks back: one beat of history would do. */
static int loop(struct batch *b, int *unread)
{
    const struct arguments *a = b->run->arguments;
    double interval_s = b->run->settings.interval_s;
    double beat = run_now_s();
    int r = take(b);

    if (run_failed(b->run, r))
        return 1;
    while (!a->samples || b->written < a->samples) {
        beat = run_next_beat(beat, interval_s);
        sleep_until(beat);
        if (run_failed(b->run, take(b)))
            return 1;
        r = write_beat(b);
        *unread |= run_say_failed(b->run->sampler);
        if (r == -ENOMEM)
            return run_failed(b->run, r);
        if (r < 0)
            return output_failed(r);
    }
    return message_finish(0);
}

int run_batch(struct run *run)
{
    const struct arguments *a = run->arguments;
    struct batch b = { .run = run };
    int unread = 0;
    char why[256];
    int status;

    signal(SIGPIPE, SIG_IGN);
    sandbox_enter(&a->common, a->names, a->name_count, 0);
    if (filter_new(a->filter, &b.filter, why, sizeof(why)) == -EINVAL) { /* already checked with the arguments */
        message_error("%s", why);
        return 2;
    }
    if (history_new(0, &b.history) < 0 || (a->format == BATCH_JSON && batch_json_new(a->schema_once, &b.json) < 0))
        status = run_failed(run, -ENOMEM);
    else
        status = loop(&b, &unread);
    batch_json_free(b.json);
    model_free(&b.model);
    history_free(b.history);
    filter_free(b.filter);
    return status | unread;
}
