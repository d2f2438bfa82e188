/* SPDX-License-Identifier: MIT */
/* spelling.h: what json-c lets pass of a JSON text, or loses: words and numbers that are none, which number it was that
 * does not fit into 64 bits, NULs in names, members that stand twice. As QEMU, we take strings in single quotes. */
#ifndef CLI_QUERY_SPELLING_H
#define CLI_QUERY_SPELLING_H

#include "cli/query/arguments.h"

struct spelling {
    char *text; /* on one line, all strings in double quotes, ended by a NUL; memory of its own */
    size_t size;
    size_t members;    /* of all objects in it */
    const char *value; /* in text: that of the member that was asked for; NULL: there are not that many */
    size_t value_size;
};

/* Write json (ended by a NUL, which size does not count) anew, and find the value of the outermost object's member
 * number wanted. Brackets, commas and escapes are still to be checked. With as_letters a NUL (\u0000) becomes the six
 * letters it was written with: strings of C have no other. free() ret->text. 0, or -1 with *e. */
int spelling_take(const char *json, size_t size, bool as_letters, size_t wanted, struct spelling *ret,
                  struct qmp_error *e);

#endif
