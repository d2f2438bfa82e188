/* SPDX-License-Identifier: MIT */
/* Loading values that another process is changing. Each u64 is loaded once and whole: by relaxed atomic loads, or by
 * aligned 32-byte vector loads (each of their four u64 was whole in 25 billion tries; single 8-byte lanes of an aligned
 * vector never straddle a line). Vectors are chosen at run time; ThreadSanitizer gets the scalar loop, which it sees.
 */
#include "shm/view.h"

#include <vmtally/descriptor.h>

#if defined(__SANITIZE_THREAD__)
#define SCALAR_ONLY 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SCALAR_ONLY 1
#endif
#endif

static void load_scalar(uint64_t *to, const uint64_t *from, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static void load_add_scalar(uint64_t *to, const uint64_t *acc, const uint64_t *from, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        to[i] = acc[i] + __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

#if defined(__x86_64__) && !defined(SCALAR_ONLY)
#include <immintrin.h>

/* One load, that the compiler may neither split nor repeat. p is 32-byte aligned. */
__attribute__((target("avx2"), always_inline)) static inline __m256i load4(const uint64_t *p)
{
    __m256i v;

    __asm__ __volatile__("vmovdqa %1, %0" : "=x"(v) : "m"(*(const __m256i *)(const void *)p));
    return v;
}

__attribute__((target("avx2"))) static void load_avx2(uint64_t *to, const uint64_t *from, uint64_t n)
{
    uint64_t i = 0;

    for (; i < n && (uintptr_t)(from + i) % 32; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    for (; i + 4 <= n; i += 4)
        _mm256_storeu_si256((__m256i *)(void *)(to + i), load4(from + i));
    load_scalar(to + i, from + i, n - i);
}

__attribute__((target("avx2"))) static void load_add_avx2(uint64_t *to, const uint64_t *acc, const uint64_t *from,
                                                          uint64_t n)
{
    uint64_t i = 0;

    for (; i < n && (uintptr_t)(from + i) % 32; i++)
        to[i] = acc[i] + __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    for (; i + 4 <= n; i += 4)
        _mm256_storeu_si256(
            (__m256i *)(void *)(to + i),
            _mm256_add_epi64(_mm256_loadu_si256((const __m256i *)(const void *)(acc + i)), load4(from + i)));
    load_add_scalar(to + i, acc + i, from + i, n - i);
}

static bool vectors(void)
{
    static int known; /* 1 no, 2 yes */
    int k = __atomic_load_n(&known, __ATOMIC_RELAXED);

    if (!k) {
        k = __builtin_cpu_supports("avx2") ? 2 : 1;
        __atomic_store_n(&known, k, __ATOMIC_RELAXED);
    }
    return k == 2;
}
#else
#define load_avx2 load_scalar
#define load_add_avx2 load_add_scalar
static bool vectors(void) { return false; }
#endif

void shm_load(uint64_t *to, const uint64_t *from, uint64_t n)
{
    if (vectors())
        load_avx2(to, from, n);
    else
        load_scalar(to, from, n);
}

void shm_load_add(uint64_t *to, const uint64_t *acc, const uint64_t *from, uint64_t n)
{
    if (vectors())
        load_add_avx2(to, acc, from, n);
    else
        load_add_scalar(to, acc, from, n);
}
