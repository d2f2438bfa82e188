/* SPDX-License-Identifier: MIT */
/* What kvmtop's measures promise: the same few numbers of whichever schemas, of sources, totals and shards. */
#include "parts.h"

#include <math.h>

#include <vmtally/schemas.h>

#include "cli/top/measures.h"
#include "cli/sampler.h"

TestSuite(measures, .init = test_dir_init, .fini = test_dir_fini);

/* ---- beats, with the measures of all that there is ---- */

#define ROWS_MAX 64

/* A source ("" for the VM as a whole), or a shard of it. */
struct row {
    char id[64];
    int shard; /* its number, -1: the source */
    double seconds;
    struct measures measures;
};

struct host {
    struct sampler *sampler;
    struct measure_plans plans;
    struct row rows[ROWS_MAX];
    size_t count;
};

static int add_row(struct host *h, const struct sample_vm *vm, size_t i, int shard)
{
    const struct vmt_sample *sample = vmt_snapshot_source(vm->snapshot, i);
    uint64_t epoch = sampler_epoch(h->sampler);
    struct row *row = &h->rows[h->count];

    if (h->count == ROWS_MAX)
        return -ENOSPC;
    h->count++;
    snprintf(row->id, sizeof(row->id), "%s", sample->id);
    row->shard = shard;
    row->seconds = vmt_delta_seconds(vm->delta);
    return shard < 0 ? measures_take(&row->measures, &h->plans, epoch, vm, i)
                     : measures_take_shard(&row->measures, &h->plans, epoch, vm, i, (uint32_t)shard);
}

static int observe(void *arg, const struct sample_set *set, const struct sample_vm *vm)
{
    struct host *h = arg;
    int r = 0;

    (void)set;
    for (size_t i = 0; r == 0 && i < vmt_snapshot_count(vm->snapshot); i++) {
        uint32_t shards = vmt_snapshot_source(vm->snapshot, i)->shard_count;

        r = add_row(h, vm, i, -1);
        for (uint32_t k = 0; r == 0 && k < shards; k++)
            r = add_row(h, vm, i, (int)k);
    }
    return r;
}

static void host_take(struct host *h)
{
    nap_us(2000);
    h->count = 0;
    cr_assert_eq(sampler_take(h->sampler, observe, h), 0);
}

static void host_init(struct host *h)
{
    memset(h, 0, sizeof(*h));
    cr_assert_eq(sampler_new(NULL, NULL, NULL, 0, &h->sampler), 0);
}

static void host_focus(struct host *h)
{
    cr_assert_eq(sampler_focus(h->sampler, &sampler_set(h->sampler)->vms[0].id, 1), 0);
}

static void host_free(struct host *h)
{
    measure_plans_free(&h->plans);
    sampler_free(h->sampler);
}

static const struct row *row_of(const struct host *h, const char *id, int shard)
{
    for (size_t i = 0; i < h->count; i++) {
        if (!strcmp(h->rows[i].id, id) && h->rows[i].shard == shard)
            return &h->rows[i];
    }
    cr_assert_fail("no row '%s' %d", id, shard);
    return NULL;
}

static const struct measures *of(const struct host *h, const char *id) { return &row_of(h, id, -1)->measures; }

/* What a rate says was counted since the beat before. */
static double counted(const struct host *h, double rate) { return rate * h->rows[0].seconds; }

static int is_none(const struct measures *m)
{
    return isnan(m->exits) && isnan(m->run) && isnan(m->bytes) && isnan(m->ops) && !m->latency && !m->top[0].name[0] &&
           !m->active[0];
}

/* ---- of sources ---- */

Test(measures, rates_say_what_was_counted_since_the_beat_before)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_source *disk = add_source(segment, &vmt_schema_block, NULL, "disk");
    struct vmt_shard *shard = vmt_shard_acquire(vcpu);
    const struct measures *m;
    struct host h;

    vmt_add(shard, VMT_VCPU_EXITS, 123456);
    host_init(&h);
    host_take(&h);
    cr_expect(is_none(of(&h, "")), "one beat has no rates");
    cr_expect_eq(of(&h, "")->vcpus, 1);
    vmt_add(shard, VMT_VCPU_EXITS, 1000);
    vmt_add(shard, VMT_VCPU_EXIT_HLT, 200);
    vmt_add(shard, VMT_VCPU_EXIT_MMIO_READ, 50);
    vmt_add(shard, VMT_VCPU_EXIT_IO_OUT, 700);
    vmt_add(shard, VMT_VCPU_RUN_TIME, 50000000);
    for (int i = 0; i < 98; i++)
        vmt_latency(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 1000);
    vmt_latency(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 5000);
    vmt_latency(shard, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 100000);
    vmt_count(disk, VMT_BLOCK_READ_BYTES, 4096);
    vmt_count(disk, VMT_BLOCK_WRITE_BYTES, 8192);
    vmt_count(disk, VMT_BLOCK_READ_COUNT, 1);
    vmt_count(disk, VMT_BLOCK_WRITE_COUNT, 2);
    host_take(&h);
    m = of(&h, "");
    cr_expect_float_eq(counted(&h, m->exits), 1000, 0.01);
    cr_expect_str_eq(m->top[0].name, "io_out");
    cr_expect_float_eq(m->top[0].share, 0.7, 0.001);
    cr_expect_str_eq(m->top[1].name, "hlt");
    cr_expect_float_eq(m->top[1].share, 0.2, 0.001);
    cr_expect_float_eq(counted(&h, m->run), 0.05, 0.00001);
    cr_expect_float_eq(counted(&h, m->bytes), 12288, 0.1);
    cr_expect_float_eq(counted(&h, m->ops), 3, 0.001);
    cr_assert(m->latency);
    cr_expect_float_eq(m->p50.low, 512e-9, 1e-15, "in seconds");
    cr_expect_float_eq(m->p50.high, 1024e-9, 1e-15);
    cr_expect_float_eq(m->p99.low, 4096e-9, 1e-15);
    cr_expect_float_eq(m->p99.high, 8192e-9, 1e-15);
    cr_expect_str_eq(m->active, "");
    cr_expect(isnan(of(&h, "disk")->exits));
    cr_expect_str_eq(of(&h, "disk")->top[0].name, "");
    cr_expect_float_eq(counted(&h, of(&h, "disk")->bytes), 12288, 0.1);
    cr_expect(isnan(of(&h, "vcpu-0")->bytes));
    cr_expect_float_eq(counted(&h, of(&h, "vcpu-0")->exits), 1000, 0.01);
    host_take(&h);
    m = of(&h, "");
    cr_expect_float_eq(m->exits, 0, 0, "nothing happened, and that is known");
    cr_expect_str_eq(m->top[0].name, "", "nor had it a reason");
    cr_expect_not(m->latency, "nothing was recorded");
    vmt_shard_release(shard);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(measures, an_unplugged_vcpu_leaves_its_counts_to_the_vm)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *a = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_source *b = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-1");
    struct host h;

    vmt_count(a, VMT_VCPU_EXITS, 1000);
    vmt_count(b, VMT_VCPU_EXITS, 5000);
    host_init(&h);
    host_take(&h);
    cr_expect_eq(of(&h, "")->vcpus, 2);
    vmt_count(a, VMT_VCPU_EXITS, 10);
    vmt_count(b, VMT_VCPU_EXITS, 20);
    vmt_source_remove(b);
    host_take(&h);
    cr_expect_float_eq(counted(&h, of(&h, "")->exits), 30, 0.01);
    cr_expect_float_eq(counted(&h, of(&h, "vcpu-0")->exits), 10, 0.01);
    cr_expect_eq(of(&h, "")->vcpus, 1);
    host_free(&h);
    vmt_segment_close(segment);
}

/* The kernel's view of a vCPU. */
#define KERNEL_STATISTICS(X)                                                                                           \
    X(CUMULATIVE, K_EXITS, "exits", NONE, 1, 0, "Exits")                                                               \
    X(CUMULATIVE, K_HALT, "halt_exits", NONE, 1, 0, "Exits to wait")                                                   \
    X(CUMULATIVE, K_IO, "io_exits", NONE, 1, 0, "Exits for ports")                                                     \
    X(CUMULATIVE, K_NANOSECONDS, "time_exits", NANOSECONDS, 1, 0, "No reason: a time")
VMT_SCHEMA_ENUM(K, KERNEL_STATISTICS)
VMT_SCHEMA_DEFINE(kernel_schema, "kvm_vcpu", "kvm", "vcpu", K, KERNEL_STATISTICS)

Test(measures, exits_that_the_kernel_and_the_vmm_both_count_are_not_added_up)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *vmm[2] = { add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0"),
                                  add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-1") };
    struct vmt_source *kernel[2] = { add_source(segment, &kernel_schema, NULL, "kvm-0"),
                                     add_source(segment, &kernel_schema, NULL, "kvm-1") };
    const struct measures *m;
    struct host h;

    host_init(&h);
    host_take(&h);
    cr_expect_eq(of(&h, "")->vcpus, 2, "nor are there more vCPUs");
    for (int i = 0; i < 2; i++) {
        vmt_count(vmm[i], VMT_VCPU_EXITS, 100);
        vmt_count(vmm[i], VMT_VCPU_EXIT_IO_OUT, 100);
        vmt_count(kernel[i], K_EXITS, 500);
        vmt_count(kernel[i], K_HALT, 60);
        vmt_count(kernel[i], K_IO, 40);
        vmt_count(kernel[i], K_NANOSECONDS, 1000000);
    }
    host_take(&h);
    m = of(&h, "");
    cr_expect_float_eq(counted(&h, m->exits), 1000, 0.01, "the kernel sees more of them");
    cr_expect_str_eq(m->top[0].name, "halt");
    cr_expect_float_eq(m->top[0].share, 0.12, 0.0001);
    cr_expect_str_eq(m->top[1].name, "io");
    cr_expect_float_eq(counted(&h, of(&h, "vcpu-0")->exits), 100, 0.01);
    vmt_count(vmm[0], VMT_VCPU_EXITS, 70);
    vmt_count(vmm[0], VMT_VCPU_EXIT_HLT, 7);
    host_take(&h);
    m = of(&h, "");
    cr_expect_float_eq(counted(&h, m->exits), 70, 0.01, "whoever counted more of them");
    cr_expect_str_eq(m->top[0].name, "hlt");
    cr_expect_float_eq(m->top[0].share, 0.1, 0.0001);
    host_free(&h);
    vmt_segment_close(segment);
}

#define OTHER_STATISTICS(X) X(CUMULATIVE, O_EXITS, "exits", NONE, 1, 0, "Exits of no vCPU")
VMT_SCHEMA_ENUM(O, OTHER_STATISTICS)
VMT_SCHEMA_DEFINE(other_schema, "other", "test", "guest", O, OTHER_STATISTICS)
VMT_SCHEMA_DEFINE(vcpu_too_schema, "vcpu_too", "vmm", "vcpu", O, OTHER_STATISTICS)

Test(measures, exits_of_different_things_are_added_up)
{
    struct vmt_segment *segment = new_segment("web");
    struct host h;

    host_init(&h);
    add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    host_take(&h);
    vmt_count(add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-1"), VMT_VCPU_EXITS, 1);
    vmt_count(add_source(segment, &vcpu_too_schema, NULL, "vcpu-2"), O_EXITS, 20);
    vmt_count(add_source(segment, &other_schema, NULL, "guest-0"), O_EXITS, 300);
    host_take(&h);
    cr_expect_float_eq(counted(&h, of(&h, "")->exits), 321, 0.01, "what is new has counted since it is there");
    host_free(&h);
    vmt_segment_close(segment);
}

#define ODD_STATISTICS(X)                                                                                              \
    X(CUMULATIVE, ODD_QUIET, "quiet", NONE, 1, 0, "Never counted")                                                     \
    X(CUMULATIVE, ODD_FRAMES, "frames", NONE, 1, 0, "Frames drawn")                                                    \
    X(CUMULATIVE, ODD_PIXELS, "pixel_bytes", BYTES, 1, 0, "Bytes of pixels")                                           \
    X(CUMULATIVE, ODD_LINES, "lines", NONE, 1, 0, "Lines drawn")                                                       \
    X(INSTANT, ODD_LEVEL, "level", NONE, 1, 0, "Level")                                                                \
    X(MINIMUM, ODD_LEAST, "least", NANOSECONDS, 1, 0, "Least time")
VMT_SCHEMA_ENUM(ODD, ODD_STATISTICS)
VMT_SCHEMA_DEFINE(odd_schema, "odd", "test", "gpu", ODD, ODD_STATISTICS)

Test(measures, an_unknown_schema_shows_its_most_active_counters)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *gpu = add_source(segment, &odd_schema, NULL, "gpu");
    struct vmt_shard *shard = vmt_shard_acquire(gpu);
    const char *active, *frames, *lines, *pixels;
    struct host h;

    host_init(&h);
    host_take(&h);
    cr_expect_str_eq(of(&h, "gpu")->active, "");
    vmt_add(shard, ODD_FRAMES, 60);
    vmt_add(shard, ODD_PIXELS, 1 << 20);
    vmt_add(shard, ODD_LINES, 600);
    vmt_set(shard, ODD_LEVEL, 1000000);
    host_take(&h);
    active = of(&h, "gpu")->active;
    lines = strstr(active, "lines ");
    frames = strstr(active, "frames ");
    pixels = strstr(active, "pixel_bytes ");
    cr_expect(lines == active && lines < frames && frames < pixels, "events first, the most of them: %s", active);
    cr_expect_null(strstr(active, "quiet"), "%s", active);
    cr_expect_null(strstr(active, "le"), "%s", active);
    cr_expect_str_eq(of(&h, "")->active, active, "the VM has it from below");
    vmt_count(add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0"), VMT_VCPU_EXITS, 1);
    vmt_add(shard, ODD_FRAMES, 60);
    host_take(&h);
    cr_expect_str_eq(of(&h, "")->active, "", "there are exits to show instead");
    cr_expect_str_neq(of(&h, "gpu")->active, "");
    vmt_shard_release(shard);
    host_free(&h);
    vmt_segment_close(segment);
}

/* ---- latencies ---- */

#define TIMES_STATISTICS(X)                                                                                            \
    X(LOG, TIMES_SIZES, "sizes", BYTES, 8, 0, "No latency: bytes")                                                     \
    X(LOG, TIMES_SLOW, "slow", MICROSECONDS, 8, 0, "A latency")                                                        \
    X(LOG, TIMES_SLOWER, "slower", MICROSECONDS, 8, 0, "Another one, with the same buckets")                           \
    X(LINEAR, TIMES_ODD, "odd", MILLISECONDS, 4, 100, "And one with others")
VMT_SCHEMA_ENUM(TIMES, TIMES_STATISTICS)
VMT_SCHEMA_DEFINE(times_schema, "times", "test", "times", TIMES, TIMES_STATISTICS)

Test(measures, latencies_are_histograms_of_seconds_added_up_where_buckets_agree)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_shard *shard = vmt_shard_acquire(add_source(segment, &times_schema, NULL, "times"));
    struct vmt_shard *vcpu;
    const struct measures *m;
    struct host h;

    host_init(&h);
    host_take(&h);
    vmt_add(shard, TIMES_SIZES + 1, 1000);
    host_take(&h);
    cr_expect_not(of(&h, "times")->latency, "bytes are no latency");
    vmt_add(shard, TIMES_SLOW + 2, 30); /* 2 to 4 us */
    vmt_add(shard, TIMES_SLOWER + 4, 70);
    vmt_add(shard, TIMES_ODD + 1, 100000);
    host_take(&h);
    m = of(&h, "times");
    cr_assert(m->latency);
    cr_expect_float_eq(m->p50.low, 8e-6, 1e-12, "the median is among the 70");
    cr_expect_float_eq(m->p50.high, 16e-6, 1e-12);
    vmt_add(shard, TIMES_SLOW + 7, 1);
    host_take(&h);
    m = of(&h, "times");
    cr_expect_float_eq(m->p99.low, 64e-6, 1e-12);
    cr_expect_eq(m->p99.high, INFINITY, "the last bucket is open");
    vcpu = vmt_shard_acquire(add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0"));
    vmt_latency(vcpu, VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 1000);
    vmt_latency(vcpu, VMT_VCPU_EXIT_IO_IN_AGG, VMT_VCPU_EXIT_IO_IN_AGG_BUCKETS, 1000000);
    vmt_latency(vcpu, VMT_VCPU_EXIT_IO_IN_AGG, VMT_VCPU_EXIT_IO_IN_AGG_BUCKETS, 1000000);
    vmt_add(shard, TIMES_SLOW + 7, 1000);
    host_take(&h);
    m = of(&h, "");
    cr_assert(m->latency);
    cr_expect_float_eq(m->p99.high, 1024e-9, 1e-15, "I/O as a whole, alone, where that is counted");
    vmt_shard_release(shard);
    vmt_shard_release(vcpu);
    host_free(&h);
    vmt_segment_close(segment);
}

/* ---- shards ---- */

/* Exits that a shard of vcpu-0 counted since the beat before, by who holds it; NAN: not known. */
static double shard_exits(const struct host *h, uint32_t held, double least, double most)
{
    const struct vmt_sample *vcpu = vmt_snapshot_find(sampler_set(h->sampler)->vms[0].snapshot, "vcpu-0");

    for (uint32_t k = 0; k < vcpu->shard_count; k++) {
        double value = (double)vcpu->shards[k].values[VMT_VCPU_EXITS];

        if (vcpu->shards[k].held == held && value >= least && value <= most)
            return counted(h, row_of(h, "vcpu-0", (int)k)->measures.exits);
    }
    cr_assert_fail("no such shard");
    return NAN;
}

Test(measures, a_shard_has_its_own_rates_in_focus)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_shard *shards[3] = { vmt_shard_acquire(vcpu), vmt_shard_acquire(vcpu) };
    const struct measures *m;
    struct host h;

    vmt_add(shards[0], VMT_VCPU_EXITS, 10000);
    vmt_add(shards[1], VMT_VCPU_EXITS, 20000);
    host_init(&h);
    host_take(&h);
    host_focus(&h);
    host_take(&h);
    cr_expect(is_none(&row_of(&h, "vcpu-0", 0)->measures), "they were not kept before");
    vmt_add(shards[0], VMT_VCPU_EXITS, 10);
    vmt_add(shards[1], VMT_VCPU_EXITS, 30);
    host_take(&h);
    cr_expect_float_eq(shard_exits(&h, 1, 10000, 19999), 10, 0.01);
    cr_expect_float_eq(shard_exits(&h, 1, 20000, 29999), 30, 0.01);
    /* One comes behind the others, the shared one before them. */
    shards[2] = vmt_shard_acquire(vcpu);
    vmt_add(shards[2], VMT_VCPU_EXITS, 30000);
    vmt_count(vcpu, VMT_VCPU_EXITS, 40000);
    vmt_add(shards[0], VMT_VCPU_EXITS, 100);
    vmt_add(shards[1], VMT_VCPU_EXITS, 300);
    host_take(&h);
    cr_expect_float_eq(shard_exits(&h, 1, 10000, 19999), 100, 0.01);
    cr_expect_float_eq(shard_exits(&h, 1, 20000, 29999), 300, 0.01);
    cr_expect(isnan(shard_exits(&h, 1, 30000, 39999)), "it was not there before");
    cr_expect(isnan(shard_exits(&h, 2, 40000, 49999)));
    cr_expect_float_eq(counted(&h, of(&h, "vcpu-0")->exits), 70400, 1);
    vmt_add(shards[2], VMT_VCPU_EXITS, 5);
    vmt_add(shards[2], VMT_VCPU_EXIT_HLT, 4);
    vmt_add(shards[2], VMT_VCPU_EXIT_IO_IN, 1);
    vmt_add(shards[2], VMT_VCPU_RUN_TIME, 1000);
    vmt_latency(shards[2], VMT_VCPU_IO_LATENCY, VMT_VCPU_IO_LATENCY_BUCKETS, 1000);
    vmt_count(vcpu, VMT_VCPU_EXITS, 7);
    host_take(&h);
    cr_expect_float_eq(shard_exits(&h, 1, 10000, 19999), 0, 0);
    cr_expect_float_eq(shard_exits(&h, 1, 30000, 39999), 5, 0.01);
    cr_expect_float_eq(shard_exits(&h, 2, 40000, 49999), 7, 0.01);
    m = &row_of(&h, "vcpu-0", 3)->measures;
    cr_expect_str_eq(m->top[0].name, "hlt");
    cr_expect_float_eq(m->top[0].share, 0.8, 0.001);
    cr_expect_str_eq(m->top[1].name, "io_in");
    cr_expect_float_eq(counted(&h, m->run), 1e-6, 1e-9);
    cr_expect(m->latency);
    cr_expect_float_eq(m->p50.high, 1024e-9, 1e-15);
    cr_expect_eq(m->vcpus, 0);
    cr_expect_not(row_of(&h, "vcpu-0", 1)->measures.latency);
    for (int k = 0; k < 3; k++)
        vmt_shard_release(shards[k]);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(measures, a_shard_of_another_source_of_that_name_is_not_compared)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
    struct vmt_shard *shard = vmt_shard_acquire(vcpu);
    struct host h;

    host_init(&h);
    host_take(&h);
    host_focus(&h);
    vmt_add(shard, VMT_VCPU_EXITS, 10);
    host_take(&h);
    for (int i = 0; i < 64; i++) { /* by then its entry and its memory have been taken again */
        vmt_shard_release(shard);
        vmt_source_remove(vcpu);
        vcpu = add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0");
        shard = vmt_shard_acquire(vcpu);
    }
    vmt_add(shard, VMT_VCPU_EXITS, 70);
    host_take(&h);
    cr_expect(is_none(&row_of(&h, "vcpu-0", 0)->measures));
    cr_expect_float_eq(counted(&h, of(&h, "vcpu-0")->exits), 70, 0.01, "all that the new one counted");
    vmt_add(shard, VMT_VCPU_EXITS, 5);
    host_take(&h);
    cr_expect_float_eq(counted(&h, row_of(&h, "vcpu-0", 0)->measures.exits), 5, 0.01);
    vmt_shard_release(shard);
    host_free(&h);
    vmt_segment_close(segment);
}

Test(measures, shards_are_found_again_where_sources_before_them_went)
{
    struct vmt_segment *segment = new_segment("web");
    struct vmt_source *first = add_source(segment, &vmt_schema_block, NULL, "disk-0");
    struct vmt_source *second = add_source(segment, &vmt_schema_block, NULL, "disk-1");
    struct vmt_shard *shard = vmt_shard_acquire(add_source(segment, &vmt_schema_vcpu, NULL, "vcpu-0"));
    struct host h;

    host_init(&h);
    host_take(&h);
    host_focus(&h);
    host_take(&h);
    vmt_source_remove(first);
    vmt_source_remove(second);
    for (int i = 0; i < 4; i++) {
        vmt_add(shard, VMT_VCPU_EXITS, 6);
        host_take(&h);
        cr_expect_float_eq(counted(&h, row_of(&h, "vcpu-0", 0)->measures.exits), 6, 0.01, "%d", i);
    }
    vmt_shard_release(shard);
    host_free(&h);
    vmt_segment_close(segment);
}

/* ---- plans ---- */

/* The same names at other slots: they take as much memory. */
#define FIRST_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, FIRST_EXITS, "exits", NONE, 1, 0, "Exits")                                                           \
    X(CUMULATIVE, FIRST_BYTES, "bytes", BYTES, 1, 0, "Bytes")                                                          \
    X(CUMULATIVE, FIRST_OTHER, "other", NONE, 1, 0, "Other")
#define SECOND_STATISTICS(X)                                                                                           \
    X(CUMULATIVE, SECOND_BYTES, "bytes", BYTES, 1, 0, "Bytes")                                                         \
    X(CUMULATIVE, SECOND_EXITS, "exits", NONE, 1, 0, "Exits")                                                          \
    X(CUMULATIVE, SECOND_OTHER, "other", NONE, 1, 0, "Other")
#define THIRD_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, THIRD_BYTES, "bytes", BYTES, 1, 0, "Bytes")                                                          \
    X(CUMULATIVE, THIRD_OTHER, "other", NONE, 1, 0, "Other")                                                           \
    X(CUMULATIVE, THIRD_EXITS, "exits", NONE, 1, 0, "Exits")
VMT_SCHEMA_ENUM(FIRST, FIRST_STATISTICS)
VMT_SCHEMA_ENUM(SECOND, SECOND_STATISTICS)
VMT_SCHEMA_ENUM(THIRD, THIRD_STATISTICS)
VMT_SCHEMA_DEFINE(first_schema, "hand", "test", "hand", FIRST, FIRST_STATISTICS)
VMT_SCHEMA_DEFINE(second_schema, "hand", "test", "hand", SECOND, SECOND_STATISTICS)
VMT_SCHEMA_DEFINE(third_schema, "hand", "test", "hand", THIRD, THIRD_STATISTICS)

Test(measures, a_schema_in_the_place_of_another_is_not_taken_for_it)
{
    static const struct {
        const struct vmt_schema *schema;
        uint32_t exits;
        uint32_t other;
    } hands[] = { { &first_schema, FIRST_EXITS, FIRST_OTHER },
                  { &second_schema, SECOND_EXITS, SECOND_OTHER },
                  { &third_schema, THIRD_EXITS, THIRD_OTHER } };
    struct vmt_segment *segment = NULL;
    struct host h;

    host_init(&h);
    for (int i = 0; i < 30; i++) {
        struct vmt_source *hand;

        vmt_segment_close(segment);
        segment = new_segment("web");
        hand = add_source(segment, hands[i % 3].schema, NULL, "hand");
        host_take(&h);
        vmt_count(hand, hands[i % 3].exits, 3);
        vmt_count(hand, hands[i % 3].other, 5000);
        host_take(&h);
        cr_expect_float_eq(counted(&h, of(&h, "hand")->exits), 3, 0.01, "%d", i);
    }
    host_free(&h);
    vmt_segment_close(segment);
}
