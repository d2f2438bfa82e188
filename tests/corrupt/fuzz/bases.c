/* SPDX-License-Identifier: MIT */
#include "bases.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmtally.h>

#include "lib/kvm/handle.h"
#include "shm/layout.h"

#define EVERY_KIND(X)                                                                                                  \
    X(CUMULATIVE, F_EVENTS, "events", NONE, 1, 0, "Events \"quoted\", back\\slash, \xc3\xbcnicode")                    \
    X(CUMULATIVE, F_BYTES, "bytes", BYTES, 1, 0, "Bytes")                                                              \
    X(INSTANT, F_LEVEL, "level", NONE, 1, 0, "")                                                                       \
    X(PEAK, F_PEAK, "peak", CYCLES, 1, 0, "Peak")                                                                      \
    X(MINIMUM, F_MINIMUM, "minimum", NONE, 1, 0, "Minimum")                                                            \
    X(BOOLEAN, F_ON, "on", BOOL, 1, 0, "On")                                                                           \
    X(SIGNED_INSTANT, F_DRIFT, "drift", NANOSECONDS, 1, 0, "Drift")                                                    \
    X(SIGNED_PEAK, F_HIGH, "high", NONE, 1, 0, "Highest")                                                              \
    X(SIGNED_MINIMUM, F_LOW, "low", NONE, 1, 0, "Lowest")                                                              \
    X(INSTANT_MAX, F_TOP, "top", NONE, 1, 0, "The largest of the sources'")                                            \
    X(INSTANT_AVERAGE, F_MEAN, "mean", NONE, 1, 0, "The mean of the sources'")                                         \
    X(INSTANT_COUNT_ZERO, F_ZEROS, "zeros", NONE, 1, 0, "How many sources are at 0")                                   \
    X(LINEAR, F_LINEAR, "linear", NONE, 4, 10, "Linear histogram")                                                     \
    X(LOG, F_LOG, "log", BYTES, 8, 0, "Logarithmic histogram")                                                         \
    X(LATENCY, F_TIME, "io", NANOSECONDS, 16, 0, "Latency")
VMT_SCHEMA_ENUM(F, EVERY_KIND)
VMT_SCHEMA_DEFINE(fuzz_schema, "every", "test", "part", F, EVERY_KIND)

#define SMALL(X) X(CUMULATIVE, S_EVENTS, "events", NONE, 1, 0, "Events")
VMT_SCHEMA_ENUM(S, SMALL)
VMT_SCHEMA_DEFINE(small_schema, "small", "test", "vm", S, SMALL)

/* A level: what was added less what was removed. */
static const struct vmt_descriptor level_descriptors[] = {
    { "removed", "Removed", VMT_TYPE_CUMULATIVE, 0, 0, 0, 1, 0, 0, VMT_LEVEL_INFO, { 0 } },
    { "added", "Added", VMT_TYPE_CUMULATIVE, 1, 0, 0, 1, 0, 1, VMT_LEVEL_DEBUG, { 0 } },
    { "wide", "Wide", VMT_TYPE_LINEAR_HIST, 2, 3, 0, 6, 0, 0, VMT_LEVEL_DIAGNOSTIC, { 0 } },
};
static const struct vmt_schema level_schema = { "level", "test", "part", level_descriptors, 3, 8 };
const struct vmt_schema *const fuzz_small_schema = &small_schema;

/* What a VMM counts of a vCPU, and what the kernel does. */
#define VCPU(X) X(CUMULATIVE, C_EXITS, "exits", NONE, 1, 0, "Exits")
VMT_SCHEMA_ENUM(C, VCPU)
VMT_SCHEMA_DEFINE(vcpu_schema, "cpu", "test", "vcpu", C, VCPU)

#define KERNEL_VM(X) X(CUMULATIVE, KV_FLUSHES, "remote_tlb_flush", NONE, 1, 0, "Flushes")
VMT_SCHEMA_ENUM(KV, KERNEL_VM)
VMT_SCHEMA_DEFINE(fuzz_kernel_vm, KVM_SCHEMA_VM, KVM_PROVIDER, "vm", KV, KERNEL_VM)

#define KERNEL_VCPU(X)                                                                                                 \
    X(CUMULATIVE, KC_EXITS, "exits", NONE, 1, 0, "Exits")                                                              \
    X(BOOLEAN, KC_GUEST, "guest_mode", BOOL, 1, 0, "In the guest")                                                     \
    X(LOG, KC_WAIT, "halt_wait_hist", NANOSECONDS, 4, 0, "Waits")
VMT_SCHEMA_ENUM(KC, KERNEL_VCPU)
VMT_SCHEMA_DEFINE(fuzz_kernel_vcpu, KVM_SCHEMA_VCPU, KVM_PROVIDER, "vcpu", KC, KERNEL_VCPU)

struct base *fuzz_bases;
uint32_t fuzz_base_count;

/* ---- what stands in them ---- */

static struct vmt_source *add(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                              const char *id)
{
    struct vmt_source *source = NULL;
    int r = vmt_source_add(segment, schema, parent, id, &source);

    ENSURE(r == 0, "%s: %s", id, strerror(-r));
    return source;
}

static void count_all(struct vmt_shard *shard)
{
    for (uint32_t i = 0; i < F_SLOTS; i++)
        vmt_add(shard, i, i + 1);
    vmt_latency(shard, F_TIME, F_TIME_BUCKETS, 1000);
}

static void nested(struct vmt_segment *segment)
{
    struct vmt_source *vm = add(segment, &small_schema, NULL, "vm"), *a = add(segment, &fuzz_schema, vm, "a");
    struct vmt_source *gone = add(segment, &fuzz_schema, vm, "gone"), *under = add(segment, &level_schema, a, "under");
    struct vmt_shard *shards[2];

    vmt_count(gone, F_EVENTS, 1000);
    vmt_source_remove(gone);
    vmt_shards_acquire(a, 2, shards);
    count_all(shards[0]);
    count_all(shards[1]);
    vmt_count(a, F_EVENTS, 1);
    vmt_add(vmt_shard_acquire(under), 1, 5);
    vmt_count(vm, S_EVENTS, 7);
}

static void smallest(struct vmt_segment *segment) { vmt_count(add(segment, &small_schema, NULL, "vm"), S_EVENTS, 1); }

static void deepest(struct vmt_segment *segment)
{
    struct vmt_source *at = NULL, *leaf;

    for (uint32_t i = 0; i < VMT_DEPTH_MAX; i++) {
        at = add(segment, i & 1 ? &small_schema : &level_schema, at, "a-long-name-of-a-source-to-make-its-id-longer");
        vmt_add(vmt_shard_acquire(at), 0, i + 1);
    }
    for (int i = 0; i < 3; i++) { /* what departed stands below two that are not */
        struct vmt_source *vm = add(segment, &small_schema, NULL, "vm");

        leaf = add(segment, &level_schema, vm, "leaf");
        vmt_count(leaf, 1, 9);
        vmt_source_remove(leaf);
        vmt_source_remove(vm);
    }
}

static void real(struct vmt_segment *segment)
{
    struct vmt_source *vm = add(segment, &vmt_schema_vm, NULL, "vm");

    for (int i = 0; i < 2; i++) {
        struct vmt_source *vcpu = NULL;

        ENSURE(vmt_source_addf(segment, &vmt_schema_vcpu, vm, &vcpu, "vcpu-%d", i) == 0, "a vCPU");
        vmt_add(vmt_shard_acquire(vcpu), 0, 1);
    }
    add(segment, &vmt_schema_block, vm, "disk");
    vmt_source_remove(vm); /* leaving */
}

static void wide(struct vmt_segment *segment)
{
    struct vmt_source *vm = add(segment, &small_schema, NULL, "vm");

    for (int i = 0; i < 40; i++) {
        struct vmt_source *source = NULL;

        ENSURE(vmt_source_addf(segment, i % 3 ? &small_schema : &level_schema, vm, &source, "part-%d", i) == 0, "one");
        vmt_count(source, 0, 1);
        if (i % 4 == 0)
            vmt_source_remove(source);
        else
            for (int k = 0; k < i % 3; k++)
                vmt_add(vmt_shard_acquire(source), 0, 1);
    }
}

static void busy(struct vmt_segment *segment)
{
    struct vmt_source *vm = add(segment, &small_schema, NULL, "vm"), *a = add(segment, &fuzz_schema, vm, "a");
    struct vmt_shard *shards[3];

    vmt_shards_acquire(a, 3, shards);
    vmt_begin(shards[0]);
    count_all(shards[1]);
    vmt_shard_release(shards[2]);
    vmt_source_remove(a); /* leaving, and another of its name */
    a = add(segment, &fuzz_schema, vm, "a");
    vmt_count(a, F_EVENTS, 3);
}

/* With handles of the kernel's statistics fds, and copies; a vCPU with a copy has gone. */
static void kernel(struct vmt_segment *segment)
{
    struct vmt_source *vm = add(segment, &small_schema, NULL, "vm"), *vcpu = NULL;

    vmt_count(vm, S_EVENTS, 7);
    vmt_set(vmt_shard_acquire(add(segment, &kvm_handle_vm, vm, KVM_HANDLE_NAME)), 0, FUZZ_KERNEL_FD);
    vmt_count(add(segment, &fuzz_kernel_vm, vm, KVM_COPY_NAME), KV_FLUSHES, 1);
    for (uint32_t i = 0; i < 4; i++) {
        ENSURE(vmt_source_addf(segment, &vcpu_schema, vm, &vcpu, "vcpu-%u", i) == 0, "a vCPU");
        vmt_count(vcpu, C_EXITS, i);
        if (i < 3)
            vmt_set(vmt_shard_acquire(add(segment, &kvm_handle_vcpu, vcpu, KVM_HANDLE_NAME)), 0,
                    FUZZ_KERNEL_FD + 1 + i);
        if (i == 1 || i == 3)
            vmt_count(add(segment, &fuzz_kernel_vcpu, vcpu, KVM_COPY_NAME), KC_EXITS, 100);
    }
    vmt_source_remove(vcpu);
}

static const char *const labels[] = { "rack=7", "note=a \"b\" \\ \xc3\xbc", "rack=8", "=", NULL };

static const struct recipe {
    const char *name;
    void (*fill)(struct vmt_segment *segment);
    uint64_t fixed_bytes;
    uint32_t max_sources;
    uint64_t heartbeat_interval_ns;
} recipes[] = {
    { "nested", nested, 65536, 16, 0 }, { "smallest", smallest, 65536, 2, 0 }, { "deepest", deepest, 65536, 16, 0 },
    { "real", real, 65536, 16, 0 },     { "wide", wide, 65536, 64, 0 },        { "busy", busy, 65536, 8, 1000 },
    { "growing", nested, 0, 32, 0 },    { "kernel", kernel, 65536, 24, 0 },
};

static void write_segment(const struct recipe *recipe, struct base *base)
{
    const char *few[] = { labels[0], labels[1], labels[2], NULL };
    int fd = memfd_create("segment", MFD_CLOEXEC);
    struct vmt_segment_options options = { .struct_size = sizeof(options),
                                           .name = "vm-1",
                                           .fd = fd,
                                           .fixed_bytes = recipe->fixed_bytes,
                                           .max_sources = recipe->max_sources,
                                           .max_bytes = recipe->fixed_bytes ? 0 : 1 << 20,
                                           .heartbeat_interval_ns = recipe->heartbeat_interval_ns,
                                           .labels = few };
    struct vmt_segment *segment = NULL;
    int r = vmt_segment_create(&options, &segment);
    ssize_t n;

    ENSURE(r == 0, "%s: %s", recipe->name, strerror(-r));
    recipe->fill(segment);
    vmt_segment_heartbeat(segment);
    n = pread(fd, base->sound, FUZZ_FILE_MAX, 0); /* as it is while its writer lives */
    ENSURE(n >= (ssize_t)SHM_HEADER_BYTES, "%s has %zd bytes", recipe->name, n);
    base->size = (uint64_t)n;
    vmt_segment_close(segment);
    close(fd);
}

/* ---- where their parts are ---- */

static const void *at(const struct base *base, uint64_t offset)
{
    ENSURE(offset < base->size, "%s: %llu is not in it", base->name, (unsigned long long)offset);
    return base->sound + offset;
}

static void part(struct base *base, enum part_kind kind, uint64_t offset, uint64_t bytes)
{
    at(base, offset);
    ENSURE(base->count < PARTS_MAX, "%s has too many parts", base->name);
    base->parts[base->count++] = (struct part){ kind, (uint32_t)offset, (uint32_t)bytes };
}

static void schema_parts(struct base *base, uint64_t offset)
{
    const struct shm_schema *s = at(base, offset);
    const struct vmt_kvm_header *kvm = at(base, offset + s->kvm_offset);

    part(base, SCHEMA, offset, 0);
    part(base, KVM, offset + s->kvm_offset, 0);
    part(base, STRINGS, offset + s->strings_offset, s->strings_bytes);
    for (uint32_t i = 0; i < s->descriptors; i++) {
        part(base, DESCRIPTOR, offset + s->kvm_offset + kvm->desc_offset + i * sizeof(struct vmt_kvm_desc), 0);
        part(base, SIDE, offset + s->side_offset + i * s->side_bytes, 0);
    }
}

static void shard_parts(struct base *base, uint64_t offset)
{
    const struct shm_shard *shard = at(base, offset);

    part(base, SHARD, offset, 0);
    part(base, VALUES, offset + sizeof(*shard), 8 * (uint64_t)shard->slots);
}

static void find_parts(struct base *base)
{
    const struct shm_header *h = at(base, 0);

    part(base, HEADER, 0, 0);
    for (uint64_t offset = h->schemas; offset; offset = ((const struct shm_schema *)at(base, offset))->next)
        schema_parts(base, offset);
    for (uint32_t i = 0; i < h->source_used; i++) {
        uint64_t offset = h->source_offset + (uint64_t)i * h->source_bytes;
        const struct shm_entry *e = at(base, offset);

        part(base, ENTRY, offset, 0);
        if (e->state == SHM_FREE)
            continue;
        shard_parts(base, (uint64_t)e->shared * SHM_GRANULE);
        for (uint64_t s = e->shards; s; s = ((const struct shm_shard *)at(base, s))->next)
            shard_parts(base, s);
        for (uint64_t d = e->departed; d; d = ((const struct shm_departed *)at(base, d))->next) {
            part(base, DEPARTED, d, 0);
            part(base, VALUES, d + sizeof(struct shm_departed),
                 2 * shm_copy_bytes(((const struct shm_departed *)at(base, d))->slots));
        }
    }
}

void fuzz_bases_make(void)
{
    const size_t n = sizeof(recipes) / sizeof(recipes[0]);

    fuzz_bases = calloc(n + 1, sizeof(*fuzz_bases));
    ENSURE(fuzz_bases, "no memory");
    for (fuzz_base_count = 0; fuzz_base_count <= n; fuzz_base_count++) {
        struct base *base = &fuzz_bases[fuzz_base_count];

        base->slow = fuzz_base_count < n && recipes[fuzz_base_count].fill == real;
        base->sound = calloc(1, FUZZ_FILE_MAX);
        base->parts = calloc(PARTS_MAX, sizeof(*base->parts));
        ENSURE(base->sound && base->parts, "no memory");
        base->name = fuzz_base_count < n ? recipes[fuzz_base_count].name : "empty";
        if (fuzz_base_count < n) {
            write_segment(&recipes[fuzz_base_count], base);
            find_parts(base);
        }
        fuzz_file_make(&base->file, base->size);
        memcpy(base->file.bytes, base->sound, base->size);
    }
}
