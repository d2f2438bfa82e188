/* SPDX-License-Identifier: MIT */
/* Where segments are. */
#include "shm/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool put(char path[PATH_MAX], const char *format, const char *value)
{
    int n = snprintf(path, PATH_MAX, format, value);

    return n > 0 && n < PATH_MAX;
}

size_t shm_dirs(char dirs[SHM_DIRS_MAX][PATH_MAX])
{
    const char *chosen = secure_getenv("VMTALLY_DIR");
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    char uid[16];
    size_t n = 0;

    if (chosen && *chosen)
        return put(dirs[0], "%s", chosen) ? 1 : 0;
    n += put(dirs[n], "%s", "/run/vmtally");
    if (runtime && *runtime == '/')
        n += put(dirs[n], "%s/vmtally", runtime);
    snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
    n += put(dirs[n], "/dev/shm/vmtally-%s", uid);
    return n;
}

/* 0 if segments can be made in path. The directory is made where its parent allows it. */
static int usable(const char *path, bool any_filesystem, bool ours_only)
{
    bool made = mkdir(path, 0755) == 0;
    struct stat st;
    int fd;
    int r;

    if (!made && errno != EEXIST)
        return -errno;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (ours_only ? O_NOFOLLOW : 0));
    if (fd < 0)
        return -errno;
    r = fstat(fd, &st) < 0 ? -errno : 0;
    /* /dev/shm is everybody's: a directory that somebody else made there is not ours to trust. */
    if (r == 0 && ours_only && (st.st_uid != geteuid() || (st.st_mode & 022)))
        r = -EACCES;
    if (r == 0 && faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
        r = -errno;
    if (r == 0)
        r = shm_file_check(fd, any_filesystem);
    close(fd);
    if (r < 0 && made)
        rmdir(path);
    return r;
}

int shm_dir_for_writing(const char *dir, bool any_filesystem, char path[PATH_MAX])
{
    char dirs[SHM_DIRS_MAX][PATH_MAX];
    const char *chosen = secure_getenv("VMTALLY_DIR");
    size_t n;
    int r = -ENOENT;

    if (dir) {
        if (!*dir)
            return -ENOENT;
        if (!put(path, "%s", dir))
            return -ENAMETOOLONG;
        return usable(path, any_filesystem, false);
    }
    n = shm_dirs(dirs);
    for (size_t i = 0; i < n; i++) {
        r = usable(dirs[i], any_filesystem, !(chosen && *chosen) && i == n - 1);
        if (r == 0) {
            memcpy(path, dirs[i], PATH_MAX);
            return 0;
        }
    }
    return r;
}

int shm_name_check(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@+-";
    size_t n = strlen(name);

    if (n > 63)
        return -ENAMETOOLONG;
    return n == 0 || name[0] == '.' || strspn(name, allowed) != n ? -EINVAL : 0;
}
