/* SPDX-License-Identifier: MIT */
/* Shards change hands. That none of this makes a system call is shown by system_calls.sh. */
#include "bench.h"

#include <vmtally/schemas.h>

struct owner {
    struct vmt_source *source;
    struct vmt_shard *shards[8];
};

static void both(void *arg, uint64_t n)
{
    struct owner *o = arg;

    for (uint64_t i = 0; i < n; i++) {
        struct vmt_shard *shard = vmt_shard_acquire(o->source);

        BARRIER();
        vmt_shard_release(shard);
    }
}

static void both_thread(void *arg, uint64_t n)
{
    struct owner *o = arg;

    for (uint64_t i = 0; i < n; i++) {
        struct vmt_shard *shard = vmt_shard_acquire_thread(o->source);

        BARRIER();
        vmt_shard_release(shard);
    }
}

/* Eight at a time: one operation is still one shard acquired and released. */
static void eight(void *arg, uint64_t n)
{
    struct owner *o = arg;

    for (uint64_t i = 0; i < n; i += 8) {
        vmt_shards_acquire(o->source, 8, o->shards);
        BARRIER();
        vmt_shards_release(8, o->shards);
    }
}

void bench_shards(void)
{
    struct vmt_segment *jail = segment_new("jail", 1 << 20), *growing = segment_new("growing", 0);
    struct owner in_jail = { .source = source_new(jail, &vmt_schema_vcpu, NULL, "vcpu", 0) };
    struct owner at_large = { .source = source_new(growing, &vmt_schema_vcpu, NULL, "vcpu", 0) };
    struct way ways[] = {
        { .name = "acquire + release, jail mode", .run = both, .arg = &in_jail },
        { .name = "eight at once, each", .run = eight, .arg = &in_jail },
        { .name = "not in jail mode", .run = both, .arg = &at_large },
        { .name = "of a thread, not in jail mode", .run = both_thread, .arg = &at_large },
    };

    measure(ways, 4);
    heading("Shards: acquire and release");
    row_at_most_ns(&ways[0], 400);
    row_at_most_ns(&ways[1], 400);
    row(&ways[2]);
    row(&ways[3]);
    vmt_segment_close(jail);
    vmt_segment_close(growing);
}
