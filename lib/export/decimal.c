/* SPDX-License-Identifier: MIT */
#include "decimal.h"

#include "names.h"

__extension__ typedef unsigned __int128 wide;

#define DIGITS_MAX 48U /* 128 bits have 39 */

/* The digits of a number: it is they, times 10^exponent. */
struct digits {
    char text[DIGITS_MAX];
    char *first;
    char *end;
    int exponent;
};

static char *wide_before(char *end, wide value)
{
    const uint64_t part = UINT64_C(1000000000000000000);

    while (value > UINT64_MAX) {
        char *first = vmt_decimal_before(end, (uint64_t)(value % part));

        for (end -= 18; first > end;)
            *--first = '0';
        value /= part;
    }
    return vmt_decimal_before(end, (uint64_t)value);
}

/* value / 2^bits, bits being 30 at most: a half is five tenths. */
static void halved(struct digits *n, uint64_t value, int bits)
{
    wide fraction = value & ((UINT64_C(1) << bits) - 1);
    char *point = n->end - bits, *first;

    for (int i = 0; i < bits; i++)
        fraction *= 5;
    for (first = wide_before(n->end, fraction); first > point;)
        *--first = '0';
    n->first = vmt_decimal_before(point, value >> bits);
    n->exponent = -bits;
}

static void take_digits(struct digits *n, const struct vmt_descriptor *d, uint64_t value)
{
    n->end = n->text + sizeof(n->text);
    if (vmt_export_base(d) == 10) {
        n->first = vmt_decimal_before(n->end, value);
        n->exponent = value ? d->exponent : 0;
    } else if (d->exponent < 0) {
        halved(n, value, -d->exponent);
    } else {
        n->first = wide_before(n->end, (wide)value << d->exponent);
        n->exponent = 0;
    }
    while (n->exponent < 0 && n->end[-1] == '0' && n->end - n->first > 1) {
        n->end--;
        n->exponent++;
    }
}

static char *put(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

static char *put_zeros(char *at, size_t count)
{
    memset(at, '0', count);
    return at + count;
}

size_t vmt_scaled(char *text, const struct vmt_descriptor *d, uint64_t value, bool negative, bool point)
{
    struct digits n;
    char *at = text;
    size_t size, behind;

    take_digits(&n, d, value);
    size = (size_t)(n.end - n.first);
    behind = n.exponent < 0 ? (size_t)-n.exponent : 0;
    if (negative && value != 0)
        *at++ = '-';
    if (behind == 0) {
        at = put_zeros(put(at, n.first, size), (size_t)n.exponent);
        at = put(at, ".0", point ? 2 : 0);
    } else if (size > behind) {
        at = put(at, n.first, size - behind);
        *at++ = '.';
        at = put(at, n.end - behind, behind);
    } else {
        at = put(at, "0.", 2);
        at = put(put_zeros(at, behind - size), n.first, size);
    }
    return (size_t)(at - text);
}
