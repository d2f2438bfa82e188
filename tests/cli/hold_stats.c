/* SPDX-License-Identifier: MIT */
/* Preloaded into a QEMU that is older than 8.1: as a newer one does, it then keeps the statistics fds of its VM and vCPUs
 * open from the first time it asks for them. */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#define FDS 1024

static atomic_bool held[FDS]; /* of that VM or vCPU */

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, ...);
    va_list ap;
    void *argument;
    int r;

    va_start(ap, request);
    argument = va_arg(ap, void *);
    va_end(ap);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "ioctl");
    r = next(fd, request, argument);
    if (request == KVM_GET_STATS_FD && r >= 0 && fd < FDS && !atomic_exchange(&held[fd], 1))
        fcntl(r, F_DUPFD_CLOEXEC, 0);
    return r;
}
