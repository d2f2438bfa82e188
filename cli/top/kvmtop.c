/* SPDX-License-Identifier: MIT */
/* kvmtop: virtual machines and what they do, live. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/host.h"
#include "cli/message.h"
#include "cli/places.h"
#include "cli/sandbox.h"
#include "cli/segment.h"
#include "cli/top/run.h"
#include "cli/units.h"

double run_now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double run_next_beat(double last, double interval_s)
{
    double now = run_now_s();

    if (last + interval_s > now)
        return last + interval_s;
    return last + ((double)(long)((now - last) / interval_s) + 1) * interval_s;
}

int run_failed(const struct run *run, int error)
{
    char text[PLACES_TEXT];

    if (error < 0)
        message_error("%s", places_trouble(&run->arguments->common, error, run->sampler && sampler_took(run->sampler),
                                           text, sizeof(text)));
    return error < 0;
}

int run_say_failed(struct sampler *sampler)
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

/* Of the VMs that were asked for; the first one's words. */
static int trouble_of_named(const struct run *run, char *buf, size_t size)
{
    const struct sample_set *set = sampler_set(run->sampler);
    uint32_t trouble = 0;

    for (size_t i = 0; i < set->count; i++)
        trouble |= vmt_host_trouble(run->arguments->common.host, set->vms[i].path, buf[0] ? NULL : buf, size);
    return (int)trouble;
}

int run_trouble(const struct run *run, char *buf, size_t size)
{
    const struct vmt_host *host = run->arguments->common.host;

    buf[0] = '\0';
    if (!host) {
        snprintf(buf, size, "the kernel's counters are not looked at: there is no process that could do so");
        return RUN_TROUBLE_ENDED;
    }
    switch (sampler_looked(run->sampler)) {
    case -EPIPE:
        snprintf(buf, size, "the process that reads the kernel's counters has ended: start kvmtop again to see them");
        return RUN_TROUBLE_ENDED;
    case -ETIMEDOUT:
        snprintf(buf, size, "the kernel's counters could not be read in time: what is shown of them is from before");
        return RUN_TROUBLE_LATE;
    case -EFBIG:
        snprintf(buf, size, "the kernel's counters are not there: the limit of files (ulimit -f) is too low for them");
        return RUN_TROUBLE_LATE;
    default:
        return run->arguments->name_count ? trouble_of_named(run, buf, size)
                                          : (int)vmt_host_trouble(host, NULL, buf, size);
    }
}

/* Nothing was found for that name. */
static void say_missing(const char *name, const struct run *run)
{
    char reason[256];

    if (!strchr(name, '/'))
        message_error("no VM '%s' in %s%s; 'vmtally list' shows those that there are", name, run->where,
                      run->arguments->common.host ? ", nor a process with one" : "");
    else if (segment_process(name) && run->arguments->common.host)
        message_error("%s: %s", name, message_reason(-ESRCH, reason, sizeof(reason)));
    else /* where it has come meanwhile, EAGAIN says as much */
        message_error("%s: %s", name,
                      message_reason(access(name, F_OK) < 0 ? -errno : -EAGAIN, reason, sizeof(reason)));
}

/* What the file of settings says, and over it the flags. A file that is wrong is said, and left as it is. */
static void load_settings(struct run *run)
{
    char why[512];

    settings_default(&run->loaded);
    if (settings_load(&run->loaded, &run->settings_path, why, sizeof(why)) < 0)
        message_error("%s", why);
    run->settings = run->loaded;
    arguments_apply(run->arguments, &run->settings);
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        run->settings.ascii = 1;
    unit_ascii(run->settings.ascii);
}

int main(int argc, char **argv)
{
    struct arguments a = { 0 };
    struct run run = { .arguments = &a };
    char places[PLACES];
    int status;

    setlocale(LC_CTYPE, "");
    btowc('a'); /* read now what the locale and the time zone take: later the sandbox is in the way */
    tzset();
    options_init();
    arguments_parse(argc, argv, &a);
    run.where = vmt_discover_places(a.common.dir, places, sizeof(places));
    load_settings(&run);
    host_start(&a.common, 1);
    if (sampler_new(a.common.host, a.common.dir, a.names, a.name_count, &run.sampler) < 0)
        return run_failed(&run, -ENOMEM);
    status = run_failed(&run, sampler_find(run.sampler));
    if (!status && sampler_missing(run.sampler)) {
        say_missing(sampler_missing(run.sampler), &run);
        status = 1;
    }
    if (!status)
        status = a.batch || !isatty(STDOUT_FILENO) ? run_batch(&run) : run_live(&run);
    sampler_free(run.sampler);
    host_stop(&a.common);
    free(run.settings_path);
    return status;
}
