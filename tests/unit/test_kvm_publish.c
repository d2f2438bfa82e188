/* SPDX-License-Identifier: MIT */
/* A VMM's statistics fds: named in the segment, and closed with whatever they belong to, so that nobody keeps a VM. */
#include "kvm_parts.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "scarce.h"

static struct fake vm_file, vcpu_file;

static void setup(void)
{
    test_dir_init();
    vm_file = new_fake(false);
    vcpu_file = new_fake(true);
}

static void teardown(void)
{
    free_fake(&vm_file);
    free_fake(&vcpu_file);
    test_dir_fini();
}

TestSuite(kvm_publish, .init = setup, .fini = teardown);

static struct small_vm linked_vm(const char *name)
{
    struct small_vm v = new_vm(name);

    link_fake(v.vm, &vm_file);
    link_fake(v.vcpu[0], &vcpu_file);
    link_fake(v.vcpu[1], &vcpu_file);
    return v;
}

/* ---- what stands there ---- */

Test(kvm_publish, the_fd_is_named_below_its_source)
{
    struct small_vm v = linked_vm("vm");
    const struct vmt_source *vm = child_of(v.vm, "kvm-fd"), *vcpu = child_of(v.vcpu[0], "kvm-fd");

    cr_assert(vm && vcpu && child_of(v.vcpu[1], "kvm-fd"));
    cr_assert_str_eq(vm->schema->declared->name, "kvm-fd");
    cr_assert_str_eq(vm->schema->declared->provider, "kvm");
    cr_assert_str_eq(vm->schema->declared->target, "vm");
    cr_assert_str_eq(vcpu->schema->declared->target, "vcpu");
    cr_assert_str_eq(vcpu->schema->declared->descriptors[0].name, "stats_fd");
    for (int i = 0; i < 2; i++) {
        int fd = (int)number_of(i ? vcpu : vm);
        struct stat a, b;

        cr_assert(fstat(fd, &a) == 0 && fstat(i ? vcpu_file.fd : vm_file.fd, &b) == 0 && a.st_ino == b.st_ino);
        cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC, "a program that the VMM starts would keep the VM");
    }
    cr_assert_null(child_of(v.vcpu[0], "kvm"), "no copy, where nobody asked for it");
    vmt_segment_close(v.segment);
}

static void start_without_standard_input(void *arg)
{
    struct small_vm v = new_vm("vm");
    int spare = fake_fd(&vm_file);

    (void)arg;
    REQUIRE(dup2(spare, 0) == 0); /* as KVM gives the lowest number */
    close(spare);
    REQUIRE(kvm_link(v.vm, 0) == 0);
    REQUIRE(number_of(child_of(v.vm, "kvm-fd")) > 2);
    REQUIRE(fcntl((int)number_of(child_of(v.vm, "kvm-fd")), F_GETFD) == FD_CLOEXEC);
    REQUIRE(fcntl(0, F_GETFD) < 0);
    vmt_segment_close(v.segment);
}

Test(kvm_publish, zero_is_never_the_number_of_an_fd) { assert_child(start_without_standard_input, NULL); }

/* ---- what is refused ---- */

Test(kvm_publish, what_does_not_fit_is_refused_and_leaves_nothing)
{
    struct small_vm v = new_vm("vm");
    struct vmt_source *disk = add_source(v.segment, &vmt_schema_block, v.vm, "disk");
    int nothing = memfd_create("nothing", MFD_CLOEXEC);
    uint32_t sources = sources_in(v.segment);
    int descriptors = test_descriptors();

    cr_assert_eq(kvm_link(NULL, fake_fd(&vm_file)), -ENODEV);
    cr_assert_eq(kvm_link(disk, fake_fd(&vm_file)), -EINVAL);
    cr_assert_eq(kvm_link(vmt_segment_root(v.segment), fake_fd(&vm_file)), -EINVAL);
    cr_assert_eq(kvm_link(v.vm, fake_fd(&vcpu_file)), -EINVAL, "a vCPU is no VM");
    cr_assert_eq(kvm_link(v.vcpu[0], fake_fd(&vm_file)), -EINVAL, "a VM is no vCPU");
    cr_assert_eq(kvm_link(v.vm, dup(nothing)), -EINVAL);
    cr_assert_eq(test_descriptors(), descriptors);
    link_fake(v.vm, &vm_file);
    cr_assert_eq(kvm_link(v.vm, fake_fd(&vm_file)), -EEXIST);
    cr_assert_eq(sources_in(v.segment), sources + 1);
    cr_assert_eq(test_descriptors(), descriptors + 1);
    vmt_segment_close(v.segment);
    close(nothing);
}

Test(kvm_publish, what_is_no_fd_of_kvm_is_refused)
{
    struct small_vm v = new_vm("vm");
    int wrong[] = { -1, 4000, open("/dev/null", O_RDWR), memfd_create("nothing", 0), socket(AF_UNIX, SOCK_STREAM, 0) };
    int descriptors = test_descriptors();

    for (size_t i = 0; i < LENGTH(wrong); i++) {
        cr_assert_eq(vmt_kvm_add(v.vm, wrong[i]), -EINVAL, "case %zu", i);
        cr_assert_eq(vmt_kvm_add(v.vcpu[0], wrong[i]), -EINVAL, "case %zu", i);
    }
    cr_assert_eq(vmt_kvm_add(NULL, wrong[2]), -ENODEV);
    cr_assert_eq(test_descriptors(), descriptors);
    cr_assert_eq(sources_in(v.segment), 4);
    vmt_segment_close(v.segment);
}

Test(kvm_publish, where_a_source_is_too_much_the_fd_is_closed)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "vm", .max_sources = 2 };
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm;
    int descriptors;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    descriptors = test_descriptors();
    cr_assert_eq(kvm_link(vm, fake_fd(&vm_file)), -ENFILE);
    cr_assert_eq(test_descriptors(), descriptors);
    cr_assert_eq(value_now(segment, "", VMT_SEGMENT_DROPPED_SOURCES), 1);
    vmt_source_remove(vm);
    cr_assert_eq(sources_in(segment), 1);
    vmt_segment_close(segment);
}

Test(kvm_publish, a_child_of_that_name_that_is_the_vmms_own_stays)
{
    struct small_vm v = new_vm("vm");
    int descriptors = test_descriptors();

    add_source(v.segment, &part_schema, v.vm, "kvm-fd");
    cr_assert_eq(kvm_link(v.vm, fake_fd(&vm_file)), -EEXIST);
    cr_assert_eq(test_descriptors(), descriptors);
    cr_assert_not_null(child_of(v.vm, "kvm-fd"));
    vmt_segment_close(v.segment);
}

Test(kvm_publish, where_there_is_no_memory_nothing_is_left)
{
    struct small_vm v = new_vm("vm");
    int descriptors = test_descriptors();
    int r = -ENOMEM;

    for (unsigned n = 1; r == -ENOMEM; n++) {
        cr_assert_eq(test_descriptors(), descriptors);
        cr_assert_eq(sources_in(v.segment), 4);
        cr_assert_lt(n, 20);
        scarce_left = n;
        r = kvm_link(v.vm, fake_fd(&vm_file));
        cr_assert(r == -ENOMEM || (scarce_left > 0 && n > 1), "it was not asked for memory");
    }
    scarce_left = 0;
    cr_assert_eq(r, 0, "%s", strerror(-r));
    vmt_segment_close(v.segment);
    cr_assert_eq(descriptors_called("memfd:statistics"), 2);
}

static int added, refused;

static void *add_once(void *arg)
{
    int r = kvm_link(arg, fake_fd(&vm_file));

    REQUIRE(r == 0 || r == -EEXIST);
    __atomic_fetch_add(r == 0 ? &added : &refused, 1, __ATOMIC_RELAXED);
    return NULL;
}

Test(kvm_publish, of_two_that_add_the_same_at_once_one_is_refused)
{
    struct small_vm v = new_vm("vm");

    for (int i = 1; i <= 300; i++) {
        pthread_t threads[2];

        for (int k = 0; k < 2; k++)
            cr_assert_eq(pthread_create(&threads[k], NULL, add_once, v.vm), 0);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
        cr_assert(added == i && refused == i, "%d, %d", added, refused);
        cr_assert_eq(descriptors_called("memfd:statistics"), 2 + 1);
        cr_assert_eq(sources_in(v.segment), 5);
        vmt_source_remove(v.vm);
        v.vm = add_source(v.segment, &vmt_schema_vm, NULL, "vm");
        vmt_source_remove(v.vcpu[0]);
        vmt_source_remove(v.vcpu[1]);
        v.vcpu[0] = add_source(v.segment, &vmt_schema_vcpu, v.vm, "vcpu-0");
        v.vcpu[1] = add_source(v.segment, &vmt_schema_vcpu, v.vm, "vcpu-1");
    }
    vmt_segment_close(v.segment);
}

/* ---- the end ---- */

Test(kvm_publish, removing_the_source_closes_its_fd_and_is_not_held_up)
{
    int descriptors = test_descriptors();
    struct small_vm v = linked_vm("vm");

    for (int i = 0; i < 100; i++) {
        cr_assert_eq(sources_in(v.segment), 7);
        cr_assert_eq(descriptors_called("memfd:statistics"), 2 + 3);
        vmt_source_remove(v.vcpu[0]);
        cr_assert_eq(sources_in(v.segment), 5, "neither it nor its child is leaving");
        cr_assert_eq(descriptors_called("memfd:statistics"), 2 + 2);
        v.vcpu[0] = add_source(v.segment, &vmt_schema_vcpu, v.vm, "vcpu-0");
        link_fake(v.vcpu[0], &vcpu_file);
    }
    vmt_segment_close(v.segment);
    cr_assert_eq(test_descriptors(), descriptors);
}

Test(kvm_publish, a_vm_may_be_removed_before_its_vcpus_and_after_them)
{
    for (int last = 0; last < 3; last++) {
        struct small_vm v = linked_vm("vm");
        struct vmt_source *order[3] = { v.vcpu[0], v.vcpu[1] };

        order[2] = order[last];
        order[last] = v.vm;
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(descriptors_called("memfd:statistics"), 2 + 3 - i);
            vmt_source_remove(order[i]);
        }
        cr_assert_eq(descriptors_called("memfd:statistics"), 2);
        cr_assert_eq(sources_in(v.segment), 1, "order %d", last);
        vmt_segment_close(v.segment);
    }
}

Test(kvm_publish, who_still_counts_in_a_removed_vcpu_does_not_keep_its_fd)
{
    struct small_vm v = linked_vm("vm");
    struct vmt_shard *shard = vmt_shard_acquire(v.vcpu[0]);

    vmt_source_remove(v.vcpu[0]);
    cr_assert_eq(descriptors_called("memfd:statistics"), 2 + 2);
    cr_assert_eq(sources_in(v.segment), 6, "leaving");
    v.vcpu[0] = add_source(v.segment, &vmt_schema_vcpu, v.vm, "vcpu-0");
    link_fake(v.vcpu[0], &vcpu_file);
    vmt_shard_release(shard);
    cr_assert_eq(sources_in(v.segment), 7);
    vmt_segment_close(v.segment);
}

Test(kvm_publish, a_vmm_that_removes_the_librarys_own_source_does_no_harm)
{
    struct small_vm v = linked_vm("vm");
    struct vmt_source *handle = NULL;

    cr_assert_eq(vmt_source_find(v.segment, "vm/vcpu-0/kvm-fd", &handle), 0);
    vmt_source_remove(handle);
    cr_assert_eq(sources_in(v.segment), 6);
    vmt_source_remove(v.vcpu[0]);
    cr_assert_eq(descriptors_called("memfd:statistics"), 2 + 2);
    cr_assert_eq(sources_in(v.segment), 5);
    vmt_segment_close(v.segment);
}

Test(kvm_publish, closing_the_segment_closes_all_and_takes_the_numbers_back)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "vm", .keep = 1 };
    struct small_vm v;
    uint64_t greatest;

    for (int held = 0; held < 2; held++) {
        struct vmt_segment *segment = NULL;

        cr_assert_eq(vmt_segment_create(&options, &segment), 0);
        add_vm(&v, segment);
        link_fake(v.vm, &vm_file);
        link_fake(v.vcpu[0], &vcpu_file);
        cr_assert_eq(numbers_in_file(test_path("vm.vmt"), &greatest), 2);
        cr_assert_gt(greatest, 2);
        if (held)
            vmt_shard_acquire(v.vcpu[0]);
        vmt_segment_close(segment);
        cr_assert_eq(descriptors_called("memfd:statistics"), 2);
        cr_assert_eq(numbers_in_file(test_path("vm.vmt"), &greatest), 2);
        cr_assert_eq(greatest, 0);
    }
}

Test(kvm_publish, handing_over_closes_all_and_takes_the_numbers_back)
{
    struct small_vm v = linked_vm("vm");
    uint64_t greatest;
    int fd = vmt_segment_hand_over(v.segment);

    cr_assert_geq(fd, 0);
    cr_assert_eq(descriptors_called("memfd:statistics"), 2);
    cr_assert_eq(numbers_in_file(test_path("vm.vmt"), &greatest), 3);
    cr_assert_eq(greatest, 0, "after exec it would be another file of the same process");
    close(fd);
    vmt_segment_close(v.segment);
}

/* ---- fork ---- */

static void have_none(void *arg)
{
    struct small_vm *v = arg;

    REQUIRE(descriptors_called("memfd:statistics") == 2); /* the test's own */
    REQUIRE(vmt_kvm_add(v->vm, 0) == -ECHILD);
    vmt_source_remove(v->vcpu[0]);
    vmt_segment_close(v->segment);
}

Test(kvm_publish, a_child_of_fork_has_none_of_the_fds)
{
    struct small_vm v = linked_vm("vm");

    vmt_source_remove(v.vcpu[1]);
    assert_child(have_none, &v);
    cr_assert_eq(descriptors_called("memfd:statistics"), 2 + 2);
    vmt_segment_close(v.segment);
}

Test(kvm_publish, a_child_that_was_made_without_the_handlers_has_none_once_it_says_so)
{
    struct small_vm v = linked_vm("vm");
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0) {
        vmt_child_after_fork();
        _exit(descriptors_called("memfd:statistics") - 2);
    }
    cr_assert_eq(end_of(pid), 0);
    cr_assert_eq(descriptors_called("memfd:statistics"), 2 + 3);
    vmt_segment_close(v.segment);
}

/* ---- restart ---- */

static struct vmt_segment_options resume_options(void)
{
    return (struct vmt_segment_options){ .struct_size = sizeof(struct vmt_segment_options), .name = "vm", .resume = 1 };
}

static void live_and_die(void *arg)
{
    struct vmt_segment_options options = resume_options();
    struct vmt_segment *segment = NULL;
    struct small_vm v;

    (void)arg;
    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    v.vm = v.vcpu[0] = v.vcpu[1] = NULL;
    REQUIRE(vmt_source_add(segment, &vmt_schema_vm, NULL, "vm", &v.vm) == 0);
    for (int i = 0; i < 2; i++) {
        REQUIRE(vmt_source_addf(segment, &vmt_schema_vcpu, v.vm, &v.vcpu[i], "vcpu-%d", i) == 0);
        REQUIRE(kvm_link(v.vcpu[i], fake_fd(&vcpu_file)) == 0);
    }
    REQUIRE(kvm_link(v.vm, fake_fd(&vm_file)) == 0);
    raise(SIGKILL);
}

Test(kvm_publish, a_number_of_an_earlier_writer_is_never_shown_as_this_ones)
{
    struct vmt_segment_options options = resume_options();
    struct vmt_segment *segment = NULL;
    struct vmt_source *found = NULL;
    const struct vmt_source *handle;
    struct small_vm v;
    uint64_t greatest;

    cr_assert_eq(end_of(start_child(live_and_die, NULL)), 128 + SIGKILL);
    cr_assert_eq(numbers_in_file(test_path("vm.vmt"), &greatest), 3);
    cr_assert_gt(greatest, 2);

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    cr_assert_eq(numbers_in_file(test_path("vm.vmt"), &greatest), 3, "shown as they were");
    cr_assert_eq(greatest, 0, "but for what they said of the moment");
    add_vm(&v, segment);
    cr_assert_eq(vmt_source_find(segment, "vm/kvm-fd", &found), -ENOENT);
    handle = child_of(v.vm, "kvm-fd");

    link_fake(v.vm, &vm_file);
    link_fake(v.vcpu[0], &vcpu_file);
    cr_assert_eq(vmt_source_find(segment, "vm/kvm-fd", &found), 0);
    cr_assert_eq(found, handle, "gone on with");
    cr_assert_eq(number_of(found), (uint64_t)v.vm->link->fd);
    cr_assert_eq(value_now(segment, "", VMT_SEGMENT_SOURCES_ADDED), 6, "found, not added");
    vmt_segment_ready(segment);
    cr_assert_not_null(child_of(v.vcpu[0], "kvm-fd"));
    cr_assert_null(child_of(v.vcpu[1], "kvm-fd"), "never added again");
    cr_assert_eq(sources_in(segment), 6);
    vmt_segment_close(segment);
}

/* ---- jail mode ---- */

#define CALL(number, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), (skip), 0)

/* What vmtally(3) lists, the ioctl aside. */
static void lock_up(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        CALL(SYS_futex, 8),
        CALL(SYS_fcntl, 7),
        CALL(SYS_pread64, 6),
        CALL(SYS_close, 5),
        CALL(SYS_dup, 4), /* the test's own */
        CALL(SYS_write, 3),
        CALL(SYS_exit_group, 2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = LENGTH(code), .filter = code };

    REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    REQUIRE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

static void plug_in_a_jail(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options),
                                           .path = test_path("jailed"),
                                           .fixed_bytes = 1 << 20 };
    struct vmt_segment *segment = NULL;
    struct small_vm v;

    (void)arg;
    close(open(options.path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    REQUIRE(vmt_source_add(segment, &vmt_schema_vm, NULL, "vm", &v.vm) == 0);
    REQUIRE(kvm_link(v.vm, fake_fd(&vm_file)) == 0);
    for (int i = 0; i < 2; i++) {
        REQUIRE(vmt_source_addf(segment, &vmt_schema_vcpu, v.vm, &v.vcpu[i], "vcpu-%d", i) == 0);
        REQUIRE(kvm_link(v.vcpu[i], fake_fd(&vcpu_file)) == 0);
    }
    lock_up();
    for (int i = 0; i < 1000; i++) {
        struct vmt_source **vcpu = &v.vcpu[i % 2];

        REQUIRE(vmt_kvm_sample(segment) == 0);
        vmt_source_remove(*vcpu);
        REQUIRE(vmt_kvm_sample(segment) == 0);
        REQUIRE(vmt_source_addf(segment, &vmt_schema_vcpu, v.vm, vcpu, "vcpu-%d", i % 2) == 0);
        REQUIRE(kvm_link(*vcpu, fake_fd(&vcpu_file)) == 0);
    }
    REQUIRE(GET(((uint64_t *)(void *)(segment->root->shared + 1))[VMT_SEGMENT_DROPPED_SOURCES]) == 0);
    _exit(0);
}

Test(kvm_publish, what_was_added_before_the_jail_may_come_and_go_in_it)
{
    if (SANITIZED)
        cr_skip_test("sanitizers make system calls of their own");
    assert_child(plug_in_a_jail, NULL);
}
