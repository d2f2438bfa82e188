/* SPDX-License-Identifier: MIT */
/* The thread that copies what the kernel counts into the segment: when it is there, and what may go on beside it. */
#include "kvm_copies.h"

#include <pthread.h>

TestSuite(kvm_copy_thread, .init = setup, .fini = teardown);

/* Threads of this process that are called so. */
static int copiers(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *e;
    int n = 0;

    REQUIRE(dir);
    while ((e = readdir(dir))) {
        char path[300], name[32] = "";
        FILE *f;

        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
        f = fopen(path, "re");
        n += f && fgets(name, sizeof(name), f) && strcmp(name, "vmtally-kvm\n") == 0;
        if (f)
            fclose(f);
    }
    closedir(dir);
    return n;
}

static bool comes(const struct fake *fake, const char *id, const char *name, uint64_t value)
{
    for (int i = 0; i < 20000; i++) {
        if (copied(v.segment, fake, id, name) == value)
            return true;
        nap_us(500);
    }
    return false;
}

/* Its name comes a moment after it does. */
static bool copier_comes(void)
{
    for (int i = 0; i < 20000; i++) {
        if (copiers() == 1)
            return true;
        nap_us(500);
    }
    return false;
}

Test(kvm_copy_thread, the_thread_copies_until_it_is_told_not_to)
{
    link_fake(v.vcpu[0], &file[0]);
    fake_put(&file[0], "exits", 0, 1);
    cr_assert_eq(vmt_kvm_sample_every(v.segment, 3600000000000), 0);
    cr_assert_eq(copied(v.segment, &file[0], COPY, "exits"), 1, "the first time by the caller");
    cr_assert(copier_comes());
    fake_put(&file[0], "exits", 0, 2);
    cr_assert_eq(vmt_kvm_sample_every(v.segment, 1000000), 0, "another interval");
    cr_assert(comes(&file[0], COPY, "exits", 2));
    for (uint64_t n = 3; n < 20; n++) {
        fake_put(&file[0], "exits", 0, n);
        cr_assert(comes(&file[0], COPY, "exits", n));
    }
    cr_assert_eq(copiers(), 1);
    link_fake(v.vcpu[1], &file[1]);
    fake_put(&file[1], "exits", 0, 30);
    cr_assert(comes(&file[1], "vm/vcpu-1/kvm", "exits", 30), "who comes later, too");

    cr_assert_eq(vmt_kvm_sample_every(v.segment, 0), 0);
    cr_assert_eq(copiers(), 0, "joined");
    fake_put(&file[0], "exits", 0, 100);
    nap_us(20000);
    cr_assert_eq(copied(v.segment, &file[0], COPY, "exits"), 19);
    vmt_source_remove(v.vcpu[1]);
    v.vcpu[1] = add_source(v.segment, &vmt_schema_vcpu, v.vm, "vcpu-1");
    link_fake(v.vcpu[1], &file[1]);
    cr_assert_null(child_of(v.vcpu[1], KVM_COPY_NAME), "nobody would keep it up to date");
    cr_assert_eq(vmt_kvm_sample_every(v.segment, UINT64_MAX), 0, "now, and then not for long");
    cr_assert_eq(copied(v.segment, &file[0], COPY, "exits"), 100);
}

static int handled;

static void handle(int sig)
{
    (void)sig;
    say(&handled, 1);
}

Test(kvm_copy_thread, the_thread_takes_none_of_the_vmms_signals)
{
    struct timespec a_second = { .tv_sec = 1 };
    sigset_t one;

    link_fake(v.vcpu[0], &file[0]);
    signal(SIGUSR1, handle);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    cr_assert_eq(vmt_kvm_sample_every(v.segment, 1000000), 0);
    cr_assert(copier_comes());
    for (int i = 0; i < 50; i++) {
        pthread_sigmask(SIG_BLOCK, &one, NULL);
        kill(getpid(), SIGUSR1);
        fake_put(&file[0], "exits", 0, (uint64_t)i);
        cr_assert(comes(&file[0], COPY, "exits", (uint64_t)i));
        cr_assert_not(said(&handled));
        cr_assert_eq(sigtimedwait(&one, NULL, &a_second), SIGUSR1, "it waits for one of the VMM's threads");
        pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    }
    vmt_segment_close(v.segment);
}

Test(kvm_copy_thread, closing_and_handing_over_end_the_thread)
{
    for (int by = 0; by < 2; by++) {
        struct vmt_segment *segment = new_segment(by ? "closed" : "handed");
        int fd = -1;

        cr_assert_eq(vmt_kvm_sample_every(segment, 1000000), 0);
        cr_assert(copier_comes());
        if (by)
            vmt_segment_close(segment);
        else
            fd = vmt_segment_hand_over(segment);
        cr_assert_eq(copiers(), 0);
        cr_assert_eq(vmt_kvm_sample_every(segment, 1000000), -ENODEV);
        cr_assert_eq(vmt_kvm_sample(segment), -ENODEV);
        cr_assert(by || (fd >= 0 && close(fd) == 0));
    }
}

Test(kvm_copy_thread, a_hand_over_that_fails_changes_nothing)
{
    int given = memfd_create("given", MFD_CLOEXEC);
    struct vmt_segment_options options = { .struct_size = sizeof(options), .fd = given };
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *vcpu;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    vcpu = add_source(segment, &vmt_schema_vcpu, vm, "vcpu-0");
    link_fake(vcpu, &file[0]);
    cr_assert_eq(vmt_kvm_sample_every(segment, 1000000), 0);
    cr_assert(copier_comes());
    close(given);
    cr_assert_eq(vmt_segment_hand_over(segment), -EBADF);
    cr_assert_eq(copiers(), 1);
    cr_assert_gt(number_of(child_of(vcpu, KVM_HANDLE_NAME)), 2);
    vmt_segment_close(segment);
}

static void be_alone(void *arg)
{
    (void)arg;
    REQUIRE(copiers() == 0);
    REQUIRE(vmt_kvm_sample_every(v.segment, 1000000) == -ECHILD);
    vmt_segment_close(v.segment);
}

Test(kvm_copy_thread, a_child_of_fork_has_no_thread_and_its_parents_goes_on)
{
    link_fake(v.vcpu[0], &file[0]);
    cr_assert_eq(vmt_kvm_sample_every(v.segment, 1000000), 0);
    cr_assert(copier_comes());
    for (uint64_t i = 1; i < 20; i++) {
        assert_child(be_alone, NULL);
        fake_put(&file[0], "exits", 0, i);
        cr_assert(comes(&file[0], COPY, "exits", i));
    }
}

/* ---- all at the same time ---- */

#define PLUGS (SANITIZED ? 200 : 2000)

static int stop;

static void *plug(void *arg)
{
    int n = *(int *)arg;

    for (uint64_t i = 1; i <= PLUGS; i++) {
        fake_put(&file[n], "exits", 0, i);
        vmt_source_remove(v.vcpu[n]);
        REQUIRE(vmt_source_addf(v.segment, &vmt_schema_vcpu, v.vm, &v.vcpu[n], "vcpu-%d", n) == 0);
        REQUIRE(kvm_link(v.vcpu[n], fake_fd(&file[n])) == 0);
    }
    return NULL;
}

static void *sample_at_odds(void *arg)
{
    (void)arg;
    while (!said(&stop)) {
        REQUIRE(vmt_kvm_sample(v.segment) == 0);
        REQUIRE(vmt_kvm_sample_every(v.segment, 1000000) == 0);
        REQUIRE(vmt_kvm_sample(v.segment) == 0);
        REQUIRE(vmt_kvm_sample_every(v.segment, 0) == 0);
    }
    return NULL;
}

Test(kvm_copy_thread, plugging_sampling_starting_and_stopping_at_the_same_time_count_all_once)
{
    struct vmt_reader *reader = attach_here(v.segment);
    struct vmt_snapshot *snapshot = new_snapshot();
    int numbers[] = { 0, 1 };
    int descriptors = test_descriptors();
    pthread_t plugs[2], samples[2];
    uint64_t last = 0;

    cr_assert_eq(vmt_kvm_sample_every(v.segment, 1000000), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&plugs[i], NULL, plug, &numbers[i]), 0);
        cr_assert_eq(pthread_create(&samples[i], NULL, sample_at_odds, NULL), 0);
    }
    for (int i = 0; i < PLUGS / 10; i++) {
        const struct vmt_sample *vm;

        cr_assert_geq(vmt_snapshot_take(snapshot, reader), 0);
        vm = sample_of(snapshot, "vm");
        for (uint32_t t = 0; t < vm->total_count; t++) {
            uint64_t now;

            if (strcmp(vm->totals[t].schema->name, KVM_SCHEMA_VCPU) != 0 || vm->totals[t].flags)
                continue;
            now = vm->totals[t].values[fake_slot(&file[0], "exits")];
            cr_assert_geq(now, last);
            last = now;
        }
    }
    for (int i = 0; i < 2; i++)
        pthread_join(plugs[i], NULL);
    say(&stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(samples[i], NULL);
    sample();
    cr_assert_eq(total_copied("vm", "exits"), 2 * PLUGS);
    for (int i = 0; i < 2; i++)
        vmt_source_remove(v.vcpu[i]);
    cr_assert_eq(total_copied("vm", "exits"), 2 * PLUGS);
    cr_assert_eq(test_descriptors(), descriptors);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}
