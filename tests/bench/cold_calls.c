/* SPDX-License-Identifier: MIT */
/* For system_calls.sh: what a jailed VMM does while it runs. Each part lies between two system calls that mark it, a
 * write of its name and one of "end" to no file. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vmtally.h>
#include <vmtally/schemas.h>

#define TIMES 1000

static void mark(const char *what)
{
    ssize_t ignored = write(-1, what, strlen(what));

    (void)ignored;
}

int main(int argc, char **argv)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .fixed_bytes = 1 << 20 };
    struct vmt_segment *segment;
    struct vmt_source *vm, *vcpu, *disk;
    struct vmt_shard *shards[8], *shard;
    int bad = 0;
    int r;

    if (argc != 2) {
        fprintf(stderr, "usage: cold_calls EMPTY-FILE\n");
        return 2;
    }
    options.path = argv[1];
    r = vmt_segment_create(&options, &segment);
    if (r == 0)
        r = vmt_source_add(segment, &vmt_schema_vm, NULL, "vm", &vm);
    if (r == 0)
        r = vmt_source_add(segment, &vmt_schema_vcpu, vm, "vcpu-0", &vcpu);
    if (r < 0) {
        fprintf(stderr, "cold_calls: %s: %s\n", argv[1], strerror(-r));
        return 1;
    }

    mark("shards");
    for (int i = 0; i < TIMES; i++) {
        shard = vmt_shard_acquire(vcpu);
        bad |= shard == VMT_SCRATCH;
        vmt_add(shard, VMT_VCPU_EXITS, 1);
        vmt_shard_release(shard);
    }
    vmt_shards_acquire(vcpu, 8, shards);
    bad |= shards[7] == VMT_SCRATCH;
    vmt_shards_release(8, shards);
    mark("end");

    shard = vmt_shard_acquire(vcpu);
    mark("counting");
    for (uint64_t i = 0; i < TIMES; i++) {
        vmt_add(shard, VMT_VCPU_EXITS, 1);
        vmt_latency(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, i * 100);
        vmt_count(vcpu, VMT_VCPU_EXITS, 1);
    }
    mark("end");
    vmt_shard_release(shard);

    mark("sources");
    for (int i = 0; i < TIMES && r == 0; i++) {
        r = vmt_source_addf(segment, &vmt_schema_block, vm, &disk, "disk-%d", i);
        if (r < 0)
            break;
        shard = vmt_shard_acquire(disk);
        bad |= shard == VMT_SCRATCH;
        vmt_shard_release(shard);
        vmt_source_remove(disk);
    }
    mark("end");

    vmt_segment_close(segment);
    if (bad || r < 0)
        fprintf(stderr, "cold_calls: the segment's %d bytes do not do: %s\n", 1 << 20,
                bad ? "a shard is scratch" : strerror(-r));
    return bad || r < 0;
}
