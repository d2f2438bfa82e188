/* SPDX-License-Identifier: MIT */
#include "lib/kvm/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/kvm/bulletin.h"
#include "lib/writer.h"

/* A decimal number and nothing else, no larger than an int. */
static bool whole_number(const char *s, uint32_t *ret)
{
    uint32_t n = 0;

    if (*s < '0' || *s > '9' || (*s == '0' && s[1]))
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || n > (INT32_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint32_t)(*s - '0');
    }
    *ret = n;
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Those of one buffer. 0, 1 (there are as many as may be), -ENOMEM. */
static int take_numbers(const char *buf, size_t bytes, size_t most, struct pool *numbers)
{
    for (size_t at = 0; at < bytes;) {
        const struct dirent64 *e = (const void *)(buf + at);
        uint32_t number;

        at += e->d_reclen;
        if (!whole_number(e->d_name, &number))
            continue;
        if (numbers->used == most)
            return 1;
        if (pool_add(numbers, 1, sizeof(number)) == SIZE_MAX)
            return -ENOMEM;
        ((uint32_t *)numbers->data)[numbers->used - 1] = number;
    }
    return 0;
}

static int read_numbers(int dir, size_t most, struct pool *numbers)
{
    char buf[16384] __attribute__((aligned(8)));
    ssize_t n = 0;
    int r = 0;

    numbers->used = 0;
    while (r == 0 && (n = getdents64(dir, buf, sizeof(buf))) > 0)
        r = take_numbers(buf, (size_t)n, most, numbers);
    if (n < 0)
        r = -errno;
    if (numbers->used)
        qsort(numbers->data, numbers->used, sizeof(uint32_t), by_number);
    return r < 0 ? r : 0;
}

static int gone(int error) { return error == ENOENT ? -ESRCH : -error; }

int proc_numbers(int root, const char *path, size_t most, struct pool *numbers)
{
    int dir = openat(root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (dir < 0)
        return gone(errno);
    r = read_numbers(dir, most, numbers);
    close(dir);
    return r;
}

uint64_t proc_start(const char *root_path, uint32_t pid)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%u/stat", root_path, pid);

    return n > 0 && (size_t)n < sizeof(path) ? header_start_of(path) : 0;
}

/* As much as fits of "PID/NAME", NUL-terminated. */
static long read_file(int root, uint32_t pid, const char *name, char *buf, size_t size)
{
    char path[64];
    size_t used = 0;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "%u/%s", pid, name);
    fd = openat(root, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gone(errno);
    do {
        n = read(fd, buf + used, size - 1 - used);
        used += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && used < size - 1) || (n < 0 && errno == EINTR));
    n = n < 0 ? -errno : (ssize_t)used;
    close(fd);
    buf[used] = '\0';
    return n;
}

/* Number number (from 0) behind "\nNAME:"; the last one with number -1. */
static int field(const char *text, const char *name, int number, uint32_t *ret)
{
    const char *at = strstr(text, name);
    unsigned long n = 0;
    char *end;

    if (!at)
        return -EBADMSG;
    at += strlen(name);
    for (int i = 0; number < 0 || i <= number; i++) {
        while (*at == ' ' || *at == '\t')
            at++;
        if (*at < '0' || *at > '9') {
            if (number < 0 && i > 0)
                break;
            return -EBADMSG;
        }
        n = strtoul(at, &end, 10);
        at = end;
    }
    *ret = (uint32_t)n;
    return 0;
}

int proc_who(int root, uint32_t pid, struct proc_who *ret)
{
    struct proc_who who = { 0 };
    char text[4096];
    long n = read_file(root, pid, "status", text, sizeof(text));

    if (n < 0)
        return (int)n;
    /* The first line is the name, which its owner chose; a line feed in it is written as "\n". */
    if (field(text, "\nTgid:", 0, &who.tgid) < 0 || field(text, "\nPPid:", 0, &who.parent) < 0 ||
        field(text, "\nUid:", 1, &who.uid) < 0)
        return -EBADMSG;
    if (field(text, "\nNSpid:", -1, &who.inner_pid) < 0)
        who.inner_pid = pid;
    *ret = who;
    return 0;
}

int proc_comm(int root, uint32_t pid, char comm[PROC_COMM_SIZE])
{
    char text[64];
    long n = read_file(root, pid, "comm", text, sizeof(text));

    if (n < 0)
        return (int)n;
    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
    text[PROC_COMM_SIZE - 1] = '\0';
    memcpy(comm, text, PROC_COMM_SIZE);
    return 0;
}

long proc_cmdline(int root, uint32_t pid, char *buf, size_t size) { return read_file(root, pid, "cmdline", buf, size); }

uint64_t proc_fd_count(int root, uint32_t pid)
{
    char path[32];
    struct stat st;

    snprintf(path, sizeof(path), "%u/fd", pid);
    return fstatat(root, path, &st, 0) < 0 ? 0 : (uint64_t)st.st_size;
}

enum proc_kind proc_kind_of(const char *text, int32_t *vcpu)
{
    static const char *const names[] = { [PROC_VM] = "kvm-vm",
                                         [PROC_VCPU] = "kvm-vcpu:",
                                         [PROC_VM_STATS] = "kvm-vm-stats",
                                         [PROC_VCPU_STATS] = "kvm-vcpu-stats:" };
    static const char start[] = "anon_inode:";
    char name[40];
    size_t n;

    /* Of a file it would begin with '/', of a memory file too: nobody can make such a text but the kernel. */
    if (strncmp(text, start, sizeof(start) - 1) != 0)
        return PROC_OTHER;
    text += sizeof(start) - 1;
    n = strnlen(text, sizeof(name));
    if (n == sizeof(name))
        return PROC_OTHER;
    if (*text == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    memcpy(name, text, n);
    name[n] = '\0';
    for (enum proc_kind kind = PROC_VM; kind <= PROC_VCPU_STATS; kind++) {
        size_t length = strlen(names[kind]);
        uint32_t number = 0;

        if (kind == PROC_VM || kind == PROC_VM_STATS
                ? strcmp(name, names[kind]) != 0
                : strncmp(name, names[kind], length) != 0 || !whole_number(name + length, &number))
            continue;
        *vcpu = kind == PROC_VM || kind == PROC_VM_STATS ? BULLETIN_VM : (int32_t)number;
        return kind;
    }
    return PROC_OTHER;
}

static enum proc_kind kind_at(int dir, const char *path, int32_t *vcpu)
{
    char text[64];
    ssize_t n = readlinkat(dir, path, text, sizeof(text) - 1);

    if (n < 0)
        return PROC_OTHER;
    text[n] = '\0';
    return proc_kind_of(text, vcpu);
}

enum proc_kind proc_link_of(int root, const char *process, int32_t fd, int32_t *vcpu)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/fd/%d", process, fd);
    return kind_at(root, path, vcpu);
}

int proc_links(int root, uint32_t pid, struct pool *numbers, struct pool *links, size_t *seen)
{
    char path[32];
    int dir;
    int r;

    snprintf(path, sizeof(path), "%u/fd", pid);
    dir = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return gone(errno);
    links->used = 0;
    r = read_numbers(dir, PROC_FDS_MAX, numbers);
    for (size_t i = 0; r == 0 && i < numbers->used; i++) {
        struct proc_link link = { .fd = ((int32_t *)numbers->data)[i] };

        snprintf(path, sizeof(path), "%d", link.fd);
        link.kind = kind_at(dir, path, &link.vcpu);
        if (link.kind == PROC_OTHER)
            continue;
        link.first = link.fd;
        if (pool_add(links, 1, sizeof(link)) == SIZE_MAX)
            r = -ENOMEM;
        else
            ((struct proc_link *)links->data)[links->used - 1] = link;
    }
    close(dir);
    *seen = numbers->used;
    return r;
}
