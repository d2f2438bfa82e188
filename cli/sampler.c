/* SPDX-License-Identifier: MIT */
#include "sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "followed.h"
#include "host.h"
#include "segment.h"
#include "shm/clock.h"

#define LOOK_AGAIN_NS 10000000000U /* after a look that got no answer */

struct sampler {
    struct vmt_host *host; /* NULL: segments only */
    int looked;            /* what the last look at it gave */
    uint64_t look_ns;      /* CLOCK_MONOTONIC: not before */
    const char *dir;
    char *const *names;
    size_t name_count;
    struct followed **followed; /* sorted by name, then path */
    size_t count;
    size_t capacity;
    struct sample_vm *vms;
    struct followed **shown; /* of which each of vms is */
    size_t shown_count;
    size_t vm_capacity;
    uint64_t *focus; /* sorted */
    size_t focus_count;
    uint64_t last_id;
    uint64_t epoch;
    uint64_t beat_ns; /* CLOCK_MONOTONIC of the last beat */
    int compares;
    struct spare spare;
    struct sample_set set;
};

int sampler_new(struct vmt_host *host, const char *dir, char *const *names, size_t count, struct sampler **ret)
{
    struct sampler *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->host = host;
    s->dir = dir;
    s->names = names;
    s->name_count = count;
    s->compares = 1;
    *ret = s;
    return 0;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        followed_free(s->followed[i], &s->spare);
    spare_free(&s->spare);
    free(s->followed);
    free(s->vms);
    free(s->shown);
    free(s->focus);
    free(s);
}

/* ---- find ---- */

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

/* It is the path, or the pid of a VM without a segment. */
static int asks_path(const char *asked, const char *path)
{
    const char *pid = strrchr(path, '/');

    return !strcmp(asked, path) || (pid && segment_process(path) && !strcmp(asked, pid + 1));
}

static int wanted(const struct sampler *s, const char *path, const char *name)
{
    if (!s->name_count)
        return 1;
    for (size_t i = 0; i < s->name_count; i++) {
        if (asked_owner(s->names[i], name) || asks_path(s->names[i], path))
            return 1;
    }
    return 0;
}

/* Mark that of path as found; make it where there is none. */
static int find_one(struct sampler *s, const char *path, const char *name)
{
    struct followed *f = NULL;
    size_t low = 0;
    size_t high = s->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = compare_names(name, path, s->followed[middle]);

        if (c == 0) {
            s->followed[middle]->found = 1;
            return 0;
        }
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 16;
        struct followed **more = reallocarray(s->followed, capacity, sizeof(struct followed *));

        if (!more)
            return -ENOMEM;
        s->followed = more;
        s->capacity = capacity;
    }
    if (followed_new(s->host, path, name, s->last_id + 1, &f) < 0)
        return -ENOMEM;
    s->last_id++;
    memmove(&s->followed[low + 1], &s->followed[low], (s->count - low) * sizeof(struct followed *));
    s->followed[low] = f;
    f->found = 1;
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

static int look(struct sampler *s)
{
    if (!s->host || shm_now_ns() < s->look_ns)
        return 0;
    s->looked = vmt_host_look(s->host);
    s->look_ns = s->looked == -ETIMEDOUT ? shm_now_ns() + LOOK_AGAIN_NS : 0;
    return s->looked == -ENOMEM ? -ENOMEM : 0;
}

int sampler_looked(const struct sampler *s) { return s->looked; }

void sampler_say_host(const struct sampler *s, const struct options *common)
{
    if (s->name_count == 0)
        host_say_trouble(common, NULL);
    else if (s->set.count == 0)
        host_say_trouble(common, ""); /* it may be one that can't be looked into */
    for (size_t i = 0; s->name_count && i < s->set.count; i++)
        host_say_trouble(common, s->set.vms[i].path);
}

static long discover(const struct sampler *s, struct vmt_found **ret)
{
    if (all_paths(s))
        return 0;
    return s->host ? vmt_host_discover(s->host, s->dir, ret) : vmt_discover(s->dir, ret);
}

int sampler_find(struct sampler *s)
{
    struct vmt_found *found = NULL;
    int r = look(s);
    long count = r < 0 ? r : discover(s, &found);

    if (count < 0)
        return (int)count;
    for (size_t i = 0; i < s->count; i++)
        s->followed[i]->found = 0;
    for (long i = 0; i < count && r == 0; i++) {
        if (wanted(s, found[i].path, found[i].name))
            r = find_one(s, found[i].path, found[i].name);
    }
    vmt_found_free(found, count);
    for (size_t i = 0; i < s->name_count && r == 0; i++) {
        const char *name = strrchr(s->names[i], '/');

        if (name && followed_exists(s->host, s->names[i]))
            r = find_one(s, s->names[i], name[1] ? name + 1 : s->names[i]);
    }
    return r;
}

/* ---- which of them are shown ---- */

static int trusted(const struct followed *f) { return f->read && !f->error && !f->owner[0]; }

/* Those in group have the same name. Whether the name that was asked for means f, or one of them that is trusted. */
static int means(const char *asked, const struct followed *f, struct followed *const *group, size_t count)
{
    const char *owner = asked_owner(asked, f->file_name);

    if (asks_path(asked, f->path))
        return 1;
    if (!owner || owner[0])
        return owner && !strcmp(owner, f->owner);
    for (size_t i = 0; i < count && !trusted(f); i++) {
        if (trusted(group[i]))
            return 0;
    }
    return 1;
}

static int hidden(const struct sampler *s, const struct followed *f, struct followed *const *group, size_t count)
{
    for (size_t i = 0; i < s->name_count; i++) {
        if (means(s->names[i], f, group, count))
            return 0;
    }
    return s->name_count > 0;
}

/* Its VM and file have been gone for long enough, or it never was one; or a process has a segment by now, which is the
 * same VM. */
static int is_over(const struct followed *f, uint64_t now_ns)
{
    int gone = f->gone_ns && now_ns - f->gone_ns >= SAMPLER_KEEP_GONE_NS;

    return !f->found && (gone || !f->reader || (f->process && !f->gone_ns));
}

/* ---- a beat ---- */

static void read_host(struct sample_set *set)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (getloadavg(set->load, 3) != 3)
        set->load[0] = set->load[1] = set->load[2] = -1;
    set->cpus = cpus > 0 ? (uint32_t)cpus : 0;
}

static uint64_t created_ns(const struct followed *f)
{
    if (f->process)
        return f->created_ns;
    return f->read ? vmt_snapshot_segment(f->newest.snapshot)->created_ns : 0;
}

/* One VM, last in the set so far. */
static int show(struct sampler *s, struct followed *f, sample_observer *observe, void *arg)
{
    struct sample_vm *vm = &s->vms[s->shown_count];
    const struct vmt_delta *delta = NULL;
    int r = s->compares || f->focused ? followed_compare(f, &s->spare, &delta) : 0;

    if (r < 0)
        return r;
    *vm = (struct sample_vm){
        .id = f->id,
        .name = f->name,
        .title = f->title,
        .owner = f->owner,
        .path = f->clean_path,
        .process = f->process,
        .created_ns = created_ns(f),
        .snapshot = f->read ? f->newest.snapshot : NULL,
        .before = f->compared,
        .delta = delta,
        .mark = f->mark.snapshot,
        .error = f->error,
        .state = f->error || f->process ? f->state : segment_state(vmt_snapshot_segment(f->newest.snapshot)),
    };
    if (observe)
        r = observe(arg, &s->set, vm);
    if (!f->focused) {
        vm->before = NULL;
        vm->delta = NULL;
    }
    s->shown[s->shown_count++] = f;
    return r;
}

/* Those of one name: all are read before one of them is shown, for which one is meant depends on whose they are. */
static int take_group(struct sampler *s, struct followed **group, size_t count, uint64_t now_ns,
                      sample_observer *observe, void *arg)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        r = followed_take(group[i], &s->spare, now_ns);
        followed_describe(group[i], &s->last_id);
    }
    for (size_t i = 0; i < count; i++) {
        struct followed *f = group[i];

        f->dropped = is_over(f, now_ns);
        f->hidden = f->dropped || hidden(s, f, group, count);
        if (r == 0 && !f->hidden)
            r = show(s, f, observe, arg);
        followed_done(f, &s->spare);
    }
    return r;
}

static size_t group_at(const struct sampler *s, size_t from)
{
    size_t to = from + 1;

    while (to < s->count && !strcmp(s->followed[from]->file_name, s->followed[to]->file_name))
        to++;
    return to - from;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int take_all(struct sampler *s, uint64_t now_ns, sample_observer *observe, void *arg)
{
    int r = 0;

    for (size_t i = 0, n; i < s->count && r == 0; i += n) {
        n = group_at(s, i);
        for (size_t k = i; k < i + n; k++) {
            struct followed *f = s->followed[k];

            f->focused =
                s->focus_count && bsearch(&f->id, s->focus, s->focus_count, sizeof(*s->focus), compare_ids) != NULL;
            f->keeps_before = f->focused || n > 1;
        }
        r = take_group(s, &s->followed[i], n, now_ns, observe, arg);
    }
    return r;
}

/* What nobody needs any more goes now, so that no schema takes the place of another in the middle of a beat. */
static void end_beat(struct sampler *s)
{
    size_t kept = 0;
    int gone = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct followed *f = s->followed[i];

        gone |= followed_end(f);
        if (!f->dropped) {
            s->followed[kept++] = f;
            continue;
        }
        gone |= f->exposed;
        followed_free(f, &s->spare);
    }
    s->count = kept;
    s->epoch += (uint64_t)gone;
}

static int reserve(struct sampler *s)
{
    struct sample_vm *vms;
    struct followed **shown;

    if (s->count <= s->vm_capacity)
        return 0;
    vms = reallocarray(s->vms, s->capacity, sizeof(*vms));
    if (!vms)
        return -ENOMEM;
    s->vms = vms;
    shown = reallocarray(s->shown, s->capacity, sizeof(struct followed *));
    if (!shown)
        return -ENOMEM;
    s->shown = shown;
    s->vm_capacity = s->capacity;
    return 0;
}

int sampler_take(struct sampler *s, sample_observer *observe, void *arg)
{
    uint64_t now_ns = shm_now_ns();
    int r = sampler_find(s);

    if (r == 0)
        r = reserve(s);
    if (r < 0)
        return r;
    s->set.count = s->shown_count = 0;
    s->set.found = s->count;
    s->set.realtime_ns = shm_clock_ns(CLOCK_REALTIME);
    s->set.interval_ns = s->beat_ns ? now_ns - s->beat_ns : 0;
    s->beat_ns = now_ns;
    read_host(&s->set);
    r = take_all(s, now_ns, observe, arg);
    end_beat(s);
    s->set.vms = s->vms;
    s->set.count = r < 0 ? 0 : s->shown_count;
    return r;
}

int sampler_took(const struct sampler *s) { return s->beat_ns != 0; }

/* ---- what is kept ---- */

int sampler_focus(struct sampler *s, const uint64_t *ids, size_t count)
{
    uint64_t *focus = count ? reallocarray(s->focus, count, sizeof(*focus)) : s->focus;

    if (count && !focus)
        return -ENOMEM;
    s->focus = focus;
    s->focus_count = count;
    if (count) {
        memcpy(focus, ids, count * sizeof(*focus));
        qsort(focus, count, sizeof(*focus), compare_ids);
    }
    return 0;
}

void sampler_compare(struct sampler *s, int compare) { s->compares = compare; }

int sampler_mark(struct sampler *s, int mark)
{
    for (size_t i = 0; i < s->count; i++)
        followed_mark(s->followed[i], mark);
    for (size_t i = 0; i < s->set.count; i++)
        s->vms[i].mark = s->shown[i]->mark.snapshot;
    return 0;
}

uint64_t sampler_epoch(const struct sampler *s) { return s->epoch; }

/* ---- what there is to say ---- */

const struct sample_set *sampler_set(const struct sampler *s) { return &s->set; }

const char *sampler_missing(const struct sampler *s)
{
    for (size_t i = 0; i < s->name_count; i++) {
        size_t k = 0;

        while (k < s->count && !asked_owner(s->names[i], s->followed[k]->file_name) &&
               !asks_path(s->names[i], s->followed[k]->path))
            k++;
        if (k == s->count)
            return s->names[i];
    }
    return NULL;
}

const struct sample_vm *sampler_failed(struct sampler *s)
{
    for (size_t i = 0; s->name_count && i < s->set.count; i++) {
        struct followed *f = s->shown[i];

        if (f->error && !f->told) {
            f->told = 1;
            return &s->vms[i];
        }
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
    case -ESRCH:
        return vmt_state_name(VMT_STATE_CLOSED);
    default:
        return "unreadable";
    }
}

int sample_running(const struct sample_vm *vm) { return !vm->error && !followed_is_gone(vm->state); }
