/* SPDX-License-Identifier: MIT */
/* scarce.h: allocations that fail. For tests that are linked with --wrap=malloc,--wrap=calloc,--wrap=realloc. */
#ifndef TESTS_UNIT_SCARCE_H
#define TESTS_UNIT_SCARCE_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static unsigned scarce_left; /* allocations until one fails; 0: none does */

static inline bool scarce(void)
{
    if (scarce_left == 0 || --scarce_left > 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);

void *__wrap_malloc(size_t bytes) { return scarce() ? NULL : __real_malloc(bytes); }
void *__wrap_calloc(size_t n, size_t bytes) { return scarce() ? NULL : __real_calloc(n, bytes); }
void *__wrap_realloc(void *p, size_t bytes) { return scarce() ? NULL : __real_realloc(p, bytes); }

/* The call, of which allocation n (from 1) fails. *failed: there was one. */
#define SCARCE(n, failed, call)                                                                                        \
    ({                                                                                                                 \
        scarce_left = (n);                                                                                             \
        __typeof__(call) scarce_result = (call);                                                                       \
        *(failed) = scarce_left == 0;                                                                                  \
        scarce_left = 0;                                                                                               \
        scarce_result;                                                                                                 \
    })

#endif
