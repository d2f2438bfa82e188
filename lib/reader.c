/* SPDX-License-Identifier: MIT */
/* Attaching to a segment and detaching. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/grace.h"
#include "lib/kvm/join.h"
#include "lib/options.h"
#include "lib/snapshot.h"
#include "lib/writer.h"

#define DEFAULT_CAP (256U << 20)

const char *vmt_state_name(enum vmt_state state)
{
    static const char *const names[VMT_STATE_COUNT] = {
        [VMT_STATE_LIVE] = "live",
        [VMT_STATE_CLOSED] = "closed",
        [VMT_STATE_DIED] = "died",
        [VMT_STATE_DIED_MID_CHANGE] = "died mid-change",
        [VMT_STATE_STALLED] = "stalled",
        [VMT_STATE_DAMAGED] = "damaged",
        [VMT_STATE_OTHER_VERSION] = "other version",
    };

    return (unsigned)state < VMT_STATE_COUNT ? names[state] : "unknown";
}

int reader_options_take(struct vmt_reader_options *ret, const struct vmt_reader_options *options)
{
    if (options && !options_take(ret, sizeof(*ret), options, options->struct_size))
        return -EINVAL;
    return ret->reserved || ret->mode > VMT_READ_GUARDED ? -EINVAL : 0;
}

static struct vmt_reader *reader_new(const char *path)
{
    struct vmt_reader *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->view.fd = -1;
    fork_watch();
    workspaces_hold();
    r->schemas = schema_set_new();
    r->path = strdup(path);
    if (r->schemas && r->path)
        return r;
    vmt_reader_close(r);
    return NULL;
}

int vmt_reader_open(const char *path, const struct vmt_reader_options *options, struct vmt_reader **ret)
{
    struct vmt_reader_options o = { 0 };
    struct shm_header header;
    struct vmt_reader *r;
    const char *why;
    int result;

    result = reader_options_take(&o, options);
    if (result < 0)
        return result;
    r = reader_new(path);
    if (!r)
        return -ENOMEM;
    result = shm_view_open(path, o.max_bytes ? o.max_bytes : DEFAULT_CAP, o.mode == VMT_READ_GUARDED, &r->view);
    if (result < 0)
        r->view.fd = -1;
    else
        result = shm_read_header(&r->view, &header, &why);
    if (result < 0) {
        vmt_reader_close(r);
        return result;
    }
    *ret = r;
    return 0;
}

static int open_process(struct vmt_host *host, const char *path, uint32_t pid, struct vmt_reader **ret)
{
    struct vmt_reader *r = reader_new(path);
    int result;

    if (!r)
        return -ENOMEM;
    r->host = host;
    result = lone_open(r, pid);
    if (result < 0)
        vmt_reader_close(r);
    else
        *ret = r;
    return result;
}

int vmt_reader_open_host(struct vmt_host *host, const char *path, const struct vmt_reader_options *options,
                         struct vmt_reader **ret)
{
    struct vmt_reader_options o = { 0 };
    uint32_t pid = host ? host_pid_of_path(path) : 0;
    int result = reader_options_take(&o, options);

    if (result < 0)
        return result;
    if (pid)
        return open_process(host, path, pid, ret);
    result = vmt_reader_open(path, options, ret);
    if (result == 0)
        (*ret)->host = host;
    return result;
}

int vmt_reader_open_segment(struct vmt_segment *segment, struct vmt_reader **ret)
{
    struct vmt_reader *r;
    int begun;

    if (!segment || !segment->open || segment->forked)
        return -ENODEV;
    r = reader_new(vmt_segment_path(segment));
    if (!r)
        return -ENOMEM;
    shm_view_own(&r->view, segment->space.base);
    r->segment = segment;
    begun = shm_view_begin(&r->view);
    if (begun < 0)
        vmt_reader_close(r);
    else
        *ret = r;
    return begun;
}

void vmt_reader_close(struct vmt_reader *reader)
{
    if (!reader)
        return;
    shm_view_close(&reader->view);
    schema_set_release(reader->schemas);
    workspaces_release();
    free(reader->lone);
    free(reader->labels.data);
    free(reader->path);
    free(reader);
}

const char *vmt_reader_path(const struct vmt_reader *reader) { return reader->path; }

enum vmt_state vmt_reader_state(struct vmt_reader *reader)
{
    struct shm_header header;

    if (reader->lone)
        return lone_state(reader);
    if (shm_view_begin(&reader->view) < 0)
        return VMT_STATE_DAMAGED;
    return (enum vmt_state)shm_state(&reader->view, &reader->look, &header);
}

static int sample_once(struct vmt_reader *reader, const struct vmt_sample *sample, uint64_t *values,
                       struct workspace **work)
{
    struct shm_view *view = &reader->view;
    struct source_ref source = { .schema = (const struct parsed *)(const void *)sample->schema,
                                 .generation = sample->generation,
                                 .entry = sample->entry };
    uint64_t offset = reader->source_offset + (uint64_t)sample->entry * reader->source_bytes;
    struct budget budget = { .visits = 3 * shm_view_solid(view), .again = shm_view_solid(view) };
    struct shm_entry e;
    int r;

    for (int look = 0; look < 2; look++) {
        if (view->direct) {
            const struct shm_entry *shm = (const void *)shm_at(view, offset);

            /* Acquire: pairs with the releases at birth and where a shard is linked. */
            e.generation = __atomic_load_n(&shm->generation, __ATOMIC_ACQUIRE);
            e.shards = __atomic_load_n(&shm->shards, __ATOMIC_ACQUIRE);
            e.flags = __atomic_load_n(&shm->flags, __ATOMIC_RELAXED);
            e.shared = __atomic_load_n(&shm->shared, __ATOMIC_RELAXED);
        } else if (shm_view_copy(view, offset, &e, sizeof(e)) < 0) {
            return -EBADMSG;
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* by copying, the same */
        if (e.generation != sample->generation)
            return -ESTALE;
        if (look)
            break;
        source.shards = e.shards;
        source.shared = e.flags & SHM_ENTRY_SHARED_USED ? (uint64_t)e.shared * SHM_GRANULE : 0;
        r = sums(view, &source, values, work, &budget, NULL, NULL);
        if (r < 0)
            return r;
        /* Pairs with the release fence at burial: memory used anew shows in the second look. */
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    }
    return (uint32_t)r & VMT_SAMPLE_UNCONFIRMED ? 1 : 0;
}

int vmt_reader_sample(struct vmt_reader *reader, const struct vmt_sample *sample, uint64_t *values)
{
    struct workspace *work = NULL;
    struct grace g = { 0 };
    int r = -EBADMSG;

    if (sample->entry & VMT_ENTRY_KERNEL || reader->lone)
        return join_sample(reader, sample, values);
    if (reader->segment)
        g = grace_read_lock();
    if (sample->entry < reader->source_used)
        r = sample_once(reader, sample, values, &work);
    if (reader->segment)
        grace_read_unlock(g);
    if (work)
        workspace_put(work);
    return shm_view_good(&reader->view) ? r : -EBADMSG;
}
