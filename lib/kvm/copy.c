/* SPDX-License-Identifier: MIT */
/* What the kernel counts, copied into the segment for readers that can't ask the kernel. A copy's counts never fall:
 * what is added is what the kernel counted since the last time. */
#include <vmtally/kvm.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "lib/kvm/handle.h"
#include "lib/kvm/statistics.h"
#include "lib/writer.h"
#include "shm/clock.h"

#define INTERVAL_MIN_NS 1000000U

/* ---- one ---- */

/* The kernel's counters may fall: root may clear them (debugfs), and some are counted without a lock. Then nothing is
 * added, and what comes is counted from there. */
static void add_difference(struct vmt_shard *shard, uint32_t slot, uint64_t last, uint64_t now)
{
    if (now > last)
        vmt_add(shard, slot, now - last);
}

/* No group: the kernel counts on while it is read, so the values of one reading do not agree either. */
void kvm_copy_values(struct kvm_link *link)
{
    const struct vmt_schema *schema = &link->schema->schema;
    struct vmt_shard *shard = (struct vmt_shard *)(void *)link->copy->shared;
    uint64_t *now = link->last + schema->slots;

    if (kvm_values_read(link->schema, link->fd, now) < 0)
        return; /* the VMM has closed it behind our back: what was copied stays */
    PUT(link->copy->entry->flags, SHM_ENTRY_SHARED_USED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* first, as in vmt_count() */
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        for (uint32_t k = d->slot; k < d->slot + d->size; k++) {
            if ((d->flags & VMT_TYPE_MASK) == VMT_TYPE_INSTANT)
                vmt_set(shard, k, now[k]);
            else if ((d->flags & VMT_TYPE_MASK) == VMT_TYPE_PEAK)
                vmt_peak(shard, k, now[k]);
            else
                add_difference(shard, k, link->last[k], now[k]);
        }
    }
    memcpy(link->last, now, schema->slots * sizeof(*now));
    link->copied = true;
}

bool kvm_goes_on(const struct kvm_link *link)
{
    const struct vmt_schema *schema = &link->schema->schema;
    uint64_t *now = link->last + schema->slots;

    if (kvm_values_read(link->schema, link->fd, now) < 0)
        return false;
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        for (uint32_t k = d->slot; k < d->slot + d->size; k++) {
            if ((d->flags & VMT_TYPE_MASK) != VMT_TYPE_INSTANT && now[k] < link->last[k])
                return false;
        }
    }
    return true;
}

/* *last: there will be no other attempt. Why there can be no copy is found out once, and counted once. */
static int attempt(struct vmt_segment *segment, struct kvm_link *link, bool last)
{
    int r = 0;

    pthread_mutex_lock(&segment->lock);
    if (segment->open && link->source) {
        r = link->failed;
        if (r == 0 && !link->copy)
            r = source_add_locked(segment, &link->schema->schema, link->source, KVM_COPY_NAME, &link->copy);
        if (link->copy)
            kvm_copy_values(link);
        if (r < 0 && !link->failed && (last || !source_no_room(r))) {
            PUT(link->failed, r);
            if (source_no_room(r))
                source_count_own(segment, VMT_SEGMENT_DROPPED_SOURCES);
        }
    }
    pthread_mutex_unlock(&segment->lock);
    return r;
}

int kvm_copy(struct vmt_segment *segment, struct kvm_link *link)
{
    int state;
    int r;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* cancelled in pread it would keep the lock */
    r = attempt(segment, link, false);
    if (r < 0 && !GET(link->failed)) {
        space_reclaim(segment);
        r = attempt(segment, link, true);
    }
    pthread_setcancelstate(state, NULL);
    return r;
}

/* ---- all ---- */

static int check(const struct vmt_segment *segment)
{
    if (!segment || !GET(segment->open))
        return -ENODEV;
    return segment->forked ? -ECHILD : 0;
}

/* Each under the lock for itself: nobody waits for all of them. */
static int copy_all(struct vmt_segment *segment)
{
    int first = 0;

    /* Acquire: pairs with the release in link_new(). */
    for (struct kvm_link *link = __atomic_load_n(&segment->kvm.first, __ATOMIC_ACQUIRE); link; link = link->next) {
        int r = kvm_copy(segment, link);

        if (first == 0)
            first = r;
    }
    return first;
}

int vmt_kvm_sample(struct vmt_segment *segment)
{
    int r = check(segment);

    if (r < 0)
        return r;
    PUT(segment->kvm.copying, true);
    return copy_all(segment);
}

/* ---- by a thread ---- */

void kvm_init(struct vmt_segment *segment)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&segment->kvm.wake, &attr);
    pthread_condattr_destroy(&attr);
}

/* Under the lock: is the thread that asks the one that is wanted? */
static bool wanted(const struct kvm_links *kvm)
{
    return kvm->has_copier && pthread_equal(kvm->copier, pthread_self());
}

/* Until the next beat after *beat_ns, which becomes that one; those that were missed are left out. False: the end. */
static bool wait_for_beat(struct vmt_segment *segment, uint64_t *beat_ns)
{
    struct kvm_links *kvm = &segment->kvm;
    uint64_t now_ns = shm_clock_ns(CLOCK_MONOTONIC);
    bool go_on;

    pthread_mutex_lock(&segment->lock);
    while (wanted(kvm) && now_ns - *beat_ns < kvm->interval_ns) {
        uint64_t due_ns = *beat_ns + kvm->interval_ns;
        struct timespec due = { .tv_sec = (time_t)(due_ns / 1000000000U), .tv_nsec = (long)(due_ns % 1000000000U) };

        pthread_cond_timedwait(&kvm->wake, &segment->lock, &due);
        now_ns = shm_clock_ns(CLOCK_MONOTONIC);
    }
    go_on = wanted(kvm);
    if (go_on)
        *beat_ns = now_ns - (now_ns - *beat_ns) % kvm->interval_ns;
    pthread_mutex_unlock(&segment->lock);
    return go_on;
}

static void *copier(void *argument)
{
    struct vmt_segment *segment = argument;
    uint64_t beat_ns = shm_clock_ns(CLOCK_MONOTONIC);

    prctl(PR_SET_NAME, "vmtally-kvm");
    while (wait_for_beat(segment, &beat_ns))
        copy_all(segment);
    return NULL;
}

/* Under the lock. */
static int start_copier(struct vmt_segment *segment)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&segment->kvm.copier, NULL, copier, segment);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    segment->kvm.has_copier = r == 0;
    return -r;
}

void kvm_stop_copier(struct vmt_segment *segment)
{
    struct kvm_links *kvm = &segment->kvm;
    pthread_t thread;
    bool was;
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&segment->lock);
    was = kvm->has_copier;
    thread = kvm->copier;
    kvm->has_copier = false;
    pthread_cond_broadcast(&kvm->wake);
    pthread_mutex_unlock(&segment->lock);
    if (was)
        pthread_join(thread, NULL);
    pthread_setcancelstate(state, NULL);
}

int vmt_kvm_sample_every(struct vmt_segment *segment, uint64_t interval_ns)
{
    int r = check(segment);

    if (r < 0)
        return r;
    if (interval_ns == 0) {
        PUT(segment->kvm.copying, false);
        kvm_stop_copier(segment);
        return 0;
    }
    if (interval_ns < INTERVAL_MIN_NS)
        return -EINVAL;
    if (segment->space.fixed)
        return -ENOTSUP;
    vmt_kvm_sample(segment); /* now: vmt_segment_ready() is to find the copies that an earlier writer left in use */
    pthread_mutex_lock(&segment->lock);
    segment->kvm.interval_ns = interval_ns < INT64_MAX ? interval_ns : INT64_MAX;
    if (segment->kvm.has_copier)
        pthread_cond_broadcast(&segment->kvm.wake);
    else
        r = start_copier(segment);
    pthread_mutex_unlock(&segment->lock);
    return r;
}
