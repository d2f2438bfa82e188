/* SPDX-License-Identifier: MIT */
/* many_kvm [VMS VCPUS]: a host with that many VMs (50 of 4 vCPUs) that each hold their statistics fds open and embed
 * nothing, and what a refresh of all of them takes: a look at the host, and a snapshot of each VM. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vmtally/host.h>

#define LIMIT_MS 2.0
#define REFRESHES 200

static pid_t *children;
static unsigned child_count;

static void end_children(void)
{
    for (unsigned i = 0; i < child_count; i++)
        kill(children[i], SIGKILL);
    for (unsigned i = 0; i < child_count; i++)
        waitpid(children[i], NULL, 0);
}

static void stop(const char *what)
{
    end_children();
    fprintf(stderr, "many_kvm: %s\n", what);
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Make a VM, say so, and wait to be killed. */
static void be_a_vm(unsigned vcpus, int said)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
    int r = vm < 0 ? -1 : ioctl(vm, KVM_GET_STATS_FD, 0);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; r >= 0 && i < vcpus; i++) {
        int vcpu = ioctl(vm, KVM_CREATE_VCPU, i);

        r = vcpu < 0 ? -1 : ioctl(vcpu, KVM_GET_STATS_FD, 0);
    }
    if (write(said, r < 0 ? "-" : "+", 1) == 1 && r >= 0)
        pause();
    _exit(1);
}

static void make_vms(unsigned vms, unsigned vcpus)
{
    int said[2];
    char c;

    children = calloc(vms, sizeof(*children));
    if (!children || pipe(said) < 0)
        stop("no memory");
    for (; child_count < vms; child_count++) {
        children[child_count] = fork();
        if (children[child_count] == 0)
            be_a_vm(vcpus, said[1]);
        if (children[child_count] < 0)
            stop("fork fails");
        if (read(said[0], &c, 1) != 1 || c != '+') {
            child_count++;
            printf("skipped: no VM with statistics fds can be made here (/dev/kvm)\n");
            end_children();
            exit(0);
        }
    }
}

static int is_child(uint32_t pid)
{
    for (unsigned i = 0; i < child_count; i++) {
        if ((uint32_t)children[i] == pid)
            return 1;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
    unsigned vms = argc > 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 50;
    unsigned vcpus = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 4;
    struct vmt_found *found = NULL;
    struct vmt_reader **readers = calloc(vms + 1, sizeof(struct vmt_reader *));
    struct vmt_snapshot **snapshots = calloc(vms + 1, sizeof(struct vmt_snapshot *));
    double looks[REFRESHES], all[REFRESHES], began;
    struct vmt_host *host;
    unsigned mine = 0;
    size_t sources = 0;
    long count;

    if (!vms || !vcpus || !readers || !snapshots)
        return 2;
    make_vms(vms, vcpus);
    began = now_ms();
    if (vmt_host_new(NULL, &host) < 0 || vmt_host_look(host) < 0)
        stop("the host can't be looked at");
    printf("the first look, through all processes: %.2f ms\n", now_ms() - began);
    count = vmt_host_discover(host, "/nonexistent", &found);
    if (count < 0)
        count = vmt_host_discover(host, NULL, &found);
    for (long i = 0; i < count && mine < vms; i++) {
        if (strncmp(found[i].path, "/proc/", 6) || !is_child((uint32_t)strtoul(found[i].path + 6, NULL, 10)))
            continue;
        if (vmt_reader_open_host(host, found[i].path, NULL, &readers[mine]) < 0 ||
            vmt_snapshot_new(&snapshots[mine]) < 0)
            stop("a VM can't be read");
        mine++;
    }
    vmt_found_free(found, count);
    if (mine != vms)
        stop("not all VMs were found");
    for (unsigned k = 0; k < REFRESHES; k++) {
        began = now_ms();
        if (vmt_host_look(host) < 0)
            stop("a look failed");
        looks[k] = now_ms() - began;
        for (unsigned i = 0; i < vms; i++) {
            if (vmt_snapshot_take(snapshots[i], readers[i]) != 0)
                stop("a snapshot failed");
        }
        all[k] = now_ms() - began;
        usleep(5000);
    }
    for (unsigned i = 0; i < vms; i++)
        sources += vmt_snapshot_count(snapshots[i]);
    qsort(looks, REFRESHES, sizeof(*looks), compare);
    qsort(all, REFRESHES, sizeof(*all), compare);
    printf("%u VMs of %u vCPUs by their fds, %zu sources: a refresh %.2f ms (the look alone %.2f ms, slowest %.2f ms); "
           "at most %.1f ms: %s\n",
           vms, vcpus, sources, all[REFRESHES / 2], looks[REFRESHES / 2], all[REFRESHES - 1], LIMIT_MS,
           all[REFRESHES / 2] <= LIMIT_MS ? "within" : "MISSED");
    for (unsigned i = 0; i < vms; i++) {
        vmt_snapshot_free(snapshots[i]);
        vmt_reader_close(readers[i]);
    }
    vmt_host_free(host);
    free(readers);
    free(snapshots);
    end_children();
    free(children);
    return 0;
}
