/* SPDX-License-Identifier: MIT */
/* write DIR: makes DIR/abi-1.vmt, closes it and leaves it. The scenario of this folder, in C; write.cpp, write.py and
 * the program of tests/rust are the same in their languages, so same.py finds the same in all of them. fixed.vmt was
 * made by it; fixed.json says what must be read. Every number here is chosen for an edge: of 64 bits, of 53, of a
 * sign, of a bucket. */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally.h>

#define EVERYTHING(X)                                                                                                  \
    X(CUMULATIVE, ABI_CUMULATIVE, "cumulative", NONE, 1, 0, "Help of cumulative")                                      \
    X(INSTANT, ABI_INSTANT, "instant", BYTES, 1, 0, "Help of instant")                                                 \
    X(PEAK, ABI_PEAK, "peak", KIBIBYTES, 1, 0, "Help of peak")                                                         \
    X(MINIMUM, ABI_MINIMUM, "minimum", MEBIBYTES, 1, 0, "Help of minimum")                                             \
    X(BOOLEAN, ABI_BOOLEAN, "boolean", BOOL, 1, 0, "Help of boolean")                                                  \
    X(SIGNED_INSTANT, ABI_SIGNED_INSTANT, "signed_instant", SECONDS, 1, 0, "Help of signed_instant")                   \
    X(SIGNED_PEAK, ABI_SIGNED_PEAK, "signed_peak", MILLISECONDS, 1, 0, "Help of signed_peak")                          \
    X(SIGNED_MINIMUM, ABI_SIGNED_MINIMUM, "signed_minimum", MICROSECONDS, 1, 0, "Help of signed_minimum")              \
    X(INSTANT_MAX, ABI_INSTANT_MAX, "instant_max", NONE, 1, 0, "Help of instant_max")                                  \
    X(INSTANT_AVERAGE, ABI_INSTANT_AVERAGE, "instant_average", CYCLES, 1, 0, "Help of instant_average")                \
    X(INSTANT_COUNT_ZERO, ABI_INSTANT_COUNT_ZERO, "instant_count_zero", NONE, 1, 0, "Help of instant_count_zero")      \
    X(LINEAR, ABI_LINEAR, "linear", NONE, 10, 512, "Help of linear")                                                   \
    X(LOG, ABI_LOG, "log", BYTES, 24, 0, "Help of log")                                                                \
    X(LATENCY, ABI_LATENCY, "latency", NANOSECONDS, 32, 0, "Help of latency")
VMT_SCHEMA_ENUM(ABI, EVERYTHING)
VMT_SCHEMA_DEFINE(everything, "abi", "tests", "everything", ABI, EVERYTHING)

static struct vmt_source *add(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                              const char *id)
{
    struct vmt_source *source = NULL;
    int r = vmt_source_add(segment, schema, parent, id, &source);

    if (r < 0)
        errx(1, "add %s: %s", id, strerror(-r));
    return source;
}

static void count_vm(struct vmt_source *vm)
{
    struct vmt_shard *sh = vmt_shard_acquire(vm);

    vmt_set(sh, VMT_VM_VCPUS, 2);
    vmt_set(sh, VMT_VM_MEMORY_BYTES, UINT64_C(1) << 40);
    vmt_add(sh, VMT_VM_INTERRUPTS_TRIGGERS, (UINT64_C(1) << 63) + 1);
}

/* Two shards held at once; their sum is what readers show. */
static void count_vcpu(struct vmt_source *vcpu, uint64_t n)
{
    struct vmt_shard *first = vmt_shard_acquire(vcpu);
    struct vmt_shard *second = vmt_shard_acquire(vcpu);

    vmt_add(first, VMT_VCPU_EXITS, 1000 + n);
    vmt_latency(first, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 100);
    vmt_latency(first, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 1000);
    vmt_latency(first, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 100000);
    vmt_add(second, VMT_VCPU_EXITS, UINT64_C(1) << 62);
    vmt_add(second, VMT_VCPU_RUN_TIME, 12345);
}

static void count_all(struct vmt_source *all)
{
    static const uint64_t linear[] = { 0, 511, 512, 99999 };
    static const uint64_t logarithmic[] = { 0, 1, 2, 3, 4, UINT64_C(1) << 40 };
    static const uint64_t latency[] = { 10, 20, 3000 };
    struct vmt_shard *sh = vmt_shard_acquire(all);

    vmt_add(sh, ABI_CUMULATIVE, UINT64_MAX - 1);
    vmt_set(sh, ABI_INSTANT, 4096);
    vmt_peak(sh, ABI_PEAK, 7);
    vmt_peak(sh, ABI_PEAK, 5);
    vmt_minimum(sh, ABI_MINIMUM, 9);
    vmt_minimum(sh, ABI_MINIMUM, 11);
    vmt_set(sh, ABI_BOOLEAN, 1);
    vmt_set(sh, ABI_SIGNED_INSTANT, (uint64_t)INT64_C(-5));
    vmt_peak_signed(sh, ABI_SIGNED_PEAK, -3);
    vmt_peak_signed(sh, ABI_SIGNED_PEAK, -7);
    vmt_minimum_signed(sh, ABI_SIGNED_MINIMUM, -2);
    vmt_minimum_signed(sh, ABI_SIGNED_MINIMUM, -9);
    vmt_set(sh, ABI_INSTANT_MAX, 17);
    vmt_set(sh, ABI_INSTANT_AVERAGE, 6);
    vmt_set(sh, ABI_INSTANT_COUNT_ZERO, 0);
    for (size_t i = 0; i < sizeof(linear) / sizeof(linear[0]); i++)
        vmt_record(sh, ABI_LINEAR, linear[i]);
    for (size_t i = 0; i < sizeof(logarithmic) / sizeof(logarithmic[0]); i++)
        vmt_record(sh, ABI_LOG, logarithmic[i]);
    for (size_t i = 0; i < sizeof(latency) / sizeof(latency[0]); i++)
        vmt_latency(sh, ABI_LATENCY, ABI_LATENCY_BUCKETS, latency[i]);
    vmt_count(all, ABI_CUMULATIVE, 1); /* into the shared shard: 2^64 - 1 together */
}

/* Counts and goes: its parent keeps that. */
static void count_gone(struct vmt_source *gone)
{
    struct vmt_shard *sh = vmt_shard_acquire(gone);

    vmt_add(sh, ABI_CUMULATIVE, 41);
    vmt_latency(sh, ABI_LATENCY, ABI_LATENCY_BUCKETS, 77);
    vmt_count(gone, ABI_CUMULATIVE, 1);
    vmt_shard_release(sh);
    vmt_source_remove(gone);
}

int main(int argc, char **argv)
{
    static const char *const labels[] = { "rack=b7", "team=öl", NULL };
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "abi-1", .labels = labels };
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *vcpus[2], *all, *gone;
    int r;

    if (argc != 2)
        errx(2, "usage: write DIR");
    options.dir = argv[1];
    options.keep = 1;
    options.max_sources = 32; /* small, so that fixed.vmt is */
    options.max_bytes = 1 << 20;
    r = vmt_segment_create(&options, &segment);
    if (r < 0)
        errx(1, "%s/abi-1.vmt: %s", argv[1], strerror(-r));
    vm = add(segment, &vmt_schema_vm, NULL, "vm");
    vcpus[0] = add(segment, &vmt_schema_vcpu, vm, "vcpu-0");
    vcpus[1] = add(segment, &vmt_schema_vcpu, vm, "vcpu-1");
    all = add(segment, &everything, vm, "all");
    gone = add(segment, &everything, vm, "gone");
    count_vm(vm);
    count_vcpu(vcpus[0], 0);
    count_vcpu(vcpus[1], 1);
    count_all(all);
    count_gone(gone);
    vmt_segment_close(segment); /* with all shards but gone's still held: instants stay */
    return 0;
}
