/* SPDX-License-Identifier: MIT */
/* vmtally/count.h: the hot path. Everything here is for one writer at a time per shard, never fails, never makes a
 * system call (the timer reads CLOCK_MONOTONIC through the vDSO) and may be called from a signal handler that
 * interrupts the shard's own writer. A shard is never NULL: before there is a segment it is VMT_SCRATCH.
 *
 * slot is not checked: it is a constant of the schema with which the shard's source was added.
 * Every inline function NAME that counts has an out-of-line twin NAME_ext, for bindings.
 */
#ifndef VMTALLY_COUNT_H
#define VMTALLY_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__SANITIZE_THREAD__)
#define VMT_TSAN_ 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VMT_TSAN_ 1
#endif
#endif
#if defined(__x86_64__) && !defined(VMT_TSAN_)
#define VMT_X86_ 1 /* ThreadSanitizer does not see into asm: it gets the portable twin */
#endif

struct vmt_source; /* a thing that has values; segment.h */

/* The values of one source as written by one execution context. Lives in the segment. */
struct vmt_shard {
    uint64_t header_[16];
    uint64_t value_[1]; /* as many as the schema has slots */
};

/* Private memory that any number of threads may count into; nobody reads it. A static initialiser. */
extern uint64_t vmt_scratch[16 + VMT_SLOTS_MAX];
#define VMT_SCRATCH ((struct vmt_shard *)(void *)vmt_scratch)

#define VMT_BEGUN_ 14
#define VMT_ENDED_ 15

static __inline__ uint64_t *vmt_at_(struct vmt_shard *sh, uint32_t slot) { return (uint64_t *)(void *)sh + 16 + slot; }

/* One instruction, on memory that one context writes and others read. x86-64: add without lock prefix, whole for
 * its own CPU, so a signal handler can't split it. Elsewhere a relaxed atomic add (stadd with LSE). */
static __inline__ void vmt_add_at_(uint64_t *p, uint64_t n)
{
#ifdef VMT_X86_
    __asm__ __volatile__("addq %1, %0" : "+m"(*p) : "er"(n) : "cc");
#else
    (void)__atomic_fetch_add(p, n, __ATOMIC_RELAXED);
#endif
}

/* Replace the value if it is still *seen; 1 when done, else 0 and *seen is what was there. Unlocked on x86-64:
 * only handlers on the writer's own thread can come between. */
static __inline__ int vmt_replace_at_(uint64_t *p, uint64_t *seen, uint64_t n)
{
#ifdef VMT_X86_
    unsigned char done;

    __asm__ __volatile__("cmpxchgq %3, %1\n\tsete %0" : "=q"(done), "+m"(*p), "+a"(*seen) : "r"(n) : "cc");
    return done;
#else
    return __atomic_compare_exchange_n(p, seen, n, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
#endif
}

/* Add n to a cumulative slot, or (n may be negative, as uint64_t) to an instant that is a sum. */
static __inline__ void vmt_add(struct vmt_shard *sh, uint32_t slot, uint64_t n) { vmt_add_at_(vmt_at_(sh, slot), n); }

/* Set an instant. Where several shards of a source set the same slot, readers show the sum. */
static __inline__ void vmt_set(struct vmt_shard *sh, uint32_t slot, uint64_t value)
{
    __atomic_store_n(vmt_at_(sh, slot), value, __ATOMIC_RELAXED);
}

/* Raise a peak to value, if that is higher. Unsigned. */
static __inline__ void vmt_peak(struct vmt_shard *sh, uint32_t slot, uint64_t value)
{
    uint64_t seen = __atomic_load_n(vmt_at_(sh, slot), __ATOMIC_RELAXED);

    while (seen < value && !vmt_replace_at_(vmt_at_(sh, slot), &seen, value)) {
    }
}

/* Lower a minimum to value, if that is lower. Unsigned. */
static __inline__ void vmt_minimum(struct vmt_shard *sh, uint32_t slot, uint64_t value)
{
    uint64_t seen = __atomic_load_n(vmt_at_(sh, slot), __ATOMIC_RELAXED);

    while (seen > value && !vmt_replace_at_(vmt_at_(sh, slot), &seen, value)) {
    }
}

/* The same for slots declared signed. */
static __inline__ void vmt_peak_signed(struct vmt_shard *sh, uint32_t slot, int64_t value)
{
    uint64_t seen = __atomic_load_n(vmt_at_(sh, slot), __ATOMIC_RELAXED);

    while ((int64_t)seen < value && !vmt_replace_at_(vmt_at_(sh, slot), &seen, (uint64_t)value)) {
    }
}

static __inline__ void vmt_minimum_signed(struct vmt_shard *sh, uint32_t slot, int64_t value)
{
    uint64_t seen = __atomic_load_n(vmt_at_(sh, slot), __ATOMIC_RELAXED);

    while ((int64_t)seen > value && !vmt_replace_at_(vmt_at_(sh, slot), &seen, (uint64_t)value)) {
    }
}

/* The bucket of value: virt/kvm and include/linux/kvm_host.h (kvm_stats_linear_hist_update, ..._log_hist_update). */
static __inline__ uint32_t vmt_bucket_log(uint64_t value, uint32_t buckets)
{
    uint32_t i;
#ifdef VMT_X86_
    int64_t highest = -1;

    /* As the kernel's own fls64: bsr leaves the register alone where value is 0 (so AMD's manual; Intel's CPUs,
     * too). */
    __asm__("bsrq %1, %0" : "+r"(highest) : "rm"(value) : "cc");
    i = (uint32_t)(highest + 1);
#else
    i = value ? 64U - (uint32_t)__builtin_clzll(value) : 0;
#endif
    return i < buckets - 1 ? i : buckets - 1;
}

static __inline__ uint32_t vmt_bucket_linear(uint64_t value, uint32_t buckets, uint32_t bucket_size)
{
    uint64_t i = value / bucket_size;

    return i < buckets - 1 ? (uint32_t)i : buckets - 1;
}

/* Count value in a logarithmic histogram of that many buckets at slot. buckets > 0. */
static __inline__ void vmt_record_log(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint64_t value)
{
    vmt_add(sh, slot + vmt_bucket_log(value, buckets), 1);
}

/* Count value in a linear histogram. buckets > 0, bucket_size > 0. */
static __inline__ void vmt_record_linear(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint32_t bucket_size,
                                         uint64_t value)
{
    vmt_add(sh, slot + vmt_bucket_linear(value, buckets, bucket_size), 1);
}

/* Count value in the histogram ID of a schema made by the list macros, whichever kind it is. */
#define vmt_record(sh, ID, value)                                                                                      \
    ((int)(ID##_BUCKET_SIZE) != 0 ? vmt_record_linear((sh), (ID), (uint32_t)(ID##_BUCKETS),                            \
                                                      (ID##_BUCKET_SIZE) ? (uint32_t)(ID##_BUCKET_SIZE) : 1U, (value)) \
                                  : vmt_record_log((sh), (ID), (uint32_t)(ID##_BUCKETS), (value)))

/* What changes between these two is seen by readers all or not at all, or flagged. Two plain adds. May nest in
 * signal handlers. Nothing in between may leave by return, longjmp, exception or cancellation. */
static __inline__ void vmt_begin(struct vmt_shard *sh)
{
    vmt_add_at_((uint64_t *)(void *)sh + VMT_BEGUN_, 1);
    /* Release: pairs with the acquire fence of the reader between values and begun. A compiler barrier on x86. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static __inline__ void vmt_end(struct vmt_shard *sh)
{
    /* Release: pairs with the reader's acquire load of ended, before the values. */
#ifdef VMT_X86_
    __atomic_thread_fence(__ATOMIC_RELEASE);
    vmt_add_at_((uint64_t *)(void *)sh + VMT_ENDED_, 1);
#else
    (void)__atomic_fetch_add((uint64_t *)(void *)sh + VMT_ENDED_, 1, __ATOMIC_RELEASE);
#endif
}

/* One latency of value (nanoseconds, if the schema says so) into the five statistics of a LATENCY row, as a group. */
static __inline__ void vmt_latency(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint64_t value)
{
    vmt_begin(sh);
    vmt_add(sh, slot, 1);
    vmt_add(sh, slot + 1, value);
    vmt_minimum(sh, slot + 2, value);
    vmt_peak(sh, slot + 3, value);
    vmt_record_log(sh, slot + 4, buckets, value);
    vmt_end(sh);
}

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t vmt_clock_ns(void);

struct vmt_timer {
    struct vmt_shard *shard;
    uint32_t slot;
    uint32_t buckets;
    uint64_t start_ns;
};

static __inline__ struct vmt_timer vmt_timer_start(struct vmt_shard *sh, uint32_t slot, uint32_t buckets)
{
    struct vmt_timer t;

    t.shard = sh;
    t.slot = slot;
    t.buckets = buckets;
    t.start_ns = vmt_clock_ns();
    return t;
}

static __inline__ void vmt_timer_stop(struct vmt_timer *t)
{
    vmt_latency(t->shard, t->slot, t->buckets, vmt_clock_ns() - t->start_ns);
}

/* Time the rest of the enclosing scope into the LATENCY row ID. The group is opened only at the end of the scope,
 * so the body may return, be cancelled, throw (all three counted where clean-ups run) or longjmp (not counted). */
#define VMT_TIME(sh, ID)                                                                                               \
    struct vmt_timer VMT_PASTE_(vmt_timer_, __LINE__) __attribute__((cleanup(vmt_timer_stop), unused)) =               \
        vmt_timer_start((sh), (ID), (uint32_t)(ID##_BUCKETS))
#define VMT_PASTE_(a, b) VMT_PASTE2_(a, b)
#define VMT_PASTE2_(a, b) a##b

/* A rare event, from any thread and any signal handler at any time: one locked add into the source's shared shard.
 * source may be NULL (nothing is counted). Never mixed with vmt_add on one shard. source must not be removed yet. */
void vmt_count(struct vmt_source *source, uint32_t slot, uint64_t n);

/* The twins. */
void vmt_add_ext(struct vmt_shard *sh, uint32_t slot, uint64_t n);
void vmt_set_ext(struct vmt_shard *sh, uint32_t slot, uint64_t value);
void vmt_peak_ext(struct vmt_shard *sh, uint32_t slot, uint64_t value);
void vmt_minimum_ext(struct vmt_shard *sh, uint32_t slot, uint64_t value);
void vmt_peak_signed_ext(struct vmt_shard *sh, uint32_t slot, int64_t value);
void vmt_minimum_signed_ext(struct vmt_shard *sh, uint32_t slot, int64_t value);
void vmt_record_log_ext(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint64_t value);
void vmt_record_linear_ext(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint32_t bucket_size, uint64_t value);
void vmt_begin_ext(struct vmt_shard *sh);
void vmt_end_ext(struct vmt_shard *sh);
void vmt_latency_ext(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint64_t value);

#ifdef __cplusplus
}
#endif

#endif
