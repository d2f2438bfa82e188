/* SPDX-License-Identifier: MIT */
/* This kernel's own schemas, asked of a VM with one vCPU that never runs. */
#include "lib/kvm/statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CREATE_TRIES 16 /* KVM_CREATE_VM gives up when a signal comes */

/* The type of VM: 0, but of an arm64 machine whose addresses are shorter than usual what it has. */
static int create_vm(int kvm)
{
    int type = 0;
    int vm = -1;

    for (int i = 0; i < CREATE_TRIES && vm < 0; i++) {
        vm = ioctl(kvm, KVM_CREATE_VM, type);
        if (vm < 0 && errno == EINVAL && type == 0)
            type = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
        else if (vm < 0 && errno != EINTR)
            break;
    }
    return vm;
}

/* of: a VM or vCPU. The kernel opens the file without O_CLOEXEC. */
static int schema_of(int of, int vcpu, const struct kvm_schema **ret)
{
    int fd = ioctl(of, KVM_GET_STATS_FD, NULL);
    int r;

    if (fd < 0)
        return -errno;
    r = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : kvm_schema_read(fd, vcpu, NULL, ret);
    close(fd);
    return r;
}

static int schemas_of(int vm_fd, const struct kvm_schema **vm, const struct kvm_schema **vcpu)
{
    const struct kvm_schema *of_vm = NULL, *of_vcpu = NULL;
    int r = schema_of(vm_fd, 0, &of_vm);
    int fd;

    if (r < 0)
        return r;
    fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
    r = fd < 0 ? -errno : schema_of(fd, 1, &of_vcpu);
    if (fd >= 0)
        close(fd);
    if (r < 0) {
        kvm_schema_release(of_vm);
        return r;
    }
    *vm = of_vm;
    *vcpu = of_vcpu;
    return 0;
}

/* ---- where nobody sees that VM ---- */

struct asked {
    const struct kvm_schema **vm;
    const struct kvm_schema **vcpu;
    int result;
};

/* Descriptors of its own, of which /proc shows none as those of the process: who looks for VMs just then is to find no
 * VM of ours. What else the process has open is not among them: nobody waits for this thread to close it. */
static void *ask(void *arg)
{
    struct asked *a = arg;
    int kvm, fd;

    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_UNSHARE) < 0) {
        a->result = -errno;
        return NULL;
    }
    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    fd = kvm < 0 ? -1 : create_vm(kvm);
    a->result = fd < 0 ? -errno : schemas_of(fd, a->vm, a->vcpu);
    if (fd >= 0)
        close(fd);
    if (kvm >= 0)
        close(kvm);
    return NULL;
}

int kvm_schemas_of_host(const struct kvm_schema **vm, const struct kvm_schema **vcpu)
{
    struct asked a = { .vm = vm, .vcpu = vcpu };
    sigset_t all, before;
    pthread_t thread;
    int cancel;
    int r;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&thread, NULL, ask, &a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        pthread_join(thread, NULL);
    pthread_setcancelstate(cancel, NULL);
    return r ? -r : a.result;
}
