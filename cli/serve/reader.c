/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <vmtally/export.h>

#include "cli/channel.h"
#include "cli/host.h"
#include "cli/message.h"
#include "cli/places.h"
#include "cli/sampler.h"
#include "cli/sandbox.h"
#include "cli/serve/serve.h"
#include "cli/unread.h"
#include "shm/clock.h"

#define KEEP_BYTES ((size_t)16 << 20) /* of memory for text, until the next scrape */
#define SAY_NS 60000000000U           /* between two messages about VMs that are left out */

struct reader {
    struct serve_arguments *a;
    const struct vmt_choice *choice;
    struct sampler *sampler;
    struct vmt_metrics *metrics;
    struct vmt_buffer text;
    int taken;  /* 0, or the negative errno of the last sample; 1: there was none yet */
    int unsent; /* or 0, and the negative errno for which the last text was not sent */
    int failed; /* the last error that was said, until all is well */
    int missed; /* a VM that was asked for and is not there was said */
    int ended;  /* as was the end of the process that looks at the kernel's counters */
    uint64_t said_ns;
    struct unread unread;
    struct serve_request last;
    /* for the exporter's own metrics */
    uint64_t samples;
    uint64_t looks_failed;
    uint64_t vms;
    uint64_t too_large;
    uint64_t running;
    double duration_s;
    double started_s;
};

static double seconds(clockid_t clock) { return (double)shm_clock_ns(clock) / 1e9; }

/* ---- a sample ---- */

/* What it says of itself is too much to write down: that is its fault alone. Said now and then. */
static void say_left_out(struct reader *r, const struct sample_vm *vm)
{
    uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);

    if (r->said_ns && now - r->said_ns < SAY_NS)
        return;
    r->said_ns = now;
    message_too_large(-EFBIG, vm->path);
}

static int add_vm(void *arg, const struct sample_set *set, const struct sample_vm *vm)
{
    struct reader *r = arg;
    int e;

    vmt_metrics_expect(r->metrics, set->found);
    if (vm->error == -ESRCH) /* it has ended */
        return 0;
    r->vms++;
    if (unread_add(&r->unread, vm))
        return 0;
    r->running += sample_running(vm) != 0;
    e = vmt_metrics_add(r->metrics, vm->snapshot, vm->title, r->choice);
    if (e == -EFBIG) {
        r->too_large++;
        say_left_out(r, vm);
        return 0;
    }
    return e;
}

/* Of those that were asked for; the first one that is not there is said once, for it may come. */
static void say_named(struct reader *r)
{
    const char *missing = sampler_missing(r->sampler);
    const struct sample_vm *vm;
    char reason[256];

    if (missing && !r->missed)
        message_error("no VM '%s' yet; it is served as soon as it is there", missing);
    r->missed |= missing != NULL;
    while ((vm = sampler_failed(r->sampler)) != NULL)
        message_error("%s: %s", vm->path, message_reason(vm->error, reason, sizeof(reason)));
}

static void say_trouble(struct reader *r)
{
    if (r->a->vm_count)
        say_named(r);
    else
        unread_say(&r->unread);
    if (r->running)
        filter_say_none(&r->a->filter);
    sampler_say_host(r->sampler, r->a->common);
    if (sampler_looked(r->sampler) == -EPIPE && !r->ended) {
        message_error("the process that reads the kernel's counters has ended: what they were stays as it is; start "
                      "vmtally serve again");
        r->ended = 1;
    }
}

static int add_own(struct reader *r, const struct serve_request *request)
{
    const struct vmt_metric own[] = {
        { .name = "build_info",
          .help = "What serves this",
          .value = 1,
          .label = "version",
          .label_value = VMTALLY_VERSION },
        { .name = "scrapes", .help = "Scrapes that were asked for", .counter = 1, .value = (double)request->scrapes },
        { .name = "samples",
          .help = "Samples of all VMs that were taken; scrapes at the same time share one",
          .counter = 1,
          .value = (double)r->samples },
        { .name = "sample_duration_seconds",
          .unit = "seconds",
          .help = "How long the last sample took",
          .value = r->duration_s },
        { .name = "cpu_seconds",
          .unit = "seconds",
          .help = "CPU time of the process that takes samples and encodes them",
          .counter = 1,
          .value = seconds(CLOCK_PROCESS_CPUTIME_ID) },
        { .name = "sent_bytes",
          .unit = "bytes",
          .help = "Bytes of scrapes that were sent, as they were sent: compressed, or not",
          .counter = 1,
          .value = (double)request->bytes },
        { .name = "refused",
          .help = "Requests that were not authorised, and connections that were beyond a limit",
          .counter = 1,
          .value = (double)request->refused },
        { .name = "vms", .help = "VMs that were found", .value = (double)r->vms },
        { .name = "unreadable_vms",
          .help = "Of them, those that could not be read",
          .value = (double)(r->unread.count + r->too_large) },
        { .name = "kernel_looks_failed",
          .help = "Samples for which the kernel's counters could not be looked at anew",
          .counter = 1,
          .value = (double)r->looks_failed },
        { .name = "start_time_seconds",
          .unit = "seconds",
          .help = "When the exporter was started, since the epoch",
          .value = r->started_s },
    };
    int e = 0;

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && e == 0; i++)
        e = vmt_metrics_add_own(r->metrics, &own[i]);
    return e;
}

static int sample(struct reader *r, const struct serve_request *request)
{
    uint64_t begun_ns = shm_clock_ns(CLOCK_MONOTONIC);
    int e;

    vmt_metrics_clear(r->metrics);
    r->vms = r->too_large = r->running = 0;
    unread_begin(&r->unread);
    e = sampler_take(r->sampler, add_vm, r);
    if (e < 0)
        return e;
    r->samples++;
    r->looks_failed += !r->a->common->host || sampler_looked(r->sampler) < 0;
    r->duration_s = (double)(shm_clock_ns(CLOCK_MONOTONIC) - begun_ns) / 1e9;
    say_trouble(r);
    return add_own(r, request);
}

/* What hinders all scrapes: once, and that nothing does any more. */
static void say_failed(struct reader *r, int e)
{
    char trouble[PLACES_TEXT];

    if (e == r->failed)
        return;
    r->failed = e;
    if (e == 0)
        message_error("scrapes can be answered again");
    else if (e == -EFBIG || e == -EMSGSIZE)
        message_error("scrapes fail: " SERVE_TOO_LARGE);
    else
        message_error("scrapes fail: %s", places_trouble(r->a->common, e, r->samples > 0, trouble, sizeof(trouble)));
}

/* ---- requests ---- */

static int send_failed(struct reader *r, int fd, int error)
{
    say_failed(r, error);
    return channel_send(fd, SERVE_FAILED, &error, sizeof(error), -1, NULL);
}

static int send_text(struct reader *r, int fd)
{
    int e = channel_send(fd, SERVE_TEXT, r->text.data, r->text.size, -1, NULL);

    if (r->text.capacity > KEEP_BYTES)
        vmt_buffer_free(&r->text);
    return e;
}

static int answer_scrape(struct reader *r, int fd, const struct vmt_buffer *message)
{
    int e;

    if (message->size != sizeof(r->last))
        return -EBADMSG;
    memcpy(&r->last, message->data, sizeof(r->last));
    if (!r->last.again || r->taken)
        r->taken = sample(r, &r->last);
    vmt_buffer_clear(&r->text);
    if (r->taken < 0)
        return send_failed(r, fd, r->taken);
    r->unsent =
        vmt_metrics_write(r->metrics, r->last.format == VMT_PROMETHEUS ? VMT_PROMETHEUS : VMT_OPENMETRICS, &r->text);
    e = r->unsent < 0 ? r->unsent : send_text(r, fd);
    if (e == -EMSGSIZE)
        r->unsent = e;
    if (r->unsent < 0)
        return send_failed(r, fd, r->unsent);
    say_failed(r, 0);
    return e;
}

/* As a scrape would be: what has failed is tried again. */
static int answer_alive(struct reader *r, int fd)
{
    int e;

    if (r->taken < 0)
        r->taken = sample(r, &r->last);
    e = r->taken < 0 ? r->taken : sampler_find(r->sampler);
    e = e < 0 ? e : r->unsent;
    if (e < 0)
        return send_failed(r, fd, e);
    say_failed(r, 0);
    return channel_send(fd, SERVE_ALIVE, NULL, 0, -1, NULL);
}

/* Until the server goes, which is what a service ends with. */
static int answer_all(struct reader *r, int fd)
{
    struct vmt_buffer message = { 0 };
    uint32_t kind;
    int e;

    do {
        e = channel_receive(fd, &kind, &message, sizeof(struct serve_request), -1);
        if (e == 0 && kind == SERVE_ALIVE)
            e = answer_alive(r, fd);
        else if (e == 0)
            e = kind == SERVE_SCRAPE ? answer_scrape(r, fd, &message) : -EBADMSG;
    } while (e == 0);
    vmt_buffer_free(&message);
    return e == -EPIPE ? 0 : e;
}

int serve_reader(void *arguments, int fd)
{
    struct serve_arguments *a = arguments;
    struct reader r = { .a = a, .taken = 1, .started_s = seconds(CLOCK_REALTIME) };
    struct vmt_choice choice;
    char reason[256];
    int e;

    options_say_dir(a->common, 1);
    host_start(a->common, 1);
    sandbox_enter(a->common, a->vms, a->vm_count, 0);
    r.choice = filter_choice(&a->filter, &choice);
    e = sampler_new(a->common->host, a->common->dir, a->vms, a->vm_count, &r.sampler);
    if (e == 0)
        e = vmt_metrics_new(&r.metrics);
    if (e == 0) {
        sampler_compare(r.sampler, 0);
        e = answer_all(&r, fd);
    }
    if (e < 0)
        message_error("the process that reads segments: %s", message_reason(e, reason, sizeof(reason)));
    vmt_buffer_free(&r.text);
    vmt_metrics_free(r.metrics);
    sampler_free(r.sampler);
    host_stop(a->common);
    return e < 0;
}
