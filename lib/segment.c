/* SPDX-License-Identifier: MIT */
/* Creating and closing a segment. */
#include "lib/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/options.h"
#include "shm/clock.h"
#include "shm/file.h"

#define TABLE_OFFSET 4096U
#define DEFAULT_SOURCES 16384U
#define DEFAULT_BYTES (256U << 20)
#define MIN_BYTES (64U << 10)
#define MAX_BYTES (1ULL << 38) /* granules are counted in 32 bits, with room to spare */

static struct vmt_segment *segments; /* all that ever were: pushed at the front, never freed */
static pthread_mutex_t segments_lock = PTHREAD_MUTEX_INITIALIZER;

struct vmt_segment *segment_first(void) { return __atomic_load_n(&segments, __ATOMIC_ACQUIRE); }

struct vmt_segment *segment_of(const void *address)
{
    for (struct vmt_segment *s = segment_first(); s; s = s->next) {
        uint8_t *base = __atomic_load_n(&s->space.base, __ATOMIC_ACQUIRE);

        /* Who holds a shard keeps its segment mapped, so a match is no stale one. */
        if (base && (const uint8_t *)address >= base && (const uint8_t *)address < base + GET(s->space.max_bytes))
            return s;
    }
    return NULL;
}

void structure_begin(struct vmt_segment *segment)
{
    PUT(segment->header->structure, GET(segment->header->structure) + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void structure_end(struct vmt_segment *segment)
{
    PUT_RELEASE(segment->header->structure, GET(segment->header->structure) + 1);
}

/* ---- the header ---- */

static ssize_t slurp(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n;
}

/* Zeros where a jail has no /proc: then readers have the lock only, which says more. */
static void who_am_i(struct shm_header *h)
{
    char text[1024];
    char *p;
    size_t nibbles = 0;

    h->pid = (uint32_t)getpid();
    if (slurp("/proc/self/stat", text, sizeof(text)) > 0 && (p = strrchr(text, ')'))) {
        unsigned long long start = 0;

        /* Field 22; the name, in parentheses, is field 2. */
        if (sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start))
            h->pid_start = start;
    }
    if (slurp("/proc/sys/kernel/random/boot_id", text, sizeof(text)) > 0) {
        for (p = text; *p && nibbles < 32; p++) {
            unsigned digit;

            if (*p >= '0' && *p <= '9')
                digit = (unsigned)(*p - '0');
            else if (*p >= 'a' && *p <= 'f')
                digit = (unsigned)(*p - 'a') + 10;
            else
                continue;
            h->boot_id[nibbles / 2] = (uint8_t)((unsigned)h->boot_id[nibbles / 2] << 4 | digit);
            nibbles++;
        }
    }
}

/* Labels into out, each with its NUL, an empty one last. */
static int put_labels(const char *const *labels, char out[1024])
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
        if (n > 1023 - used)
            return -ENAMETOOLONG;
        memcpy(out + used, *labels, n);
        used += n;
    }
    return 0;
}

/* All of the header but the magic, which says that it is whole. */
static int fill_header(struct vmt_segment *segment, const struct vmt_segment_options *o)
{
    struct shm_header *h = segment->header;

    memset(h, 0, sizeof(*h));
    h->byte_order = SHM_BYTE_ORDER;
    h->major = SHM_MAJOR;
    h->minor = SHM_MINOR;
    h->header_bytes = sizeof(*h);
    h->created_ns = shm_clock_ns(CLOCK_REALTIME);
    h->max_bytes = segment->space.max_bytes;
    h->file_bytes = segment->space.file_bytes;
    h->source_offset = TABLE_OFFSET;
    h->source_bytes = SHM_ENTRY_BYTES;
    h->source_limit = segment->source_limit;
    h->heartbeat_interval_ns = o->heartbeat_interval_ns;
    h->incarnation = 1;
    memcpy(h->name, segment->name, sizeof(h->name));
    who_am_i(h);
    if (getrandom(h->identity, sizeof(h->identity), 0) != sizeof(h->identity))
        return -EIO;
    return put_labels(o->labels, h->labels);
}

/* ---- private memory ---- */

/* One reservation for all that the writer remembers; pages come as they are used. */
static int reserve_private(struct vmt_segment *segment)
{
    struct space *space = &segment->space;
    uint64_t granules = space->max_bytes / SHM_GRANULE;
    uint64_t buckets = 64;
    uint64_t at[6];
    uint8_t *p;

    while (buckets < segment->source_limit)
        buckets *= 2;
    /* A shard takes two granules at least in a jail, else a page; departed blocks are few beside them. */
    segment->record_limit = (uint32_t)(space->fixed ? granules / 2 : space->max_bytes / 4096 * 2);
    at[0] = 0;
    at[1] = shm_round(at[0] + granules * sizeof(*space->map), 64);
    at[2] = shm_round(at[1] + VMT_SCHEMAS_MAX * sizeof(*segment->schemas), 64);
    at[3] = shm_round(at[2] + segment->record_limit * sizeof(*segment->records), 64);
    at[4] = shm_round(at[3] + segment->source_limit * sizeof(*segment->sources), 64);
    at[5] = shm_round(at[4] + buckets * sizeof(*segment->names), 4096);
    p = mmap(NULL, at[5], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    segment->private = p;
    segment->private_bytes = at[5];
    space->map = (void *)(p + at[0]);
    segment->schemas = (void *)(p + at[1]);
    segment->records = (void *)(p + at[2]);
    segment->sources = (void *)(p + at[3]);
    segment->names = (void *)(p + at[4]);
    segment->name_mask = (uint32_t)buckets - 1;
    return 0;
}

/* ---- creating ---- */

static int check_options(const struct vmt_segment_options *given, struct vmt_segment_options *o)
{
    memset(o, 0, sizeof(*o));
    if (!given)
        return 0;
    if (!options_take(o, sizeof(*o), given, given->struct_size))
        return -EINVAL;
    if (o->reserved || (o->path && o->fd > 0) || ((o->path || o->fd > 0) && o->dir) || o->max_sources > VMT_SOURCES_MAX)
        return -EINVAL;
    if (o->fixed_bytes && (o->fixed_bytes < MIN_BYTES || o->fixed_bytes > MAX_BYTES))
        return -EINVAL;
    if (o->max_bytes && (o->max_bytes < MIN_BYTES || o->max_bytes > MAX_BYTES || o->fixed_bytes))
        return -EINVAL;
    return o->name ? shm_name_check(o->name) : 0;
}

/* A name that shm_name_check() accepts, of what the program is called. */
static void default_name(char name[64])
{
    snprintf(name, 64, "%.47s-%d", program_invocation_short_name, (int)getpid());
    for (char *p = name; *p; p++) {
        char one[2] = { *p, '\0' };

        if (shm_name_check(one) < 0 && !(*p == '.' && p != name))
            *p = '_';
    }
}

/* Where the file comes from, and what is to be undone. */
struct origin {
    int fd;
    int dirfd;
    bool ours;  /* the descriptor */
    bool empty; /* it was, and we have its lock */
    char temporary[SHM_TEMPORARY_MAX];
    char dir[PATH_MAX];
};

static int open_origin(const struct vmt_segment_options *o, const char *name, struct origin *from)
{
    struct stat st;
    int r;

    if (!o->path && o->fd <= 0) {
        r = shm_dir_for_writing(o->dir, o->any_filesystem, from->dir);
        if (r < 0)
            return r;
        from->dirfd = open(from->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (from->dirfd < 0)
            return -errno;
        from->fd = shm_file_create(from->dirfd, name, o->mode ? o->mode : 0640, from->temporary);
        from->ours = true;
        return from->fd < 0 ? from->fd : 0;
    }
    from->fd = o->path ? open(o->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : o->fd;
    from->ours = o->path != NULL;
    if (from->fd < 0)
        return -errno;
    if (fstat(from->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    return st.st_size ? -EEXIST : shm_file_check(from->fd, o->any_filesystem);
}

/* The table first, then the arena. In a jail all of it is allocated and mapped now. */
static int lay_out(struct vmt_segment *segment, const struct vmt_segment_options *o, int fd)
{
    struct space *space = &segment->space;
    uint64_t table;
    uint64_t least;
    int r;

    space->fixed = o->fixed_bytes != 0;
    space->fd = fd;
    space->max_bytes = o->fixed_bytes ? o->fixed_bytes / 4096 * 4096 : o->max_bytes ? o->max_bytes : DEFAULT_BYTES;
    space->max_bytes = space->max_bytes / 4096 * 4096;
    segment->source_limit = o->max_sources;
    if (!segment->source_limit) {
        /* An eighth of a small file for the table. */
        uint64_t room = space->max_bytes / 8 / SHM_ENTRY_BYTES;

        segment->source_limit = room < DEFAULT_SOURCES ? (uint32_t)room : DEFAULT_SOURCES;
    }
    table = shm_round((uint64_t)segment->source_limit * SHM_ENTRY_BYTES, 4096);
    if (table > space->max_bytes / 2)
        return -EINVAL;
    if (space->fixed) {
        r = shm_file_allocate(fd, 0, space->max_bytes, true);
        segment->source_allocated = segment->source_limit;
    } else {
        r = shm_file_allocate(fd, 0, TABLE_OFFSET, false);
        /* The table is a hole that is filled as sources come; the arena grows behind it. */
        if (r == 0)
            r = shm_file_extend(fd, TABLE_OFFSET + table);
    }
    if (r < 0)
        return r;
    least = space->fixed ? space->max_bytes : TABLE_OFFSET + table + MIN_BYTES;
    r = shm_file_map(fd, least < space->max_bytes ? least : space->max_bytes, &space->max_bytes, (void **)&space->base);
    if (r < 0)
        return r;
    segment->header = (void *)space->base;
    space_init(space, TABLE_OFFSET + table, space->fixed ? space->max_bytes : TABLE_OFFSET + table);
    return reserve_private(segment);
}

static int name_file(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    char file_name[96];
    int r = 0;

    if (o->path) {
        segment->path = strdup(o->path);
    } else if (o->fd > 0) {
        segment->path = strdup("");
    } else {
        snprintf(file_name, sizeof(file_name), "%s" SHM_SUFFIX, segment->name);
        if (asprintf(&segment->path, "%s/%s", from->dir, file_name) < 0)
            segment->path = NULL;
        if (segment->path)
            r = shm_file_publish(from->dirfd, from->temporary, file_name);
        segment->unlink = !o->keep;
    }
    return segment->path ? r : -ENOMEM;
}

static int build(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    struct stat st;
    int r = open_origin(o, segment->name, from);

    if (r == 0)
        r = shm_file_lock(from->fd, true);
    if (r == -EBUSY)
        r = -EEXIST;
    /* Another may have come, filled it and gone before we had the lock. */
    if (r == 0 && (fstat(from->fd, &st) < 0 || st.st_size))
        r = -EEXIST;
    from->empty = r == 0;
    if (r == 0)
        r = lay_out(segment, o, from->fd);
    if (r == 0)
        r = fill_header(segment, o);
    if (r == 0)
        r = source_make_root(segment);
    if (r < 0)
        return r;
    PUT(segment->header->lifecycle, SHM_OPEN);
    /* Release fence: the magic, written last, says that all of it is there. Pairs with the acquire fence behind the
     * reader's look at it. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (size_t i = 8; i-- > 0;)
        PUT(segment->header->magic[i], (uint8_t)SHM_MAGIC[i]);
    return name_file(segment, o, from);
}

static void unmap(struct vmt_segment *segment)
{
    uint8_t *base = segment->space.base;

    __atomic_store_n(&segment->space.base, NULL, __ATOMIC_RELEASE);
    if (base)
        munmap(base, segment->space.max_bytes);
    if (segment->private)
        munmap(segment->private, segment->private_bytes);
    segment->private = NULL;
}

int vmt_segment_create(const struct vmt_segment_options *options, struct vmt_segment **ret)
{
    struct origin from = { .fd = -1, .dirfd = -1 };
    struct vmt_segment_options o;
    struct vmt_segment *segment;
    int r = check_options(options, &o);

    if (r < 0)
        return r;
    segment = calloc(1, sizeof(*segment));
    if (!segment)
        return -ENOMEM;
    pthread_mutex_init(&segment->lock, NULL);
    pthread_mutex_init(&segment->reclaim, NULL);
    if (o.name)
        memcpy(segment->name, o.name, strlen(o.name));
    else
        default_name(segment->name);
    fork_watch();
    r = build(segment, &o, &from);
    if (r < 0) {
        unmap(segment);
        if (from.temporary[0])
            unlinkat(from.dirfd, from.temporary, 0);
        else if (from.empty && ftruncate(from.fd, 0) < 0)
            r = -errno; /* in place: nobody has taken it for a segment yet */
        if (from.ours && from.fd >= 0)
            close(from.fd);
        free(segment->path);
        free(segment);
    } else {
        segment->fd = from.ours ? from.fd : -1;
        segment->open = true;
        pthread_mutex_lock(&segments_lock);
        segment->next = segments;
        __atomic_store_n(&segments, segment, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&segments_lock);
        *ret = segment;
    }
    if (from.dirfd >= 0)
        close(from.dirfd);
    return r;
}

/* ---- closing ---- */

static bool any_held(const struct vmt_segment *segment)
{
    for (uint32_t i = 0; i < segment->record_count; i++) {
        if (segment->records[i].held)
            return true;
    }
    return false;
}

/* Only the file that is ours: it may have been replaced. */
static void unlink_own(const struct vmt_segment *segment)
{
    struct stat ours;
    struct stat named;

    if (fstat(segment->fd, &ours) == 0 && stat(segment->path, &named) == 0 && ours.st_dev == named.st_dev &&
        ours.st_ino == named.st_ino)
        unlink(segment->path);
}

void vmt_segment_close(struct vmt_segment *segment)
{
    if (!segment || segment->forked)
        return;
    pthread_mutex_lock(&segment->lock);
    PUT(segment->header->closed_ns, shm_clock_ns(CLOCK_REALTIME));
    PUT_RELEASE(segment->header->lifecycle, SHM_CLOSED);
    segment->open = false;
    segment->space.fd = -1;
    if (segment->unlink)
        unlink_own(segment);
    if (any_held(segment))
        /* Who still counts goes on, into nothing. */
        mmap(segment->space.base, segment->space.max_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    else
        unmap(segment);
    if (segment->fd >= 0)
        close(segment->fd);
    segment->fd = -1;
    free(segment->path);
    segment->path = NULL;
    pthread_mutex_unlock(&segment->lock);
}

const char *vmt_segment_path(const struct vmt_segment *segment)
{
    return segment && segment->path ? segment->path : "";
}

const char *vmt_segment_name(const struct vmt_segment *segment) { return segment ? segment->name : ""; }

struct vmt_source *vmt_segment_root(struct vmt_segment *segment) { return segment ? segment->root : NULL; }

void vmt_segment_heartbeat(struct vmt_segment *segment)
{
    if (segment)
        PUT(segment->header->heartbeat_ns, vmt_clock_ns());
}
