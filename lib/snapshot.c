/* SPDX-License-Identifier: MIT */
/* Snapshots as users see them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/grace.h"
#include "lib/kvm/join.h"
#include "lib/snapshot.h"
#include "lib/title.h"
#include "lib/totals.h"
#include "lib/writer.h"
#include "shm/clock.h"

int vmt_snapshot_new(struct vmt_snapshot **ret)
{
    struct vmt_snapshot *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    *ret = s;
    return 0;
}

void vmt_snapshot_free(struct vmt_snapshot *s)
{
    if (!s)
        return;
    schema_set_release(s->schemas);
    for (struct pool *p = &s->values; p <= &s->label_text; p++)
        free(p->data);
    free(s->path);
    free(s);
}

void vmt_snapshot_want_shards(struct vmt_snapshot *snapshot, int want) { snapshot->want_shards = want != 0; }

const struct vmt_segment_info *vmt_snapshot_segment(const struct vmt_snapshot *snapshot) { return &snapshot->info; }

size_t vmt_snapshot_count(const struct vmt_snapshot *snapshot) { return snapshot->samples.used; }

const struct vmt_sample *vmt_snapshot_source(const struct vmt_snapshot *snapshot, size_t i)
{
    return i < snapshot->samples.used ? &((const struct vmt_sample *)snapshot->samples.data)[i] : NULL;
}

const struct vmt_sample *vmt_snapshot_find(const struct vmt_snapshot *snapshot, const char *id)
{
    const struct vmt_sample *found = NULL;

    for (size_t i = 0; i < snapshot->samples.used; i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

        if (strcmp(sample->id, id) == 0 && (!found || found->flags & VMT_SAMPLE_LEAVING))
            found = sample;
    }
    return found;
}

/* ---- taking one ---- */

/* As the header has them, each made fit to show. */
static bool read_labels(struct vmt_reader *r)
{
    char text[sizeof(((struct shm_header *)0)->labels)];
    char *end = text;

    if (shm_view_copy(&r->view, offsetof(struct shm_header, labels), text, sizeof(text)) < 0)
        memset(text, 0, sizeof(text));
    memset(text + sizeof(text) - 2, 0, 2); /* the last one ends, and an empty one follows */
    for (; *end; end += strlen(end) + 1)
        shm_clean_text(end, strlen(end) + 1, false);
    r->labels.used = (size_t)(end - text) + 1;
    if (!pool_reserve(&r->labels, r->labels.used, 1))
        return false;
    memcpy(r->labels.data, text, r->labels.used);
    return true;
}

static bool set_labels(struct vmt_snapshot *s, struct vmt_reader *r, const struct shm_header *header)
{
    const char **list;
    size_t n = 0;

    if (r->labels_incarnation != header->incarnation || !header->incarnation) {
        /* Acquire: pairs with the release of incarnation by a restarter, which puts labels before. */
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        r->labels_incarnation = 0;
        if (!read_labels(r))
            return false;
        r->labels_incarnation = header->incarnation;
    }
    if (!pool_reserve(&s->label_text, r->labels.used, 1))
        return false;
    memcpy(s->label_text.data, r->labels.data, r->labels.used);
    for (const char *p = s->label_text.data; *p; p += strlen(p) + 1)
        n++;
    if (!pool_reserve(&s->labels, n + 1, sizeof(*list)))
        return false;
    list = s->labels.data;
    n = 0;
    for (const char *p = s->label_text.data; *p; p += strlen(p) + 1)
        list[n++] = p;
    list[n] = NULL;
    s->info.labels = s->labels.data;
    return true;
}

static bool set_info(struct vmt_snapshot *s, struct vmt_reader *r, struct shm_header *h)
{
    struct vmt_segment_info *info = &s->info;

    shm_clean_text(h->name, sizeof(h->name), true);
    memcpy(s->name, h->name, sizeof(s->name));
    info->name = s->name;
    memcpy(info->identity, h->identity, sizeof(info->identity));
    memcpy(info->boot_id, h->boot_id, sizeof(info->boot_id));
    info->incarnation = h->incarnation;
    info->created_ns = h->created_ns;
    info->pid_start = h->pid_start;
    info->closed_ns = h->lifecycle == SHM_CLOSED ? h->closed_ns : 0;
    info->heartbeat_ns = h->heartbeat_ns;
    info->file_bytes = r->view.file_bytes;
    info->pid = h->pid;
    info->uid = r->view.uid;
    info->major = h->major;
    info->minor = h->minor;
    info->from = VMT_FROM_SEGMENT;
    if (r->view.unnamed)
        info->flags |= VMT_SNAPSHOT_UNLINKED;
    if (shm_view_foreign(&r->view))
        info->flags |= VMT_SNAPSHOT_FOREIGN;
    if (r->view.direct && !r->view.own)
        info->flags |= VMT_SNAPSHOT_MAPPED;
    if (r->view.file_bytes > r->view.bytes)
        info->flags |= VMT_SNAPSHOT_PARTIAL;
    return set_labels(s, r, h);
}

/* Empty, with its memory kept. */
static int start(struct vmt_snapshot *s, const struct vmt_reader *r)
{
    struct schema_set *old = s->schemas;
    static const char *const none[1];

    s->schemas = schema_set_hold(r->schemas);
    schema_set_release(old);
    for (struct pool *p = &s->values; p <= &s->label_text; p++)
        p->used = 0;
    s->info = (struct vmt_segment_info){ .path = "", .name = "", .labels = none, .state = VMT_STATE_DAMAGED };
    s->looked_ns = 0;
    s->pid = 0;
    if (!s->path || strcmp(s->path, r->path) != 0) { /* one that was cleaned is copied again */
        free(s->path);
        s->path = strdup(r->path);
        if (!s->path)
            return -ENOMEM;
        shm_clean_text(s->path, strlen(s->path) + 1, false); /* as all that is shown: names of files are anybody's */
    }
    s->info.path = s->path;
    s->info.flags = title_set_aside(s->path);
    return 0;
}

/* The nodes of a segment, and when and in which state it was. */
static int read_segment(struct vmt_snapshot *s, struct vmt_reader *r)
{
    struct shm_header header;
    int n = shm_view_begin(&r->view);

    if (n < 0)
        return n;
    s->info.realtime_ns = shm_clock_ns(CLOCK_REALTIME);
    s->walk_ns = s->info.begin_ns = shm_clock_ns(CLOCK_MONOTONIC);
    s->info.state = (enum vmt_state)shm_state(&r->view, &r->look, &header);
    if (s->info.state == VMT_STATE_OTHER_VERSION)
        return -EPROTONOSUPPORT;
    if (s->info.state == VMT_STATE_DAMAGED)
        return -EBADMSG;
    shm_view_avoid_holes(&r->view, &header);
    if (!set_info(s, r, &header))
        return -ENOMEM;
    n = walk(s, r, &header);
    s->info.end_ns = shm_clock_ns(CLOCK_MONOTONIC);
    if (n >= 0 && !shm_view_good(&r->view))
        n = -EBADMSG; /* truncated meanwhile: some of it was zeros of our own */
    if (n == -EBADMSG)
        s->info.state = VMT_STATE_DAMAGED;
    if (n < 0)
        return n;
    r->source_offset = header.source_offset;
    r->source_bytes = header.source_bytes;
    r->source_used = (uint32_t)s->work->nodes.used;
    if (r->host) {
        int joined = join_segment(s, r, &header);

        n = joined == 0 ? n : joined;
    }
    return n;
}

static int take(struct vmt_snapshot *s, struct vmt_reader *r)
{
    int n = start(s, r);

    if (n < 0)
        return n;
    if (!s->work)
        return -ENOMEM;
    n = r->lone ? lone_read(s, r) : read_segment(s, r);
    if (n < 0)
        return n;
    if (n == 1)
        s->info.flags |= VMT_SNAPSHOT_PARTIAL;
    n = totals_and_samples(s);
    if (n < 0)
        return n;
    return s->info.flags & VMT_SNAPSHOT_PARTIAL ? 1 : 0;
}

int vmt_snapshot_take(struct vmt_snapshot *snapshot, struct vmt_reader *reader)
{
    struct grace g = { 0 };
    int r;

    if (reader->segment && (!reader->segment->open || reader->segment->forked)) {
        r = start(snapshot, reader);
        snapshot->info.state = VMT_STATE_CLOSED;
        return r < 0 ? r : -EIO;
    }
    if (reader->segment)
        g = grace_read_lock();
    snapshot->work = workspace_take();
    r = take(snapshot, reader);
    if (snapshot->work) {
        workspace_settle(snapshot->work);
        workspace_put(snapshot->work);
        snapshot->work = NULL;
    }
    if (reader->segment)
        grace_read_unlock(g);
    if (r < 0)
        snapshot->samples.used = 0;
    return r;
}
