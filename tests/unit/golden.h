/* SPDX-License-Identifier: MIT */
/* golden.h: bytes that must not change: those of the files in tests/golden. With VMT_GOLDEN=write in the environment
 * the files are written anew instead: look at what has changed before you keep it. */
#ifndef TESTS_UNIT_GOLDEN_H
#define TESTS_UNIT_GOLDEN_H

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* data is what tests/golden/NAME holds, to the byte. */
static inline void golden_compare(const char *name, const void *data, size_t size)
{
    const char *how = getenv("VMT_GOLDEN");
    char path[PATH_MAX];
    size_t got, at = 0;
    char *kept;
    FILE *f;

    snprintf(path, sizeof(path), "%s/tests/golden/%s", getenv("VMT_SOURCE_ROOT"), name);
    if (how && strcmp(how, "write") == 0) {
        f = fopen(path, "we");
        cr_assert(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, "%s: %s", path, strerror(errno));
        return;
    }
    f = fopen(path, "re");
    cr_assert_not_null(f, "%s: %s", path, strerror(errno));
    kept = malloc(size + 1);
    cr_assert_not_null(kept);
    got = fread(kept, 1, size + 1, f); /* one more: it may be longer */
    fclose(f);
    while (at < got && at < size && kept[at] == ((const char *)data)[at])
        at++;
    free(kept);
    cr_assert(got == size && at == size,
              "%s: other bytes from offset %zu on (now there are %zu); VMT_GOLDEN=write in the environment writes it "
              "anew",
              path, at, size);
}

#endif
