/* SPDX-License-Identifier: MIT */
#include "cli/top/sampler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/segment.h"

/* One row: a path that is followed. */
struct followed {
    char *path;
    char *file_name;
    char *clean_path;
    char name[SEGMENT_NAME];  /* what is shown: of the segment, else of the file */
    char title[SEGMENT_NAME]; /* with the owner of what is somebody else's */
    char owner[SEGMENT_OWNER];
    uint64_t id;
    dev_t device; /* of the file that was opened */
    ino_t inode;
    uint32_t uid;
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshots[2]; /* newest first */
    struct vmt_delta *delta;
    uint64_t gone_ns; /* CLOCK_MONOTONIC since when the writer has been seen gone, 0: it has not */
    int comparable;   /* snapshots[0] is worth comparing with */
    int read;         /* snapshots[0] says something of this file */
    int owned;        /* uid is the owner of what was last read */
    int hidden;       /* another one is meant by the name that was asked for */
    int found;        /* at this beat */
    int told;         /* sampler_failed() gave it */
    int error;
    enum vmt_state state;
};

struct sampler {
    const char *dir;
    char *const *names;
    size_t name_count;
    struct followed *followed; /* sorted by name, then path */
    size_t count;
    size_t capacity;
    struct sample_vm *vms;
    size_t vm_capacity;
    uint64_t next_id;
    uint64_t beat_ns; /* CLOCK_MONOTONIC of the last beat */
    struct sample_set set;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void followed_close(struct followed *f)
{
    vmt_reader_close(f->reader);
    f->reader = NULL;
    f->comparable = 0;
}

static void followed_free(struct followed *f)
{
    followed_close(f);
    vmt_snapshot_free(f->snapshots[0]);
    vmt_snapshot_free(f->snapshots[1]);
    vmt_delta_free(f->delta);
    free(f->path);
    free(f->file_name);
    free(f->clean_path);
}

static int followed_init(struct followed *f, const char *path, const char *name, uint64_t id)
{
    memset(f, 0, sizeof(*f));
    f->id = id;
    f->path = strdup(path);
    f->file_name = strdup(name);
    f->clean_path = strdup(path);
    if (f->clean_path)
        message_printable(path, f->clean_path, strlen(path) + 1);
    if (f->path && f->file_name && f->clean_path && vmt_snapshot_new(&f->snapshots[0]) == 0 &&
        vmt_snapshot_new(&f->snapshots[1]) == 0 && vmt_delta_new(&f->delta) == 0)
        return 0;
    followed_free(f);
    return -ENOMEM;
}

/* What a failed attempt says about the segment. */
static enum vmt_state state_of_error(int error)
{
    return error == -EPROTONOSUPPORT ? VMT_STATE_OTHER_VERSION : VMT_STATE_DAMAGED;
}

/* One attempt at a snapshot through the reader that there is. */
static int followed_snapshot(struct followed *f)
{
    struct vmt_snapshot *newer = f->snapshots[1];
    int r = vmt_snapshot_take(newer, f->reader);

    f->snapshots[1] = f->snapshots[0];
    f->snapshots[0] = newer;
    f->read = 1;
    f->error = r < 0 ? r : 0;
    f->state = r < 0 ? state_of_error(r) : vmt_snapshot_segment(newer)->state;
    /* A snapshot that failed has no sources: compared with it, all that was ever counted would look new. */
    r = vmt_delta_compute(f->delta, f->comparable && f->error == 0 ? f->snapshots[1] : NULL, newer);
    f->comparable = f->error == 0;
    return r;
}

/* Open the file of that name. */
static int followed_open(struct followed *f)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = VMT_READ_GUARDED };
    struct stat st;
    int r;

    if (lstat(f->path, &st) == 0) {
        f->device = st.st_dev;
        f->inode = st.st_ino;
    }
    r = vmt_reader_open(f->path, &options, &f->reader);
    if (r < 0) {
        f->error = r;
        f->read = 0;
        f->state = state_of_error(r);
        return r;
    }
    return followed_snapshot(f);
}

static int is_gone(enum vmt_state state) { return state != VMT_STATE_LIVE && state != VMT_STATE_STALLED; }

/* Whether what can be had under its name is another file: its own has lost all names, or has another one by now (it was
 * set aside), or is beyond reading. */
static int followed_replaced(const struct followed *f)
{
    struct stat st;

    if (!f->found)
        return 0;
    if (f->error || vmt_snapshot_segment(f->snapshots[0])->flags & VMT_SNAPSHOT_UNLINKED)
        return 1;
    return is_gone(f->state) && lstat(f->path, &st) == 0 && (st.st_dev != f->device || st.st_ino != f->inode);
}

/* The newest of one row. -ENOMEM only where the difference could not be made; all else is the row's own error. */
static int followed_take(struct followed *f, uint64_t now_ns)
{
    int r = 0;

    if (f->reader) {
        r = followed_snapshot(f);
        if (followed_replaced(f)) {
            struct vmt_reader *before = f->reader;
            int comparable = f->comparable;

            f->reader = NULL;
            f->comparable = 0;
            if (followed_open(f) == -ENOENT && f->error == -ENOENT) { /* gone again: keep the old one for its time */
                f->reader = before;
                f->comparable = comparable;
                r = followed_snapshot(f);
            } else {
                vmt_reader_close(before);
                f->gone_ns = 0;
            }
        }
    } else {
        followed_open(f);
    }
    if (!is_gone(f->state) && !f->error)
        f->gone_ns = 0;
    else if (!f->gone_ns)
        f->gone_ns = now_ns;
    return r == -ENOMEM ? r : 0;
}

static int compare_names(const char *name, const char *path, const struct followed *f)
{
    int c = strcmp(name, f->file_name);

    return c ? c : strcmp(path, f->path);
}

/* What follows a file's name in the name that was asked for: "" or an owner; NULL where it asks for another one. */
static const char *asked_owner(const char *asked, const char *file_name)
{
    size_t n = strlen(file_name);

    return !strncmp(asked, file_name, n) && (!asked[n] || !strncmp(asked + n, " (uid ", 6)) ? asked + n : NULL;
}

static int wanted(const struct sampler *s, const char *name)
{
    if (!s->name_count)
        return 1;
    for (size_t i = 0; i < s->name_count; i++) {
        if (asked_owner(s->names[i], name))
            return 1;
    }
    return 0;
}

/* Mark the row of path as found; make it where there is none. Rows are sorted, and so is what is found: *at is where
 * the last one was. */
static int find_row(struct sampler *s, const char *path, const char *name)
{
    size_t low = 0;
    size_t high = s->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = compare_names(name, path, &s->followed[middle]);

        if (c == 0) {
            s->followed[middle].found = 1;
            return 0;
        }
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 16;
        struct followed *more = reallocarray(s->followed, capacity, sizeof(*more));

        if (!more)
            return -ENOMEM;
        s->followed = more;
        s->capacity = capacity;
    }
    memmove(&s->followed[low + 1], &s->followed[low], (s->count - low) * sizeof(*s->followed));
    if (followed_init(&s->followed[low], path, name, s->next_id + 1) < 0) {
        memmove(&s->followed[low], &s->followed[low + 1], (s->count - low) * sizeof(*s->followed));
        return -ENOMEM;
    }
    s->followed[low].found = 1;
    s->next_id++;
    s->count++;
    return 0;
}

/* Paths say where to look; a directory that nobody asked about must not hinder. */
static int all_paths(const struct sampler *s)
{
    for (size_t i = 0; i < s->name_count; i++) {
        if (!strchr(s->names[i], '/'))
            return 0;
    }
    return s->name_count > 0;
}

int sampler_find(struct sampler *s)
{
    struct vmt_found *found = NULL;
    long count = all_paths(s) ? 0 : vmt_discover(s->dir, &found);
    int r = 0;

    if (count < 0)
        return (int)count;
    for (size_t i = 0; i < s->count; i++)
        s->followed[i].found = 0;
    for (long i = 0; i < count && r == 0; i++) {
        if (wanted(s, found[i].name))
            r = find_row(s, found[i].path, found[i].name);
    }
    vmt_found_free(found, count);
    for (size_t i = 0; i < s->name_count && r == 0; i++) {
        const char *name = strrchr(s->names[i], '/');

        if (name && access(s->names[i], F_OK) == 0)
            r = find_row(s, s->names[i], name[1] ? name + 1 : s->names[i]);
    }
    return r;
}

/* Drop the rows whose VM and file have been gone for long enough, and those that never were one. */
static void drop_gone(struct sampler *s, uint64_t now_ns)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct followed *f = &s->followed[i];
        int gone = f->gone_ns && now_ns - f->gone_ns >= SAMPLER_KEEP_GONE_NS;

        if (!f->found && (gone || !f->reader)) {
            followed_free(f);
            continue;
        }
        if (kept != i)
            s->followed[kept] = *f;
        kept++;
    }
    s->count = kept;
}

static void read_host(struct sample_set *set)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (getloadavg(set->load, 3) != 3)
        set->load[0] = set->load[1] = set->load[2] = -1;
    set->cpus = cpus > 0 ? (uint32_t)cpus : 0;
}

/* What it is called, and whose it is: another owner makes it another row. */
static void followed_describe(struct sampler *s, struct followed *f)
{
    const struct vmt_segment_info *info = f->read ? vmt_snapshot_segment(f->snapshots[0]) : NULL;

    message_printable(f->file_name, f->name, sizeof(f->name));
    f->owner[0] = '\0';
    if (info && info->name[0])
        segment_name(f->name, sizeof(f->name), info);
    if (info)
        segment_owner(f->owner, sizeof(f->owner), info);
    snprintf(f->title, sizeof(f->title), "%.*s%s", (int)(sizeof(f->title) - sizeof(f->owner)), f->name, f->owner);
    if (!info)
        return;
    if (f->owned && f->uid != info->uid)
        f->id = ++s->next_id;
    f->uid = info->uid;
    f->owned = 1;
}

static int trusted(const struct followed *f) { return f->read && !f->error && !f->owner[0]; }

/* Whether the name that was asked for means f, or, of the same name, one that is trusted. */
static int means(const struct sampler *s, const char *asked, const struct followed *f)
{
    const char *owner = asked_owner(asked, f->file_name);

    if (!strcmp(asked, f->path))
        return 1;
    if (!owner || owner[0])
        return owner && !strcmp(owner, f->owner);
    for (size_t i = 0; i < s->count && !trusted(f); i++) {
        if (!strcmp(s->followed[i].file_name, f->file_name) && trusted(&s->followed[i]))
            return 0;
    }
    return 1;
}

static int hidden(const struct sampler *s, const struct followed *f)
{
    for (size_t i = 0; i < s->name_count; i++) {
        if (means(s, s->names[i], f))
            return 0;
    }
    return s->name_count > 0;
}

static int publish(struct sampler *s, uint64_t now_ns)
{
    size_t count = 0;

    if (s->count > s->vm_capacity) {
        struct sample_vm *more = reallocarray(s->vms, s->count, sizeof(*more));

        if (!more)
            return -ENOMEM;
        s->vms = more;
        s->vm_capacity = s->count;
    }
    for (size_t i = 0; i < s->count; i++)
        followed_describe(s, &s->followed[i]);
    for (size_t i = 0; i < s->count; i++) {
        struct followed *f = &s->followed[i];

        f->hidden = hidden(s, f);
        if (f->hidden)
            continue;
        s->vms[count++] = (struct sample_vm){
            .id = f->id,
            .name = f->name,
            .title = f->title,
            .owner = f->owner,
            .path = f->clean_path,
            .snapshot = f->read ? f->snapshots[0] : NULL,
            .delta = f->delta,
            .error = f->error,
            .state = f->error ? f->state : segment_state(vmt_snapshot_segment(f->snapshots[0])),
        };
    }
    s->set.vms = s->vms;
    s->set.count = count;
    s->set.realtime_ns = clock_ns(CLOCK_REALTIME);
    s->set.interval_ns = s->beat_ns ? now_ns - s->beat_ns : 0;
    s->beat_ns = now_ns;
    read_host(&s->set);
    return 0;
}

int sampler_new(const char *dir, char *const *names, size_t count, struct sampler **ret)
{
    struct sampler *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->dir = dir;
    s->names = names;
    s->name_count = count;
    *ret = s;
    return 0;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        followed_free(&s->followed[i]);
    free(s->followed);
    free(s->vms);
    free(s);
}

int sampler_take(struct sampler *s)
{
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    int r = sampler_find(s);

    if (r < 0)
        return r;
    for (size_t i = 0; i < s->count; i++) {
        r = followed_take(&s->followed[i], now_ns);
        if (r < 0)
            return r;
    }
    drop_gone(s, now_ns);
    return publish(s, now_ns);
}

const struct sample_set *sampler_set(const struct sampler *s) { return &s->set; }

const char *sampler_missing(const struct sampler *s)
{
    for (size_t i = 0; i < s->name_count; i++) {
        size_t k = 0;

        while (k < s->count && !asked_owner(s->names[i], s->followed[k].file_name) &&
               strcmp(s->names[i], s->followed[k].path))
            k++;
        if (k == s->count)
            return s->names[i];
    }
    return NULL;
}

const struct sample_vm *sampler_failed(struct sampler *s)
{
    for (size_t i = 0, vm = 0; s->name_count && vm < s->set.count; i++) {
        struct followed *f = &s->followed[i];

        if (f->hidden)
            continue;
        if (f->error && !f->told) {
            f->told = 1;
            return &s->vms[vm];
        }
        vm++;
    }
    return NULL;
}

const char *sample_state(const struct sample_vm *vm)
{
    switch (vm->error) {
    case 0:
    case -EBADMSG:
    case -EPROTONOSUPPORT:
        return vmt_state_name(vm->state);
    case -EACCES:
    case -EPERM:
        return "no access";
    case -ENODATA:
        return "empty";
    case -EMEDIUMTYPE:
        return "not a segment";
    default:
        return "unreadable";
    }
}

int sample_running(const struct sample_vm *vm) { return !vm->error && !is_gone(vm->state); }
