/* SPDX-License-Identifier: MIT */
#include "helper.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

char test_at[64];

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

int test_dir_files(void)
{
    DIR *dir = opendir(test_dir);
    int n = 0;

    if (!dir)
        return -1;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

bool test_dir_mount(unsigned pages)
{
    char size[32];

    snprintf(size, sizeof(size), "size=%u", pages * 4096);
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("vmtally", test_dir, "tmpfs", 0, size) == 0;
}

bool test_dir_resize(unsigned pages)
{
    char size[32];

    snprintf(size, sizeof(size), "size=%u", pages * 4096);
    return mount("none", test_dir, "none", MS_REMOUNT, size) == 0;
}

#define LOAD(where) ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(where)))
#define LOW(n) (offsetof(struct seccomp_data, args[n]) + (__BYTE_ORDER == __LITTLE_ENDIAN ? 0 : 4))
#define UNLESS(test, value) ((struct sock_filter)BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), 1, 0))
#define ANSWER(action) ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (action)))

bool test_deny(const struct test_denial *d)
{
    struct sock_filter code[16];
    struct sock_fprog filter = { .filter = code };
    unsigned short n = 0;

    code[n++] = LOAD(offsetof(struct seccomp_data, nr));
    code[n++] = UNLESS(BPF_JEQ, (uint32_t)d->number);
    code[n++] = ANSWER(SECCOMP_RET_ALLOW);
    if (d->least_1) {
        code[n++] = LOAD(LOW(1));
        code[n++] = UNLESS(BPF_JGE, d->least_1);
        code[n++] = ANSWER(SECCOMP_RET_ALLOW);
    }
    for (int i = 2; i < 4; i++) {
        if (!(i == 2 ? d->bits_2 : d->bits_3))
            continue;
        code[n++] = LOAD(LOW(i));
        code[n++] = UNLESS(BPF_JSET, i == 2 ? d->bits_2 : d->bits_3);
        code[n++] = ANSWER(SECCOMP_RET_ALLOW);
    }
    code[n++] = ANSWER(SECCOMP_RET_ERRNO | (uint32_t)d->error);
    filter.len = n;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

int test_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

uint64_t test_address_space(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f && fscanf(f, "%lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (uint64_t)pages * 4096;
}
