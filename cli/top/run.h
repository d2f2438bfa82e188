/* SPDX-License-Identifier: MIT */
/* run.h: the two ways to run kvmtop: run_batch.c prints samples, run_live.c shows them in a terminal. Both return the exit
 * status, after a message where that is not 0. */
#ifndef CLI_TOP_RUN_H
#define CLI_TOP_RUN_H

#include "cli/top/arguments.h"
#include "cli/sampler.h"
#include "cli/top/settings.h"

/* What was asked for. */
struct run {
    const struct arguments *arguments;
    struct sampler *sampler;
    const char *where;        /* where VMs are looked for */
    struct settings loaded;   /* from the file */
    struct settings settings; /* that, and what flags changed */
    char *settings_path;      /* NULL: there is no home */
};

int run_batch(struct run *run);
int run_live(struct run *run);

/* Seconds since whenever. */
double run_now_s(void);

/* The next beat after now: beats keep their distance, however long the work takes, and missed ones are left out. */
double run_next_beat(double last, double interval_s);

/* What sampler_find(), sampler_take() or anything else gave, said if it is an error; then 1, else 0. */
int run_failed(const struct run *run, int error);

#define RUN_TROUBLE_TEXT 1024
#define RUN_TROUBLE_ENDED (1 << 16) /* beside VMT_HOST_TROUBLE_: nobody looks at the host any more */
#define RUN_TROUBLE_LATE (1 << 17)  /* the last look got no answer in time */

/* What of the kernel's counters could not be read at the last beat, as bits, and in words with what to do about it; 0 and ""
 * where there is no trouble. */
int run_trouble(const struct run *run, char *buf, size_t size);

/* What was asked for by name and can't be read, each once. 1 where there is any. */
int run_say_failed(struct sampler *sampler);

#endif
