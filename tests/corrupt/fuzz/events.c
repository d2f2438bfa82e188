/* SPDX-License-Identifier: MIT */
/* Reads through a mapping are events, too: the linker puts these before the library's own (--wrap). */
#include "file.h"

void __wrap_shm_load(uint64_t *to, const uint64_t *from, uint64_t n);
void __real_shm_load(uint64_t *to, const uint64_t *from, uint64_t n);
void __wrap_shm_load_add(uint64_t *to, const uint64_t *acc, const uint64_t *from, uint64_t n);
void __real_shm_load_add(uint64_t *to, const uint64_t *acc, const uint64_t *from, uint64_t n);
void __wrap_shm_sum(uint64_t *to, const uint64_t *acc, const uint64_t *const *from, uint32_t count, uint64_t n);
void __real_shm_sum(uint64_t *to, const uint64_t *acc, const uint64_t *const *from, uint32_t count, uint64_t n);

void __wrap_shm_load(uint64_t *to, const uint64_t *from, uint64_t n)
{
    fuzz_event();
    __real_shm_load(to, from, n);
}

void __wrap_shm_load_add(uint64_t *to, const uint64_t *acc, const uint64_t *from, uint64_t n)
{
    fuzz_event();
    __real_shm_load_add(to, acc, from, n);
}

void __wrap_shm_sum(uint64_t *to, const uint64_t *acc, const uint64_t *const *from, uint32_t count, uint64_t n)
{
    fuzz_event();
    __real_shm_sum(to, acc, from, count, n);
}
