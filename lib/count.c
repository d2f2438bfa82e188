/* SPDX-License-Identifier: MIT */
/* What of the hot path is not inline: scratch, the clock, rare events, the twins. */
#include <vmtally/count.h>

#include "lib/writer.h"
#include "shm/clock.h"

static_assert(offsetof(struct shm_shard, begun) == VMT_BEGUN_ * 8, "hot path");
static_assert(offsetof(struct shm_shard, ended) == VMT_ENDED_ * 8, "hot path");
static_assert(sizeof(struct shm_shard) == offsetof(struct vmt_shard, value_), "hot path");

/* As large as the largest schema, so that no slot lies outside. */
uint64_t vmt_scratch[16 + VMT_SLOTS_MAX] __attribute__((aligned(SHM_GRANULE)));

uint64_t vmt_clock_ns(void) { return shm_clock_ns(CLOCK_MONOTONIC); }

void vmt_count(struct vmt_source *source, uint32_t slot, uint64_t n)
{
    if (!source)
        return;
    /* Readers leave a shared shard out until it is used. Before the count (x86: by program order; elsewhere by the
     * release below), so that who looks after the count looks here. */
    if (!(GET(source->entry->flags) & SHM_ENTRY_SHARED_USED))
        PUT(source->entry->flags, SHM_ENTRY_SHARED_USED);
    __atomic_fetch_add(vmt_at_((struct vmt_shard *)(void *)source->shared, slot), n, __ATOMIC_RELEASE);
}

void vmt_add_ext(struct vmt_shard *sh, uint32_t slot, uint64_t n) { vmt_add(sh, slot, n); }

void vmt_set_ext(struct vmt_shard *sh, uint32_t slot, uint64_t value) { vmt_set(sh, slot, value); }

void vmt_peak_ext(struct vmt_shard *sh, uint32_t slot, uint64_t value) { vmt_peak(sh, slot, value); }

void vmt_minimum_ext(struct vmt_shard *sh, uint32_t slot, uint64_t value) { vmt_minimum(sh, slot, value); }

void vmt_peak_signed_ext(struct vmt_shard *sh, uint32_t slot, int64_t value) { vmt_peak_signed(sh, slot, value); }

void vmt_minimum_signed_ext(struct vmt_shard *sh, uint32_t slot, int64_t value) { vmt_minimum_signed(sh, slot, value); }

void vmt_record_log_ext(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint64_t value)
{
    vmt_record_log(sh, slot, buckets, value);
}

void vmt_record_linear_ext(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint32_t bucket_size, uint64_t value)
{
    vmt_record_linear(sh, slot, buckets, bucket_size, value);
}

void vmt_begin_ext(struct vmt_shard *sh) { vmt_begin(sh); }

void vmt_end_ext(struct vmt_shard *sh) { vmt_end(sh); }

void vmt_latency_ext(struct vmt_shard *sh, uint32_t slot, uint32_t buckets, uint64_t value)
{
    vmt_latency(sh, slot, buckets, value);
}
