/* SPDX-License-Identifier: MIT */
/* Finding real VMs, and what is read of them. */
#include "host_parts.h"

#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/kvm/proc.h"

TestSuite(kvm_find_real, .init = test_dir_init, .fini = test_dir_fini);

static struct search search_real(void) { return search_at(NULL, NULL, 0); }

/* Who may not be looked into is listed by its start, and by its inner pid if it seems to be a VMM: to be told apart from who
 * is not seen at all. We ourselves are not. */
static void assert_closed(const struct bulletin *b, int vmm)
{
    const struct bulletin_closed *closed = bulletin_at(b, b->closed);
    uint32_t found = 0, seeming = 0;

    for (uint32_t i = 0; i < b->closed_count; i++) {
        REQUIRE(closed[i].pid != (uint32_t)getpid());
        seeming += closed[i].inner_pid != 0;
        if (closed[i].pid != (uint32_t)vmm)
            continue;
        REQUIRE(closed[i].inner_pid == (uint32_t)vmm && closed[i].start == proc_start("/proc", (uint32_t)vmm));
        found++;
    }
    REQUIRE(found == 1 && seeming == b->denied);
}

static void look_as_nobody(void *arg)
{
    struct search s;

    REQUIRE(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    s = search_real();
    REQUIRE(look(&s)->denied >= 1 && bulletin_of(&s.board)->trouble & VMT_HOST_TROUBLE_DENIED);
    for (int i = 0; i < 20; i++)
        REQUIRE(look(&s)->denied >= 1);
    assert_closed(look(&s), *(const int *)arg);
    search_end(&s);
}

static void seem_a_vmm(void *arg)
{
    prctl(PR_SET_NAME, "qemu-system-x86_64");
    say(arg, 1);
    for (;;)
        pause();
}

Test(kvm_find_real, vmms_of_others_are_counted_where_permission_is_missing)
{
    int *ready = shared_memory(sizeof(*ready));
    pid_t pid;

    if (geteuid() != 0)
        cr_skip_test("only root can be somebody else");
    pid = start_child(seem_a_vmm, ready);
    cr_assert(reached(ready, 1));
    *ready = pid;
    assert_child(look_as_nobody, ready);
    kill_child(pid);
}

Test(kvm_find_real, values_are_what_the_vmm_reads_itself)
{
    struct vmm *v = vmm_start();
    const struct bulletin_process *p;
    const struct bulletin_item *item;
    const struct bulletin *b;
    struct search s;

    NEED_VMM(v);
    vmm_tell(v, VMM_RUN);
    s = search_real();
    for (int i = 0; i < 20; i++) {
        uint64_t before;

        vmm_tell(v, VMM_RUN);
        vmm_tell(v, VMM_READ);
        before = v->counted;
        b = look(&s);
        p = process_of(&s.board, (uint32_t)v->pid);
        vmm_tell(v, VMM_READ);
        cr_assert_not_null(p);
        cr_assert_eq(p->item_count, 3);
        item = item_of(b, p, 0, 0);
        cr_assert_not_null(item);
        cr_expect_eq(item->flags, 0);
        cr_expect_eq(item->fd, v->vcpu_stats[0]);
        cr_expect_eq(item->vm, v->vm);
        cr_expect_geq(board_value(b, item, "exits"), before);
        cr_expect_leq(board_value(b, item, "exits"), v->counted);
        cr_expect_geq(board_value(b, item, "exits"), (uint64_t)v->exits);
        cr_expect_eq(board_value(b, item_of(b, p, 1, 0), "exits"), 0);
        cr_expect_eq(item_at(b, p, 0)->fd, v->vm_stats);
        cr_expect_leq(p->begin_ns, p->end_ns);
        cr_expect_eq(p->trouble, 0);
    }
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, vmm_killed_while_its_fds_are_held_takes_its_vm_along)
{
    struct vmm *v = vmm_start();
    struct board boards[2] = { { .fd = -1 }, { .fd = -1 } };
    struct search s;
    char path[64];
    bool seen;

    NEED_VMM(v);
    s = search_of(v);
    look(&s);
    cr_assert_not_null(process_of(&s.board, (uint32_t)v->pid));
    seen = vmm_directory(v, path);
    cr_expect(!readable_within(finder_fd(s.finder), 0));
    kill_child(v->pid);
    cr_assert(readable_within(finder_fd(s.finder), 10000));
    if (seen) {
        nap_us(20000);
        cr_expect_eq(access(path, F_OK), 0, "our fds keep it: else this proves nothing");
    }
    boards[0] = s.board;
    finder_drop_ended(s.finder, boards);
    cr_expect_null(process_of(&s.board, (uint32_t)v->pid), "it is marked on the board");
    cr_expect_eq(descriptors_called("kvm-"), 0);
    cr_expect(!readable_within(finder_fd(s.finder), 0));
    if (seen)
        cr_expect(vanishes(path), "%s", path);
    look(&s);
    cr_expect_null(process_of(&s.board, (uint32_t)v->pid));
    search_end(&s);
}

Test(kvm_find_real, vmm_that_closes_its_vm_and_lives_is_gone_at_the_next_look)
{
    struct vmm *v = vmm_start();
    struct search s;
    char path[64];
    bool seen;

    NEED_VMM(v);
    s = search_of(v);
    look(&s);
    cr_assert_not_null(process_of(&s.board, (uint32_t)v->pid));
    seen = vmm_directory(v, path);
    vmm_tell(v, VMM_CLOSE);
    look(&s);
    cr_expect_null(process_of(&s.board, (uint32_t)v->pid));
    cr_expect_eq(descriptors_called("kvm-"), 0);
    if (seen)
        cr_expect(vanishes(path), "%s", path);
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, number_that_has_become_another_fd_is_another_thing)
{
    struct vmm *v = vmm_start();
    const struct bulletin_item *item;
    const struct bulletin *b;
    struct kept vcpu, other;
    struct search s;

    NEED_VMM(v);
    vmm_tell(v, VMM_RUN);
    s = search_of(v);
    look(&s);
    vcpu = kept_of(&s, (uint32_t)v->pid, 0);
    other = kept_of(&s, (uint32_t)v->pid, 1);
    vmm_tell(v, VMM_REPLACE); /* the same number, of a vCPU that never ran */
    b = look(&s);
    item = item_of(b, process_of(&s.board, (uint32_t)v->pid), 0, 0);
    cr_expect_eq(item->fd, v->vcpu_stats[0]);
    cr_expect_neq(item->generation, vcpu.generation);
    cr_expect_eq(board_value(b, item, "exits"), 0);
    assert_kept(other, kept_of(&s, (uint32_t)v->pid, 1));
    cr_expect_eq(descriptors_called("kvm-"), 3, "the old one is held no more");
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, descriptors_of_one_vm_are_one_vm)
{
    struct vmm *v = vmm_start();
    const struct bulletin_process *p;
    struct search s;

    NEED_VMM(v);
    vmm_tell(v, VMM_DUPLICATE);
    s = search_real();
    look(&s);
    p = process_of(&s.board, (uint32_t)v->pid);
    cr_assert_not_null(p);
    cr_expect_eq(p->item_count, 3, "%u", p->item_count);
    cr_expect_eq(item_at(bulletin_of(&s.board), p, 0)->vm, v->vm);
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, two_vms_in_a_process_are_both_there)
{
    struct vmm *v = vmm_start();
    const struct bulletin_process *p;
    const struct bulletin *b;
    uint32_t indices = 0;
    struct search s;
    int vms = 0;

    NEED_VMM(v);
    vmm_tell(v, VMM_SECOND);
    s = search_real();
    b = look(&s);
    p = process_of(&s.board, (uint32_t)v->pid);
    cr_assert_not_null(p);
    for (uint32_t i = 0; i < p->item_count; i++) {
        const struct bulletin_item *item = item_at(b, p, i);

        vms += item->vcpu == BULLETIN_VM && !(item->flags & (BULLETIN_TOTAL | BULLETIN_SPARE));
        cr_expect(item->index < 32 && !(indices & 1U << item->index));
        indices |= 1U << item->index;
        cr_expect(item->fd < 0 || item->vm < 0, "which VM's a statistics fd is does not show");
    }
    cr_expect_eq(vms, 2, "%d", vms);
    for (int i = 0; i < VMM_VCPUS; i++) {
        bool found = false;

        for (uint32_t k = 0; k < p->item_count; k++)
            found = found || item_at(b, p, k)->fd == v->vcpu_stats[i];
        cr_expect(found, "who knows the number finds it");
    }
    kill_child(v->pid);
    search_end(&s);
}

Test(kvm_find_real, child_that_inherited_the_vm_is_no_second_one)
{
    struct vmm *v = vmm_start();
    struct search s;

    NEED_VMM(v);
    s = search_real();
    look(&s);
    vmm_tell(v, VMM_FORK);
    for (int i = 0; i < 20; i++) {
        look(&s);
        cr_expect_not_null(process_of(&s.board, (uint32_t)v->pid));
        cr_expect_null(process_of(&s.board, (uint32_t)v->forked));
    }
    kill_child(v->pid);
    search_end(&s);
}

/* A process that has a VM, and reads others': this one. */
Test(kvm_find_real, vmm_that_reads_other_vms_has_only_its_own)
{
    struct vmm *v = vmm_start();
    struct search other, own;
    struct stat st;
    struct real_vm real;
    int stats;

    NEED_VMM(v);
    if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != 0xEFFFFFFCU)
        cr_skip_test("not the initial PID namespace, in which KVM says who made a VM");
    cr_assert_eq(new_real(&real), 1);
    stats = vmm_stats(real.vcpu);
    other = search_of(v);
    look(&other);
    cr_expect_eq(descriptors_called("kvm-vcpu-stats"), 1 + VMM_VCPUS);
    own = search_at(NULL, NULL, (uint32_t)getpid());
    for (int i = 0; i < 20; i++) {
        const struct bulletin_process *p;

        look(&own);
        p = process_of(&own.board, (uint32_t)getpid());
        cr_assert_not_null(p);
        cr_expect_eq(p->item_count, 2, "%u", p->item_count);
        cr_expect_eq(item_at(bulletin_of(&own.board), p, 1)->fd, stats);
        cr_expect_eq(descriptors_called("kvm-vcpu-stats"), 2 + VMM_VCPUS);
    }
    search_end(&own);
    search_end(&other);
    close(stats);
    close_real(&real);
    kill_child(v->pid);
}

Test(kvm_find_real, vm_made_by_a_thread_is_its_process_s)
{
    struct vmm *v = vmm_start_as(true, true);
    const struct bulletin_process *p;
    const struct bulletin_item *vm;
    const struct bulletin *b;
    struct search s;

    NEED_VMM(v);
    if (access("/sys/kernel/debug/kvm", R_OK) < 0)
        cr_skip_test("there is no debugfs here");
    s = search_real();
    b = look(&s);
    p = process_of(&s.board, (uint32_t)v->pid);
    cr_assert_not_null(p);
    vm = item_of(b, p, BULLETIN_VM, 0);
    cr_expect_eq(vm->flags, BULLETIN_FROM_DEBUGFS);
    cr_expect_eq(vm->vm, v->vm);
    cr_expect_eq(board_value(b, vm, "pages_4k"), 0);
    kill_child(v->pid);
    search_end(&s);
}

/* With hardly any descriptors. */
static void look_with_few(void *arg)
{
    const struct vmm *v = arg;
    const int before = test_descriptors();
    const int lowest = dup(0);
    const struct rlimit few = { ((rlim_t)lowest + 3) * 4 / 3, (rlim_t)lowest + 100 }; /* of which 3/4 may be kept */
    struct rlimit limit;
    const struct bulletin *b;
    struct search s;

    REQUIRE(close(lowest) == 0 && setrlimit(RLIMIT_NOFILE, &few) == 0);
    s = search_of(v);
    for (int i = 0; i < 10; i++) {
        const struct bulletin_process *p;

        b = look(&s);
        p = process_of(&s.board, (uint32_t)v->pid);
        REQUIRE(p && p->item_count == 3);
        for (uint32_t k = 0; k < 3; k++)
            REQUIRE(item_at(b, p, k)->flags == 0);
        REQUIRE(board_value(b, item_of(b, p, 0, 0), "exits") >= (uint64_t)v->exits);
        REQUIRE(test_descriptors() <= before + 3);
    }
    finder_take_all(s.finder);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == few.rlim_max);
    REQUIRE(process_of(&s.board, (uint32_t)v->pid) && look(&s));
    search_end(&s);
    REQUIRE(test_descriptors() == before);
}

Test(kvm_find_real, few_descriptors_cost_time_and_no_vm)
{
    struct vmm *v = vmm_start();

    NEED_VMM(v);
    vmm_tell(v, VMM_RUN);
    assert_child(look_with_few, v);
    kill_child(v->pid);
}

/* Descriptors of ours that are statistics of that process's VM. */
static int held_of(pid_t pid)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;
    char vm[32];
    int n = 0;

    cr_assert_not_null(dir);
    snprintf(vm, sizeof(vm), "kvm-%d", (int)pid);
    while ((e = readdir(dir))) {
        const struct kvm_schema *schema;
        char id[VMT_NAME_SIZE];
        int32_t vcpu = 0;
        enum proc_kind kind = proc_link_of(AT_FDCWD, "/proc/self", atoi(e->d_name), &vcpu);

        if ((kind != PROC_VM_STATS && kind != PROC_VCPU_STATS) ||
            kvm_schema_read(atoi(e->d_name), vcpu != BULLETIN_VM, id, &schema) < 0)
            continue;
        kvm_schema_release(schema);
        n += strncmp(id, vm, strlen(vm)) == 0 && (!id[strlen(vm)] || id[strlen(vm)] == '/');
    }
    closedir(dir);
    return n;
}

#define MANY 50
#define MANY_VCPUS 4

static void be_one_of_many(void *arg)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0UL);

    REQUIRE(vm >= 0);
    vmm_stats(vm);
    for (unsigned i = 0; i < MANY_VCPUS; i++)
        vmm_stats(ioctl(vm, KVM_CREATE_VCPU, i));
    say(arg, vm);
    for (;;)
        pause();
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void look_often(struct search *s)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 50; i++) {
        uint64_t began = now_ns(), took;

        look(s);
        took = now_ns() - began;
        best = took < best ? took : best;
    }
    printf("# a look at %d VMs of %d vCPUs: %.3f ms at best\n", MANY, MANY_VCPUS, (double)best / 1e6);
}

/* A VMM of another test that was forked by a reader holds duplicates of theirs, too, and once their makers have ended they
 * are taken to be its own: until it ends they are held for it. */
static bool let_go(struct search *s, const pid_t pids[MANY])
{
    for (int i = 0; i < 600; i++) {
        int held = 0;

        look(s);
        for (int k = 0; k < MANY; k++)
            held += held_of(pids[k]);
        if (held == 0)
            return true;
        usleep(100000);
    }
    return false;
}

Test(kvm_find_real, many_vms_are_all_found_and_read_and_let_go)
{
    struct vmm *v = vmm_start();
    int *vms = shared_memory(MANY * sizeof(*vms));
    pid_t pids[MANY];
    struct search s;

    NEED_VMM(v);
    for (int i = 0; i < MANY; i++)
        pids[i] = start_child(be_one_of_many, &vms[i]);
    for (int i = 0; i < MANY; i++)
        cr_assert(reached(&vms[i], 1));
    s = search_real();
    look_often(&s);
    for (int i = 0; i < MANY; i++) {
        const struct bulletin_process *p = process_of(&s.board, (uint32_t)pids[i]);

        cr_assert_not_null(p);
        cr_expect_eq(p->item_count, 1 + MANY_VCPUS);
        cr_expect_eq(p->trouble, 0);
        cr_expect_eq(held_of(pids[i]), 1 + MANY_VCPUS);
    }
    cr_expect_not_null(process_of(&s.board, (uint32_t)v->pid));
    for (int i = 0; i < MANY; i++)
        kill_child(pids[i]);
    look(&s);
    for (int i = 0; i < MANY; i++)
        cr_expect_null(process_of(&s.board, (uint32_t)pids[i]));
    cr_expect(let_go(&s, pids));
    kill_child(v->pid);
    search_end(&s);
}
