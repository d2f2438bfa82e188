/* SPDX-License-Identifier: MIT */
/* What a finder is made of, and the schemas that it has met. */
#include "lib/kvm/finder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/schema_block.h"
#include "lib/writer.h"

#define INITIAL_PID_NAMESPACE 0xEFFFFFFCU /* inode number, of all kernels */

static void measure_room(struct finder *finder)
{
    struct rlimit limit;

    finder->crowded = INT32_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT32_MAX)
        finder->crowded = (int)(limit.rlim_cur - limit.rlim_cur / 4); /* the rest is for whoever we live in */
}

static bool in_initial_namespace(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == INITIAL_PID_NAMESPACE;
}

static int finder_start(struct finder *finder)
{
    struct statfs fs;

    finder->proc = open(finder->proc_path, O_PATH | O_DIRECTORY | O_CLOEXEC); /* fails: there are no processes */
    finder->counts = finder->proc >= 0 && fstatfs(finder->proc, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
                     proc_fd_count(finder->proc, (uint32_t)getpid()) > 0;
    finder->epoll = epoll_create1(EPOLL_CLOEXEC);
    return finder->epoll < 0 ? -ENOMEM : 0;
}

int finder_new(const char *proc, const char *debugfs, uint32_t pid, struct finder **ret)
{
    struct finder *f = calloc(1, sizeof(*f));
    uint64_t boot_id[2];
    int r = -ENOMEM;

    if (!f)
        return -ENOMEM;
    f->proc = f->epoll = f->debugfs.fd = -1;
    f->vm_schema = f->vcpu_schema = f->from_vm = f->from_vcpu = BULLETIN_NO_SCHEMA;
    f->only = pid;
    f->given = proc != NULL;
    f->initial = f->given || in_initial_namespace();
    header_boot_id(boot_id);
    memcpy(f->boot_id, boot_id, sizeof(f->boot_id));
    measure_room(f);
    f->proc_path = strdup(proc ? proc : "/proc");
    f->debugfs_path = strdup(debugfs ? debugfs : "/sys/kernel/debug");
    if (f->proc_path && f->debugfs_path)
        r = finder_start(f);
    if (r < 0) {
        finder_free(f);
        return r;
    }
    *ret = f;
    return 0;
}

/* Its schemas stay on the board. */
static void close_debugfs(struct finder *finder)
{
    finder->debugfs.vm = finder->debugfs.vcpu = NULL;
    if (finder->prepared)
        debugfs_close(&finder->debugfs);
    finder->prepared = false;
    finder->debugfs = (struct debugfs){ .fd = -1 };
    finder->from_vm = finder->from_vcpu = BULLETIN_NO_SCHEMA;
}

void finder_free(struct finder *finder)
{
    struct known *known;
    struct posted *schemas;

    if (!finder)
        return;
    directories_clear(finder);
    known = finder->known.data;
    for (size_t i = 0; i < finder->known.used; i++)
        process_free(finder, known[i].process);
    schemas = finder->schemas.data;
    for (size_t i = 0; i < finder->schemas.used; i++) {
        kvm_schema_release(schemas[i].schema);
        free(schemas[i].block);
    }
    close_debugfs(finder);
    for (size_t i = 0; i < 2; i++) {
        int fd = i ? finder->epoll : finder->proc;

        if (fd >= 0)
            close(fd);
    }
    free(finder->known.data);
    free(finder->older.data);
    free(finder->numbers.data);
    free(finder->order.data);
    free(finder->links.data);
    free(finder->wanted.data);
    free(finder->used.data);
    free(finder->schemas.data);
    free(finder->dirs.data);
    free(finder->owners.data);
    free(finder->proc_path);
    free(finder->debugfs_path);
    free(finder);
}

int finder_prepare(struct finder *finder)
{
    struct debugfs *d = &finder->debugfs;
    int r;

    if (!finder->initial)
        return 0;
    close_debugfs(finder);
    r = debugfs_open(finder->debugfs_path, d);
    finder->prepared = r == 0;
    if (r == 0 && d->vm)
        finder->from_vm = finder_schema(finder, d->vm);
    if (r == 0 && d->vcpu)
        finder->from_vcpu = finder_schema(finder, d->vcpu);
    if (r == 0 &&
        ((d->vm && finder->from_vm == BULLETIN_NO_SCHEMA) || (d->vcpu && finder->from_vcpu == BULLETIN_NO_SCHEMA)))
        r = -ENOMEM;
    if (r < 0)
        close_debugfs(finder);
    return r;
}

void finder_take_all(struct finder *finder)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    measure_room(finder);
}

size_t finder_fds(const struct finder *finder, int fds[FINDER_FDS])
{
    const int all[FINDER_FDS] = { finder->proc, finder->epoll, finder->debugfs.fd };
    size_t n = 0;

    for (size_t i = 0; i < FINDER_FDS; i++) {
        if (all[i] >= 0)
            fds[n++] = all[i];
    }
    return n;
}

/* ---- schemas ---- */

uint32_t finder_schema(struct finder *finder, const struct kvm_schema *schema)
{
    struct posted *posted = finder->schemas.data;
    struct posted new = { .schema = schema };

    for (size_t i = 0; i < finder->schemas.used; i++) {
        if (posted[i].schema == schema) {
            kvm_schema_release(schema); /* one is enough */
            return (uint32_t)i;
        }
    }
    new.bytes = schema_block_bytes(&schema->schema);
    new.block = calloc(1, (new.bytes + 7) / 8 * 8);
    if (!new.block || pool_add(&finder->schemas, 1, sizeof(new)) == SIZE_MAX) {
        free(new.block);
        kvm_schema_release(schema);
        return BULLETIN_NO_SCHEMA;
    }
    schema_block_fill(new.block, &schema->schema);
    posted = finder->schemas.data;
    posted[finder->schemas.used - 1] = new;
    return (uint32_t)finder->schemas.used - 1;
}
