/* SPDX-License-Identifier: MIT */
/* Finding the processes that have VMs, on hosts that are made of files. */
#include "host_parts.h"
#include "scarce.h"

#include "lib/kvm/names.h"
#include "shm/clock.h"

TestSuite(kvm_find, .init = test_dir_init, .fini = test_dir_fini);

static struct search search_fake(void) { return search_at(test_path("proc"), test_path("debug"), 0); }

Test(kvm_find, process_with_a_vm_is_listed_with_its_vcpus_even_if_nothing_can_be_read)
{
    const struct bulletin_process *p;
    const struct bulletin *b;
    struct search s;

    fake_process(&(struct fake_process){ .pid = 5 });
    fake_process(&(struct fake_process){ .pid = PID,
                                         .inner_pid = 3,
                                         .uid = 77,
                                         .start = 4242,
                                         .comm = "qemu-system-x86",
                                         .arguments = "qemu-system-x86_64\n-name\nguest=a\n" });
    fake_fd_of(5, 0, "/dev/null");
    fake_fd_of(PID, 3, "/dev/kvm");
    fake_fd_of(PID, 9, "anon_inode:kvm-vm");
    fake_fd_of(PID, 10, "anon_inode:kvm-vcpu:0");
    fake_fd_of(PID, 11, "anon_inode:kvm-vcpu:10");
    fake_fd_of(PID, 12, "anon_inode:kvm-vcpu:9");
    s = search_fake();
    b = look(&s);
    cr_assert_eq(b->process_count, 1);
    p = process_of(&s.board, PID);
    cr_assert_not_null(p);
    cr_expect_eq(p->start, 4242);
    cr_expect_eq(p->inner_pid, 3);
    cr_expect_eq(p->uid, 77);
    cr_expect_str_eq(p->name, "a");
    cr_assert_eq(p->item_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        static const int vcpus[] = { -1, 0, 9, 10 };
        const struct bulletin_item *item = item_at(b, p, i);

        cr_expect_eq(item->vcpu, vcpus[i]);
        cr_expect_eq(item->vm, 9);
        cr_expect_eq(item->fd, -1);
        cr_expect_eq(item->index, i);
        cr_expect_eq(item->flags, BULLETIN_NO_VALUES);
        cr_expect(item->generation && item->generation % 2 == 0);
    }
    cr_expect_eq(b->trouble, VMT_HOST_TROUBLE_NO_DEBUGFS);
    cr_expect_eq(p->trouble, VMT_HOST_TROUBLE_NO_DEBUGFS);
    search_end(&s);
}

Test(kvm_find, who_only_reads_statistics_has_no_vm)
{
    struct search s;

    fake_process(&(struct fake_process){ .pid = PID });
    fake_fd_of(PID, 9, "anon_inode:kvm-vm-stats");
    fake_fd_of(PID, 10, "anon_inode:kvm-vcpu-stats:0");
    s = search_fake();
    cr_expect_eq(look(&s)->process_count, 0);
    fake_fd_of(PID, 11, "anon_inode:kvm-vcpu:0"); /* a VMM that has closed its VM's descriptor, and runs it */
    cr_assert_eq(look(&s)->process_count, 1);
    cr_expect_eq(process_of(&s.board, PID)->denied, 1, "nobody has its descriptors");
    cr_expect_eq(bulletin_of(&s.board)->trouble, VMT_HOST_TROUBLE_DENIED);
    search_end(&s);
}

/* A time before which all that was there has been looked at since. */
Test(kvm_find, what_is_settled_was_looked_for)
{
    uint64_t before_ns = shm_clock_ns(CLOCK_REALTIME), last_ns = 0;
    struct search s;

    for (uint32_t pid = 5; pid < 205; pid++)
        fake_process(&(struct fake_process){ .pid = pid, .start = 1 });
    s = search_fake();
    cr_expect_geq(look(&s)->settled_ns, before_ns, "the first look goes through all");
    cr_expect_leq(bulletin_of(&s.board)->settled_ns, shm_clock_ns(CLOCK_REALTIME));
    before_ns = shm_clock_ns(CLOCK_REALTIME);
    cr_expect_lt(look(&s)->settled_ns, before_ns, "the second one through some");
    for (int i = 0; i < 100 && last_ns < before_ns; i++) {
        cr_expect_geq(look(&s)->settled_ns, last_ns);
        last_ns = bulletin_of(&s.board)->settled_ns;
    }
    cr_expect_geq(last_ns, before_ns, "in the end through all");
    search_end(&s);
    s = search_at(test_path("proc"), test_path("debug"), 5);
    cr_expect_eq(look(&s)->settled_ns, 0, "of others nothing is known");
    search_end(&s);
}

/* The recorded VM: pid 4711, descriptor 12, two vCPUs. */
static void recorded_vm(void)
{
    recorded_debugfs(test_path("debug"));
    fake_process(&(struct fake_process){ .pid = 4711, .comm = "vmm", .arguments = "vmm\n" });
    fake_fd_of(4711, 12, "anon_inode:kvm-vm");
}

static uint64_t recorded_value(const char *vm, const char *name)
{
    char path[4096];
    unsigned long long value;
    FILE *f;

    snprintf(path, sizeof(path), "%s/kvm/%s/%s", test_path("debug"), vm, name);
    f = fopen(path, "re");
    REQUIRE(f && fscanf(f, "%llu", &value) == 1);
    fclose(f);
    return value;
}

/* Its VM, and its vCPUs' sums, are those of the directory. */
static void assert_recorded(const struct bulletin *b, uint32_t pid, const char *directory, int vcpus)
{
    const struct bulletin_process *p = bulletin_find(b, pid, 0);
    const struct bulletin_item *vm, *sums;

    cr_assert_not_null(p);
    cr_assert_eq(p->item_count, vcpus == 1 ? 2 : (uint32_t)vcpus + 2, "%u", p->item_count);
    vm = item_of(b, p, BULLETIN_VM, 0);
    sums = vcpus == 1 ? item_of(b, p, 0, 0) : item_of(b, p, BULLETIN_VM, BULLETIN_TOTAL);
    cr_assert(vm && sums);
    cr_expect_eq(vm->flags, BULLETIN_FROM_DEBUGFS);
    cr_expect_eq(vm->fd, -1);
    cr_expect_eq(sums->flags, (vcpus == 1 ? 0 : BULLETIN_TOTAL) | BULLETIN_FROM_DEBUGFS);
    cr_expect_eq(board_value(b, vm, "pages_4k"), recorded_value(directory, "pages_4k"));
    cr_expect_eq(board_value(b, sums, "exits"), recorded_value(directory, "exits"));
    for (int i = 0; i < vcpus && vcpus > 1; i++) {
        const struct bulletin_item *vcpu = item_of(b, p, i, 0);

        cr_assert_not_null(vcpu);
        cr_expect(vcpu->flags & BULLETIN_NO_VALUES);
        cr_expect_eq(vcpu->schema, sums->schema);
        cr_expect_eq(vcpu->vm, vm->vm);
    }
    cr_expect_eq(b->trouble, 0);
}

Test(kvm_find, debugfs_fills_in_where_there_are_no_statistics_fds)
{
    struct search s;

    recorded_vm();
    recorded_put(test_path("debug"), "kvm/4711-12/exits", 0644, "18446744073709551615");
    s = search_fake();
    assert_recorded(look(&s), 4711, "4711-12", 2);
    cr_expect_eq(process_of(&s.board, 4711)->trouble, 0);
    search_end(&s);
}

Test(kvm_find, sums_over_one_vcpu_are_its_own)
{
    char command[8192];
    struct search s;

    recorded_vm();
    snprintf(command, sizeof(command), "rm -r %s/kvm/4711-12/vcpu1", test_path("debug"));
    REQUIRE(system(command) == 0);
    s = search_fake();
    assert_recorded(look(&s), 4711, "4711-12", 1);
    search_end(&s);
}

Test(kvm_find, directories_are_joined_by_whole_numbers)
{
    static const uint32_t others[] = { 471, 47110, 711, 12 };
    struct search s;

    recorded_vm();
    fake_fd_of(4711, 12, "/dev/null"); /* its directory is that of a VM which this process has not */
    for (size_t i = 0; i < LENGTH(others); i++) {
        fake_process(&(struct fake_process){ .pid = others[i] });
        fake_fd_of(others[i], 1, "anon_inode:kvm-vm");
        fake_fd_of(others[i], 12, "/dev/null");
    }
    s = search_fake();
    cr_assert_eq(look(&s)->process_count, LENGTH(others));
    for (size_t i = 0; i < LENGTH(others); i++) {
        const struct bulletin_process *p = process_of(&s.board, others[i]);

        cr_expect_eq(p->item_count, 1);
        cr_expect(item_at(bulletin_of(&s.board), p, 0)->flags & BULLETIN_NO_VALUES);
    }
    search_end(&s);
}

/* The directory of a VM, anew: another one with the same name. */
static void make_anew(const char *directory)
{
    char command[8192];

    snprintf(command, sizeof(command), "cd %s/kvm && cp -a %s other && mv %s old && mv other %s && rm -r old",
             test_path("debug"), directory, directory, directory);
    REQUIRE(system(command) == 0);
}

Test(kvm_find, several_vms_of_a_process_have_a_directory_each)
{
    const struct bulletin_process *p;
    const struct bulletin *b;
    char command[8192];
    struct search s;
    int vms = 0;

    recorded_vm();
    snprintf(command, sizeof(command), "cd %s/kvm && cp -a 4711-12 4711-3 && rm -r 4711-3/vcpu1", test_path("debug"));
    REQUIRE(system(command) == 0);
    recorded_put(test_path("debug"), "kvm/4711-3/pages_4k", 0444, "33");
    recorded_put(test_path("debug"), "kvm/4711-12/pages_4k", 0444, "44");
    fake_fd_of(4711, 3, "anon_inode:kvm-vm");
    for (int i = 0; i < 3; i++) {
        char text[64];

        snprintf(text, sizeof(text), "anon_inode:kvm-vcpu:%d", i / 2);
        fake_fd_of(4711, 20 + i, text);
    }
    s = search_fake();
    b = look(&s);
    p = process_of(&s.board, 4711);
    cr_assert_eq(p->item_count, 2 + 4);
    for (uint32_t i = 0; i < p->item_count; i++) {
        const struct bulletin_item *item = item_at(b, p, i);

        cr_expect(item->vm == (i < 2 ? 3 : 12));
        if (item->vcpu != BULLETIN_VM || item->flags & BULLETIN_TOTAL)
            continue;
        cr_expect_eq(board_value(b, item, "pages_4k"), item->vm == 3 ? 33 : 44);
        vms++;
    }
    cr_expect_eq(vms, 2);
    search_end(&s);
}

Test(kvm_find, things_stay_what_they_are_while_others_come_and_go)
{
    char command[8192];
    struct kept vm, vcpu;
    struct search s;

    recorded_vm();
    s = search_fake();
    look(&s);
    vm = kept_of(&s, 4711, BULLETIN_VM);
    vcpu = kept_of(&s, 4711, 1);
    snprintf(command, sizeof(command), "cd %s/kvm/4711-12 && rm -r vcpu0 && mkdir vcpu2 vcpu3", test_path("debug"));
    REQUIRE(system(command) == 0);
    look(&s);
    assert_kept(vm, kept_of(&s, 4711, BULLETIN_VM));
    assert_kept(vcpu, kept_of(&s, 4711, 1));
    cr_expect_eq(process_of(&s.board, 4711)->item_count, 5);
    /* What can't be read any more is still what it was. */
    snprintf(command, sizeof(command), "mv %s/kvm/4711-12 %s/away", test_path("debug"), test_path("debug"));
    REQUIRE(system(command) == 0);
    look(&s);
    cr_expect_eq(kept_of(&s, 4711, BULLETIN_VM).index, vm.index);
    search_end(&s);
}

Test(kvm_find, vm_made_anew_under_the_same_number_is_another_one)
{
    struct search s;
    struct kept vm;

    recorded_vm();
    s = search_fake();
    look(&s);
    vm = kept_of(&s, 4711, BULLETIN_VM);
    look(&s);
    assert_kept(vm, kept_of(&s, 4711, BULLETIN_VM));
    make_anew("4711-12");
    look(&s);
    cr_expect_neq(kept_of(&s, 4711, BULLETIN_VM).generation, vm.generation);
    search_end(&s);
}

Test(kvm_find, process_with_the_number_of_another_is_another_one)
{
    const struct bulletin *b;
    uint64_t epoch, generation;
    struct search s;

    fake_process(&(struct fake_process){ .pid = PID, .start = 10, .arguments = "first\n" });
    fake_fd_of(PID, 9, "anon_inode:kvm-vm");
    fake_process(&(struct fake_process){ .pid = PID + 1, .start = 10 });
    fake_fd_of(PID + 1, 9, "anon_inode:kvm-vm");
    s = search_fake();
    look(&s);
    generation = kept_of(&s, PID, BULLETIN_VM).generation;
    fake_process(&(struct fake_process){ .pid = PID, .start = 11, .arguments = "second\n" });
    epoch = bulletin_of(&s.board)->epoch;
    b = look(&s);
    cr_assert_eq(b->process_count, 2);
    cr_expect_str_eq(process_of(&s.board, PID)->name, "second");
    cr_expect_neq(kept_of(&s, PID, BULLETIN_VM).generation, generation);
    cr_expect_neq(b->epoch, epoch);
    epoch = b->epoch;
    cr_expect_eq(look(&s)->epoch, epoch);
    fake_gone(PID);
    b = look(&s);
    cr_expect_eq(b->process_count, 1);
    cr_expect_neq(b->epoch, epoch);
    cr_expect_null(process_of(&s.board, PID));
    cr_expect_not_null(bulletin_find(b, PID + 1, 10));
    cr_expect_null(bulletin_find(b, PID + 1, 11), "that would be another one");
    search_end(&s);
}

Test(kvm_find, only_the_process_that_was_asked_for)
{
    struct search s;

    for (uint32_t i = 0; i < 2; i++) {
        fake_process(&(struct fake_process){ .pid = PID + i });
        fake_fd_of(PID + i, 9, "anon_inode:kvm-vm");
    }
    s = search_at(test_path("proc"), test_path("debug"), PID + 1);
    cr_expect_eq(look(&s)->process_count, 1);
    cr_expect_not_null(process_of(&s.board, PID + 1));
    search_end(&s);
}

/* Its turn among all the others comes later. */
Test(kvm_find, vmm_that_makes_its_vm_soon_after_its_start_is_found_at_the_next_look)
{
    enum { OTHERS = 300, SOON_S = 4 };
    const uint64_t hertz = (uint64_t)sysconf(_SC_CLK_TCK);
    const uint32_t pid = PID + OTHERS;
    uint32_t found;
    uint64_t s_now;

    for (uint32_t i = 0; i < OTHERS; i++)
        fake_process(&(struct fake_process){ .pid = PID + i, .start = 1 });
    do {
        const uint64_t start_ns = shm_clock_ns(CLOCK_BOOTTIME);
        struct search s = search_fake();

        fake_process(&(struct fake_process){ .pid = pid, .start = start_ns / (1000000000U / hertz) });
        cr_expect_eq(look(&s)->process_count, 0);
        fake_fd_of(pid, 9, "anon_inode:kvm-vm");
        found = look(&s)->process_count;
        fake_fd_of(pid, 9, NULL);
        search_end(&s);
        s_now = (shm_clock_ns(CLOCK_BOOTTIME) - start_ns) / 1000000000U;
    } while (!found && s_now >= SOON_S); /* this machine is so slow that it was no longer young */
    cr_expect_eq(found, 1);
}

Test(kvm_find, damaged_proc_files_are_no_processes_and_do_no_harm)
{
    static const char *const stats[] = {
        "", "1", "1 (", ")", "1 (a) S", "9 (a) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0"
    };
    struct search s;
    char *large = calloc(1, 1 << 20);

    for (uint32_t i = 0; i < LENGTH(stats); i++) {
        fake_process(&(struct fake_process){ .pid = PID + i });
        fake_put_file(PID + i, "stat", stats[i], strlen(stats[i]));
        fake_fd_of(PID + i, 9, "anon_inode:kvm-vm");
    }
    memset(large, 'a', 1 << 20);
    fake_process(&(struct fake_process){ .pid = PID + 90 });
    fake_put_file(PID + 90, "cmdline", large, 1 << 20);
    fake_put_file(PID + 90, "comm", large, 1 << 20);
    fake_fd_of(PID + 90, 9, "anon_inode:kvm-vm");
    fake_process(&(struct fake_process){ .pid = PID + 91 });
    fake_put_file(PID + 91, "status", large, 1 << 20);
    fake_fd_of(PID + 91, 9, "anon_inode:kvm-vm");
    fake_put_file(PID + 92, "stat", "", 0);
    s = search_fake();
    cr_expect_eq(look(&s)->process_count, 1);
    cr_expect_eq(strlen(process_of(&s.board, PID + 90)->name), VM_NAME_SIZE - 1);
    search_end(&s);
    free(large);
}

Test(kvm_find, host_without_proc_has_no_processes)
{
    struct search s = search_at(test_path("none"), test_path("none"), 0);

    cr_expect_eq(look(&s)->process_count, 0);
    cr_expect_eq(bulletin_of(&s.board)->trouble, 0);
    search_end(&s);
}

Test(kvm_find, without_memory_a_look_fails_and_the_next_one_finds_all)
{
    bool failed = true;

    recorded_vm();
    fake_fd_of(4711, 13, "anon_inode:kvm-vcpu:0");
    fake_process(&(struct fake_process){ .pid = PID });
    fake_fd_of(PID, 9, "anon_inode:kvm-vm");
    fake_fd_of(PID, 10, "anon_inode:kvm-vm");
    for (unsigned n = 1; failed; n++) {
        struct search s = { .board = { .fd = -1 } };
        int r = SCARCE(n, &failed, finder_new(test_path("proc"), test_path("debug"), 0, &s.finder));

        cr_assert(r == 0 || r == -ENOMEM);
        if (r == 0)
            finder_free(s.finder);
        cr_assert(n < 1000);
    }
    failed = true;
    for (unsigned n = 1; failed; n++) {
        struct search s = search_fake();
        int r = SCARCE(n, &failed, finder_look(s.finder, &s.board));

        cr_assert(r == 0 || r == -ENOMEM, "%d", r);
        cr_assert_eq(look(&s)->process_count, 2, "%u", n);
        cr_assert_eq(process_of(&s.board, 4711)->item_count, 4);
        cr_assert_eq(process_of(&s.board, PID)->item_count, 2);
        search_end(&s);
        cr_assert(n < 10000);
    }
}

/* Each of them has a directory of its own, which must be found without going through all others. */
Test(kvm_find, process_with_thousands_of_vms_takes_no_time_from_the_others)
{
    enum { VMS = 4000 };
    char debug[4096], path[4200];
    uint64_t begin_ns;
    struct search s;

    snprintf(debug, sizeof(debug), "%s", test_path("debug"));
    mkdir(debug, 0755);
    snprintf(path, sizeof(path), "%s/kvm", debug);
    mkdir(path, 0755);
    fake_process(&(struct fake_process){ .pid = PID });
    for (int i = 0; i < VMS; i++) {
        fake_fd_of(PID, 10 + i, "anon_inode:kvm-vm");
        snprintf(path, sizeof(path), "%s/kvm/%u-%d", debug, PID, 10 + i);
        REQUIRE(mkdir(path, 0755) == 0);
    }
    begin_ns = shm_clock_ns(CLOCK_MONOTONIC);
    s = search_fake();
    cr_expect_eq(look(&s) ? process_of(&s.board, PID)->item_count : 0, VMS);
    cr_expect_lt(shm_clock_ns(CLOCK_MONOTONIC) - begin_ns, 5000000000U);
    search_end(&s);
}
