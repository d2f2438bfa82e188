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

#include "shm/file.h"
#include "shm/view.h"

#define FILES_MAX 65536

struct list {
    struct vmt_found *found;
    long count;
    long room;
};

static int add(struct list *list, const char *dir, const char *name)
{
    size_t n = strlen(name) - strlen(SHM_SUFFIX);
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
    f->name = strndup(name, n);
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

static int look_into(struct list *list, const char *dir)
{
    const struct dirent *e;
    DIR *d = opendir(dir);
    int r = 0;

    if (!d)
        return -errno;
    for (int i = 0; r == 0 && i < FILES_MAX && (e = readdir(d)); i++) {
        size_t n = strlen(e->d_name);

        if (e->d_name[0] != '.' && n > strlen(SHM_SUFFIX) &&
            strcmp(e->d_name + n - strlen(SHM_SUFFIX), SHM_SUFFIX) == 0)
            r = add(list, dir, e->d_name);
    }
    closedir(d);
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct vmt_found *x = a;
    const struct vmt_found *y = b;
    int order = strverscmp(x->name, y->name); /* vm-9 before vm-10 */

    return order ? order : strcmp(x->path, y->path);
}

long vmt_discover(const char *dir, struct vmt_found **ret)
{
    char dirs[SHM_DIRS_MAX][PATH_MAX];
    struct list list = { 0 };
    size_t n = dir ? 1 : shm_dirs(dirs);
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        r = look_into(&list, dir ? dir : dirs[i]);
        if (r == -ENOENT && !dir)
            r = 0;
    }
    if (r < 0) {
        vmt_found_free(list.found, list.count);
        return r;
    }
    if (list.count)
        qsort(list.found, (size_t)list.count, sizeof(*list.found), by_name);
    *ret = list.found;
    return list.count;
}

void vmt_found_free(struct vmt_found *found, long count)
{
    for (long i = 0; i < count; i++) {
        free(found[i].path);
        free(found[i].name);
    }
    free(found);
}

/* Judged by what is in it, under a read lock: no writer has it, and no restarter can take it now. Empty or without magic
 * it is left alone: it may become a segment yet, in place, in a jail. */
static int judge(struct shm_view *view)
{
    struct shm_header h;
    const char *why;
    int r = shm_file_lock(view->fd, false);

    return r < 0 ? r : shm_read_header(view, &h, &why);
}

static int same_file(int fd, const char *path)
{
    struct stat held;
    struct stat named;

    if (fstat(fd, &held) < 0 || lstat(path, &named) < 0)
        return -errno;
    return held.st_dev == named.st_dev && held.st_ino == named.st_ino ? 0 : -EAGAIN;
}

int vmt_remove_dead(const char *path, int dry_run)
{
    struct shm_view view;
    int r = shm_view_open(path, SHM_HEADER_BYTES, false, &view);

    if (r < 0)
        return r;
    r = judge(&view);
    if (r == 0)
        r = same_file(view.fd, path);
    if (r == 0 && !dry_run && unlink(path) < 0)
        r = -errno;
    shm_view_close(&view);
    return r;
}
