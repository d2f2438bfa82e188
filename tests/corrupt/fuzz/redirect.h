/* SPDX-License-Identifier: MIT */
/* Forced into the sources of shm and lib when they are compiled for fuzzing: what they ask of the kernel about a file,
 * and of malloc, goes to file.c first. */
#ifndef FUZZ_REDIRECT_H
#define FUZZ_REDIRECT_H

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int fuzz_open(const char *path, int flags, ...);
int fuzz_openat(int dirfd, const char *path, int flags, ...);
ssize_t fuzz_getdents64(int fd, void *to, size_t bytes);
int fuzz_fstat(int fd, struct stat *st);
int fuzz_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int fuzz_fstatfs(int fd, struct statfs *fs);
long fuzz_syscall(long number, ...);
int fuzz_fcntl(int fd, int what, ...);
int fuzz_close(int fd);
ssize_t fuzz_read(int fd, void *to, size_t bytes);
ssize_t fuzz_pread(int fd, void *to, size_t bytes, off_t offset);
void *fuzz_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int fuzz_munmap(void *at, size_t bytes);
int fuzz_madvise(void *at, size_t bytes, int advice);
int fuzz_clock_gettime(clockid_t clock, struct timespec *ret);
int fuzz_nanosleep(const struct timespec *time, struct timespec *left);
void *fuzz_malloc(size_t bytes);
void *fuzz_calloc(size_t n, size_t size);
void *fuzz_realloc(void *p, size_t bytes);
void *fuzz_aligned_alloc(size_t alignment, size_t bytes);
char *fuzz_strdup(const char *text);
void fuzz_free(void *p);

/* With arguments, so that fields and types of the same name stay as they are. */
#define open(...) fuzz_open(__VA_ARGS__)
#define openat(...) fuzz_openat(__VA_ARGS__)
#define getdents64(...) fuzz_getdents64(__VA_ARGS__)
#define fstat(...) fuzz_fstat(__VA_ARGS__)
#define fstatat(...) fuzz_fstatat(__VA_ARGS__)
#define fstatfs(...) fuzz_fstatfs(__VA_ARGS__)
#define syscall(...) fuzz_syscall(__VA_ARGS__)
#define fcntl(...) fuzz_fcntl(__VA_ARGS__)
#define close(...) fuzz_close(__VA_ARGS__)
#define read(...) fuzz_read(__VA_ARGS__)
#define pread(...) fuzz_pread(__VA_ARGS__)
#define mmap(...) fuzz_mmap(__VA_ARGS__)
#define munmap(...) fuzz_munmap(__VA_ARGS__)
#define madvise(...) fuzz_madvise(__VA_ARGS__)
#define clock_gettime(...) fuzz_clock_gettime(__VA_ARGS__)
#define nanosleep(...) fuzz_nanosleep(__VA_ARGS__)
#define malloc(...) fuzz_malloc(__VA_ARGS__)
#define calloc(...) fuzz_calloc(__VA_ARGS__)
#define realloc(...) fuzz_realloc(__VA_ARGS__)
#define aligned_alloc(...) fuzz_aligned_alloc(__VA_ARGS__)
#define strdup(...) fuzz_strdup(__VA_ARGS__)
#define free(...) fuzz_free(__VA_ARGS__)

#endif
