/* SPDX-License-Identifier: MIT */
#include "shm/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef F2FS_SUPER_MAGIC
#define F2FS_SUPER_MAGIC 0xF2F52010
#endif
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#define BCACHEFS_SUPER_MAGIC 0xca451a4e

#define LOOKS 64  /* at the size of the file within one snapshot: each is a system call, and may be a new mapping */
#define SPARSE 16 /* elsewhere than in memory, a block may stand for as many */

/* statmount(2), of Linux 6.8: what lies behind a handle, without asking it. */
#define STATMOUNT 457
#define UNIQUE_MOUNT 0x4000U /* STATX_MNT_ID_UNIQUE */

struct mount_asked {
    uint32_t size;
    uint32_t spare;
    uint64_t mount;
    uint64_t what; /* 1: about the file system */
};

struct mount_told {
    uint32_t size;
    uint32_t options;
    uint64_t what;
    uint32_t dev[2];
    uint64_t magic;
    uint64_t others[60];
};

static bool known_magic(uint64_t magic)
{
    switch (magic) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case ZFS_SUPER_MAGIC:
    case BCACHEFS_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

/* Local file systems only: a read from FUSE or the network may hang for ever, and this agent with it. So may fstat and
 * fstatfs, in a sleep that no signal but SIGKILL ends: where the kernel can, it is asked what it knows itself. */
static bool local(int fd, bool *exact)
{
    struct mount_asked asked = { .size = sizeof(asked), .what = 1 };
    struct mount_told told = { 0 };
    struct statx sx;
    struct statfs fs;
    uint64_t magic;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, UNIQUE_MOUNT, &sx) == 0 && sx.stx_mask & UNIQUE_MOUNT) {
        asked.mount = sx.stx_mnt_id;
        if (syscall(STATMOUNT, &asked, &told, sizeof(told), 0) == 0 && told.what & 1 && !known_magic(told.magic))
            return false;
    }
    if (fstatfs(fd, &fs) < 0)
        return false;
    magic = (unsigned long)fs.f_type;
    *exact = magic == TMPFS_MAGIC || magic == RAMFS_MAGIC;
    return known_magic(magic);
}

int shm_open_directory(const char *path, bool follow, struct stat *st)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    bool exact;
    int r;

    if (fd < 0)
        return -errno;
    r = !local(fd, &exact) ? -ENOTSUP : fstat(fd, st) < 0 ? -errno : 0;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

#define WITHOUT_BLOCKING (O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW)

/* name in dir itself: behind no link, and nothing that is mounted there. */
static int open_in(int dirfd, const char *name, int flags)
{
    struct open_how how = { .flags = (unsigned)flags, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
    int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

    if (fd < 0 && errno == ENOSYS) /* before Linux 5.6, or a filter */
        fd = openat(dirfd, name, flags);
    return fd < 0 ? -errno : fd;
}

/* What it is, before it is opened: opening a device may do something. Only a handle, and mounts are not crossed: where
 * somebody mounted a FUSE of his own over his file, not even a stat may go there, it may never return. */
static int look_at(int dirfd, const char *name)
{
    struct stat st;
    int fd = open_in(dirfd, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    int r;

    if (fd < 0)
        return fd;
    r = fstat(fd, &st) < 0 ? -errno : 0;
    close(fd);
    if (r < 0 || S_ISREG(st.st_mode))
        return r;
    return S_ISLNK(st.st_mode) ? -ELOOP : S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
}

/* The directory may be reached by any path that its user likes; the file itself by no link and no mount. */
static int open_file(const char *path, uint32_t *dir_uid)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char dir[PATH_MAX];
    struct stat st;
    int dirfd;
    int r;

    if (!*name)
        return slash ? -EISDIR : -ENOENT;
    if (slash && (size_t)(slash - path) >= sizeof(dir) - 1)
        return -ENAMETOOLONG;
    if (slash) {
        memcpy(dir, path, (size_t)(slash - path) + 1);
        dir[slash - path + 1] = '\0';
    } else {
        memcpy(dir, ".", 2);
    }
    dirfd = shm_open_directory(dir, true, &st);
    if (dirfd < 0)
        return dirfd;
    *dir_uid = st.st_uid;
    r = look_at(dirfd, name);
    if (r == 0)
        r = open_in(dirfd, name, O_RDONLY | WITHOUT_BLOCKING);
    close(dirfd);
    return r == -EWOULDBLOCK ? -EBUSY : r;
}

int shm_view_open(const char *path, uint64_t cap, bool want_map, struct shm_view *view)
{
    uint32_t dir_uid = 0;
    struct stat st;
    bool exact = false;
    int fd = open_file(path, &dir_uid);
    int r = 0;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        r = -errno;
    else if (!S_ISREG(st.st_mode))
        r = -EINVAL;
    else if (!local(fd, &exact))
        r = -ENOTSUP;
    if (r < 0) {
        close(fd);
        return r;
    }
    memset(view, 0, sizeof(*view));
    view->fd = fd;
    view->cap = cap / 4096 * 4096;
    view->want_map = want_map;
    view->exact = exact;
    view->holes = UINT64_MAX; /* until it is known, only the header is looked at */
    view->uid = st.st_uid;
    view->trusted_uid[0] = geteuid();
    view->trusted_uid[1] = dir_uid;
    return 0;
}

void shm_view_own(struct shm_view *view, const void *base)
{
    memset(view, 0, sizeof(*view));
    view->fd = -1;
    view->cap = UINT64_MAX;
    view->base = base;
    view->uid = geteuid();
    view->trusted_uid[0] = view->uid;
    view->own = true;
    view->direct = true;
}

static void unmap(struct shm_view *view)
{
    shm_guard_remove(view->guard);
    view->guard = NULL;
    if (view->base)
        munmap((void *)(uintptr_t)view->base, view->mapped_bytes);
    view->base = NULL;
    view->mapped_bytes = 0;
}

void shm_view_close(struct shm_view *view)
{
    if (view->own)
        return;
    unmap(view);
    if (view->fd >= 0)
        close(view->fd);
    view->fd = -1;
}

/* Whole pages, as far as the file goes; a failure only means that it is read by copying. */
static void map(struct shm_view *view)
{
    uint64_t bytes = shm_round(view->bytes, 4096);
    void *p;

    if (view->base && view->mapped_bytes == bytes)
        return;
    unmap(view);
    p = bytes ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, view->fd, 0) : MAP_FAILED;
    if (p == MAP_FAILED)
        return;
    madvise(p, bytes, MADV_DONTDUMP);
    view->base = p;
    view->mapped_bytes = bytes;
    view->guard = shm_guard_add(p, bytes);
    if (!view->guard)
        unmap(view);
}

/* Elsewhere than in memory, blocks may be compressed, and a copied segment may have become sparse. */
static uint64_t occupied(const struct shm_view *view, uint64_t allocated)
{
    if (!view->exact)
        allocated = allocated < UINT64_MAX / SPARSE ? allocated * SPARSE : UINT64_MAX;
    return allocated < view->file_bytes ? allocated : view->file_bytes;
}

/* Size as it is now; 0, -EBADMSG (shrunk), -EIO. */
static int measure(struct shm_view *view)
{
    struct stat st;

    if (view->own) {
        const struct shm_header *h = (const void *)view->base; /* this process's own word */

        /* The acquire of the link that led here pairs with its release, and file_bytes was put before. */
        view->bytes = __atomic_load_n(&h->file_bytes, __ATOMIC_RELAXED);
        view->file_bytes = view->bytes;
        view->occupied = view->bytes;
        return 0;
    }
    if (fstat(view->fd, &st) < 0)
        return -EIO;
    view->unnamed = st.st_nlink == 0;
    view->uid = st.st_uid;
    /* A writer never truncates: who did that may do anything. */
    if ((uint64_t)st.st_size < view->file_bytes || !shm_view_good(view)) {
        view->shrunk = true;
        return -EBADMSG;
    }
    view->file_bytes = (uint64_t)st.st_size;
    view->occupied = occupied(view, (uint64_t)st.st_blocks * 512);
    view->bytes = view->file_bytes < view->cap ? view->file_bytes : view->cap;
    return 0;
}

static bool filled(const struct shm_view *view) { return view->file_bytes - view->occupied <= view->holes; }

int shm_view_begin(struct shm_view *view)
{
    int r = measure(view);

    view->looks = LOOKS;
    if (r < 0 || view->own)
        return r;
    if (view->want_map)
        map(view);
    view->direct = view->base && filled(view) && shm_guard_ready();
    return 0;
}

void shm_view_avoid_holes(struct shm_view *view, const struct shm_header *checked)
{
    uint64_t used = checked->source_offset + (uint64_t)checked->source_used * checked->source_bytes;
    uint64_t limit = checked->source_offset + (uint64_t)checked->source_limit * checked->source_bytes;

    view->holes = shm_round(limit, 4096) - shm_round(used, 4096);
    view->direct = view->direct && filled(view);
}

bool shm_view_grow(struct shm_view *view)
{
    uint64_t before = view->bytes;

    if (!view->looks)
        return false;
    view->looks--;
    if (measure(view) < 0 || view->bytes <= before)
        return false;
    if (view->direct && !view->own) {
        map(view);
        view->direct = view->base && filled(view);
    }
    return true;
}

bool shm_view_good(struct shm_view *view)
{
    if (shm_guard_hit(view->guard))
        view->shrunk = true;
    return !view->shrunk;
}

int shm_view_copy(struct shm_view *view, uint64_t offset, void *to, uint64_t bytes)
{
    if (!shm_within(view, offset, bytes, 8) || bytes % 8)
        return -EBADMSG;
    if (view->direct) {
        shm_load(to, shm_at(view, offset), bytes / 8);
        return 0;
    }
    while (bytes) {
        ssize_t n = pread(view->fd, to, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            view->shrunk = view->shrunk || n == 0;
            return -EBADMSG;
        }
        to = (char *)to + n;
        offset += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return 0;
}

int shm_view_link(struct shm_view *view, uint64_t offset, uint64_t *ret)
{
    if (view->direct) {
        if (!shm_within(view, offset, sizeof(*ret), 8))
            return -EBADMSG;
        *ret = __atomic_load_n(shm_at(view, offset), __ATOMIC_ACQUIRE);
        return 0;
    }
    if (shm_view_copy(view, offset, ret, sizeof(*ret)) < 0)
        return -EBADMSG;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return 0;
}
