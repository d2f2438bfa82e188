/* SPDX-License-Identifier: MIT */
/* KVM's statistics files: recorded ones, made ones, and this kernel's. */
#include "statistics_image.h"

#include "scarce.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "lib/schema_block.h"

TestSuite(kvm_statistics, .init = test_dir_init, .fini = test_dir_fini);

/* One value, by name. */
static uint64_t value_in(const struct kvm_schema *schema, const uint64_t *values, const char *name)
{
    const struct vmt_descriptor *d = vmt_schema_find(&schema->schema, name);

    cr_assert_not_null(d, "no statistic '%s'", name);
    return values[d->slot];
}

/* Read it all: its values by slot; the schema is the caller's. */
static const struct kvm_schema *read_all(const struct image *image, uint64_t *values)
{
    const struct kvm_schema *schema = NULL;
    int fd = file_of(image->data, image->bytes);

    cr_assert_eq(kvm_schema_read(fd, 0, NULL, &schema), 0);
    cr_assert_eq(kvm_values_read(schema, fd, values), 0);
    cr_assert_eq(schema_check(&schema->schema), 0);
    close(fd);
    return schema;
}

/* ---- what was recorded ---- */

Test(kvm_statistics, of_a_vm_are_a_schema_sorted_by_slot)
{
    const struct kvm_schema *schema = NULL;
    char id[VMT_NAME_SIZE] = "";
    int fd = recorded_open("kvm-vm-stats");

    cr_assert_eq(kvm_schema_read(fd, 0, id, &schema), 0);
    cr_assert_str_eq(id, "kvm-4711");
    cr_assert_str_eq(schema->schema.name, "kvm-vm");
    cr_assert_str_eq(schema->schema.provider, "kvm");
    cr_assert_str_eq(schema->schema.target, "vm");
    cr_assert_eq(schema->schema.count, 16);
    cr_assert_eq(schema->schema.slots, 16);
    cr_assert_eq(schema_check(&schema->schema), 0);
    cr_assert_eq(schema->data_offset, 1096);
    cr_assert_eq(schema->data_bytes, 128);
    cr_assert_null(schema->places, "the file's data is dense");
    /* The kernel has them the other way round. */
    cr_assert_str_eq(schema->schema.descriptors[13].name, "max_mmu_page_hash_collisions");
    cr_assert_str_eq(schema->schema.descriptors[14].name, "max_mmu_rmap_size");
    cr_assert_eq(schema->schema.descriptors[14].flags, VMT_TYPE_PEAK);
    kvm_schema_release(schema);
    close(fd);
}

Test(kvm_statistics, of_a_vcpu_have_the_kernels_types_units_and_values)
{
    const struct kvm_schema *schema = NULL;
    const struct vmt_descriptor *d;
    char id[VMT_NAME_SIZE] = "";
    uint64_t values[140];
    uint64_t waits = 0;
    int fd = recorded_open("kvm-vcpu-stats");

    cr_assert_eq(kvm_schema_read(fd, 1, id, &schema), 0);
    cr_assert_str_eq(id, "kvm-4711/vcpu-0");
    cr_assert_str_eq(schema->schema.name, "kvm-vcpu");
    cr_assert_str_eq(schema->schema.target, "vcpu");
    cr_assert_eq(schema->schema.count, 47);
    cr_assert_eq(schema->schema.slots, 140);
    cr_assert_eq(kvm_values_read(schema, fd, values), 0);
    cr_assert_eq(value_in(schema, values, "exits"), 749);
    cr_assert_eq(value_in(schema, values, "halt_wait_ns"), 2491895801);
    d = vmt_schema_find(&schema->schema, "halt_wait_hist");
    cr_assert_eq(d->flags, VMT_TYPE_LOG_HIST | VMT_UNIT_SECONDS);
    cr_assert_eq(d->exponent, -9);
    cr_assert_eq(d->size, 32);
    for (uint32_t i = 0; i < d->size; i++)
        waits += values[d->slot + i];
    cr_assert_eq(waits, 250);
    cr_assert_eq(vmt_schema_find(&schema->schema, "guest_mode")->flags, VMT_TYPE_INSTANT | VMT_UNIT_BOOLEAN);
    kvm_schema_release(schema);
    close(fd);
}

Test(kvm_statistics, all_have_a_line_of_help)
{
    static const char *const files[] = { "kvm-vm-stats", "kvm-vcpu-stats" };

    for (int vcpu = 0; vcpu < 2; vcpu++) {
        const struct kvm_schema *schema = NULL;
        int fd = recorded_open(files[vcpu]);

        cr_assert_eq(kvm_schema_read(fd, vcpu, NULL, &schema), 0);
        for (uint32_t i = 0; i < schema->schema.count; i++) {
            const struct vmt_descriptor *d = &schema->schema.descriptors[i];

            cr_assert(d->help && d->help[0], "%s", d->name);
            cr_assert_eq(kvm_is_of_vcpu(d->name), vcpu, "%s", d->name);
        }
        kvm_schema_release(schema);
        close(fd);
    }
    cr_assert_str_eq(kvm_help("invented_tomorrow"), "");
}

Test(kvm_statistics, of_the_same_bytes_are_one_schema)
{
    const struct image vm = recorded_image("kvm-vm-stats");
    const struct kvm_schema *schemas[3] = { NULL };
    struct image other = vm;

    /* Of another VM: its id and its values differ. */
    strcpy(other.data + 24, "kvm-4712");
    other.data[1096]++;
    cr_assert_eq(read_schema(vm.data, vm.bytes, 0, &schemas[0]), 0);
    cr_assert_eq(read_schema(other.data, other.bytes, 0, &schemas[1]), 0);
    cr_assert_eq(schemas[0], schemas[1]);
    cr_assert_eq(schemas[0]->references, 2);
    cr_assert_eq(read_schema(vm.data, vm.bytes, 1, &schemas[2]), 0);
    cr_assert_neq(schemas[0], schemas[2], "of a VM, and of a vCPU");
    kvm_schema_release(schemas[2]);
    other.data[72 + 16] = 'R';
    cr_assert_eq(read_schema(other.data, other.bytes, 0, &schemas[2]), 0);
    cr_assert_neq(schemas[0], schemas[2], "a name differs");
    for (int i = 0; i < 3; i++)
        kvm_schema_release(schemas[i]);
    kvm_schema_release(NULL);
}

static void *read_and_release(void *arg)
{
    const struct image *image = arg;

    for (int i = 0; i < 500; i++) {
        const struct kvm_schema *schema = NULL;

        REQUIRE(read_schema(image->data, image->bytes, 0, &schema) == 0);
        REQUIRE(schema->schema.count == 16);
        kvm_schema_release(schema);
    }
    return NULL;
}

Test(kvm_statistics, may_be_read_by_several_threads)
{
    struct image image = recorded_image("kvm-vm-stats");
    pthread_t threads[4];

    for (size_t i = 0; i < LENGTH(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_and_release, &image), 0);
    for (size_t i = 0; i < LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
}

/* ---- a part ---- */

Test(kvm_statistics, some_can_be_left_out)
{
    const struct image image = recorded_image("kvm-vcpu-stats");
    const struct kvm_schema *whole = NULL, *part = NULL, *less = NULL;
    uint64_t values[140], all[140];
    uint8_t keep[47];
    int fd = file_of(image.data, image.bytes);

    cr_assert_eq(kvm_schema_read(fd, 1, NULL, &whole), 0);
    cr_assert_eq(kvm_values_read(whole, fd, all), 0);
    for (uint32_t i = 0; i < whole->schema.count; i++)
        keep[i] = whole->schema.descriptors[i].size == 1;
    cr_assert_eq(kvm_schema_part(whole, keep, &part), 0);
    cr_assert_eq(schema_check(&part->schema), 0);
    cr_assert_eq(part->schema.count, 44);
    cr_assert_eq(part->schema.slots, 44);
    cr_assert_str_eq(part->schema.target, "vcpu");
    cr_assert_eq(vmt_schema_find(&part->schema, "blocking")->slot, 7);
    cr_assert_eq(kvm_values_read(part, fd, values), 0);
    for (uint32_t i = 0; i < part->schema.count; i++) {
        const char *name = part->schema.descriptors[i].name;

        cr_assert_eq(values[i], value_in(whole, all, name), "%s", name);
    }
    /* It stands on its own, and may be made less again. */
    kvm_schema_release(whole);
    memset(keep, 0, sizeof(keep));
    keep[43] = 1;
    cr_assert_eq(kvm_schema_part(part, keep, &less), 0);
    cr_assert_str_eq(less->schema.descriptors[0].name, "pf_park_timeouts");
    cr_assert_eq(kvm_values_read(less, fd, values), 0);
    cr_assert_eq(values[0], 0);
    kvm_schema_release(less);
    keep[43] = 0;
    less = NULL;
    cr_assert_eq(kvm_schema_part(part, keep, &less), -ENODATA);
    cr_assert_null(less);
    kvm_schema_release(part);
    close(fd);
}

/* ---- other layouts ---- */

Test(kvm_statistics, may_lie_in_any_order_with_names_of_any_size)
{
    static const struct layout layouts[] = {
        { 48, 24, 72, 1024 },                             /* as today */
        { 16, 24, 40, 2048 },                             /* shorter names */
        { 8, 24, 32, 104 },                               /* so short that they just fit */
        { 128, 24, 152, 1024 },                           /* longer ones */
        { 1024, 24, 1048, 8192 }, { 64, 2000, 24, 3000 }, /* id behind descriptors */
        { 48, 24, 200, 96 },                              /* data between id and descriptors */
        { 48, 9000, 6000, 24 },                           /* all of it, and far away */
        { 48, 24, 6000, 10001 },                          /* not aligned */
    };

    for (size_t i = 0; i < LENGTH(layouts); i++) {
        struct entry entries[3];
        const struct kvm_schema *schema;
        struct image image;
        uint64_t values[4];

        memcpy(entries, three, sizeof(entries));
        entries[0].flags = VMT_TYPE_LOG_HIST;
        image = image_of(&layouts[i], entries, 3, 4);
        schema = read_all(&image, values);
        cr_assert_eq(schema->schema.slots, 4);
        cr_assert_eq(value_in(schema, values, "first"), 1000);
        cr_assert_eq(value_in(schema, values, "second"), 1001);
        cr_assert_eq(values[2], 1002);
        cr_assert_eq(value_in(schema, values, "third"), 1003);
        kvm_schema_release(schema);
    }
}

Test(kvm_statistics, of_an_unknown_kind_are_left_out_and_the_others_stay_right)
{
    static const struct {
        const char *what;
        struct entry entry;
    } kinds[] = {
        { "type", { "new", 5, 8, 2, 0, 0 } },
        { "unit", { "new", VMT_TYPE_LOG_HIST | 0x50, 8, 2, 0, 0 } },
        { "base", { "new", VMT_TYPE_LOG_HIST | 0x200, 8, 2, 0, 0 } },
        { "exponent", { "new", VMT_TYPE_LOG_HIST | VMT_UNIT_BYTES, 8, 2, -3, 0 } },
        { "exponent of seconds", { "new", VMT_TYPE_LOG_HIST | VMT_UNIT_SECONDS, 8, 2, 3, 0 } },
        { "exponent of a boolean", { "new", VMT_TYPE_LOG_HIST | VMT_UNIT_BOOLEAN, 8, 2, 1, 0 } },
        { "bucket size", { "new", VMT_TYPE_LOG_HIST, 8, 2, 0, 10 } },
        { "no bucket size", { "new", VMT_TYPE_LINEAR_HIST, 8, 2, 0, 0 } },
        { "several values", { "new", VMT_TYPE_CUMULATIVE, 8, 2, 0, 0 } },
        { "name not printable", { "n\x01w", VMT_TYPE_LOG_HIST, 8, 2, 0, 0 } },
        { "long name", { "an_extraordinarily_long_name_for_one_of_statistics", VMT_TYPE_LOG_HIST, 8, 2, 0, 0 } },
    };
    static const struct layout layout = { 64, 24, 88, 1024 };

    for (size_t i = 0; i < LENGTH(kinds); i++) {
        const struct entry entries[] = { kinds[i].entry, three[1], three[2] };
        const struct image image = image_of(&layout, entries, 3, 4);
        uint64_t values[4] = { 0 };
        const struct kvm_schema *schema = read_all(&image, values);

        cr_assert_eq(schema->schema.count, 2, "%s", kinds[i].what);
        cr_assert_eq(schema->schema.slots, 2, "%s", kinds[i].what);
        cr_assert_eq(value_in(schema, values, "first"), 1000, "%s", kinds[i].what);
        cr_assert_eq(value_in(schema, values, "third"), 1003, "%s", kinds[i].what);
        kvm_schema_release(schema);
    }
}

Test(kvm_statistics, may_leave_room_between_their_values)
{
    const struct entry entries[] = { { "late", 0, 800, 1, 0, 0 }, { "early", VMT_TYPE_PEAK, 16, 1, 0, 0 } };
    const struct image image = image_of(&plain, entries, 2, 101);
    uint64_t values[2];
    const struct kvm_schema *schema = read_all(&image, values);

    cr_assert_eq(schema->schema.slots, 2);
    cr_assert_eq(value_in(schema, values, "early"), 1002);
    cr_assert_eq(value_in(schema, values, "late"), 1100);
    kvm_schema_release(schema);
}

Test(kvm_statistics, flags_of_later_kernels_do_not_become_ours)
{
    const struct entry entries[] = { { "first", 0xfffff000U, 0, 1, 0, 0 } };
    struct image image = image_of(&plain, entries, 1, 1);
    const struct kvm_schema *schema;
    uint64_t values[1];

    image.data[0] = 1; /* of the header */
    schema = read_all(&image, values);
    cr_assert_eq(schema->schema.descriptors[0].flags, VMT_TYPE_CUMULATIVE);
    kvm_schema_release(schema);
}

/* ---- the schemas made of them ---- */

Test(kvm_statistics, without_memory_are_not_had_and_nothing_is_lost)
{
    static const struct layout far = { 48, 24, 6000, 24 + 48 };
    const struct image image = image_of(&far, three + 1, 1, 1);
    const struct kvm_schema *schema = NULL, *part = NULL;
    int fd = file_of(image.data, image.bytes);
    const uint8_t keep[] = { 1 };
    bool failed = true;
    unsigned n;

    for (n = 1; failed; n++) {
        int r = SCARCE(n, &failed, kvm_schema_read(fd, 0, NULL, &schema));

        cr_assert_eq(r, failed ? -ENOMEM : 0);
        cr_assert_eq(schema == NULL, failed);
    }
    cr_assert_geq(n, 6);
    failed = true;
    for (n = 1; failed; n++) {
        int r = SCARCE(n, &failed, kvm_schema_part(schema, keep, &part));

        cr_assert_eq(r, failed ? -ENOMEM : 0);
        cr_assert_eq(part == NULL, failed);
    }
    cr_assert_geq(n, 3);
    kvm_schema_release(part);
    kvm_schema_release(schema);
    close(fd);
}

Test(kvm_statistics, made_by_hand_are_checked)
{
    const struct vmt_descriptor good[] = { { .name = "a", .size = 1 },
                                           { .name = "b", .flags = VMT_TYPE_INSTANT, .size = 1 } };
    const struct vmt_descriptor bad[] = { { .name = "a", .size = 2 } };
    const struct kvm_schema *schema = NULL;

    cr_assert_eq(kvm_schema_make(1, bad, 1, &schema), -EINVAL);
    cr_assert_eq(kvm_schema_make(1, good, 0, &schema), -EINVAL);
    cr_assert_null(schema);
    cr_assert_eq(kvm_schema_make(1, good, 2, &schema), 0);
    cr_assert_eq(schema->schema.descriptors[1].slot, 1);
    cr_assert_str_eq(schema->schema.name, "kvm-vcpu");
    kvm_schema_release(schema);
}

/* ---- this kernel ---- */

/* An fd of /dev/kvm; the test is skipped where there is none. */
static int kvm_or_skip(const char *test)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (kvm < 0)
        cr_skip_test("%s: /dev/kvm: %s", test, strerror(errno));
    return kvm;
}

Test(kvm_statistics, of_this_kernel_can_be_had)
{
    const struct kvm_schema *vm = NULL, *vcpu = NULL;
    int before, r;

    close(kvm_or_skip("of_this_kernel_can_be_had"));
    before = test_descriptors();
    r = kvm_schemas_of_host(&vm, &vcpu);
    if (r == -ENOTTY)
        cr_skip_test("of_this_kernel_can_be_had: KVM_GET_STATS_FD: %s", strerror(-r));
    cr_assert_eq(r, 0, "%s", strerror(-r));
    cr_assert_eq(test_descriptors(), before);
    cr_assert_eq(schema_check(&vm->schema), 0);
    cr_assert_eq(schema_check(&vcpu->schema), 0);
    cr_assert_str_eq(vm->schema.name, "kvm-vm");
    cr_assert_str_eq(vcpu->schema.name, "kvm-vcpu");
    cr_assert_not_null(vmt_schema_find(&vm->schema, "remote_tlb_flush"));
    cr_assert_not_null(vmt_schema_find(&vcpu->schema, "halt_wait_hist"));
    kvm_schema_release(vm);
    kvm_schema_release(vcpu);
}

Test(kvm_statistics, of_a_vcpu_of_this_kernel_are_read_in_one_piece)
{
    const struct kvm_schema *schema = NULL;
    int kvm = kvm_or_skip("of_a_vcpu_of_this_kernel_are_read_in_one_piece");
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 3);
    int fd = ioctl(vcpu, KVM_GET_STATS_FD, NULL);
    char id[VMT_NAME_SIZE], expected[VMT_NAME_SIZE];
    uint64_t values[VMT_SLOTS_MAX];

    if (fd < 0)
        cr_skip_test("of_a_vcpu_of_this_kernel_are_read_in_one_piece: KVM_GET_STATS_FD: %s", strerror(errno));
    cr_assert_eq(kvm_schema_read(fd, 1, id, &schema), 0);
    snprintf(expected, sizeof(expected), "/vcpu-3");
    cr_assert_str_eq(strchr(id, '/'), expected);
    cr_assert_eq(kvm_values_read(schema, fd, values), 0);
    cr_assert_eq(value_in(schema, values, "exits"), 0, "it has never run");
    cr_assert_eq(value_in(schema, values, "guest_mode"), 0);
    kvm_schema_release(schema);
}

Test(kvm_statistics, of_this_kernel_are_not_had_where_kvm_may_not_be_used)
{
    const struct kvm_schema *vm = NULL, *vcpu = NULL;
    const struct test_denial no_open = { .number = SYS_openat, .error = EACCES };

    cr_assert(test_deny(&no_open));
    cr_assert_eq(kvm_schemas_of_host(&vm, &vcpu), -EACCES);
    cr_assert(!vm && !vcpu);
}

Test(kvm_statistics, of_this_kernel_leave_nothing_open_when_kvm_is_too_old)
{
    static const unsigned from[] = { KVM_CREATE_VM, KVM_GET_STATS_FD };

    close(kvm_or_skip("of_this_kernel_leave_nothing_open_when_kvm_is_too_old"));
    for (size_t i = 0; i < LENGTH(from); i++) {
        const struct test_denial denial = { .number = SYS_ioctl, .error = ENOTTY, .least_1 = from[i] };
        int before = test_descriptors();
        pid_t pid = fork();

        if (pid == 0) {
            const struct kvm_schema *vm = NULL, *vcpu = NULL;

            REQUIRE(test_deny(&denial));
            REQUIRE(kvm_schemas_of_host(&vm, &vcpu) == -ENOTTY);
            REQUIRE(!vm && !vcpu && test_descriptors() == before);
            _exit(0);
        }
        cr_assert_eq(end_of(pid), 0);
    }
}

Test(kvm_statistics, of_this_kernel_leave_nothing_behind_without_memory)
{
    static const char test[] = "of_this_kernel_leave_nothing_behind_without_memory";
    const struct kvm_schema *vm = NULL, *vcpu = NULL;
    int before;
    bool failed = true;
    unsigned n;

    close(kvm_or_skip(test));
    before = test_descriptors();
    for (n = 1; failed; n++) {
        int r = SCARCE(n, &failed, kvm_schemas_of_host(&vm, &vcpu));

        if (r == -ENOTTY)
            cr_skip_test("%s: KVM_GET_STATS_FD: %s", test, strerror(-r));
        cr_assert_eq(r, failed ? -ENOMEM : 0);
        cr_assert(failed ? !vm && !vcpu : vm && vcpu);
    }
    cr_assert_geq(n, 8, "of both");
    cr_assert_eq(test_descriptors(), before);
    cr_assert_eq(vm->references, 1, "no other one was left behind");
    kvm_schema_release(vm);
    kvm_schema_release(vcpu);
}
