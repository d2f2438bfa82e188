/* SPDX-License-Identifier: MIT */
/* Finding segments, and removing those whose writer is gone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmtally/reader.h>

#include "lib/discover.h"
#include "shm/clock.h"
#include "shm/file.h"
#include "shm/view.h"

#define FILES_MAX 65536
#define LEFT_NS 60000000000U /* a temporary file that is older and locked by nobody: its creator is gone */
#define TEMPORARY ".tmp"
#define RANDOM_DIGITS 16U

typedef size_t name_fn(const char *file_name);

struct list {
    struct vmt_found *found;
    long count;
    long room;
};

/* How much of NAME.vmt is the name; 0: it is no segment's. */
static size_t name_of_segment(const char *file)
{
    size_t n = strlen(file);

    return file[0] != '.' && n > strlen(SHM_SUFFIX) && strcmp(file + n - strlen(SHM_SUFFIX), SHM_SUFFIX) == 0
             ? n - strlen(SHM_SUFFIX)
             : 0;
}

/* The same for .NAME.0123456789abcdef.tmp, whose name starts behind the dot: what shm_file_create() makes. */
static size_t name_of_temporary(const char *file)
{
    const size_t tail = 1 + RANDOM_DIGITS + strlen(TEMPORARY);
    size_t n = strlen(file);

    return file[0] == '.' && n > 1 + tail && file[n - tail] == '.' &&
                   strspn(file + n - tail + 1, "0123456789abcdef") == RANDOM_DIGITS &&
                   strcmp(file + n - strlen(TEMPORARY), TEMPORARY) == 0
             ? n - 1 - tail
             : 0;
}

static int add(struct list *list, const char *dir, const char *name, size_t n)
{
    struct vmt_found *f;

    if (list->count == list->room) {
        long room = list->room ? 2 * list->room : 64;
        void *p = realloc(list->found, (size_t)room * sizeof(*list->found));

        if (!p)
            return -ENOMEM;
        list->found = p;
        list->room = room;
    }
    f = &list->found[list->count];
    f->name = strndup(name + (name[0] == '.'), n);
    if (asprintf(&f->path, "%s/%s", dir, name) < 0)
        f->path = NULL;
    if (!f->name || !f->path) {
        free(f->name);
        free(f->path);
        return -ENOMEM;
    }
    list->count++;
    return 0;
}

/* ours: everybody may make that directory, so it counts only if it is ours. */
static int open_dir(const char *path, bool ours, DIR **ret)
{
    struct stat st;
    int handle = shm_open_directory(path, !ours, &st);
    int fd = -1;
    int r = 0;

    if (handle < 0)
        return ours ? -ENOENT : handle;
    if (ours && st.st_uid != geteuid())
        r = -ENOENT;
    if (r == 0)
        fd = openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && fd < 0)
        r = -errno;
    close(handle);
    if (r < 0)
        return r;
    *ret = fdopendir(fd);
    if (*ret)
        return 0;
    close(fd);
    return -ENOMEM;
}

static int look_into(struct list *list, const char *dir, bool ours, name_fn *name_of)
{
    const struct dirent *e;
    DIR *d = NULL;
    int r = open_dir(dir, ours, &d);

    if (r < 0)
        return r;
    for (int i = 0; r == 0 && i < FILES_MAX && (e = readdir(d)); i++) {
        size_t n = name_of(e->d_name);

        if (n)
            r = add(list, dir, e->d_name, n);
    }
    closedir(d);
    return r;
}

int discover_order(const void *a, const void *b)
{
    const struct vmt_found *x = a;
    const struct vmt_found *y = b;
    int order = strverscmp(x->name, y->name); /* vm-9 before vm-10 */

    return order ? order : strcmp(x->path, y->path);
}

static long discover(const char *dir, name_fn *name_of, struct vmt_found **ret)
{
    char dirs[SHM_DIRS_MAX][PATH_MAX];
    const char *variable = secure_getenv("VMTALLY_DIR");
    bool chosen = dir || (variable && *variable);
    struct list list = { 0 };
    size_t n = dir ? 1 : shm_dirs(dirs);
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        /* The last one is in /dev/shm, as in shm_dir_for_writing(). */
        r = look_into(&list, dir ? dir : dirs[i], !chosen && i == n - 1, name_of);
        if ((r == -ENOENT && !dir) || (r == -ENOTSUP && !chosen))
            r = 0;
    }
    if (r < 0) {
        vmt_found_free(list.found, list.count);
        return r;
    }
    if (list.count)
        qsort(list.found, (size_t)list.count, sizeof(*list.found), discover_order);
    *ret = list.found;
    return list.count;
}

long vmt_discover(const char *dir, struct vmt_found **ret) { return discover(dir, name_of_segment, ret); }

long vmt_discover_leftovers(const char *dir, struct vmt_found **ret) { return discover(dir, name_of_temporary, ret); }

char *vmt_discover_places(const char *dir, char *buf, size_t n)
{
    char dirs[SHM_DIRS_MAX][PATH_MAX];
    size_t count = dir ? 0 : shm_dirs(dirs);
    size_t at;

    if (n == 0)
        return buf;
    at = (size_t)snprintf(buf, n, "%s", dir ? dir : "");
    for (size_t i = 0; i < count && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, "%s%s", i ? ", " : "", dirs[i]);
    shm_clean_text(buf, n, false);
    return buf;
}

void vmt_found_free(struct vmt_found *found, long count)
{
    for (long i = 0; i < count; i++) {
        free(found[i].path);
        free(found[i].name);
    }
    free(found);
}

/* Not to be had any more: its creator locks it as soon as it is there, and has a moment to do so. */
static int judge_temporary(const struct shm_view *view, int judged)
{
    uint64_t now = shm_clock_ns(CLOCK_REALTIME);
    uint64_t changed;
    struct stat st;

    if (fstat(view->fd, &st) < 0)
        return -errno;
    changed = (uint64_t)st.st_ctim.tv_sec * 1000000000U + (uint64_t)st.st_ctim.tv_nsec;
    if (now < changed || now - changed < LEFT_NS)
        return -EBUSY;
    /* As far as it was made: empty, without magic, complete, or damaged by who knows what, but a segment. */
    return judged == -ENODATA || judged == -EBADMSG ? 0 : judged;
}

/* Judged by what is in it, held: no writer has it, no restarter and no other cleaner can take it now. Empty or
 * without magic it is left alone: it may become a segment yet, in place, in a jail. */
static int judge(struct shm_view *view, bool temporary)
{
    struct shm_header h;
    const char *why;
    int r = shm_file_hold(view->fd);

    if (r < 0)
        return r;
    r = shm_read_header(view, &h, &why);
    return temporary ? judge_temporary(view, r) : r;
}

int vmt_remove_dead(const char *path, int dry_run)
{
    const char *slash = strrchr(path, '/');
    struct shm_view view;
    int r = shm_view_open(path, SHM_HEADER_BYTES, false, &view);

    if (r < 0)
        return r;
    r = judge(&view, name_of_temporary(slash ? slash + 1 : path) != 0);
    if (r == 0 && !shm_file_is(view.fd, AT_FDCWD, path))
        r = -EAGAIN;
    if (r == 0 && !dry_run && unlink(path) < 0)
        r = -errno;
    shm_view_close(&view);
    return r;
}
