/* SPDX-License-Identifier: MIT */
/* KVM's counters in debugfs: as recorded, as damaged, and as this kernel has them. */
#include "recorded.h"

#include "scarce.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "lib/kvm/debugfs.h"

TestSuite(kvm_debugfs, .init = test_dir_init, .fini = test_dir_fini);

#define RECORDED "kvm/4711-12/"
static const struct debugfs_vm recorded = { .pid = 4711, .fd = 12 };

/* ---- trees ---- */

static const char *root(void) { return test_path("debug"); }

static void put(const char *name, const char *text) { recorded_put(root(), name, 0644, text); }

static void make_dir(const char *name)
{
    char file[256];

    snprintf(file, sizeof(file), "%s/there", name);
    put(file, "");
}

/* The recorded tree, with the types that KVM has said then. */
static struct debugfs open_recorded(void)
{
    const struct kvm_schema *vm = NULL, *vcpu = NULL;
    struct debugfs d = { .fd = -1 };
    int fd_of_vm = recorded_open("kvm-vm-stats"), fd_of_vcpu = recorded_open("kvm-vcpu-stats");

    recorded_debugfs(root());
    cr_assert_eq(kvm_schema_read(fd_of_vm, 0, NULL, &vm), 0);
    cr_assert_eq(kvm_schema_read(fd_of_vcpu, 1, NULL, &vcpu), 0);
    close(fd_of_vm);
    close(fd_of_vcpu);
    cr_assert_eq(debugfs_open_as(root(), vm, vcpu, &d), 0);
    kvm_schema_release(vm);
    kvm_schema_release(vcpu);
    return d;
}

struct reading {
    uint64_t vm[VMT_SLOTS_MAX];
    uint64_t sums[VMT_SLOTS_MAX];
    uint32_t vcpus[64];
    long r; /* what debugfs_read() gave */
};

static void read_one(const struct debugfs *d, const struct debugfs_vm *vm, struct reading *reading)
{
    uint32_t *vcpus = NULL;

    reading->r = debugfs_read(d, vm, reading->vm, reading->sums, &vcpus);
    cr_assert_lt(reading->r, (long)LENGTH(reading->vcpus));
    for (long i = 0; i < reading->r; i++)
        reading->vcpus[i] = vcpus[i];
    cr_assert(reading->r >= 0 || !vcpus);
    free(vcpus);
}

static uint64_t value_in(const struct kvm_schema *schema, const uint64_t *values, const char *name)
{
    const struct vmt_descriptor *d = vmt_schema_find(&schema->schema, name);

    cr_assert_not_null(d, "no statistic '%s'", name);
    return values[d->slot];
}

/* ---- what was recorded ---- */

Test(kvm_debugfs, of_a_vm_are_what_the_files_say)
{
    struct debugfs d = open_recorded();
    FILE *f = fdopen(recorded_open("debugfs.txt"), "r");
    struct reading now;
    char line[256], name[128];
    unsigned long long value;
    unsigned seen = 0;

    cr_assert(d.fd >= 0 && d.mounted && d.error == 0 && d.locked == 0);
    cr_assert_eq(d.vm->schema.count, 16);
    cr_assert_eq(d.vcpu->schema.count, 44, "all but three histograms");
    read_one(&d, &recorded, &now);
    cr_assert_eq(now.r, 2);
    cr_assert(now.vcpus[0] == 0 && now.vcpus[1] == 1);
    while (fgets(line, sizeof(line), f)) {
        const struct kvm_schema *schema;

        if (sscanf(line, RECORDED "%127[a-z0-9_] %*o %llu", name, &value) != 2 || strstr(name, "_hist"))
            continue;
        schema = vmt_schema_find(&d.vm->schema, name) ? d.vm : d.vcpu;
        cr_assert_eq(value_in(schema, schema == d.vm ? now.vm : now.sums, name), value, "%s", name);
        seen++;
    }
    cr_assert_eq(seen, 60);
    cr_assert_eq(value_in(d.vcpu, now.sums, "exits"), 3752);
    fclose(f);
    debugfs_close(&d);
}

Test(kvm_debugfs, statistics_have_the_kernels_types_and_units)
{
    struct debugfs d = open_recorded();
    const struct vmt_descriptor *ns = vmt_schema_find(&d.vcpu->schema, "halt_wait_ns");

    cr_assert_eq(vmt_schema_find(&d.vm->schema, "max_mmu_rmap_size")->flags, VMT_TYPE_PEAK);
    cr_assert_eq(ns->flags, VMT_TYPE_CUMULATIVE | VMT_UNIT_SECONDS);
    cr_assert_eq(ns->exponent, -9);
    cr_assert_null(vmt_schema_find(&d.vcpu->schema, "halt_wait_hist"), "its file has one bucket only");
    cr_assert_null(vmt_schema_find(&d.vm->schema, "mmu_rmaps_stat"), "its file has no number");
    debugfs_close(&d);
}

Test(kvm_debugfs, without_the_kernels_word_types_are_guessed_from_modes)
{
    struct debugfs d = { .fd = -1 };
    struct reading now;

    recorded_debugfs(root());
    put("kvm/invented_tomorrow", "7");
    put(RECORDED "invented_tomorrow", "8");
    put("kvm/a_text", "seven");
    cr_assert_eq(debugfs_open_as(root(), NULL, NULL, &d), 0);
    cr_assert_eq(vmt_schema_find(&d.vcpu->schema, "exits")->flags, VMT_TYPE_CUMULATIVE);
    cr_assert_eq(vmt_schema_find(&d.vcpu->schema, "guest_mode")->flags, VMT_TYPE_INSTANT);
    cr_assert_eq(vmt_schema_find(&d.vm->schema, "pages_4k")->flags, VMT_TYPE_INSTANT);
    cr_assert_eq(vmt_schema_find(&d.vm->schema, "max_mmu_rmap_size")->flags, VMT_TYPE_PEAK);
    cr_assert_null(vmt_schema_find(&d.vcpu->schema, "halt_wait_hist"));
    cr_assert_null(vmt_schema_find(&d.vm->schema, "halt_wait_hist"));
    cr_assert_null(vmt_schema_find(&d.vm->schema, "a_text"));
    cr_assert_eq(d.vm->schema.count, 17);
    cr_assert_eq(d.vcpu->schema.count, 44);
    read_one(&d, &recorded, &now);
    cr_assert_eq(now.r, 2);
    cr_assert_eq(value_in(d.vm, now.vm, "invented_tomorrow"), 8);
    cr_assert_eq(value_in(d.vcpu, now.sums, "exits"), 3752);
    debugfs_close(&d);
}

/* ---- names ---- */

Test(kvm_debugfs, names_of_vms_are_matched_whole)
{
    static const char *const none[] = { "kvm/23",
                                        "kvm/23-",
                                        "kvm/-4",
                                        "kvm/a23-4",
                                        "kvm/23-4b",
                                        "kvm/23-4-5",
                                        "kvm/023-4",
                                        "kvm/23-04",
                                        "kvm/0-4",
                                        "kvm/23--4",
                                        "kvm/ 23-4",
                                        "kvm/+23-4",
                                        "kvm/99999999999999999999-4",
                                        "kvm/4294967319-4",
                                        "kvm/23-4294967300",
                                        "kvm/vcpu0" };
    static const struct debugfs_vm expected[] = { { .pid = 23, .fd = 4 },    { .pid = 123, .fd = 4 },
                                                  { .pid = 123, .fd = 45 },  { .pid = 1234, .fd = 5 },
                                                  { .pid = 4711, .fd = 12 }, { .pid = INT32_MAX, .fd = INT32_MAX } };
    struct debugfs d = open_recorded();
    struct debugfs_vm *vms = NULL;

    for (size_t i = 0; i < LENGTH(none); i++)
        make_dir(none[i]);
    make_dir("kvm/1234-5");
    make_dir("kvm/123-45");
    make_dir("kvm/23-4");
    make_dir("kvm/123-4");
    make_dir("kvm/2147483647-2147483647");
    put("kvm/77-7", "a file");
    cr_assert_eq(debugfs_list(&d, &vms), LENGTH(expected));
    for (size_t i = 0; i < LENGTH(expected); i++) {
        cr_assert_eq(vms[i].pid, expected[i].pid, "%zu", i);
        cr_assert_eq(vms[i].fd, expected[i].fd, "%zu", i);
    }
    free(vms);
    debugfs_close(&d);
}

Test(kvm_debugfs, a_vm_made_anew_under_the_same_name_is_another)
{
    struct debugfs d = open_recorded();
    struct debugfs_vm *before = NULL, *after = NULL;

    cr_assert_eq(debugfs_list(&d, &before), 1);
    cr_assert_eq(rename(test_path("debug/kvm/4711-12"), test_path("debug/gone")), 0);
    make_dir("kvm/4711-12");
    cr_assert_eq(debugfs_list(&d, &after), 1);
    cr_assert_neq(before->ino, after->ino);
    free(before);
    free(after);
    debugfs_close(&d);
}

Test(kvm_debugfs, numbers_of_vcpus_are_matched_whole_and_sorted)
{
    static const char *const more[] = { "vcpu10", "vcpu2",  "vcpu",   "vcpu3x",
                                        "vcpu03", "vcpu-3", "xvcpu3", "vcpu4294967298" };
    struct debugfs d = open_recorded();
    struct reading now;

    for (size_t i = 0; i < LENGTH(more); i++) {
        char name[64];

        snprintf(name, sizeof(name), RECORDED "%s", more[i]);
        make_dir(name);
    }
    put(RECORDED "vcpu7", "a file");
    read_one(&d, &recorded, &now);
    cr_assert_eq(now.r, 4);
    cr_assert(now.vcpus[0] == 0 && now.vcpus[1] == 1 && now.vcpus[2] == 2 && now.vcpus[3] == 10);
    debugfs_close(&d);
}

Test(kvm_debugfs, of_the_process_that_asks_is_no_vm)
{
    struct debugfs d = open_recorded();
    struct debugfs_vm *vms = NULL;
    char name[64];

    snprintf(name, sizeof(name), "kvm/%d-9", getpid());
    make_dir(name);
    cr_assert_eq(debugfs_list(&d, &vms), 1);
    cr_assert_eq(vms[0].pid, 4711);
    free(vms);
    debugfs_close(&d);
}

/* ---- values ---- */

Test(kvm_debugfs, values_are_whole_numbers_or_an_error)
{
    static const struct {
        const char *text;
        long expected;
        uint64_t value;
    } texts[] = {
        { "0", 2, 0 },
        { "18446744073709551615", 2, UINT64_MAX },
        { "18446744073709551616", -EIO, 0 },
        { "99999999999999999999", -EIO, 0 },
        { "-1", 2, UINT64_MAX },
        { "-9223372036854775808", 2, UINT64_C(1) << 63 },
        { "-9223372036854775809", -EIO, 0 },
        { "5 ", 2, 5 },
        { "", -EIO, 0 },
        { "-", -EIO, 0 },
        { "--1", -EIO, 0 },
        { "+1", -EIO, 0 },
        { "0x1", -EIO, 0 },
        { "1 2", -EIO, 0 },
        { "1\n2", -EIO, 0 },
        { "one", -EIO, 0 },
        { "00000000000000000000000000000000000001", -EIO, 0 },
        { "1                                     ", -EIO, 0 },
    };
    struct debugfs d = open_recorded();

    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct reading now;

        put(RECORDED "exits", texts[i].text);
        read_one(&d, &recorded, &now);
        cr_assert_eq(now.r, texts[i].expected, "'%s': %ld", texts[i].text, now.r);
        if (now.r >= 0)
            cr_assert_eq(value_in(d.vcpu, now.sums, "exits"), texts[i].value, "'%s'", texts[i].text);
    }
    debugfs_close(&d);
}

Test(kvm_debugfs, of_a_vm_that_comes_or_goes_are_not_there)
{
    struct debugfs d = open_recorded();
    const struct debugfs_vm other = { .pid = 4711, .fd = 1 };
    struct reading now;

    read_one(&d, &other, &now);
    cr_assert_eq(now.r, -ENOENT);
    cr_assert_eq(unlink(test_path("debug/" RECORDED "tlb_flush")), 0);
    read_one(&d, &recorded, &now);
    cr_assert_eq(now.r, -ENOENT);
    debugfs_close(&d);
}

Test(kvm_debugfs, what_is_not_asked_for_is_not_opened)
{
    struct debugfs d = open_recorded();
    uint64_t values[VMT_SLOTS_MAX];
    uint32_t *vcpus = NULL;

    cr_assert_eq(unlink(test_path("debug/" RECORDED "exits")), 0);
    cr_assert_eq(debugfs_read(&d, &recorded, values, NULL, &vcpus), 2);
    cr_assert_eq(value_in(d.vm, values, "mmu_cache_miss"), 4);
    free(vcpus);
    cr_assert_eq(unlink(test_path("debug/" RECORDED "pages_4k")), 0);
    cr_assert_eq(debugfs_read(&d, &recorded, NULL, NULL, &vcpus), 2);
    free(vcpus);
    debugfs_close(&d);
}

Test(kvm_debugfs, files_do_not_stay_open)
{
    struct debugfs d = open_recorded();
    struct debugfs_vm *vms = NULL;
    int before = test_descriptors();
    struct reading now;

    read_one(&d, &recorded, &now);
    cr_assert_eq(now.r, 2);
    put(RECORDED "exits", "no number");
    read_one(&d, &recorded, &now);
    cr_assert_eq(now.r, -EIO);
    cr_assert_eq(debugfs_list(&d, &vms), 1);
    free(vms);
    cr_assert_eq(test_descriptors(), before);
    debugfs_close(&d);
    cr_assert_eq(test_descriptors(), before - 1);
}

/* ---- what is not there, or may not be read ---- */

Test(kvm_debugfs, that_is_not_there_is_said)
{
    struct debugfs d = { .fd = 0 };
    struct debugfs_vm *vms = NULL;
    uint32_t *vcpus = NULL;

    cr_assert_eq(debugfs_open(root(), &d), 0);
    cr_assert(d.fd == -1 && d.error == -ENOENT && !d.mounted && !d.vm && !d.vcpu);
    cr_assert_eq(debugfs_list(&d, &vms), -ENOENT);
    cr_assert_eq(debugfs_read(&d, &recorded, NULL, NULL, &vcpus), -ENOENT);
    debugfs_close(&d);
}

/* In a child without root's permissions. */
static void as_nobody(void)
{
    if (geteuid() == 0)
        REQUIRE(chmod(getenv("VMTALLY_DIR"), 0755) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
}

static void look_at_a_closed_one(void *arg)
{
    struct debugfs d = { .fd = 0 };

    (void)arg;
    as_nobody();
    REQUIRE(debugfs_open(root(), &d) == 0);
    REQUIRE(d.fd == -1 && d.error == -EACCES && !d.vm && !d.vcpu);
    debugfs_close(&d);
}

Test(kvm_debugfs, that_may_not_be_entered_is_said)
{
    recorded_debugfs(root());
    cr_assert_eq(chmod(root(), 0700), 0);
    if (geteuid() != 0)
        cr_assert_eq(chmod(root(), 0), 0);
    assert_child(look_at_a_closed_one, NULL);
    cr_assert_eq(chmod(root(), 0700), 0);
}

static void look_at_a_locked_one(void *arg)
{
    const struct kvm_schema *const *of = arg;
    struct reading now;
    struct debugfs d;

    as_nobody();
    for (int guessed = 0; guessed < 2; guessed++) {
        REQUIRE(debugfs_open_as(root(), guessed ? NULL : of[0], guessed ? NULL : of[1], &d) == 0);
        REQUIRE(d.fd >= 0 && d.locked == 11 + 42);
        REQUIRE(d.vm->schema.count == 5 && d.vcpu->schema.count == 2);
        REQUIRE(vmt_schema_find(&d.vcpu->schema, "blocking"));
        read_one(&d, &recorded, &now);
        REQUIRE(now.r == 2);
        debugfs_close(&d);
    }
}

/* As a kernel does that is locked down: what may be written may not be opened. */
Test(kvm_debugfs, of_a_kernel_that_is_locked_down_are_what_can_be_read)
{
    struct debugfs d = open_recorded();
    const struct kvm_schema *of[2] = { d.vm, d.vcpu };
    FILE *f = fdopen(recorded_open("debugfs.txt"), "r");
    char line[256], name[128], path[256];

    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%127s 0644", name) == 1 && strstr(line, " 0644 ")) {
            snprintf(path, sizeof(path), "debug/%s", name);
            cr_assert_eq(chmod(test_path(path), 0200), 0);
        }
    }
    fclose(f);
    assert_child(look_at_a_locked_one, of);
    debugfs_close(&d);
}

Test(kvm_debugfs, without_memory_are_not_had_and_nothing_is_lost)
{
    struct debugfs whole = open_recorded(), d = { .fd = -1 };
    struct debugfs_vm *vms = NULL;
    uint32_t *vcpus = NULL;
    int before = test_descriptors();
    bool failed = true;
    unsigned n;

    for (n = 1; failed; n++) {
        int r = SCARCE(n, &failed, debugfs_open_as(root(), whole.vm, whole.vcpu, &d));

        cr_assert_eq(r, failed ? -ENOMEM : 0);
    }
    cr_assert_geq(n, 6);
    debugfs_close(&d);
    failed = true;
    for (n = 1; failed; n++) {
        int r = SCARCE(n, &failed, debugfs_open_as(root(), NULL, NULL, &d));

        cr_assert_eq(r, failed ? -ENOMEM : 0);
    }
    cr_assert_geq(n, 8);
    debugfs_close(&d);
    failed = true;
    for (n = 1; failed; n++) {
        long r = SCARCE(n, &failed, debugfs_list(&whole, &vms));

        cr_assert_eq(r, failed ? -ENOMEM : 1);
    }
    free(vms);
    failed = true;
    for (n = 1; failed; n++) {
        long r = SCARCE(n, &failed, debugfs_read(&whole, &recorded, NULL, NULL, &vcpus));

        cr_assert_eq(r, failed ? -ENOMEM : 2);
    }
    free(vcpus);
    cr_assert_eq(test_descriptors(), before);
    debugfs_close(&whole);
}

/* ---- this kernel ---- */

#define REAL "/sys/kernel/debug"

struct vmm {
    int ready; /* a VM and two vCPUs are there; negative: why not */
    int fd;    /* of the VM */
};

static void be_a_vmm(void *arg)
{
    struct vmm *vmm = arg;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);

    if (ioctl(vm, KVM_CREATE_VCPU, 0) < 0 || ioctl(vm, KVM_CREATE_VCPU, 5) < 0)
        _exit(1);
    vmm->fd = vm;
    say(&vmm->ready, 1);
    pause();
}

static bool is_among(const struct debugfs *d, const struct debugfs_vm *vm)
{
    struct debugfs_vm *vms = NULL;
    long n = debugfs_list(d, &vms);
    bool found = false;

    cr_assert_geq(n, 0);
    for (long i = 0; i < n; i++)
        found |= vms[i].pid == vm->pid && vms[i].fd == vm->fd;
    free(vms);
    return found;
}

Test(kvm_debugfs, of_this_kernel_show_a_vm_until_it_is_gone)
{
    static const char test[] = "of_this_kernel_show_a_vm_until_it_is_gone";
    struct vmm *vmm = shared_memory(sizeof(*vmm));
    struct debugfs d = { .fd = -1 };
    struct debugfs_vm vm;
    struct reading now;
    pid_t pid;
    char path[64];

    cr_assert_eq(debugfs_open(REAL, &d), 0);
    if (d.fd < 0)
        cr_skip_test("%s: " REAL "/kvm: %s", test, strerror(-d.error));
    if (access("/dev/kvm", R_OK | W_OK) < 0)
        cr_skip_test("%s: /dev/kvm: %s", test, strerror(errno));
    cr_assert(d.mounted);
    cr_assert(d.vm || d.locked, "the files can be read, or are locked");
    pid = start_child(be_a_vmm, vmm);
    cr_assert(reached(&vmm->ready, 1));
    vm = (struct debugfs_vm){ .pid = (uint32_t)pid, .fd = vmm->fd };
    if (!is_among(&d, &vm)) {
        kill_child(pid);
        cr_skip_test("%s: this is not the initial PID namespace", test);
    }
    read_one(&d, &vm, &now);
    cr_assert_eq(now.r, 2, "%ld", now.r);
    cr_assert(now.vcpus[0] == 0 && now.vcpus[1] == 5);
    if (d.vm && vmt_schema_find(&d.vm->schema, "pages_4k"))
        cr_assert_eq(value_in(d.vm, now.vm, "pages_4k"), 0, "it has no memory");
    kill_child(pid);
    /* What was read does not keep it. */
    snprintf(path, sizeof(path), REAL "/kvm/%d-%d", pid, vmm->fd);
    for (int i = 0; i < 1000 && access(path, F_OK) == 0; i++)
        nap_us(1000);
    cr_assert_neq(access(path, F_OK), 0, "%s is still there", path);
    cr_assert_not(is_among(&d, &vm));
    read_one(&d, &vm, &now);
    cr_assert_eq(now.r, -ENOENT);
    debugfs_close(&d);
}

/* What /dev/kvm says and what debugfs has are one list. */
Test(kvm_debugfs, of_this_kernel_are_the_statistics_of_its_schemas)
{
    static const char test[] = "of_this_kernel_are_the_statistics_of_its_schemas";
    const struct kvm_schema *of[2] = { NULL };
    struct debugfs d = { .fd = -1 };
    uint32_t scalars = 0;
    int r = kvm_schemas_of_host(&of[0], &of[1]);

    cr_assert_eq(debugfs_open(REAL, &d), 0);
    if (d.fd < 0)
        cr_skip_test("%s: " REAL "/kvm: %s", test, strerror(-d.error));
    if (r < 0)
        cr_skip_test("%s: /dev/kvm: %s", test, strerror(-r));
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < of[k]->schema.count; i++)
            scalars += of[k]->schema.descriptors[i].size == 1;
        kvm_schema_release(of[k]);
    }
    cr_assert_eq((d.vm ? d.vm->schema.count : 0) + (d.vcpu ? d.vcpu->schema.count : 0) + d.locked, scalars);
    debugfs_close(&d);
}
