/* SPDX-License-Identifier: MIT */
/* write_file.h: files that are complete or not there at all. */
#ifndef CLI_WRITE_FILE_H
#define CLI_WRITE_FILE_H

#include <stddef.h>

/* All of it, whatever fd is. 0 or a negative errno. */
int write_all(int fd, const char *data, size_t size);

/* Write under another name in the same directory first, then rename: who ends us in between, or runs out of space, leaves
 * the file as it was. It keeps its mode. Into a device, a pipe, or through a symbolic link, which are not ours to replace,
 * it is written as they are. 0 or a negative errno. */
int write_file(const char *path, const char *data, size_t size);

/* The same for a name, without a '/', in the directory that dirfd is. Only a regular file is replaced: else -EEXIST. */
int write_file_at(int dirfd, const char *name, const char *data, size_t size);

#endif
