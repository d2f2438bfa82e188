/* SPDX-License-Identifier: MIT */
/* Sources as KVM statistics files: all that the kernel asserts of its own (kvm_assertions.h) holds, by the same code. */
#include "export_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmtally/host.h>
#include <vmtally/schemas.h>

#include "kvm_assertions.h"
#include "lib/kvm/handle.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOLDS(fd, what)                                                                                                \
    do {                                                                                                               \
        char why_[256];                                                                                                \
                                                                                                                       \
        cr_assert(kvm_assertions_hold_twice(fd, why_, sizeof(why_)), "%s: %s", what, why_);                            \
    } while (0)

/* ---- our images ---- */

TestSuite(kvm_image, .init = make_segment, .fini = remove_segment);

static size_t number_of(const char *id)
{
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        if (strcmp(vmt_snapshot_source(snapshot, i)->id, id) == 0)
            return i;
    }
    cr_assert_fail("no %s", id);
    return 0;
}

/* What a reader of KVM's files has, with what the snapshot says. */
static void compare(int fd, const struct vmt_sample *sample)
{
    const struct vmt_schema *schema = sample->schema;
    struct vmt_kvm_header header;
    struct vmt_kvm_desc desc;

    cr_assert_eq(pread(fd, &header, sizeof(header), 0), sizeof(header));
    cr_assert_eq(header.num_desc, schema->count, "%s", sample->id);
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        uint64_t values[VMT_SLOTS_MAX];
        ssize_t bytes = (ssize_t)(d->size * sizeof(*values));

        cr_assert_eq(pread(fd, &desc, sizeof(desc), (off_t)(header.desc_offset + i * sizeof(desc))), sizeof(desc));
        cr_assert_str_eq(desc.name, d->name);
        cr_expect_eq(desc.flags, d->flags & 0xfffU, "%s", d->name);
        cr_expect_eq(desc.exponent, d->exponent, "%s", d->name);
        cr_expect_eq(desc.bucket_size, d->bucket_size, "%s", d->name);
        cr_assert_eq(desc.size, d->size, "%s", d->name);
        cr_assert_eq(pread(fd, values, (size_t)bytes, header.data_offset + desc.offset), bytes);
        cr_expect_arr_eq(values, sample->values + d->slot, (size_t)bytes, "%s %s", sample->id, d->name);
    }
}

/* All sources. Returns how many of them count something. */
static size_t check_images(void)
{
    size_t images = 0;

    take();
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
        int fd = vmt_kvm_open(snapshot, i);

        cr_assert_geq(fd, 0, "%s: %d", sample->id, fd);
        HOLDS(fd, sample->id);
        compare(fd, sample);
        close(fd);
        images++;
    }
    return images;
}

Test(kvm_image, of_every_kind_of_statistic_holds_what_the_kernel_asserts) { cr_assert_eq(check_images(), 4); }

Test(kvm_image, of_all_ready_made_schemas_holds_what_the_kernel_asserts)
{
    const struct vmt_schema *schemas[] = { &vmt_schema_vm,      &vmt_schema_vcpu,    &vmt_schema_block,
                                           &vmt_schema_net,     &vmt_schema_vsock,   &vmt_schema_balloon,
                                           &vmt_schema_program, &vmt_schema_request, &vmt_schema_storage };
    struct vmt_shard *shards[COUNT(schemas)];

    for (size_t i = 0; i < COUNT(schemas); i++) {
        struct vmt_source *added;

        cr_assert_eq(vmt_source_add(segment, schemas[i], NULL, schemas[i]->name, &added), i ? 0 : -EEXIST);
        if (i == 0)
            cr_assert_eq(vmt_source_add(segment, schemas[i], vm, schemas[i]->name, &added), 0);
        shards[i] = vmt_shard_acquire(added);
        for (uint32_t slot = 0; slot < schemas[i]->slots; slot++)
            vmt_set(shards[i], slot, UINT64_MAX - slot - 1000 * i);
    }
    cr_assert_eq(check_images(), 4 + COUNT(schemas));
}

Test(kvm_image, stays_as_it_is_when_its_snapshot_and_segment_go_on)
{
    char before[8192], after[8192];
    ssize_t bytes;
    int fd;

    take();
    fd = vmt_kvm_open(snapshot, number_of("vm/full"));
    bytes = pread(fd, before, sizeof(before), 0);
    cr_assert_gt(bytes, 0);
    vmt_add(full_shard, ALL_TIME, 1);
    take();
    cr_assert_eq(pread(fd, after, sizeof(after), 0), bytes);
    cr_assert_arr_eq(before, after, (size_t)bytes);
    close(fd);
}

Test(kvm_image, nobody_can_write_into_it)
{
    char path[64];
    int fd, other;

    take();
    fd = vmt_kvm_open(snapshot, 0);
    cr_assert_geq(fd, 0);
    cr_expect_eq(lseek(fd, 0, SEEK_CUR), 0, "a reader that begins where the position is begins at the start");
    cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    cr_expect_eq(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    cr_expect(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
    cr_expect(ftruncate(fd, 0) < 0 && errno == EPERM);
    cr_expect(ftruncate(fd, 1 << 20) < 0 && errno == EPERM);
    cr_expect_eq(mmap(NULL, 24, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    other = open(path, O_RDWR | O_CLOEXEC);
    cr_expect(other < 0 || (pwrite(other, "x", 1, 0) < 0 && errno == EPERM));
    HOLDS(fd, "it");
    close(other);
    close(fd);
}

Test(kvm_image, is_appended_to_what_is_in_the_buffer_whatever_its_alignment)
{
    int fd;

    take();
    cr_assert_eq(vmt_json_encode(snapshot, 0, &out), 0);
    while (out.size % 8 != 3)
        out.size--;
    for (int i = 0; i < 2; i++) {
        size_t before = out.size;

        fd = memfd_create("image", MFD_CLOEXEC);
        cr_assert_eq(vmt_kvm_encode(snapshot, number_of("vm/full"), &out), 0);
        cr_assert_eq(write(fd, out.data + before, out.size - before), (ssize_t)(out.size - before));
        HOLDS(fd, "an image");
        compare(fd, source("vm/full"));
        close(fd);
    }
}

/* ---- ids ---- */

/* Sources that are the kernel's view, and one that is far down. */
static void add_for_ids(void)
{
    static const struct vmt_descriptor one[] = { { .name = "exits", .help = "", .size = 1 } };
    static const struct vmt_schema kvm_vm = { "kvm-vm", "kvm", "vm", one, 1, 1 };
    static const struct vmt_schema kvm_vcpu = { "kvm-vcpu", "kvm", "vcpu", one, 1, 1 };
    static const struct vmt_schema kvm_mmu = { "kvm-mmu", "kvm", "mmu", one, 1, 1 };
    static const struct vmt_schema our_vm = { "vm", "vmm", "vm", one, 1, 1 };
    struct vmt_source *machine, *vcpu, *leaf, *at = vm;

    cr_assert_eq(vmt_source_add(segment, &our_vm, NULL, "guest", &machine), 0);
    cr_assert_eq(vmt_source_add(segment, &kvm_vm, machine, "kvm", &leaf), 0);
    cr_assert_eq(vmt_source_add(segment, &kvm_mmu, machine, "mmu", &leaf), 0);
    cr_assert_eq(vmt_source_add(segment, &vmt_schema_vcpu, machine, "vcpu-2", &vcpu), 0);
    cr_assert_eq(vmt_source_add(segment, &kvm_vcpu, vcpu, "kvm", &leaf), 0);
    cr_assert_eq(vmt_source_add(segment, &kvm_vcpu, machine, "vcpu-3", &leaf), 0);
    for (int i = 0; i < 6; i++) {
        struct vmt_source *next;

        cr_assert_eq(vmt_source_addf(segment, &other_schema, at, &next, "level-%d", i), 0);
        at = next;
    }
}

Test(kvm_image, has_the_id_of_its_source_in_the_kernels_form)
{
    static const struct {
        const char *source;
        const char *id; /* behind "kvm-PID"; NULL: cut */
    } rows[] = {
        { "", "/segment" },
        { "vm", "/vm" },
        { "vm/full", "/vm/full" },
        { "guest", "/guest" },
        { "guest/kvm", "" },
        { "guest/mmu", "/guest/mmu" },
        { "guest/vcpu-2", "/guest/vcpu-2" },
        { "guest/vcpu-2/kvm", "/vcpu-2" },
        { "guest/vcpu-3", "/vcpu-3" },
        { "vm/level-0/level-1", "/vm/level-0/level-1" },
        { "vm/level-0/level-1/level-2/level-3/level-4/level-5", NULL },
    };

    add_for_ids();
    take();
    for (size_t i = 0; i < COUNT(rows); i++) {
        char id[48], expected[64];
        int fd = vmt_kvm_open(snapshot, number_of(rows[i].source));
        int prefix = snprintf(expected, sizeof(expected), "kvm-%d", (int)getpid());

        HOLDS(fd, rows[i].source);
        cr_assert_eq(pread(fd, id, sizeof(id), 24), sizeof(id));
        snprintf(expected + prefix, sizeof(expected) - (size_t)prefix, "%s", rows[i].id ? rows[i].id : "/...");
        if (!rows[i].id)
            snprintf(expected + prefix + 4, sizeof(expected) - (size_t)prefix - 4, "%s",
                     rows[i].source + strlen(rows[i].source) - (size_t)(47 - prefix - 4));
        cr_expect_str_eq(id, expected);
        close(fd);
    }
}

/* ---- what can't be an image ---- */

Test(kvm_image, of_no_source_is_an_error_and_changes_nothing)
{
    take();
    cr_expect_eq(vmt_kvm_encode(snapshot, vmt_snapshot_count(snapshot), &out), -EINVAL);
    cr_expect_eq(vmt_kvm_encode(snapshot, SIZE_MAX, &out), -EINVAL);
    cr_expect_eq(vmt_kvm_open(snapshot, SIZE_MAX), -EINVAL);
    cr_expect_eq(out.size, 0);
}

/* It says which descriptor the kernel's counters are in, and is none of them. */
Test(kvm_image, of_a_handle_is_an_error)
{
    struct vmt_source *handle;

    cr_assert_eq(vmt_source_add(segment, &kvm_handle_vcpu, vm, KVM_HANDLE_NAME, &handle), 0);
    take();
    cr_expect_eq(vmt_kvm_open(snapshot, number_of("vm/" KVM_HANDLE_NAME)), -ENOENT);
}

/* The kernel's counters of a vCPU, where only debugfs can be had. */
Test(kvm_image, of_values_that_could_not_be_read_is_an_error_and_no_zeros)
{
    take();
    ((struct vmt_sample *)(uintptr_t)source("vm"))->flags |= VMT_SAMPLE_ABSENT;
    cr_expect_eq(vmt_kvm_open(snapshot, number_of("vm")), -ENODATA);
    cr_expect_eq(vmt_kvm_encode(snapshot, number_of("vm"), &out), -ENODATA);
    cr_expect_eq(out.size, 0);
}

Test(kvm_image, past_the_largest_buffer_is_an_error_and_what_is_there_stays)
{
    struct vmt_buffer full = { .size = VMT_BUFFER_MAX, .capacity = VMT_BUFFER_MAX };

    take();
    cr_expect_eq(vmt_kvm_encode(snapshot, 0, &full), -EFBIG);
    cr_expect_eq(full.size, VMT_BUFFER_MAX);
}

/* Write into the segment's file where the descriptor of that name is. */
static void patch(const char *name, size_t field, const void *value, size_t bytes)
{
    char padded[48] = "";
    int fd = open(vmt_segment_path(segment), O_RDWR | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    char *map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *found;

    cr_assert_neq(map, MAP_FAILED);
    strcpy(padded, name);
    found = memmem(map, (size_t)size, padded, sizeof(padded));
    cr_assert_not_null(found, "%s", name);
    memcpy(found - offsetof(struct vmt_kvm_desc, name) + field, value, bytes);
    munmap(map, (size_t)size);
    close(fd);
}

static void reopen(void)
{
    vmt_reader_close(reader);
    cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), NULL, &reader), 0);
    take();
}

static void patch_exponent(const char *name, int16_t exponent)
{
    patch(name, offsetof(struct vmt_kvm_desc, exponent), &exponent, sizeof(exponent));
}

/* Names and first values of an image, "NAME=VALUE ". */
static void list(int fd, char *text, size_t size)
{
    struct vmt_kvm_header header;
    struct vmt_kvm_desc desc;
    uint64_t value;

    text[0] = '\0';
    cr_assert_eq(pread(fd, &header, sizeof(header), 0), sizeof(header));
    for (uint32_t i = 0; i < header.num_desc; i++) {
        cr_assert_eq(pread(fd, &desc, sizeof(desc), (off_t)(header.desc_offset + i * sizeof(desc))), sizeof(desc));
        cr_assert_eq(pread(fd, &value, sizeof(value), header.data_offset + desc.offset), sizeof(value));
        snprintf(text + strlen(text), size - strlen(text), "%s=%" PRIu64 " ", desc.name, value);
    }
}

/* What readers of segments take, and readers of KVM's files do not. */
Test(kvm_image, leaves_out_what_kvm_does_not_allow_and_closes_the_gap)
{
    const uint32_t strange = VMT_TYPE_INSTANT | VMT_UNIT_BOOLEAN | 0x00fff000U | VMT_AGGREGATION_MAX;
    char text[2048];
    int fd;

    patch_exponent("time", 3);    /* thousands of seconds */
    patch_exponent("peak", -3);   /* parts of cycles */
    patch_exponent("running", 1); /* tens of yes */
    patch_exponent("log", -1);    /* parts of bytes */
    patch_exponent("exits", -9);  /* parts of one */
    patch("memory", offsetof(struct vmt_kvm_desc, flags), &strange, sizeof(strange));
    patch_exponent("memory", 0);
    reopen();
    fd = vmt_kvm_open(snapshot, number_of("vm/full"));
    HOLDS(fd, "what is left");
    list(fd, text, sizeof(text));
    cr_assert_str_eq(text, "memory=512 minimum=0 drift=9223372036854775808 high=18446744073709551613 "
                           "low=18446744073709481616 linear=0 io_count=1 io_sum=1500 io_min=1500 io_max=1500 "
                           "io_hist=0 ");
    close(fd);
}

Test(kvm_image, of_a_source_without_any_statistic_that_kvm_allows_is_an_error)
{
    patch_exponent("count", -1);
    reopen();
    cr_expect_eq(vmt_kvm_open(snapshot, number_of("vm")), -ENOENT);
    cr_expect_eq(vmt_kvm_encode(snapshot, number_of("vm"), &out), -ENOENT);
    cr_expect_eq(out.size, 0);
}
