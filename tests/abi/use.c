/* SPDX-License-Identifier: MIT */
/* use.c: all that the public headers offer as macros and inline functions, in words common to gnu89 and C++20. */
#include <vmtally.h>
#include <vmtally/delta.h>
#include <vmtally/reader.h>

#define DISK_STATISTICS(X)                                                                                             \
    X(CUMULATIVE, DISK_READS, "reads", NONE, 1, 0, "Reads completed")                                                  \
    X(INSTANT, DISK_OPEN, "open", KIBIBYTES, 1, 0, "Memory of open requests")                                          \
    X(PEAK, DISK_DEPTH, "depth", NONE, 1, 0, "Deepest queue")                                                          \
    X(MINIMUM, DISK_FREE, "free", MEBIBYTES, 1, 0, "Least free space")                                                 \
    X(BOOLEAN, DISK_READY, "ready", NONE, 1, 0, "Is there")                                                            \
    X(SIGNED_INSTANT, DISK_DRIFT, "drift", MICROSECONDS, 1, 0, "Clock drift")                                          \
    X(SIGNED_PEAK, DISK_WARMEST, "warmest", NONE, 1, 0, "Highest temperature")                                         \
    X(SIGNED_MINIMUM, DISK_COLDEST, "coldest", NONE, 1, 0, "Lowest temperature")                                       \
    X(INSTANT_MAX, DISK_LOAD, "load", NONE, 1, 0, "Load of the busiest")                                               \
    X(INSTANT_AVERAGE, DISK_FILL, "fill", BYTES, 1, 0, "Mean filling")                                                 \
    X(INSTANT_COUNT_ZERO, DISK_BUSY, "busy", NONE, 1, 0, "How many are idle")                                          \
    X(LINEAR, DISK_BATCH, "batch_hist", NONE, 8, 4, "Requests of a batch")                                             \
    X(LOG, DISK_SIZES, "size_hist", BYTES, 24, 0, "Sizes of reads")                                                    \
    X(LATENCY, DISK_READ, "read", NANOSECONDS, 32, 0, "Time a read takes")
VMT_SCHEMA_ENUM(DISK, DISK_STATISTICS)
VMT_SCHEMA_DEFINE(disk_schema, "disk", "vmm", "block", DISK, DISK_STATISTICS)

void use(struct vmt_shard *sh, struct vmt_source *source);
void use(struct vmt_shard *sh, struct vmt_source *source)
{
    VMT_TIME(sh, DISK_READ);
    vmt_add(sh, DISK_READS, 1);
    vmt_set(sh, DISK_OPEN, 4);
    vmt_peak(sh, DISK_DEPTH, 3);
    vmt_minimum(sh, DISK_FREE, 7);
    vmt_peak_signed(sh, DISK_WARMEST, -1);
    vmt_minimum_signed(sh, DISK_COLDEST, -40);
    vmt_record(sh, DISK_BATCH, 5);
    vmt_record(sh, DISK_SIZES, 4096);
    vmt_begin(sh);
    vmt_add(VMT_SCRATCH, 0, 1);
    vmt_end(sh);
    vmt_count(source, DISK_READS, 1);
}
