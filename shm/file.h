/* SPDX-License-Identifier: MIT */
/* The file of a segment, as its writer and its cleaner handle it: where it is, its space, its lock, its name. */
#ifndef SHM_FILE_H
#define SHM_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHM_DIRS_MAX 3

/* The directories where readers look: $VMTALLY_DIR alone, else /run/vmtally, $XDG_RUNTIME_DIR/vmtally and
 * /dev/shm/vmtally-UID. Returns how many. Environment is not trusted in set-id programs. */
size_t shm_dirs(char dirs[SHM_DIRS_MAX][PATH_MAX]);

/* The directory to create a segment in: dir if not NULL, else the first of shm_dirs() that exists or can be made, may
 * be written, and is a memory file system (or any is allowed). 0, -ENAMETOOLONG, -EACCES, -ENOTSUP, -ENOENT ... */
int shm_dir_for_writing(const char *dir, bool any_filesystem, char path[PATH_MAX]);

/* 1 to 63 of [A-Za-z0-9._:@+-], no '.' first. 0 or -EINVAL, -ENAMETOOLONG. */
int shm_name_check(const char *name);

/* 0 if fd is a regular file on tmpfs, ramfs or a memfd (or any file system is allowed), else -ENOTSUP, -EINVAL. */
int shm_file_check(int fd, bool any_filesystem);

/* Make the file that large, without allocating anything. 0, -EFBIG as below, ... */
int shm_file_extend(int fd, uint64_t bytes);

/* Allocate [from, to) of the file, growing it; by fallocate, or (zero_fill) by writing zeros where a jail allows no
 * fallocate. Never SIGXFSZ: -EFBIG where RLIMIT_FSIZE is in the way. -ENOSPC, ... */
int shm_file_allocate(int fd, uint64_t from, uint64_t to, bool zero_fill);

/* Reserve and map *max_bytes of the file, shared; halves *max_bytes down to min_bytes while there is no room. */
int shm_file_map(int fd, uint64_t min_bytes, uint64_t *max_bytes, void **base);

/* The writer's lock (exclusive), or a cleaner's, on the open file description. 0, or -EBUSY where another holds any
 * lock that is in the way. */
int shm_file_lock(int fd, bool exclusive);

/* Gone for all descriptors of the open file description. */
void shm_file_unlock(int fd);

/* The writer's lock, waited for as long as cleaners take. 0, -EEXIST (a writer has it), -EBUSY (a reader, for long). */
int shm_file_lock_for_writing(int fd);

/* What a cleaner holds while it looks at a file and takes its name away: a lock that keeps writers out, and one
 * (flock) that keeps other cleaners out. 0, or -EBUSY. */
int shm_file_hold(int fd);

/* Does that name lead to the file that fd is open on? */
bool shm_file_is(int fd, int dirfd, const char *file_name);

/* Open a new file in dirfd under a temporary name (written to temporary[]), mode as given. Returns fd or error. */
#define SHM_TEMPORARY_MAX 128
int shm_file_create(int dirfd, const char *name, unsigned mode, char temporary[SHM_TEMPORARY_MAX]);

/* The existing file of that name, opened and locked for whoever goes on writing it. 0, -ENOENT; -EEXIST (it has a
 * writer, or is nothing that one could write); -EACCES (somebody else's) and -EBUSY (a reader's lock, for long): then
 * *fd is open too, to be set aside. */
int shm_file_take(int dirfd, const char *file_name, int *fd);

/* Give the file of that name, which fd is open on, the first free one of NAME~1.vmt to NAME~9.vmt, written to aside[].
 * 0, -EEXIST (there are nine already), -EAGAIN (it has another file by now), ... */
#define SHM_ASIDE_MAX 9
int shm_file_set_aside(int dirfd, const char *name, int fd, char aside[SHM_TEMPORARY_MAX]);

/* Allocate what is not allocated of [from, to), which lies within the file. As shm_file_allocate(), and the bytes stay. */
int shm_file_fill_holes(int fd, uint64_t from, uint64_t to, bool zero_fill);

/* Give the finished file its name. A file of that name is replaced if no writer holds its lock. 0, -EEXIST. */
int shm_file_publish(int dirfd, const char *temporary, const char *file_name);

#endif
