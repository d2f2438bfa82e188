/* SPDX-License-Identifier: MIT */
/* The kernel's assertions (kvm_assertions.h) hold on its own descriptors; and on files that are broken they fail. */
#include "recorded.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmtally/descriptor.h>

#include "kvm_assertions.h"

#define HOLDS(fd, what)                                                                                                \
    do {                                                                                                               \
        char why_[256];                                                                                                \
                                                                                                                       \
        cr_assert(kvm_assertions_hold_twice(fd, why_, sizeof(why_)), "%s: %s", what, why_);                            \
    } while (0)

/* ---- the kernel ---- */

struct machine {
    int vm;
    int vcpu;
    int vm_stats;
    int vcpu_stats;
};

/* -1: KVM is not there, or too old. */
static int make_machine(int kvm, struct machine *m)
{
    m->vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
    m->vcpu = m->vm < 0 ? -1 : ioctl(m->vm, KVM_CREATE_VCPU, 0UL);
    m->vm_stats = m->vcpu < 0 ? -1 : ioctl(m->vm, KVM_GET_STATS_FD, NULL);
    m->vcpu_stats = m->vm_stats < 0 ? -1 : ioctl(m->vcpu, KVM_GET_STATS_FD, NULL);
    return m->vcpu_stats < 0 ? -1 : 0;
}

static void check_machine(const struct machine *m, const char *what)
{
    HOLDS(m->vm_stats, what);
    HOLDS(m->vcpu_stats, what);
}

Test(kvm_assertions, hold_on_the_kernels_descriptors_of_two_vms_and_after_the_vms_are_closed)
{
    struct machine a, b;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int again;

    if (kvm < 0)
        cr_skip_test("needs /dev/kvm, which can't be opened");
    if (make_machine(kvm, &a) < 0 || make_machine(kvm, &b) < 0)
        cr_skip_test("needs KVM_GET_STATS_FD (Linux 5.14)");
    check_machine(&a, "the first VM");
    check_machine(&b, "the second VM");
    again = ioctl(a.vcpu, KVM_GET_STATS_FD, NULL);
    HOLDS(again, "a second descriptor of a vCPU's statistics");
    close(again);
    close(a.vcpu);
    close(a.vm);
    check_machine(&a, "after the VM's descriptors were closed");
    check_machine(&b, "the second VM, after the first was closed");
    close(b.vm);
    close(b.vcpu);
    close(kvm);
}

Test(kvm_assertions, hold_on_what_was_recorded_of_a_kernel)
{
    int vm_stats = recorded_open("kvm-vm-stats"), vcpu_stats = recorded_open("kvm-vcpu-stats");

    HOLDS(vm_stats, "kvm-vm-stats");
    HOLDS(vcpu_stats, "kvm-vcpu-stats");
    close(vm_stats);
    close(vcpu_stats);
}

/* ---- the tester, tested ---- */

#define DESC(field) (72 + offsetof(struct kvm_stats_desc, field)) /* of the first descriptor */
#define SECOND(field) (72 + 64 + offsetof(struct kvm_stats_desc, field))
#define FIELD(field) offsetof(struct kvm_stats_header, field), sizeof(((struct kvm_stats_header *)0)->field)
#define DESC_FIELD(field) DESC(field), sizeof(((struct kvm_stats_desc *)0)->field)
#define SECOND_FIELD(field) SECOND(field), sizeof(((struct kvm_stats_desc *)0)->field)
#define LENGTH_IS SIZE_MAX, 0 /* the value is that of the file, counted from its end if it is negative */

/* A good one has: the two below, the first with 1 value, the second with 4. */
static const struct vmt_kvm_desc good[] = {
    { KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10, -9, 1, 0, 0, "time_ns" },
    { KVM_STATS_TYPE_LINEAR_HIST | KVM_STATS_UNIT_NONE, 0, 4, 8, 10, "hist" },
};
#define GOOD_BYTES (24 + 48 + 2 * 64 + 5 * 8)

static const struct mutation {
    const char *what;
    size_t at;
    size_t bytes; /* more than 8: a text without end */
    int64_t value;
    const char *says;
} mutations[] = {
    { "no header", LENGTH_IS, 23, "header is not 24" },
    { "flags of the header", FIELD(flags), 1, "flags of the header" },
    { "names of another size", FIELD(name_size), 40, "name_size is 40" },
    { "names without end", FIELD(name_size), 0, "name_size is 0" },
    { "no statistics", FIELD(num_desc), 0, "num_desc is 0" },
    { "a billion statistics", FIELD(num_desc), 1000000000, "num_desc" },
    { "more statistics than there are", FIELD(num_desc), 3, "descriptors can't be read" },
    { "fewer statistics than there are", FIELD(num_desc), 1, "not behind the descriptors" },
    { "an id that is elsewhere", FIELD(id_offset), 32, "id is not behind" },
    { "an id in the header", FIELD(id_offset), 0, "id is not behind" },
    { "no place of descriptors", FIELD(desc_offset), 0, "descriptors in the header" },
    { "descriptors in the header", FIELD(desc_offset), 20, "descriptors in the header: 20" },
    { "descriptors behind a gap", FIELD(desc_offset), 80, "descriptors are not behind the id" },
    { "no place of data", FIELD(data_offset), 0, "data in the header" },
    { "data in the header", FIELD(data_offset), 16, "data in the header: 16" },
    { "data on descriptors", FIELD(data_offset), 80, "lies on the descriptors" },
    { "data behind a gap", FIELD(data_offset), 208, "not behind the descriptors" },
    { "an id that is cut", LENGTH_IS, 60, "id can't be read" },
    { "an id of somebody else", 24, 3, 0x6d7078, "id begins with" },
    { "an empty id", 24, 1, 0, "id begins with" },
    { "an id without end", 24, 48, 0, "id never ends" },
    { "descriptors that are cut", LENGTH_IS, 150, "descriptors can't be read" },
    { "a name without end", DESC(name), 48, 0, "name never ends" },
    { "no name", DESC(name), 1, 0, "without a name" },
    { "a type that there is not", DESC_FIELD(flags), 0x25, "type 0x5" },
    { "a unit that there is not", DESC_FIELD(flags), 0x50, "unit 0x50" },
    { "a base that there is not", DESC_FIELD(flags), 0x220, "base 0x200" },
    { "an aggregation of ours", DESC_FIELD(flags), 0x01000020, "flags that are not KVM's" },
    { "a sign of ours", DESC_FIELD(flags), 0x10000020, "flags that are not KVM's" },
    { "a flag that KVM may have one day", DESC_FIELD(flags), 0x1020, "flags that are not KVM's" },
    { "seconds by the thousand", DESC_FIELD(exponent), 3, "exponent 3" },
    { "parts of one", SECOND_FIELD(exponent), -1, "exponent -1" },
    { "parts of a byte", DESC_FIELD(flags), KVM_STATS_UNIT_BYTES, "exponent -9" },
    { "parts of a cycle", DESC_FIELD(flags), KVM_STATS_UNIT_CYCLES, "exponent -9" },
    { "a boolean with an exponent", DESC_FIELD(flags), KVM_STATS_UNIT_BOOLEAN, "exponent -9" },
    { "no value", DESC_FIELD(size), 0, "size 0" },
    { "more values than there is data", SECOND_FIELD(size), 5, "data can't be read" },
    { "fewer values than there is data", SECOND_FIELD(size), 3, "behind the data" },
    { "a linear histogram without bucket size", SECOND_FIELD(bucket_size), 0, "bucket_size 0" },
    { "a bucket size of something else", DESC_FIELD(bucket_size), 10, "bucket_size 10" },
    { "less data than statistics", SECOND(size), 6, 1, "2 statistics in 8 bytes" }, /* offset 0, too */
    { "data of two", SECOND_FIELD(offset), 0, "shares" },
    { "data that is nobody's", SECOND_FIELD(offset), 16, "not dense" },
    { "data that is not aligned", SECOND_FIELD(offset), 12, "offset 12" },
    { "data far away", SECOND_FIELD(offset), 0x7ffffff8, "offset" },
    { "data that is cut", LENGTH_IS, -8, "data can't be read" },
    { "data that is cut in the middle of a value", LENGTH_IS, -1, "data can't be read" },
    { "no data", LENGTH_IS, 200, "data can't be read" },
    { "something behind it", LENGTH_IS, GOOD_BYTES + 1, "behind the data" },
};

static int make_good(void)
{
    const struct vmt_kvm_header header = { 0, 48, 2, 24, 72, 72 + sizeof(good) };
    int fd = memfd_create("good", MFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
    cr_assert_eq(pwrite(fd, "kvm-1", 5, 24), 5);
    cr_assert_eq(pwrite(fd, good, sizeof(good), 72), sizeof(good));
    cr_assert_eq(ftruncate(fd, GOOD_BYTES), 0);
    return fd;
}

static void break_it(int fd, const struct mutation *m)
{
    char text[48];

    if (m->at == SIZE_MAX) {
        cr_assert_eq(ftruncate(fd, m->value < 0 ? GOOD_BYTES + m->value : m->value), 0);
        return;
    }
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "kvm"[i % 3];
    cr_assert_eq(pwrite(fd, m->bytes <= sizeof(m->value) ? (const void *)&m->value : text, m->bytes, (off_t)m->at),
                 (ssize_t)m->bytes);
}

Test(kvm_assertions, fail_on_a_file_that_is_broken_in_any_respect)
{
    char why[256];

    for (size_t i = 0; i < LENGTH(mutations); i++) {
        int fd = make_good();

        HOLDS(fd, "what is not broken");
        break_it(fd, &mutations[i]);
        strcpy(why, "nothing");
        cr_expect_not(kvm_assertions_hold(fd, why, sizeof(why)), "%s is not noticed", mutations[i].what);
        cr_expect_not_null(strstr(why, mutations[i].says), "%s: said is: %s", mutations[i].what, why);
        close(fd);
    }
}

/* The rule that each exponent has for its unit, by all of them. */
Test(kvm_assertions, know_the_exponents_of_each_unit)
{
    static const struct {
        uint32_t unit;
        int least, most;
    } units[] = {
        { KVM_STATS_UNIT_NONE, 0, 60 },   { KVM_STATS_UNIT_BYTES, 0, 60 },  { KVM_STATS_UNIT_SECONDS, -30, 0 },
        { KVM_STATS_UNIT_CYCLES, 0, 60 }, { KVM_STATS_UNIT_BOOLEAN, 0, 0 },
    };

    for (size_t i = 0; i < LENGTH(units); i++) {
        for (int exponent = -30; exponent <= 60; exponent++)
            cr_expect_eq(kvm_exponent_holds(units[i].unit, exponent),
                         exponent >= units[i].least && exponent <= units[i].most, "unit %#x, exponent %d",
                         units[i].unit, exponent);
    }
}
