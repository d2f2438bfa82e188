/* SPDX-License-Identifier: MIT */
/* A VMM's statistics fds of real VMs: each is what it should be, and none of them keeps a VM. */
#include "kvm_parts.h"

#include <pthread.h>
#include <sys/resource.h>

TestSuite(kvm_publish_real, .init = test_dir_init, .fini = test_dir_fini);

static struct real_vm real;

#define NEED_KVM()                                                                                                     \
    do {                                                                                                               \
        if (!new_real(&real))                                                                                          \
            cr_skip_test("there is no KVM with statistics here");                                                      \
    } while (0)

static struct small_vm published_vm(void)
{
    struct small_vm v = new_vm("vm");

    cr_assert_eq(vmt_kvm_add(v.vm, real.vm), 0);
    cr_assert_eq(vmt_kvm_add(v.vcpu[0], real.vcpu), 0);
    return v;
}

Test(kvm_publish_real, a_real_vm_and_its_vcpu_are_opened_each_as_what_it_is)
{
    struct small_vm v;
    int descriptors;

    NEED_KVM();
    v = new_vm("vm");
    descriptors = test_descriptors();
    cr_assert_eq(vmt_kvm_add(v.vm, real.vcpu), -EINVAL, "a vCPU is no VM");
    cr_assert_eq(vmt_kvm_add(v.vcpu[0], real.vm), -EINVAL, "a VM is no vCPU");
    cr_assert_eq(vmt_kvm_add(v.vm, real.kvm), -EINVAL, "/dev/kvm is neither");
    cr_assert_eq(test_descriptors(), descriptors);
    cr_assert_eq(vmt_kvm_add(v.vm, real.vm), 0);
    cr_assert_eq(vmt_kvm_add(v.vcpu[0], real.vcpu), 0);
    cr_assert_eq(vmt_kvm_add(v.vcpu[0], real.vcpu), -EEXIST);
    cr_assert_eq(descriptors_called("kvm-vm-stats"), 1);
    cr_assert_eq(descriptors_called("kvm-vcpu-stats"), 1);
    cr_assert_eq(test_descriptors(), descriptors + 2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(fcntl((int)number_of(child_of(i ? v.vcpu[0] : v.vm, "kvm-fd")), F_GETFD), FD_CLOEXEC);
    vmt_source_remove(v.vcpu[0]);
    cr_assert_eq(descriptors_called("kvm-vcpu-stats"), 0);
    v.vcpu[0] = add_source(v.segment, &vmt_schema_vcpu, v.vm, "vcpu-0");
    cr_assert_eq(vmt_kvm_add(v.vcpu[0], real.vcpu), 0, "plugged again");
    vmt_segment_close(v.segment);
    cr_assert_eq(descriptors_called("kvm-vm-stats") + descriptors_called("kvm-vcpu-stats"), 0);
    close_real(&real);
}

Test(kvm_publish_real, out_of_descriptors_nothing_changes)
{
    struct rlimit few;
    struct small_vm v;
    int next;

    NEED_KVM();
    v = new_vm("vm");
    next = dup(0);
    close(next);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &few), 0);
    few.rlim_cur = (rlim_t)next;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    cr_assert_eq(vmt_kvm_add(v.vm, real.vm), -EMFILE);
    cr_assert_eq(sources_in(v.segment), 4);
    few.rlim_cur = few.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    cr_assert_eq(vmt_kvm_add(v.vm, real.vm), 0);
    vmt_segment_close(v.segment);
    close_real(&real);
}

Test(kvm_publish_real, no_descriptor_of_ours_keeps_a_vm_alive)
{
    for (int by_close = 0; by_close < 2; by_close++) {
        struct small_vm v;
        char path[64];

        NEED_KVM();
        v = published_vm();
        if (!real_directory(&real, path))
            cr_skip_test("there is no debugfs to see it in");
        close_real(&real);
        cr_assert_eq(access(path, F_OK), 0, "the fds are open");
        if (!by_close) {
            vmt_source_remove(v.vm);
            cr_assert_eq(access(path, F_OK), 0, "the vCPU's, too");
            vmt_source_remove(v.vcpu[0]);
            cr_assert(vanishes(path), "%s", path);
        }
        vmt_segment_close(v.segment);
        cr_assert(vanishes(path), "%s", path);
    }
}

/* The child gives up what its VMM has to close itself; of ours it must have nothing. */
static void keep_ours_only(void *arg)
{
    close_real(&real);
    say(arg, 1);
    pause();
}

Test(kvm_publish_real, no_child_keeps_a_vm_alive)
{
    int *begun = shared_memory(sizeof(*begun));
    struct small_vm v;
    char path[64];
    pid_t child;

    NEED_KVM();
    v = published_vm();
    if (!real_directory(&real, path))
        cr_skip_test("there is no debugfs to see it in");
    child = start_child(keep_ours_only, begun);
    cr_assert(reached(begun, 1));
    close_real(&real);
    vmt_segment_close(v.segment);
    cr_assert(vanishes(path), "%s", path);
    kill_child(child);
}

static int stop;

static void *add_and_remove(void *arg)
{
    struct small_vm *v = arg;

    while (!said(&stop)) {
        struct vmt_source *vcpu = NULL;

        REQUIRE(vmt_source_add(v->segment, &vmt_schema_vcpu, v->vm, "vcpu-7", &vcpu) == 0);
        REQUIRE(vmt_kvm_add(vcpu, real.vcpu) == 0);
        vmt_source_remove(vcpu);
    }
    return NULL;
}

/* Exactly the library's fds are closed in it: not one too few, not one too many. */
static void count_them(void *arg)
{
    (void)arg;
    REQUIRE(descriptors_called("kvm-vcpu-stats") == 0);
    REQUIRE(descriptors_called("memfd:statistics") == 2);
}

Test(kvm_publish_real, a_fork_at_any_moment_takes_none_along)
{
    struct fake file = new_fake(false);
    struct small_vm v;
    pthread_t thread;

    NEED_KVM();
    v = new_vm("vm");
    cr_assert_eq(pthread_create(&thread, NULL, add_and_remove, &v), 0);
    for (int i = 0; i < (SANITIZED ? 50 : 300); i++) {
        int again = dup(file.fd); /* takes the number that the other thread's had a moment ago, if it is free */

        assert_child(count_them, NULL);
        close(again);
    }
    say(&stop, 1);
    pthread_join(thread, NULL);
    vmt_segment_close(v.segment);
    close_real(&real);
    free_fake(&file);
}
