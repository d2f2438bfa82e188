/* SPDX-License-Identifier: MIT */
/* Something of the test's own before each of the library's reads of a segment: pread is replaced, and what reads through a
 * mapping is wrapped (inside_reads in meson.build). One file a program includes this, and defines between_reads(). */
#ifndef TESTS_RACE_BETWEEN_READS_H
#define TESTS_RACE_BETWEEN_READS_H

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/view.h"

static void between_reads(void);

ssize_t pread(int fd, void *to, size_t n, off_t offset)
{
    between_reads();
    return syscall(SYS_pread64, fd, to, n, offset);
}

#define WRAP(type, name, parameters, ...)                                                                              \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        between_reads();                                                                                               \
        return __real_##name(__VA_ARGS__);                                                                             \
    }

WRAP(void, shm_load, (uint64_t * to, const uint64_t *from, uint64_t n), to, from, n)
WRAP(void, shm_load_add, (uint64_t * to, const uint64_t *acc, const uint64_t *from, uint64_t n), to, acc, from, n)
WRAP(void, shm_sum, (uint64_t * to, const uint64_t *acc, const uint64_t *const *from, uint32_t count, uint64_t n), to,
     acc, from, count, n)
WRAP(int, shm_view_link, (struct shm_view * view, uint64_t offset, uint64_t *ret), view, offset, ret)

#endif
