/* SPDX-License-Identifier: MIT */
/* The header: what a segment says of itself and of its writer. */
#include "lib/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "shm/clock.h"

static ssize_t slurp(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n;
}

/* When a process started, 0 where that is not to be had: it is gone, or a zombie, or a jail has no /proc. */
uint64_t header_start_of(const char *stat_path)
{
    unsigned long long start = 0;
    char state = 0;
    long threads = 0;
    char text[1024];
    char *p;

    if (slurp(stat_path, text, sizeof(text)) <= 0 || !(p = strrchr(text, ')')))
        return 0;
    /* Fields 3, 20 and 22; the name, in parentheses, is field 2. */
    if (sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu", &state,
               &threads, &start) != 3)
        return 0;
    return (state == 'Z' || state == 'X') && threads <= 1 ? 0 : start;
}

void header_boot_id(uint64_t id[2])
{
    uint8_t *bytes = (uint8_t *)id;
    char text[64];
    size_t nibbles = 0;

    id[0] = id[1] = 0;
    if (slurp("/proc/sys/kernel/random/boot_id", text, sizeof(text)) <= 0)
        return;
    for (const char *p = text; *p && nibbles < 32; p++) {
        unsigned digit;

        if (*p >= '0' && *p <= '9')
            digit = (unsigned)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            digit = (unsigned)(*p - 'a') + 10;
        else
            continue;
        bytes[nibbles / 2] = (uint8_t)((unsigned)bytes[nibbles / 2] << 4 | digit);
        nibbles++;
    }
}

bool header_writer_lives(const struct shm_header *h)
{
    uint64_t boot_id[2];
    char path[32];

    header_boot_id(boot_id);
    if (!h->pid_start || h->pid == (uint32_t)getpid() || memcmp(boot_id, h->boot_id, sizeof(boot_id)) != 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%u/stat", h->pid);
    return header_start_of(path) == h->pid_start;
}

int header_check_labels(const char *const *labels)
{
    size_t used = 0;

    for (; labels && *labels; labels++) {
        const char *equals = strchr(*labels, '=');
        size_t n = strlen(*labels) + 1;

        if (!equals || equals == *labels)
            return -EINVAL;
        for (const char *p = *labels; *p; p++) {
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                return -EINVAL;
        }
        if (n > sizeof(((struct shm_header *)0)->labels) - 1 - used)
            return -ENAMETOOLONG;
        used += n;
    }
    return 0;
}

/* Each label with its NUL, an empty one last. */
static void put_labels(struct shm_header *h, const char *const *labels)
{
    uint64_t words[sizeof(h->labels) / 8] = { 0 };
    size_t used = 0;

    for (; labels && *labels; labels++) {
        size_t n = strlen(*labels) + 1;

        memcpy((char *)words + used, *labels, n);
        used += n;
    }
    for (size_t i = 0; i < sizeof(h->labels) / 8; i++)
        PUT(((uint64_t *)(void *)h->labels)[i], words[i]);
}

void header_put_writer(struct shm_header *h, const struct vmt_segment_options *o)
{
    uint64_t start = header_start_of("/proc/self/stat");
    uint64_t boot_id[2];

    header_boot_id(boot_id);
    for (int i = 0; i < 2; i++)
        PUT(((uint64_t *)(void *)h->boot_id)[i], boot_id[i]);
    PUT(h->pid, (uint32_t)getpid());
    PUT(h->pid_start, start);
    PUT(h->heartbeat_interval_ns, o->heartbeat_interval_ns);
    PUT(h->heartbeat_ns, 0);
    PUT(h->closed_ns, 0);
    PUT(h->handed_ns, 0);
    put_labels(h, o->labels);
}

int header_fill(struct vmt_segment *segment, const struct vmt_segment_options *o)
{
    struct shm_header *h = segment->header;

    memset(h, 0, sizeof(*h));
    h->byte_order = SHM_BYTE_ORDER;
    h->major = SHM_MAJOR;
    h->minor = SHM_MINOR;
    h->compatible = segment->space.fixed ? SHM_FIXED : 0;
    h->header_bytes = sizeof(*h);
    h->created_ns = shm_clock_ns(CLOCK_REALTIME);
    h->max_bytes = segment->space.max_bytes;
    h->file_bytes = segment->space.file_bytes;
    h->source_offset = SHM_HEADER_BYTES;
    h->source_bytes = SHM_ENTRY_BYTES;
    h->source_limit = segment->source_limit;
    h->incarnation = 1;
    memcpy(h->name, segment->name, sizeof(h->name));
    header_put_writer(h, o);
    return getrandom(h->identity, sizeof(h->identity), 0) == sizeof(h->identity) ? 0 : -EIO;
}
