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
#include "lib/origin.h"
#include "lib/point.h"
#include "lib/schema_set.h"
#include "shm/clock.h"
#include "shm/file.h"

#define DEFAULT_BYTES (256U << 20)

static struct vmt_segment *segments; /* all that ever were: pushed at the front, never freed */
static pthread_mutex_t coming_and_going = PTHREAD_MUTEX_INITIALIZER; /* outside of a segment's lock */

static int cancel_state; /* of who holds it: cancelled in there he would keep it */

void segments_hold(void)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&coming_and_going);
    cancel_state = state;
}

void segments_let_go(void)
{
    int state = cancel_state;

    pthread_mutex_unlock(&coming_and_going);
    pthread_setcancelstate(state, NULL);
}

/* Acquire: pairs with the push in vmt_segment_create(). */
struct vmt_segment *segment_first(void) { return __atomic_load_n(&segments, __ATOMIC_ACQUIRE); }

struct vmt_segment *segment_of(const void *address)
{
    for (struct vmt_segment *s = segment_first(); s; s = s->next) {
        uint8_t *base = __atomic_load_n(&s->space.base, __ATOMIC_ACQUIRE); /* pairs with the release in unmap() */

        /* Who holds a shard keeps its segment mapped, so a match is no stale one. */
        if (base && (const uint8_t *)address >= base && (const uint8_t *)address < base + GET(s->space.max_bytes))
            return s;
    }
    return NULL;
}

void structure_begin(struct vmt_segment *segment)
{
    PUT(segment->header->structure, GET(segment->header->structure) + 1);
    /* Release fence: who sees any of what follows sees the odd number; pairs with the fences of who looks twice:
     * shm_state(), and nothing_changed() in lib/verdict.c. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void structure_end(struct vmt_segment *segment)
{
    /* Release: pairs with the acquire with which structure is read by who looks twice. */
    PUT_RELEASE(segment->header->structure, GET(segment->header->structure) + 1);
}

/* ---- memory ---- */

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
    if (segment->record_limit < space->file_bytes / SHM_GRANULE / 2) /* an earlier writer's: as many as can be in it */
        segment->record_limit = (uint32_t)(space->file_bytes / SHM_GRANULE / 2);
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
    /* Who made the names in a file that is gone on with shall not choose where they collide. */
    if (getrandom(&segment->name_key, sizeof(segment->name_key), 0) != sizeof(segment->name_key))
        segment->name_key = (uint32_t)(uintptr_t)p;
    return 0;
}

int segment_map(struct vmt_segment *segment, int fd, uint64_t at_least)
{
    struct space *space = &segment->space;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    for (;;) {
        int r = shm_file_map(fd, at_least, &space->max_bytes, (void **)&space->base);

        if (r < 0)
            return r;
        if (reserve_private(segment) == 0)
            break;
        /* Address space for both is not to be had. */
        munmap(space->base, space->max_bytes);
        space->base = NULL;
        space->max_bytes = space->max_bytes / 2 / 4096 * 4096;
        if (space->max_bytes < at_least)
            return -ENOMEM;
    }
    space->fd = fd;
    segment->device = st.st_dev;
    segment->inode = st.st_ino;
    segment->header = (void *)space->base;
    return 0;
}

bool segment_has_file(const struct vmt_segment *segment, int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_dev == segment->device && st.st_ino == segment->inode;
}

static void unmap(struct vmt_segment *segment)
{
    uint8_t *base = segment->space.base;

    __atomic_store_n(&segment->space.base, NULL, __ATOMIC_RELEASE); /* pairs with the acquire in segment_of() */
    if (base)
        munmap(base, segment->space.max_bytes);
    if (segment->private)
        munmap(segment->private, segment->private_bytes);
    segment->private = NULL;
    kvm_free(segment);
    schema_set_release(segment->found);
    segment->found = NULL;
}

void segment_clear(struct vmt_segment *segment)
{
    char name[sizeof(segment->name)];

    unmap(segment);
    memcpy(name, segment->name, sizeof(name));
    memset(segment, 0, sizeof(*segment));
    memcpy(segment->name, name, sizeof(name));
    pthread_mutex_init(&segment->lock, NULL);
    pthread_mutex_init(&segment->reclaim, NULL);
    kvm_init(segment);
}

/* ---- creating ---- */

static int check_options(const struct vmt_segment_options *given, struct vmt_segment_options *o)
{
    int r = 0;

    memset(o, 0, sizeof(*o));
    if (!given)
        return 0;
    if (!options_take(o, sizeof(*o), given, given->struct_size))
        return -EINVAL;
    if (o->why && o->why_size)
        o->why[0] = '\0';
    if ((o->path && o->fd > 0) || ((o->path || (o->fd > 0 && !o->resume)) && o->dir) ||
        o->max_sources > VMT_SOURCES_MAX)
        return -EINVAL;
    if (o->fd < 0) /* what a failed open() gave must not become a segment elsewhere */
        return -EBADF;
    if (o->fixed_bytes && (o->fixed_bytes < SEGMENT_BYTES_MIN || o->fixed_bytes > SEGMENT_BYTES_MAX))
        return -EINVAL;
    if (o->max_bytes && (o->max_bytes < SEGMENT_BYTES_MIN || o->max_bytes > SEGMENT_BYTES_MAX || o->fixed_bytes))
        return -EINVAL;
    if (o->name)
        r = shm_name_check(o->name);
    return r < 0 ? r : header_check_labels(o->labels);
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

uint64_t segment_bytes_max(const struct vmt_segment_options *o)
{
    return (o->fixed_bytes ? o->fixed_bytes : o->max_bytes ? o->max_bytes : DEFAULT_BYTES) / 4096 * 4096;
}

/* The table first, then the arena. In a jail all of it is allocated and mapped now. */
static int lay_out(struct vmt_segment *segment, const struct vmt_segment_options *o, int fd)
{
    struct space *space = &segment->space;
    uint64_t arena;
    uint64_t least;
    int r;

    space->fixed = o->fixed_bytes != 0;
    space->max_bytes = segment_bytes_max(o);
    segment->source_limit = o->max_sources;
    if (!segment->source_limit) {
        /* An eighth of a small file for the table. */
        uint64_t room = space->max_bytes / 8 / SHM_ENTRY_BYTES;

        segment->source_limit = room < SEGMENT_SOURCES ? (uint32_t)room : SEGMENT_SOURCES;
    }
    arena = arena_offset(segment->source_limit);
    if (arena - SHM_HEADER_BYTES > space->max_bytes / 2)
        return -EINVAL;
    if (space->fixed) {
        r = shm_file_allocate(fd, 0, space->max_bytes, true);
        segment->source_allocated = segment->source_limit;
    } else {
        r = shm_file_allocate(fd, 0, SHM_HEADER_BYTES, false);
        /* The table is a hole that is filled as sources come; the arena grows behind it. */
        if (r == 0)
            r = shm_file_extend(fd, arena);
    }
    if (r < 0)
        return r;
    least = space->fixed ? space->max_bytes : arena + SEGMENT_BYTES_MIN;
    r = segment_map(segment, fd, least < space->max_bytes ? least : space->max_bytes);
    if (r < 0)
        return r;
    space_init(space, arena, space->fixed ? space->max_bytes : arena);
    r = header_fill(segment, o);
    if (r == 0)
        r = source_make_root(segment);
    if (r < 0)
        return r;
    PUT(segment->header->lifecycle, SHM_OPEN);
    POINT("lay_out: open");
    /* Release fence: the magic, written last, says that all of it is there. Pairs with the acquire load of the magic in
     * check_magic() of the reader. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (size_t i = 8; i-- > 0;)
        PUT(segment->header->magic[i], (uint8_t)SHM_MAGIC[i]);
    POINT("lay_out: magic");
    return 0;
}

static int build(struct vmt_segment *segment, const struct vmt_segment_options *o, struct origin *from)
{
    int r;

    r = origin_open(segment, o, from);
    if (r == 0 && !from->restarted)
        r = lay_out(segment, o, from->fd);
    return r < 0 ? r : origin_name(segment, o, from);
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
    if (o.name)
        memcpy(segment->name, o.name, strlen(o.name));
    else
        default_name(segment->name);
    segment_clear(segment);
    fork_watch();
    segments_hold();
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
        segment->next = segments;
        __atomic_store_n(&segments, segment, __ATOMIC_RELEASE); /* pairs with segment_first() */
        *ret = segment;
    }
    segments_let_go();
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
    if (shm_file_is(segment->space.fd, AT_FDCWD, segment->path))
        unlink(segment->path);
}

/* Stop being the writer. Who still counts goes on, into nothing. */
static void leave(struct vmt_segment *segment, bool unlock)
{
    int fd = segment->space.fd;

    PUT(segment->open, false);
    segment->space.fd = -1;
    if (any_held(segment))
        segment_give_up(segment);
    else
        unmap(segment);
    /* Once nothing more can reach the file; and not left to the last descriptor: a child that was forked a moment ago
     * has one still. (No jail's filter need allow this.) */
    if (unlock && !segment->space.fixed)
        shm_file_unlock(fd);
    if (segment->fd >= 0)
        close(segment->fd);
    segment->fd = -1;
    free(segment->path);
    segment->path = NULL;
}

void vmt_segment_close(struct vmt_segment *segment)
{
    if (!segment || !GET(segment->open) || segment->forked)
        return;               /* also after it was handed over */
    kvm_stop_copier(segment); /* before it is held: the copier may wait for a read section, and who is in it may fork */
    segments_hold();
    pthread_mutex_lock(&segment->lock);
    kvm_leave(segment);
    PUT(segment->header->closed_ns, shm_clock_ns(CLOCK_REALTIME));
    POINT("vmt_segment_close: time");
    PUT_RELEASE(segment->header->lifecycle, SHM_CLOSED); /* pairs with the fences in shm_state() */
    POINT("vmt_segment_close: closed");
    if (segment->unlink)
        unlink_own(segment);
    leave(segment, true);
    pthread_mutex_unlock(&segment->lock);
    segments_let_go();
}

/* Another descriptor, with the lock. */
static int second_fd(const struct vmt_segment *segment)
{
    int fd;

    if (!segment_has_file(segment, segment->space.fd))
        return -EBADF;
    fd = fcntl(segment->space.fd, F_DUPFD, 3);
    return fd < 0 ? -errno : fd;
}

int vmt_segment_hand_over(struct vmt_segment *segment)
{
    int fd;

    if (!segment || !segment->open)
        return -ENODEV;
    if (segment->forked)
        return -ECHILD;
    fd = second_fd(segment);
    if (fd < 0)
        return fd;
    kvm_stop_copier(segment); /* as in vmt_segment_close() */
    segments_hold();
    pthread_mutex_lock(&segment->lock);
    kvm_leave(segment); /* its numbers mean nothing in another process, or after exec */
    /* Pairs with the system call that brings the descriptor over. */
    PUT_RELEASE(segment->header->handed_ns, shm_clock_ns(CLOCK_REALTIME));
    leave(segment, false);
    pthread_mutex_unlock(&segment->lock);
    segments_let_go();
    return fd;
}

const char *vmt_segment_path(const struct vmt_segment *segment)
{
    return segment && segment->path ? segment->path : "";
}

const char *vmt_segment_name(const struct vmt_segment *segment) { return segment ? segment->name : ""; }

struct vmt_source *vmt_segment_root(struct vmt_segment *segment) { return segment ? segment->root : NULL; }

void vmt_segment_heartbeat(struct vmt_segment *segment)
{
    if (segment && GET(segment->open))
        PUT(segment->header->heartbeat_ns, vmt_clock_ns());
}
