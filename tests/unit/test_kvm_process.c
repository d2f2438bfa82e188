/* SPDX-License-Identifier: MIT */
/* Looking into one process: is what is held the process's, and still what its number stands for? */
#include "host_parts.h"

#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "lib/kvm/finder.h"

TestSuite(kvm_process, .init = test_dir_init, .fini = test_dir_fini);

/* As many descriptors as before, under the same numbers: only the files are others. */
Test(kvm_process, vm_made_anew_under_the_same_numbers_is_another_one_at_the_next_look)
{
    struct vmm *v = vmm_start();
    const struct bulletin_process *p;
    const struct bulletin *b;
    struct kept before[3];
    struct vmm was;
    struct search s;

    NEED_VMM(v);
    vmm_tell(v, VMM_RUN);
    s = search_of(v);
    look(&s);
    for (int i = 0; i < 3; i++)
        before[i] = kept_of(&s, (uint32_t)v->pid, i - 1);
    was = *v;
    vmm_tell(v, VMM_ANEW);
    cr_assert(v->vm == was.vm && v->vcpu == was.vcpu && v->vm_stats == was.vm_stats);
    cr_assert_arr_eq(v->vcpu_stats, was.vcpu_stats, sizeof(was.vcpu_stats));
    b = look(&s);
    p = process_of(&s.board, (uint32_t)v->pid);
    cr_assert_not_null(p);
    for (int i = 0; i < 3; i++)
        cr_expect_neq(kept_of(&s, (uint32_t)v->pid, i - 1).generation, before[i].generation, "%d", i - 1);
    cr_expect_eq(board_value(b, item_of(b, p, 0, 0), "exits"), 0, "it has never run");
    cr_expect_eq(descriptors_called("kvm-"), 3);
    vmm_tell(v, VMM_RUN);
    b = look(&s);
    cr_expect_eq(board_value(b, item_of(b, process_of(&s.board, (uint32_t)v->pid), 0, 0), "exits"), v->counted);
    kill_child(v->pid);
    search_end(&s);
}

/* Between the look at a link and the use of its number the process may do anything. */
Test(kvm_process, number_that_stands_for_another_file_than_its_link_said_is_not_held)
{
    struct vmm *v = vmm_start();
    struct process *process;
    struct held held;
    struct search s;
    int before;

    NEED_VMM(v);
    s = search_of(v);
    look(&s);
    process = finder_known(s.finder, (uint32_t)v->pid)->process;
    cr_assert(process && process->pidfd >= 0);
    before = test_descriptors();
    {
        const struct proc_link others[] = { { .kind = PROC_VCPU_STATS, .vcpu = 1, .fd = v->vcpu_stats[0] },
                                            { .kind = PROC_VCPU_STATS, .vcpu = 0, .fd = v->vcpu_stats[1] },
                                            { .kind = PROC_VM_STATS, .vcpu = BULLETIN_VM, .fd = v->vcpu_stats[0] },
                                            { .kind = PROC_VCPU_STATS, .vcpu = 0, .fd = v->vm_stats },
                                            { .kind = PROC_VCPU_STATS, .vcpu = 1, .fd = v->vcpu },
                                            { .kind = PROC_VM_STATS, .vcpu = BULLETIN_VM, .fd = v->vm } };

        for (size_t i = 0; i < LENGTH(others); i++)
            cr_expect_eq(hold_get(s.finder, process, &others[i], &held), -EBADF, "%zu", i);
    }
    cr_expect_eq(test_descriptors(), before);
    cr_assert_eq(hold_get(s.finder, process, process_link(process, v->vcpu_stats[1]), &held), 0);
    cr_expect(held.vcpu == 1 && held.theirs == v->vcpu_stats[1]);
    hold_drop(&held);
    cr_expect_eq(test_descriptors(), before);
    kill_child(v->pid);
    search_end(&s);
}

/* ---- another PID namespace ---- */

struct namespace
{
    int ready;   /* 1; -errno: it can't be made */
    pid_t first; /* its first process, as seen from here */
    pid_t pid;   /* that its VMM is to have there */
    struct vmm vmm;
};

static void be_first(struct namespace *n)
{
    struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&n->pid, .set_tid_size = 1 };
    long pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* and all of the namespace goes with it */
    REQUIRE(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    REQUIRE(mount("proc", "/proc", "proc", 0, NULL) == 0);
    pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        vmm_make(&n->vmm);
    say(&n->ready, pid < 0 ? -errno : 1);
    for (;;)
        pause();
}

static void make_namespace(void *arg)
{
    struct namespace *n = arg;
    long pid = syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        be_first(n);
    n->first = (pid_t)pid;
    if (pid < 0)
        say(&n->ready, -errno);
    for (;;)
        pause();
}

static void expect_exits(const char *proc, uint32_t pid, uint64_t exits)
{
    struct search s = search_at(proc, test_path("none"), pid);
    const struct bulletin *b = look(&s);
    const struct bulletin_process *p = process_of(&s.board, pid);
    const struct bulletin_item *item = p ? item_of(b, p, 0, 0) : NULL;

    cr_assert_not_null(item, "%s", proc);
    if (exits)
        cr_expect(!(item->flags & BULLETIN_NO_VALUES) && board_value(b, item, "exits") == exits);
    else
        cr_expect(item->flags & BULLETIN_NO_VALUES && p->denied, "these are another VM's");
    search_end(&s);
}

Test(kvm_process, vmm_of_another_pid_namespace_is_not_the_one_that_has_its_number_here)
{
    static const char test[] = "vmm_of_another_pid_namespace_is_not_the_one_that_has_its_number_here";
    struct namespace *n = shared_memory(sizeof(*n));
    struct vmm *v = vmm_start();
    char path[64];
    pid_t pid;

    NEED_VMM(v);
    vmm_tell(v, VMM_RUN);
    n->pid = v->pid;
    pid = start_child(make_namespace, n);
    for (int i = 0; i < 600000 && !said(&n->ready); i++)
        nap_us(100);
    if (n->ready < 0)
        cr_skip_test("%s: no PID namespace, or no choice of numbers in it: %s", test, strerror(-n->ready));
    cr_assert(reached(&n->vmm.ready, 1));
    vmm_tell(v, VMM_READ);
    expect_exits("/proc", (uint32_t)v->pid, v->counted);
    snprintf(path, sizeof(path), "/proc/%d/root/proc", (int)n->first);
    expect_exits(path, (uint32_t)v->pid, 0);
    kill_child(pid);
    kill_child(v->pid);
}
