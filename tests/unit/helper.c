/* SPDX-License-Identifier: MIT */
#include "helper.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char test_dir[] = "/dev/shm/vmtally-test.XXXXXX";
static pid_t owner; /* a child that leaves through exit() must not take its parent's directory along */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/* Also where the test aborts before its .fini. */
static void remove_dir(void)
{
    if (owner == getpid())
        (void)nftw(test_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    owner = 0;
}

void test_dir_init(void)
{
    cr_assert_not_null(mkdtemp(test_dir), "%s: %m", test_dir);
    owner = getpid();
    cr_assert_eq(atexit(remove_dir), 0);
    cr_assert_eq(setenv("VMTALLY_DIR", test_dir, 1), 0);
}

void test_dir_fini(void) { remove_dir(); }

const char *test_path(const char *name)
{
    static char paths[16][4096]; /* as many at a time */
    static unsigned next;
    char *path = paths[next++ % 16];
    int n = snprintf(path, sizeof(paths[0]), "%s/%s", test_dir, name);

    cr_assert(n > 0 && (size_t)n < sizeof(paths[0]), "%s is too long", name);
    return path;
}
