/* SPDX-License-Identifier: MIT */
/* A segment of a later minor version, put together byte by byte as shm/FORMAT.md says, is read; one of another major
 * version, with an incompatible feature or of another byte order is refused. */
#include "parts.h"

#include <fcntl.h>

#include "shm/layout.h"

/* Where things stand; all that a later version may make larger is larger. */
#define HEADER_BYTES 8192U
#define TABLE HEADER_BYTES
#define STRIDE 192U
#define SCHEMA 16384U
#define KVM 192U /* from SCHEMA */
#define IDS (KVM + 24 + 48)
#define SIDE (IDS + DESCRIPTORS * 64U)
#define SIDE_STRIDE 48U
#define STRINGS (SIDE + DESCRIPTORS * SIDE_STRIDE)
#define STRINGS_BYTES 64U
#define SLOTS 12U
#define DESCRIPTORS 7U
#define SHARED_0 32768U
#define SHARED_1 33792U
#define SHARD_A 34816U
#define SHARD_B 35840U
#define DEPARTED 36864U
#define FILE_BYTES 40960U

static _Alignas(8) uint8_t image[FILE_BYTES];
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;

static void *at(uint64_t offset) { return image + offset; }

static struct shm_header *header(void) { return at(0); }

static struct shm_entry *entry(uint32_t i, const char *name)
{
    struct shm_entry *e = at(TABLE + (uint64_t)i * STRIDE);

    strcpy(e->name, name);
    memset((char *)e + sizeof(*e), 0xee, STRIDE - sizeof(*e));
    e->schema = SCHEMA;
    e->parent_generation = 2;
    e->created_ns = 1000 + i;
    return e;
}

static uint64_t *shard(uint64_t offset, uint32_t source, uint64_t generation, uint32_t kind, uint64_t next)
{
    struct shm_shard *s = at(offset);

    s->next = next;
    s->generation = generation;
    s->source = source;
    s->slots = SLOTS;
    s->kind = kind;
    memset(s->reserved0, 0xee, sizeof(s->reserved0));
    return (uint64_t *)(void *)(s + 1);
}

static void descriptor(uint32_t i, const char *name, uint32_t flags, uint32_t slot, uint16_t size)
{
    struct vmt_kvm_desc *d = at(SCHEMA + IDS + i * 64);
    struct shm_side *side = at(SCHEMA + SIDE + i * SIDE_STRIDE);

    d->flags = flags;
    d->size = size;
    d->offset = slot * 8;
    strcpy(d->name, name);
    memset(side->reserved1, 0xee, sizeof(side->reserved1));
    memset(side + 1, 0xee, SIDE_STRIDE - sizeof(*side));
}

static void fill_schema(void)
{
    struct shm_schema *s = at(SCHEMA);
    struct vmt_kvm_header *kvm = at(SCHEMA + KVM);

    s->block_bytes = STRINGS + STRINGS_BYTES;
    s->slots = SLOTS;
    s->descriptors = DESCRIPTORS;
    s->kvm_offset = KVM;
    s->side_offset = SIDE;
    s->side_bytes = SIDE_STRIDE;
    s->strings_offset = STRINGS;
    s->strings_bytes = STRINGS_BYTES;
    s->reserved0 = s->reserved1 = UINT64_MAX;
    strcpy(s->name, "future");
    strcpy(s->provider, "later");
    strcpy(s->target, "vm");
    kvm->name_size = 48;
    kvm->num_desc = DESCRIPTORS;
    kvm->id_offset = 24;
    kvm->desc_offset = 24 + 48;
    kvm->data_offset = 24 + 48 + DESCRIPTORS * 64;
    memcpy(at(SCHEMA + STRINGS), "\0What happened\0", 15);
    descriptor(0, "events", VMT_TYPE_CUMULATIVE, 0, 1);
    descriptor(1, "unknown_type", 9, 1, 3);
    descriptor(2, "peak", VMT_TYPE_PEAK, 4, 1);
    descriptor(3, "unknown_unit", 0xa0, 5, 1);
    descriptor(4, "unknown_base", 0x700, 6, 1);
    descriptor(5, "unknown_aggregation", 0x0d000000, 7, 1);
    descriptor(6, "flagged", VMT_TYPE_INSTANT | 0xc0001000U, 8, 1); /* bits of which nothing is known */
    ((struct shm_side *)at(SCHEMA + SIDE))->help_offset = 1;
    ((struct shm_side *)at(SCHEMA + SIDE))->level = 7;
}

static void fill_values(void)
{
    static const uint64_t offsets[] = { SHARED_1, SHARD_A, SHARD_B };
    struct shm_departed *d = at(DEPARTED);

    shard(SHARED_0, 0, 2, SHM_SHARD_SHARED, 0);
    shard(SHARED_1, 1, 4, SHM_SHARD_SHARED, 0);
    shard(SHARD_A, 1, 4, 9, SHARD_B); /* of a kind invented later */
    shard(SHARD_B, 1, 4, SHM_SHARD_HELD, 0);
    for (uint32_t i = 0; i < LENGTH(offsets); i++) {
        uint64_t *values = at(offsets[i] + 128);

        values[0] = 100 + i;
        values[1] = values[5] = values[6] = values[7] = UINT64_MAX;
        values[4] = 7 - i;
        values[8] = 1;
    }
    d->schema = SCHEMA;
    d->generation = 2;
    d->slots = SLOTS;
    ((uint64_t *)(void *)(d + 1))[0] = 666;                             /* the copy that is not active */
    ((uint64_t *)at(DEPARTED + 128 + shm_copy_bytes(SLOTS)))[0] = 1000; /* version 3: the second one is */
}

static void fill(void)
{
    struct shm_header *h = header();
    struct shm_entry *e;

    memset(image, 0, sizeof(image));
    memcpy(h->magic, "\177VMTALLY", 8);
    h->byte_order = 0x01020304;
    h->major = 1;
    h->minor = 7;
    h->compatible = UINT64_C(1) << 40;
    memset(h->identity, 0x42, 16);
    h->created_ns = 999;
    h->pid = 4711;
    h->header_bytes = HEADER_BYTES;
    h->max_bytes = 1 << 20;
    h->source_offset = TABLE;
    h->source_bytes = STRIDE;
    h->source_limit = 8;
    strcpy(h->name, "from-the-future");
    memset(h->reserved1, 0xee, sizeof(h->reserved1));
    memset(h->reserved2, 0xee, sizeof(h->reserved2));
    memset(h->reserved4, 0xee, sizeof(h->reserved4));
    h->structure = 12;
    h->file_bytes = FILE_BYTES;
    h->source_used = 4;
    h->lifecycle = SHM_OPEN;
    h->schemas = SCHEMA;
    h->incarnation = 3;
    memset(at(4096), 0xee, 4096); /* the rest of its larger header */
    e = entry(0, "");
    e->generation = 2;
    e->state = SHM_LIVE;
    e->version = 3;
    e->departed = DEPARTED;
    e->shared = SHARED_0 / 128;
    e->flags = 0xffff0000U;
    e = entry(1, "vm");
    e->generation = 4;
    e->state = SHM_LIVE;
    e->shared = SHARED_1 / 128;
    e->flags = SHM_ENTRY_SHARED_USED | 0xffff0000U;
    e->shards = SHARD_A;
    e = entry(2, "being-born");
    e->generation = 5;
    e->state = SHM_LIVE;
    e = entry(3, "free");
    e->generation = 6;
    fill_schema();
    fill_values();
}

static const char *write_image(void)
{
    const char *path = test_path("future.vmt");
    int fd = open(path, O_WRONLY | O_CREAT, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, image, sizeof(image), 0), (ssize_t)sizeof(image));
    close(fd);
    return path;
}

static void setup(void)
{
    test_dir_init();
    fill();
    reader = attach(write_image(), VMT_READ_COPY);
    snapshot = new_snapshot();
}

static void teardown(void)
{
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    test_dir_fini();
}

TestSuite(version, .init = setup, .fini = teardown);

static void assert_read(void)
{
    static const char *const known[] = { "events", "peak", "flagged" };
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    const struct vmt_sample *vm;
    const struct vmt_total *total;

    vmt_snapshot_want_shards(snapshot, 1);
    take(snapshot, reader);
    cr_assert_eq(info->minor, 7);
    cr_assert_eq(info->incarnation, 3);
    cr_assert_eq(info->pid, 4711);
    cr_assert_str_eq(info->name, "from-the-future");
    cr_assert_eq(info->state, VMT_STATE_DIED);
    cr_assert_eq(vmt_snapshot_count(snapshot), 2);
    vm = sample_of(snapshot, "vm");
    cr_assert_str_eq(vm->schema->name, "future");
    cr_assert_str_eq(vm->schema->provider, "later");
    cr_assert_eq(vm->schema->slots, SLOTS);
    cr_assert_eq(vm->schema->count, LENGTH(known), "what is not understood is skipped, the rest is not");
    for (size_t i = 0; i < LENGTH(known); i++)
        cr_assert_str_eq(vm->schema->descriptors[i].name, known[i]);
    cr_assert_str_eq(vm->schema->descriptors[0].help, "What happened");
    cr_assert_eq(vm->schema->descriptors[0].level, VMT_LEVEL_DEBUG);
    cr_assert_str_eq(vm->schema->descriptors[1].help, "");
    cr_assert_eq(vm->values[0], 303);
    cr_assert_eq(vm->values[4], 7);
    cr_assert_eq(vm->values[8], 3);
    cr_assert_eq(vm->shard_count, 3);
    cr_assert_lt(vm->shards[1].held, 3);
    total = total_named(sample_of(snapshot, ""), "future");
    cr_assert_eq(total->values[0], 1303);
    cr_assert_eq(total->departed[0], 1000);
}

Test(version, a_later_minor_one_with_things_unknown_is_read_by_copying) { assert_read(); }

Test(version, a_later_minor_one_with_things_unknown_is_read_through_a_mapping)
{
    vmt_reader_close(reader);
    reader = attach(test_path("future.vmt"), VMT_READ_GUARDED);
    assert_read();
}

Test(version, a_later_minor_one_is_sound)
{
    char why[256];

    cr_assert_eq(vmt_check(test_path("future.vmt"), why, sizeof(why)), VMT_STATE_DIED, "%s", why);
    cr_assert_str_eq(why, "");
}

/* Refused at the door, refused by one who had come in before, named by check, and left alone by gc. */
static void assert_refused(const char *what)
{
    struct vmt_reader *other = (void *)0x1;
    char why[256] = "";

    take(snapshot, reader);
    write_image();
    cr_expect_eq(vmt_reader_open(test_path("future.vmt"), NULL, &other), -EPROTONOSUPPORT, "%s", what);
    cr_expect_eq(other, (void *)0x1);
    cr_expect_eq(vmt_snapshot_take(snapshot, reader), -EPROTONOSUPPORT, "%s", what);
    cr_expect_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_OTHER_VERSION, "%s", what);
    cr_expect_eq(vmt_snapshot_count(snapshot), 0);
    cr_expect_eq(vmt_reader_state(reader), VMT_STATE_OTHER_VERSION, "%s", what);
    cr_expect_eq(vmt_check(test_path("future.vmt"), why, sizeof(why)), VMT_STATE_OTHER_VERSION, "%s", what);
    cr_expect_str_neq(why, "", "%s", what);
    cr_expect_eq(vmt_remove_dead(test_path("future.vmt"), 0), -EPROTONOSUPPORT, "%s", what);
    fill();
    write_image();
}

Test(version, another_major_one_is_refused)
{
    header()->major = 2;
    assert_refused("major 2");
    header()->major = 0;
    assert_refused("major 0");
}

Test(version, an_incompatible_feature_is_refused)
{
    header()->incompatible = 1;
    assert_refused("the first bit");
    header()->incompatible = UINT64_C(1) << 63;
    assert_refused("the last bit");
}

Test(version, another_byte_order_is_refused)
{
    header()->byte_order = 0x04030201;
    header()->major = 0x0100; /* as it would look */
    header()->header_bytes = __builtin_bswap32(HEADER_BYTES);
    assert_refused("swapped");
}
