/* SPDX-License-Identifier: MIT */
/* Numbers as decimal text, for all that write text. */
#ifndef LIB_EXPORT_DECIMAL_H
#define LIB_EXPORT_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <vmtally/schema.h>

#define VMT_DECIMAL_MAX 20U /* digits of a uint64_t */
#define VMT_SCALED_MAX 96U  /* characters of what vmt_scaled() writes: 20 digits, 60 zeros; or 30 behind a point */

/* Write the digits of value so that they end before end; where they begin. Two at a time: this is most of the work of
 * most encoders. */
static inline char *vmt_decimal_before(char *end, uint64_t value)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
        "495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596"
        "979899";

    while (value >= 100) {
        end -= 2;
        memcpy(end, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value < 10) {
        *--end = (char)('0' + value);
        return end;
    }
    end -= 2;
    memcpy(end, pairs + value * 2, 2);
    return end;
}

/* Write value at text, which has room for VMT_DECIMAL_MAX; how many digits. */
static inline size_t vmt_decimal(char *text, uint64_t value)
{
    char digits[VMT_DECIMAL_MAX];
    const char *first = vmt_decimal_before(digits + sizeof(digits), value);
    size_t size = (size_t)(digits + sizeof(digits) - first);

    memcpy(text, first, size);
    return size;
}

/* Write value (negative: -value) times the descriptor's base to the power of its exponent (-30 to 60) at text, which has room
 * for VMT_SCALED_MAX: every digit of it, nothing rounded; how many characters. point: "1.0" for 1. */
size_t vmt_scaled(char *text, const struct vmt_descriptor *d, uint64_t value, bool negative, bool point);

#endif
