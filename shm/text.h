/* SPDX-License-Identifier: MIT */
/* Which text may be shown: UTF-8 without control characters. shm_clean_text() (view.h) makes it of any. */
#ifndef SHM_TEXT_H
#define SHM_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 sequence at p that may be shown, 0 if there is none. */
static inline size_t shm_shown(const unsigned char *p, size_t n)
{
    uint32_t c;
    size_t bytes;

    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        bytes = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        bytes = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        bytes = 4;
    else
        return 0;
    if (bytes > n)
        return 0;
    c = p[0] & (0xffU >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((bytes == 3 && c < 0x800) || (bytes == 4 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    /* C1 controls; line and paragraph separators; what turns the direction of writing around */
    if (c < 0xa0 || c == 0x61c || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
        c == 0x200f)
        return 0;
    return bytes;
}

#endif
