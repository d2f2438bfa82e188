/* SPDX-License-Identifier: MIT */
/* vmt_check(): everything in one file looked at, and the first fault named. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/snapshot.h"

#define LOOKS 5

static const char *const too_large = "the file is larger than 1 TiB, of which the front was looked at";
static const char *const unclear = "shards or departed blocks contradict the sources that lead to them";

static void say(char *why, size_t why_size, const char *text)
{
    if (why_size)
        snprintf(why, why_size, "%s", text ? text : "");
}

/* The header, the schemas and each entry by itself. NULL, or what is wrong. */
static const char *check_parts(struct vmt_reader *r, int *error)
{
    struct shm_header h;
    const char *why;
    int followed;

    *error = shm_read_header(&r->view, &h, &why);
    if (*error < 0)
        return why;
    *error = -EBADMSG;
    if (h.file_bytes > r->view.file_bytes && !shm_within(&r->view, h.file_bytes, 0, 1))
        return "the file is shorter than its header says: truncated";
    followed = schema_set_follow(r->schemas, &r->view, h.schemas, &why);
    if (followed < 0) {
        *error = followed; /* for want of memory: that is no fault of the file */
        return why;
    }
    for (uint32_t i = 0; i < h.source_used; i++) {
        uint64_t offset = h.source_offset + (uint64_t)i * h.source_bytes;
        struct shm_entry e;
        uint64_t generation;

        if (shm_view_copy(&r->view, offset, &e, sizeof(e)) < 0)
            return "the source table lies outside of the file";
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* as in walk.c: the copy is of one life only if it still lives */
        if (shm_view_link(&r->view, offset, &generation) < 0)
            return "the source table lies outside of the file";
        if (e.generation & 1 || e.state == SHM_FREE || e.generation != generation)
            continue;
        why = shm_check_entry(&e, i, h.source_limit, &r->view);
        if (!why && !schema_set_find(r->schemas, e.schema)) {
            followed = schema_set_follow(r->schemas, &r->view, h.schemas, &why);
            if (followed == -ENOMEM)
                *error = followed;
            if (followed < 0 || !schema_set_find(r->schemas, e.schema))
                why = "a source's schema is none of those in the file";
        }
        if (why && *why)
            return why;
        /* A parent is there before its child: as far as the table goes by now. */
        if (e.parent >= h.source_used && (shm_view_copy(&r->view, 0, &h, sizeof(h)) < 0 || e.parent >= h.source_used))
            return "a source's parent is out of range";
    }
    *error = 0;
    return NULL;
}

/* In the middle of a change: a second look tells a stall from a moment. */
static void look_again(struct vmt_reader *r, struct vmt_snapshot *s)
{
    const struct timespec wait = { .tv_nsec = 600000000 };

    if (vmt_snapshot_segment(s)->state != VMT_STATE_LIVE || !r->look.structure)
        return;
    nanosleep(&wait, NULL);
    s->info.state = vmt_reader_state(r);
}

static uint64_t structure_of(struct vmt_reader *r)
{
    uint64_t structure = 0;

    shm_view_link(&r->view, offsetof(struct shm_header, structure), &structure);
    return structure;
}

/* One look at all of it. NULL, or what is wrong; *error is negative errno, -EPROTONOSUPPORT or -EBADMSG for faults.
 * *busy: the writer changed things meanwhile; *still: nor is it about to, another look would find the same. */
static const char *look_once(struct vmt_reader *r, struct vmt_snapshot *s, int *error, bool *busy, bool *still)
{
    uint64_t structure = structure_of(r);
    const char *fault = check_parts(r, error);
    uint64_t now;

    if (!fault) {
        *error = vmt_snapshot_take(s, r);
        fault = *error == 0 ? NULL : r->view.file_bytes > r->view.bytes ? too_large : unclear;
    }
    now = structure_of(r);
    *busy = now != structure;
    *still = !*busy && !(now & 1);
    return fault;
}

/* What can't be opened as a segment, once more without judging, to say what it is. */
static void explain(const char *path, char *why, size_t why_size)
{
    struct shm_header h;
    struct shm_view view;
    const char *fault;

    if (shm_view_open(path, SHM_HEADER_BYTES, false, &view) < 0)
        return;
    shm_read_header(&view, &h, &fault);
    say(why, why_size, fault);
    shm_view_close(&view);
}

int vmt_check(const char *path, char *why, size_t why_size)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .max_bytes = 1ULL << 40 };
    const struct timespec pause = { .tv_nsec = 2000000 };
    struct vmt_snapshot *s = NULL;
    struct vmt_reader *r = NULL;
    const char *fault = NULL;
    bool still = false;
    bool busy = false;
    int error = 0;
    int result;

    say(why, why_size, "");
    result = vmt_reader_open(path, &options, &r);
    if (result < 0)
        explain(path, why, why_size);
    if (result == -EBADMSG || result == -EPROTONOSUPPORT)
        return result == -EBADMSG ? VMT_STATE_DAMAGED : VMT_STATE_OTHER_VERSION;
    if (result == 0)
        result = vmt_snapshot_new(&s);
    /* A busy writer may change things under one look; damage is still there at the next. */
    for (int i = 0; result == 0 && i < LOOKS; i++) {
        fault = look_once(r, s, &error, &busy, &still);
        if (!fault || still || error == -ENOMEM)
            break;
        nanosleep(&pause, NULL);
    }
    /* All parts are good, but it never held still: that proves nothing against it. */
    if (fault && busy && error == 1)
        fault = NULL;
    if (result == 0 && error == -ENOMEM)
        result = -ENOMEM;
    if (result == 0 && !fault)
        look_again(r, s);
    if (result == 0) {
        say(why, why_size, fault);
        result = !fault                    ? (int)vmt_snapshot_segment(s)->state
               : error == -EPROTONOSUPPORT ? VMT_STATE_OTHER_VERSION
                                           : VMT_STATE_DAMAGED;
    }
    vmt_snapshot_free(s);
    vmt_reader_close(r);
    return result;
}
