/* SPDX-License-Identifier: MIT */
/* Options structs begin with their size, so that callers built before or after this library get what they asked for. */
#ifndef LIB_OPTIONS_H
#define LIB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A caller's options into ours, which are zeros. False: no such struct, or one that asks for what this version does not
 * know, which must not be ignored silently. */
static inline bool options_take(void *to, size_t to_size, const void *from, size_t from_size)
{
    if (from_size < sizeof(size_t) || from_size > 4096)
        return false;
    for (size_t i = to_size; i < from_size; i++) {
        if (((const uint8_t *)from)[i])
            return false;
    }
    memcpy(to, from, from_size < to_size ? from_size : to_size);
    return true;
}

#endif
