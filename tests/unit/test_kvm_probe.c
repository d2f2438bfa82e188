/* SPDX-License-Identifier: MIT */
/* Whoever asks this kernel for its schemas is no VM to those who look at the host meanwhile. */
#include "host_parts.h"

#include <stdarg.h>

TestSuite(kvm_probe, .init = test_dir_init, .fini = test_dir_fini);

struct asker {
    int has_vm; /* 1: it has made its VM */
    int looked; /* 1: it may go on */
    int descriptors;
    int result;
};

static struct asker *asking; /* in the child */

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* A VM that has been made stays until others have looked. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    void *argument;
    va_list args;
    int r;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    r = __real_ioctl(fd, request, argument);
    if (asking && request == KVM_CREATE_VM && r >= 0) {
        say(&asking->has_vm, 1);
        REQUIRE(reached(&asking->looked, 1));
    }
    return r;
}

static void ask(void *arg)
{
    const struct kvm_schema *vm, *vcpu;
    int before = test_descriptors();

    asking = arg;
    asking->result = kvm_schemas_of_host(&vm, &vcpu);
    asking->descriptors = test_descriptors() - before;
    say(&asking->looked, 2);
    pause();
}

Test(kvm_probe, who_asks_for_schemas_is_never_taken_for_a_vm)
{
    struct vmm *v = vmm_start_as(false, true); /* it has debugfs read, where there is one: that shows all VMs */
    struct asker *a = shared_memory(sizeof(*a));
    struct search one, all;
    pid_t pid;

    NEED_VMM(v);
    pid = start_child(ask, a);
    cr_assert(reached(&a->has_vm, 1));
    one = search_at(NULL, NULL, (uint32_t)pid);
    all = search_at(NULL, NULL, 0);
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(look(&one)->process_count, 0);
        look(&all);
        cr_expect_null(process_of(&all.board, (uint32_t)pid));
        cr_expect_not_null(process_of(&all.board, (uint32_t)v->pid));
    }
    say(&a->looked, 1);
    cr_assert(reached(&a->looked, 2));
    cr_expect_eq(a->result, 0, "%s", strerror(-a->result));
    cr_expect_eq(a->descriptors, 0);
    kill_child(pid);
    kill_child(v->pid);
    search_end(&one);
    search_end(&all);
}
