/* SPDX-License-Identifier: MIT */
/* The process that sees segments: samples at each beat, makes records of them and hands these over. It is in the
 * sandbox, and knows of no collector. */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/pool.h"
#include "shm/clock.h"

#include "../channel.h"
#include "../host.h"
#include "../message.h"
#include "../places.h"
#include "../sampler.h"
#include "../sandbox.h"
#include "../service.h"
#include "../unread.h"

#include "forward.h"
#include "handover.h"
#include "../names.h"
#include "tag.h"

/* Of one VM in one sample: a hostile one must not push those of all others out of the queue. Of a good one with 1,000
 * vCPUs it is less than a quarter of that. */
#define VM_BYTES_MAX ((size_t)8 << 20)

struct reader {
    const struct forward_arguments *a;
    struct sampler *sampler;
    struct vmt_records *records;
    struct handover handover;
    struct forward_sample counts;
    struct vmt_choice choice_memory;
    const struct vmt_choice *choice;
    struct beat beat;
    /* VMs whose writer had gone when they were sent last: an u64 each, sorted, in which all is that makes it another
     * end; and those of this sample */
    struct pool ended;
    struct pool ended_now;
    /* and of those with more records than their share, an id each */
    struct pool greedy;
    struct pool greedy_now;
    struct names names;
    struct filter filter; /* its globs are those of a */
    struct unread unread;
    /* of the VM that is encoded */
    const char *vm;
    size_t vm_bytes;
    const char *said_missing;
    int running; /* any VM was, so far: there is something to choose from */
    int trouble;
};

/* ---- one VM ---- */

static int give(void *arg, const struct vmt_snapshot *snapshot, size_t i, const struct vmt_schema *schema,
                const void *entry, size_t size)
{
    struct reader *r = arg;
    char tag[TAG_SIZE];
    size_t tag_size = tag_make(r->a->tag, r->vm, snapshot, i, schema, tag, sizeof(tag));

    r->vm_bytes += size;
    if (r->vm_bytes > VM_BYTES_MAX) {
        r->counts.records++;
        r->counts.records_left_out++;
        return 0;
    }
    return handover_add(&r->handover, tag, tag_size, entry, size);
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int is_in(const struct pool *ids, uint64_t id)
{
    return ids->used && bsearch(&id, ids->data, ids->used, sizeof(id), compare_ids) != NULL;
}

static int put_id(struct pool *ids, uint64_t id)
{
    size_t at = pool_add(ids, 1, sizeof(id));

    if (at == SIZE_MAX)
        return -ENOMEM;
    ((uint64_t *)ids->data)[at] = id;
    return 0;
}

/* Those of this sample are now those of the sample before. */
static void turn(struct pool *before, struct pool *now)
{
    struct pool pool = *before;

    *before = *now;
    *now = pool;
    now->used = 0;
    if (before->used)
        qsort(before->data, before->used, sizeof(uint64_t), compare_ids);
}

/* What a VM had counted when its writer went is told once: nothing will change any more. 1: it was; 0; -ENOMEM. */
static int ended_before(struct reader *r, const struct sample_vm *vm)
{
    uint64_t end = (vm->id << 20 ^ vmt_snapshot_segment(vm->snapshot)->incarnation) << 4 ^ vm->state;

    if (sample_running(vm))
        return 0;
    return put_id(&r->ended_now, end) < 0 ? -ENOMEM : is_in(&r->ended, end);
}

/* A VM with more records than its share is said once, for as long as there is such a VM. 0 or -ENOMEM. */
static int say_left_out(struct reader *r, const struct sample_vm *vm)
{
    int said = is_in(&r->greedy, vm->id);

    if (!said && r->vm_bytes <= VM_BYTES_MAX)
        return 0;
    if (!said)
        message_error("%s: its records are more than %zu MiB a sample; those behind that are left out", vm->path,
                      VM_BYTES_MAX >> 20);
    return put_id(&r->greedy_now, vm->id);
}

static int observe(void *arg, const struct sample_set *set, const struct sample_vm *vm)
{
    struct reader *r = arg;
    char name[NAME_SIZE];
    int result = names_add(&r->names, vm->title, name);

    (void)set;
    if (result < 0)
        return result;
    r->vm = name;
    r->vm_bytes = 0;
    if (unread_add(&r->unread, vm)) {
        r->counts.unreadable++;
        return 0;
    }
    r->counts.vms++;
    r->running |= sample_running(vm);
    result = ended_before(r, vm);
    if (result == 0)
        result = vmt_records_encode(r->records, vm->snapshot, vm->delta, r->vm, r->counts.samples, r->choice, give, r);
    if (result < 0 && !message_too_large(result, vm->path))
        return result;
    return say_left_out(r, vm);
}

/* ---- what there is to say about it ---- */

static int failed(const struct reader *r, int error)
{
    char text[PLACES_TEXT];

    if (error != -EPIPE) /* else the sender has been told to stop, or has said why it ended */
        message_error("%s",
                      places_trouble(r->a->common, error, r->sampler && sampler_took(r->sampler), text, sizeof(text)));
    return 1;
}

/* Each VM once, and each name that nothing is found for. */
static void say_trouble(struct reader *r)
{
    const char *missing = sampler_missing(r->sampler);
    const struct sample_vm *vm;
    char reason[256];

    while ((vm = sampler_failed(r->sampler)) != NULL) {
        message_error("%s: %s", vm->path, message_reason(vm->error, reason, sizeof(reason)));
        r->trouble = 1;
    }
    if (missing && missing != r->said_missing) {
        message_error("no VM '%s'%s; 'vmtally list' shows those that there are", missing, r->a->count ? "" : " yet");
        r->said_missing = missing;
        r->trouble = 1;
    }
    if (r->running)
        filter_say_none(&r->filter);
    if (!r->a->vm_count)
        unread_say(&r->unread);
    sampler_say_host(r->sampler, r->a->common);
}

/* ---- beats ---- */

static void end_sample(struct reader *r, uint64_t not_handed_before)
{
    turn(&r->ended, &r->ended_now);
    if (r->counts.records_not_handed != not_handed_before)
        r->ended.used = 0; /* some of it may have been about them */
    turn(&r->greedy, &r->greedy_now);
}

static int sample(struct reader *r)
{
    uint64_t start_ns = shm_clock_ns(CLOCK_PROCESS_CPUTIME_ID), not_handed = r->counts.records_not_handed;
    int result;

    r->counts.samples++;
    r->counts.vms = r->counts.unreadable = 0;
    names_clear(&r->names);
    unread_begin(&r->unread);
    handover_begin(&r->handover, r->beat.interval_ns / 4);
    result = sampler_take(r->sampler, observe, r);
    if (result == 0)
        result = handover_flush(&r->handover);
    if (result < 0)
        return result;
    end_sample(r, not_handed);
    say_trouble(r);
    r->counts.sample_ns = shm_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns;
    return handover_say(&r->handover, FORWARD_SAMPLE, &r->counts, sizeof(r->counts));
}

static int loop(struct reader *r)
{
    int result = 0;

    beat_start(&r->beat, (uint64_t)(r->a->interval * 1e9));
    while (result == 0) {
        if (beat_due(&r->beat))
            result = sample(r);
        if (result == 0 && r->a->count && r->counts.samples >= r->a->count)
            break;
        if (result == 0)
            result = handover_until(&r->handover, r->beat.next_ns);
    }
    /* Whatever is left is taken in the end, or the sender ends first. */
    if (result == 0)
        result = handover_until(&r->handover, 0);
    if (result == 0)
        result = handover_say(&r->handover, FORWARD_SAMPLE, &r->counts, sizeof(r->counts));
    if (result == 0)
        result = handover_say(&r->handover, FORWARD_END, NULL, 0);
    return result == 0 ? handover_until(&r->handover, 0) : result;
}

static int prepare(struct reader *r)
{
    struct vmt_records_options options = {
        .struct_size = sizeof(options),
        .host = r->a->self_host,
        .strings = r->a->strings != 0,
        .deltas = r->a->deltas != 0,
    };
    uint64_t random;
    char sender[17];
    int result;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        random = shm_clock_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 48;
    snprintf(sender, sizeof(sender), "%016" PRIx64, random);
    options.sender = sender;
    result = vmt_records_new(&options, &r->records);
    if (result == 0)
        result = sampler_new(r->a->common->host, r->a->common->dir, r->a->vms, r->a->vm_count, &r->sampler);
    if (result == 0)
        sampler_compare(r->sampler, r->a->deltas);
    r->choice = filter_choice(&r->filter, &r->choice_memory);
    return result;
}

int forward_reader(void *arguments, int fd)
{
    const struct forward_arguments *a = arguments;
    struct reader r = { .a = a, .filter = a->filter };
    int result;

    mallopt(M_MMAP_THRESHOLD, FORWARD_OWN_MEMORY);
    handover_init(&r.handover, fd, &r.counts);
    options_say_dir(a->common, 0);
    host_start(a->common, 1);
    sandbox_enter(a->common, a->vms, a->vm_count, 0);
    result = prepare(&r);
    if (result == 0)
        result = loop(&r);
    if (result < 0)
        result = failed(&r, result);
    vmt_records_free(r.records);
    sampler_free(r.sampler);
    handover_free(&r.handover);
    names_free(&r.names);
    free(r.ended.data);
    free(r.ended_now.data);
    free(r.greedy.data);
    free(r.greedy_now.data);
    host_stop(a->common);
    return result | (a->count && r.trouble);
}
