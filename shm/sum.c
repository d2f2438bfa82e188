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

/* From slot i on. */
static void sum_scalar(uint64_t *to, const uint64_t *acc, const uint64_t *const *from, uint32_t count, uint64_t i,
                       uint64_t n)
{
    for (; i < n; i++) {
        uint64_t sum = acc ? acc[i] : 0;

        for (uint32_t k = 0; k < count; k++)
            sum += __atomic_load_n(&from[k][i], __ATOMIC_RELAXED);
        to[i] = sum;
    }
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

/* sum + four at p: its load is such a one, too. */
__attribute__((target("avx2"), always_inline)) static inline __m256i add4(__m256i sum, const uint64_t *p)
{
    __asm__ __volatile__("vpaddq %1, %0, %0" : "+x"(sum) : "m"(*(const __m256i *)(const void *)p));
    return sum;
}

__attribute__((target("avx2"), always_inline)) static inline __m256i start4(const uint64_t *acc, uint64_t i)
{
    return acc ? _mm256_loadu_si256((const __m256i *)(const void *)(acc + i)) : _mm256_setzero_si256();
}

__attribute__((target("avx2"), always_inline)) static inline void store4(uint64_t *to, __m256i sum)
{
    _mm256_storeu_si256((__m256i *)(void *)to, sum);
}

/* Sixteen slots of all that is added up, in registers, then the next sixteen. */
__attribute__((target("avx2"))) static void sum_avx2(uint64_t *to, const uint64_t *acc, const uint64_t *const *from,
                                                     uint32_t count, uint64_t n)
{
    uint64_t i = 0;

    for (; i + 16 <= n; i += 16) {
        __m256i a = start4(acc, i), b = start4(acc, i + 4), c = start4(acc, i + 8), d = start4(acc, i + 12);

        for (uint32_t k = 0; k < count; k++) {
            a = add4(a, from[k] + i);
            b = add4(b, from[k] + i + 4);
            c = add4(c, from[k] + i + 8);
            d = add4(d, from[k] + i + 12);
        }
        store4(to + i, a);
        store4(to + i + 4, b);
        store4(to + i + 8, c);
        store4(to + i + 12, d);
    }
    for (; i + 4 <= n; i += 4) {
        __m256i a = start4(acc, i);

        for (uint32_t k = 0; k < count; k++)
            a = add4(a, from[k] + i);
        store4(to + i, a);
    }
    sum_scalar(to, acc, from, count, i, n);
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
#define sum_avx2(to, acc, from, count, n) sum_scalar(to, acc, from, count, 0, n)
static bool vectors(void) { return false; }
#endif

void shm_load(uint64_t *to, const uint64_t *from, uint64_t n)
{
    if (vectors())
        load_avx2(to, from, n);
    else
        load_scalar(to, from, n);
}

void shm_sum(uint64_t *to, const uint64_t *acc, const uint64_t *const *from, uint32_t count, uint64_t n)
{
    if (vectors())
        sum_avx2(to, acc, from, count, n);
    else
        sum_scalar(to, acc, from, count, 0, n);
}

void shm_load_add(uint64_t *to, const uint64_t *acc, const uint64_t *from, uint64_t n)
{
    shm_sum(to, acc, &from, 1, n);
}
