/* SPDX-License-Identifier: MIT */
#include "lib/kvm/debugfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "lib/pool.h"

#define LIST_MAX 65536U /* VMs, or vCPUs of one, or files of the fallback: more are not looked at */

/* ---- names and numbers ---- */

/* All of text, up to end, as a number without leading zeros; false: it is none, or more than most. */
static bool number_of(const char *text, const char *end, uint64_t most, uint64_t *ret)
{
    uint64_t n = 0;

    if (text == end || (text[0] == '0' && end - text > 1))
        return false;
    for (; text < end; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (*text < '0' || *text > '9' || n > most / 10 || digit > most - n * 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return true;
}

/* "<pid>-<fd>", and nothing else: "23" is no part of "123-4". */
static bool vm_of_name(const char *name, struct debugfs_vm *ret)
{
    const char *dash = strchr(name, '-');
    uint64_t pid, fd;

    if (!dash || !number_of(name, dash, INT32_MAX, &pid) ||
        !number_of(dash + 1, dash + 1 + strlen(dash + 1), INT32_MAX, &fd) || pid == 0)
        return false;
    ret->pid = (uint32_t)pid;
    ret->fd = (int32_t)fd;
    return true;
}

static bool vcpu_of_name(const char *name, uint32_t *ret)
{
    const char *text = name + strlen("vcpu");
    uint64_t n;

    if (strncmp(name, "vcpu", strlen("vcpu")) != 0 || !number_of(text, text + strlen(text), INT32_MAX, &n))
        return false;
    *ret = (uint32_t)n;
    return true;
}

/* What a file says: one number and a line's end. A negative one becomes its two's complement. */
static int value_of_text(const char *text, size_t bytes, uint64_t *ret)
{
    const char *end = text + bytes;
    const bool negative = bytes > 0 && text[0] == '-';
    uint64_t n;

    while (end > text && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    if (!number_of(text + negative, end, negative ? UINT64_C(1) << 63 : UINT64_MAX, &n))
        return -EIO;
    *ret = negative ? -n : n;
    return 0;
}

/* 0; -EIO: it holds no number; what open and read give. */
static int read_value(int dir, const char *name, uint64_t *ret)
{
    char text[32];
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n;
    int error;

    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof(text));
    error = errno;
    close(fd);
    if (n < 0)
        return -error;
    return (size_t)n < sizeof(text) ? value_of_text(text, (size_t)n, ret) : -EIO;
}

/* ---- directories ---- */

typedef bool take_fn(int dir, const struct dirent64 *e, void *into);

/* Have take look at each entry of the directory; false from it: no memory. dir stays the caller's. (fdopendir() would ask
 * for more system calls, and whoever reads this may have given them up.) */
static int each_entry(int dir, take_fn *take, void *into)
{
    char buf[8192] __attribute__((aligned(8)));
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t n = 0;
    int r = 0;

    if (fd < 0)
        return -errno;
    while (r == 0 && (n = getdents64(fd, buf, sizeof(buf))) > 0) {
        for (ssize_t at = 0; at < n && r == 0; at += ((struct dirent64 *)(void *)(buf + at))->d_reclen)
            r = take(dir, (void *)(buf + at), into) ? 0 : -ENOMEM;
    }
    if (n < 0)
        r = -errno;
    close(fd);
    return r;
}

static bool is_dir(const struct dirent64 *e) { return e->d_type == DT_DIR || e->d_type == DT_UNKNOWN; }

static bool take_vm(int dir, const struct dirent64 *e, void *into)
{
    struct pool *pool = into;
    struct debugfs_vm vm = { .ino = e->d_ino };
    size_t at;

    (void)dir;
    if (!is_dir(e) || !vm_of_name(e->d_name, &vm) || vm.pid == (uint32_t)getpid() || pool->used == LIST_MAX)
        return true;
    at = pool_add(pool, 1, sizeof(vm));
    if (at == SIZE_MAX)
        return false;
    ((struct debugfs_vm *)pool->data)[at] = vm;
    return true;
}

static bool take_vcpu(int dir, const struct dirent64 *e, void *into)
{
    struct pool *pool = into;
    uint32_t vcpu;
    size_t at;

    (void)dir;
    if (!is_dir(e) || !vcpu_of_name(e->d_name, &vcpu) || pool->used == LIST_MAX)
        return true;
    at = pool_add(pool, 1, sizeof(vcpu));
    if (at == SIZE_MAX)
        return false;
    ((uint32_t *)pool->data)[at] = vcpu;
    return true;
}

static int by_pid_and_fd(const void *a, const void *b)
{
    const struct debugfs_vm *x = a, *y = b;

    return x->pid != y->pid ? (x->pid > y->pid) - (x->pid < y->pid) : (x->fd > y->fd) - (x->fd < y->fd);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* ---- which statistics have files ---- */

static bool is_histogram(const struct vmt_descriptor *d)
{
    return (d->flags & VMT_TYPE_MASK) == VMT_TYPE_LINEAR_HIST || (d->flags & VMT_TYPE_MASK) == VMT_TYPE_LOG_HIST;
}

static bool is_denied(int error) { return error == -EPERM || error == -EACCES; }

/* What of whole can be read in dir; *ret stays NULL where nothing can. */
static int choose(struct debugfs *d, const struct kvm_schema *whole, const struct kvm_schema **ret)
{
    uint8_t keep[VMT_DESCRIPTORS_MAX] = { 0 };
    int r;

    for (uint32_t i = 0; i < whole->schema.count; i++) {
        const struct vmt_descriptor *descriptor = &whole->schema.descriptors[i];
        uint64_t value;

        if (is_histogram(descriptor))
            continue;
        r = read_value(d->fd, descriptor->name, &value);
        keep[i] = r == 0;
        d->locked += is_denied(r);
    }
    r = kvm_schema_part(whole, keep, ret);
    return r == -ENODATA ? 0 : r;
}

/* ---- where their meaning is not known ---- */

struct guessed {
    char name[VMT_NAME_SIZE];
    uint32_t flags;
};

struct guesses {
    struct debugfs *d;
    struct pool of[2]; /* struct guessed; of VMs, of vCPUs */
};

/* By the file's mode. The first bucket of a histogram looks like any number. */
static bool take_file(int dir, const struct dirent64 *e, void *into)
{
    const char *name = e->d_name;
    struct guesses *g = into;
    struct pool *pool = &g->of[kvm_is_of_vcpu(name) != 0];
    const size_t n = strlen(name);
    struct guessed *guessed;
    struct stat st;
    uint64_t value;
    size_t at;
    int r;

    if (n >= VMT_NAME_SIZE || (n > 5 && strcmp(name + n - 5, "_hist") == 0) || pool->used == VMT_DESCRIPTORS_MAX)
        return true;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return true;
    r = read_value(dir, name, &value);
    g->d->locked += is_denied(r);
    if (r < 0)
        return true;
    at = pool_add(pool, 1, sizeof(*guessed));
    if (at == SIZE_MAX)
        return false;
    guessed = &((struct guessed *)pool->data)[at];
    memcpy(guessed->name, name, n + 1);
    guessed->flags = !(st.st_mode & 0222)          ? VMT_TYPE_INSTANT
                   : strncmp(name, "max_", 4) == 0 ? VMT_TYPE_PEAK
                                                   : VMT_TYPE_CUMULATIVE;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct guessed *)a)->name, ((const struct guessed *)b)->name);
}

static int make_guessed(int vcpu, struct pool *pool, const struct kvm_schema **ret)
{
    struct guessed *guessed = pool->data;
    struct vmt_descriptor *descriptors;
    int r;

    if (pool->used == 0)
        return 0;
    descriptors = calloc(pool->used, sizeof(*descriptors));
    if (!descriptors)
        return -ENOMEM;
    qsort(guessed, pool->used, sizeof(*guessed), by_name);
    for (size_t i = 0; i < pool->used; i++)
        descriptors[i] = (struct vmt_descriptor){ .name = guessed[i].name, .flags = guessed[i].flags, .size = 1 };
    r = kvm_schema_make(vcpu, descriptors, (uint32_t)pool->used, ret);
    free(descriptors);
    return r;
}

static int guess(struct debugfs *d)
{
    struct guesses g = { .d = d };
    int r = each_entry(d->fd, take_file, &g);

    if (r == 0)
        r = make_guessed(0, &g.of[0], &d->vm);
    if (r == 0)
        r = make_guessed(1, &g.of[1], &d->vcpu);
    free(g.of[0].data);
    free(g.of[1].data);
    return r;
}

/* ---- opened ---- */

/* The directory; the caller has set all else to 0. */
static void open_root(const char *root, struct debugfs *d)
{
    struct statfs fs;
    int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    d->fd = fd < 0 ? -1 : openat(fd, "kvm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d->error = d->fd < 0 ? -errno : 0;
    d->mounted = d->fd >= 0 || (statfs(root, &fs) == 0 && fs.f_type == DEBUGFS_MAGIC);
    if (fd >= 0)
        close(fd);
}

static int open_with(const char *root, bool ask, const struct kvm_schema *vm, const struct kvm_schema *vcpu,
                     struct debugfs *ret)
{
    struct debugfs d = { 0 };
    int r = 0;

    open_root(root, &d);
    if (d.fd >= 0) {
        const struct kvm_schema *of_vm = NULL, *of_vcpu = NULL;

        if (ask && kvm_schemas_of_host(&of_vm, &of_vcpu) == 0) {
            vm = of_vm;
            vcpu = of_vcpu;
        }
        if (vm && vcpu) {
            r = choose(&d, vm, &d.vm);
            if (r == 0)
                r = choose(&d, vcpu, &d.vcpu);
        } else {
            r = guess(&d);
        }
        kvm_schema_release(of_vm);
        kvm_schema_release(of_vcpu);
    }
    if (r < 0)
        debugfs_close(&d);
    else
        *ret = d;
    return r;
}

int debugfs_open(const char *root, struct debugfs *ret) { return open_with(root, true, NULL, NULL, ret); }

int debugfs_open_as(const char *root, const struct kvm_schema *vm, const struct kvm_schema *vcpu, struct debugfs *ret)
{
    return open_with(root, false, vm, vcpu, ret);
}

void debugfs_close(struct debugfs *d)
{
    if (d->fd >= 0)
        close(d->fd);
    kvm_schema_release(d->vm);
    kvm_schema_release(d->vcpu);
    *d = (struct debugfs){ .fd = -1, .error = -EBADF };
}

/* ---- VMs ---- */

long debugfs_list(const struct debugfs *d, struct debugfs_vm **ret)
{
    struct pool pool = { 0 };
    int r = d->fd < 0 ? d->error : each_entry(d->fd, take_vm, &pool);

    if (r < 0) {
        free(pool.data);
        return r;
    }
    if (pool.used)
        qsort(pool.data, pool.used, sizeof(struct debugfs_vm), by_pid_and_fd);
    *ret = pool.data;
    return (long)pool.used;
}

/* Those of one schema, unless values is NULL. All VMs have the same files: where one is missing, the VM is about to come, or to go. */
static int read_values(int dir, const struct kvm_schema *schema, uint64_t *values)
{
    for (uint32_t i = 0; schema && values && i < schema->schema.count; i++) {
        const struct vmt_descriptor *descriptor = &schema->schema.descriptors[i];
        int r = read_value(dir, descriptor->name, &values[descriptor->slot]);

        if (r < 0)
            return r;
    }
    return 0;
}

long debugfs_read(const struct debugfs *d, const struct debugfs_vm *vm, uint64_t *vm_values, uint64_t *sums,
                  uint32_t **vcpus)
{
    struct pool pool = { 0 };
    char name[32];
    int dir, r;

    snprintf(name, sizeof(name), "%u-%d", vm->pid, vm->fd);
    if (d->fd < 0)
        return d->error;
    dir = openat(d->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return -errno;
    r = read_values(dir, d->vm, vm_values);
    if (r == 0)
        r = read_values(dir, d->vcpu, sums);
    if (r == 0)
        r = each_entry(dir, take_vcpu, &pool);
    close(dir);
    if (r < 0) {
        free(pool.data);
        return r;
    }
    if (pool.used)
        qsort(pool.data, pool.used, sizeof(uint32_t), by_number);
    *vcpus = pool.data;
    return (long)pool.used;
}
