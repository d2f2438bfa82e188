/* SPDX-License-Identifier: MIT */
/* A VMM's VMs and vCPUs: their statistics fds, opened once, named in the segment, closed with their sources. */
#include <vmtally/kvm.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/kvm/handle.h"
#include "lib/kvm/statistics.h"
#include "lib/writer.h"

#define FD_MIN 3        /* 0 is "none", and who expects standard input and output finds a file of KVM's there */
#define REMEMBERED 4096 /* vCPUs that may be plugged again: as many as KVM lets a VM have */

static bool is_vcpu(const struct vmt_source *source)
{
    return strcmp(GET(source->schema->declared)->target, "vcpu") == 0;
}

static int check(const struct vmt_source *source)
{
    if (!source || !GET(source->segment->open))
        return -ENODEV;
    if (source->segment->forked)
        return -ECHILD;
    if (GET(source->link))
        return -EEXIST;
    return is_vcpu(source) || strcmp(GET(source->schema->declared)->target, "vm") == 0 ? 0 : -EINVAL;
}

/* ---- the fd ---- */

/* KVM gives the lowest number, and without O_CLOEXEC. */
static int keep_fd(int fd)
{
    int kept = fd;

    if (fd < FD_MIN)
        kept = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
    else if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        kept = -1;
    if (kept < 0)
        kept = -errno;
    if (kept != fd)
        close(fd);
    return kept;
}

/* Is it that KVM is too old, or that this is none of its descriptors? */
static int no_statistics(int kvm_fd, int error)
{
    if (error == EBADF)
        return -EINVAL;
    if (error == ENOTTY && ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_BINARY_STATS_FD) < 0)
        return -EINVAL;
    return -error;
}

static int open_statistics(int kvm_fd)
{
    int fd = ioctl(kvm_fd, KVM_GET_STATS_FD, NULL);

    return fd < 0 ? no_statistics(kvm_fd, errno) : keep_fd(fd);
}

/* ---- links ---- */

/* One reference for each schema, as the segment points to what was declared. Takes schema's over. */
static int keep_schema(struct vmt_segment *segment, const struct kvm_schema *schema)
{
    struct kvm_kept *kept = segment->kvm.kept;

    while (kept && kept->schema != schema)
        kept = kept->next;
    if (kept) {
        kvm_schema_release(schema);
        return 0;
    }
    kept = malloc(sizeof(*kept));
    if (!kept) {
        kvm_schema_release(schema);
        return -ENOMEM;
    }
    kept->schema = schema;
    kept->next = segment->kvm.kept;
    segment->kvm.kept = kept;
    return 0;
}

/* Is what it had counted still where it would be counted twice? */
static bool remembers(const struct vmt_segment *segment, const struct kvm_link *link)
{
    return link->copied && GET(segment->sources[link->parent].entry->generation) == link->parent_generation;
}

static bool same_thing(const struct kvm_link *link, const struct vmt_source *source, const char *id)
{
    return link->parent == source->parent->index && strcmp(link->id, id) == 0;
}

/* One not in use: the same thing's, else one that remembers nothing, else (if there are many) any. */
static struct kvm_link *find_free(const struct vmt_source *source, const struct kvm_schema *schema, const char *id)
{
    struct vmt_segment *segment = source->segment;
    struct kvm_link *best = NULL, *any = NULL;
    uint32_t remembering = 0;

    for (struct kvm_link *link = segment->kvm.first; link; link = link->next) {
        if (link->source || link->schema != schema)
            continue;
        any = link;
        if (!remembers(segment, link))
            best = link;
        else if (same_thing(link, source, id))
            return link;
        else
            remembering++;
    }
    return best || remembering < REMEMBERED ? best : any;
}

static struct kvm_link *link_new(struct vmt_segment *segment, const struct kvm_schema *schema)
{
    struct kvm_link *link = calloc(1, sizeof(*link));

    if (!link)
        return NULL;
    link->last = calloc(schema->schema.slots, 2 * sizeof(*link->last));
    if (!link->last) {
        free(link);
        return NULL;
    }
    link->schema = schema;
    link->fd = -1;
    link->next = segment->kvm.first;
    PUT_RELEASE(segment->kvm.first, link); /* pairs with the acquire in copy_all(); the lock orders all else */
    return link;
}

/* Under the lock. */
static int take_link(struct vmt_source *source, int fd, const struct kvm_schema *schema, const char *id)
{
    struct vmt_segment *segment = source->segment;
    struct kvm_link *link;
    int r = keep_schema(segment, schema);

    if (r < 0)
        return r;
    if (source->link)
        return -EEXIST;
    link = find_free(source, schema, id);
    if (!link)
        link = link_new(segment, schema);
    if (!link)
        return -ENOMEM;
    PUT(link->fd, fd);
    if (!remembers(segment, link) || !same_thing(link, source, id) || !kvm_goes_on(link)) {
        memset(link->last, 0, schema->schema.slots * sizeof(*link->last));
        link->copied = false;
    }
    memcpy(link->id, id, sizeof(link->id));
    link->parent = source->parent->index;
    link->parent_generation = GET(source->parent->entry->generation);
    PUT(link->failed, 0);
    link->source = source;
    PUT(source->link, link);
    return 0;
}

/* Inside of segments_hold(). fd is closed on failure. */
static int begin(struct vmt_source *source, int fd)
{
    const struct kvm_schema *schema;
    char id[VMT_NAME_SIZE] = "";
    bool vcpu = is_vcpu(source);
    int r = kvm_schema_read(fd, vcpu, id, &schema);

    if (r == -EBADMSG)
        r = -EINVAL;
    if (r == 0 && (strchr(id, '/') != NULL) != vcpu) {
        kvm_schema_release(schema);
        r = -EINVAL;
    }
    if (r == 0) {
        pthread_mutex_lock(&source->segment->lock);
        r = take_link(source, fd, schema, id);
        pthread_mutex_unlock(&source->segment->lock);
    }
    if (r < 0)
        close(fd);
    return r;
}

/* In the shared shard, which is there in any case. */
static void say_number(struct vmt_source *handle, int fd)
{
    PUT(handle->entry->flags, SHM_ENTRY_SHARED_USED); /* first, as in vmt_count() */
    PUT_RELEASE(*(uint64_t *)(void *)(handle->shared + 1), (uint64_t)fd);
}

static void undo(struct vmt_source *source)
{
    int fd;

    segments_hold();
    pthread_mutex_lock(&source->segment->lock);
    fd = kvm_unlink(source);
    pthread_mutex_unlock(&source->segment->lock);
    if (fd >= 0)
        close(fd);
    segments_let_go();
}

/* Not inside of segments_hold(): adding may wait for read sections, and who is in one may fork. */
static int finish(struct vmt_source *source)
{
    struct vmt_segment *segment = source->segment;
    struct kvm_link *link = source->link;
    struct vmt_source *handle = NULL;
    int r =
        vmt_source_add(segment, is_vcpu(source) ? &kvm_handle_vcpu : &kvm_handle_vm, source, KVM_HANDLE_NAME, &handle);

    if (r < 0) {
        undo(source);
        return r;
    }
    pthread_mutex_lock(&segment->lock);
    link->handle = handle;
    say_number(handle, link->fd);
    pthread_mutex_unlock(&segment->lock);
    if (GET(segment->kvm.copying))
        kvm_copy(segment, link);
    return 0;
}

int kvm_link(struct vmt_source *source, int stats_fd)
{
    int r = check(source);

    if (r < 0) {
        close(stats_fd);
        return r;
    }
    segments_hold();
    stats_fd = keep_fd(stats_fd);
    r = stats_fd < 0 ? stats_fd : begin(source, stats_fd);
    segments_let_go();
    return r < 0 ? r : finish(source);
}

int vmt_kvm_add(struct vmt_source *source, int kvm_fd)
{
    int r = check(source);
    int fd;

    if (r < 0)
        return r;
    segments_hold();
    fd = open_statistics(kvm_fd);
    r = fd < 0 ? fd : begin(source, fd);
    segments_let_go();
    return r < 0 ? r : finish(source);
}

/* ---- the end ---- */

/* The number is taken back before the fd is closed: it may be another's the next moment. */
static int let_go_of(struct kvm_link *link)
{
    int fd = link->fd;

    if (link->copy)
        kvm_copy_values(link);
    if (link->handle)
        say_number(link->handle, 0);
    PUT(link->source->link, NULL);
    link->source = NULL;
    link->handle = NULL;
    link->copy = NULL;
    PUT(link->fd, -1);
    return fd;
}

int kvm_unlink(struct vmt_source *source)
{
    struct kvm_link *link = source->link;
    struct vmt_source *handle, *copy;
    int fd;

    if (!link)
        return -1;
    handle = link->handle;
    copy = link->copy;
    fd = let_go_of(link);
    if (copy)
        source_remove(copy);
    if (handle)
        source_remove(handle);
    return fd;
}

void kvm_child_removed(const struct vmt_source *child)
{
    struct kvm_link *link = child->parent->link;

    if (link->handle == child)
        link->handle = NULL;
    if (link->copy == child)
        link->copy = NULL;
}

void kvm_leave(struct vmt_segment *segment)
{
    for (struct kvm_link *link = segment->kvm.first; link; link = link->next) {
        if (link->source)
            close(let_go_of(link));
    }
}

void kvm_free(struct vmt_segment *segment)
{
    struct kvm_links *kvm = &segment->kvm;

    while (kvm->first) {
        struct kvm_link *link = kvm->first;

        kvm->first = link->next;
        free(link->last);
        free(link);
    }
    while (kvm->kept) {
        struct kvm_kept *kept = kvm->kept;

        kvm->kept = kept->next;
        kvm_schema_release(kept->schema);
        free(kept);
    }
}

void kvm_after_fork(struct vmt_segment *segment)
{
    /* Acquire: pairs with the release in link_new(), for a child of a raw clone. */
    for (struct kvm_link *link = __atomic_load_n(&segment->kvm.first, __ATOMIC_ACQUIRE); link; link = link->next) {
        int fd = GET(link->fd);

        if (fd >= 0)
            close(fd);
        PUT(link->fd, -1);
    }
}
