/* SPDX-License-Identifier: MIT */
#include "select.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmtally/host.h>

#include "host.h"
#include "message.h"
#include "nearest.h"
#include "segment.h"
#include "shm/clock.h"
#include "lib/kvm/handle.h"

#define SECOND UINT64_C(1000000000)

/* Where vmt_discover() looks, in words. */
static void where(const char *dir, char *buf, size_t n)
{
    const char *variable = dir ? dir : getenv("VMTALLY_DIR");
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (variable && variable[0])
        snprintf(buf, n, "%s", variable);
    else
        snprintf(buf, n, "/run/vmtally, %s%s/dev/shm/vmtally-%u", runtime && runtime[0] ? runtime : "",
                 runtime && runtime[0] ? "/vmtally, " : "", (unsigned)geteuid());
}

void selection_say_none(const struct options *common)
{
    char places[4096];

    where(common->dir, places, sizeof(places));
    message_error("no VMs found in %s%s; start one, or name another place with --dir", places,
                  common->host ? ", nor processes that have VMs" : "");
}

static int add(struct selection *s, const char *path, const char *name)
{
    struct selected *grown = reallocarray(s->files, s->count + 1, sizeof(*grown));
    struct selected *one;

    if (!grown)
        return -1;
    s->files = grown;
    one = &grown[s->count];
    one->path = strdup(path);
    one->name = strdup(name);
    if (!one->path || !one->name) {
        free(one->path);
        free(one->name);
        return -1;
    }
    s->count++;
    return 0;
}

void selection_free(struct selection *selection)
{
    for (size_t i = 0; i < selection->count; i++) {
        free(selection->files[i].path);
        free(selection->files[i].name);
    }
    free(selection->files);
    *selection = (struct selection){ 0 };
}

/* How well a file or a process fits the name of a VM. What may be somebody else's, or can't be read to find out whose it
 * is, never takes the place of what fits for sure. */
enum fit { FIT_NOT, FIT_DOUBTFUL, FIT_NAME, FIT_FILE };

static enum fit fit(const struct options *common, const struct vmt_found *found, const char *vm,
                    struct vmt_snapshot *snapshot, struct nearest *meant)
{
    int file = strcmp(found->name, vm) == 0;
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    char shown[SEGMENT_NAME];
    int name;

    if (selection_take(common, found->path, snapshot) < 0) {
        nearest_try(meant, found->name);
        return file ? FIT_DOUBTFUL : FIT_NOT;
    }
    segment_title(shown, sizeof(shown), info);
    nearest_try(meant, shown);
    /* A file in jail mode may be called anything; one that was set aside says a name that is another's by now. */
    name = !segment_set_aside(found->path) && strcmp(info->name, vm) == 0;
    if (segment_foreign(info))
        return file || name || strcmp(shown, vm) == 0 ? FIT_DOUBTFUL : FIT_NOT;
    return file ? FIT_FILE : name ? FIT_NAME : FIT_NOT;
}

/* Whether vm is the number of the process at path. */
static int is_pid(const char *path, const char *vm)
{
    return segment_process(path) && strcmp(strrchr(path, '/') + 1, vm) == 0;
}

/* Those that fit best. */
static int choose(const struct options *common, const struct vmt_found *found, size_t count, const char *vm,
                  struct selection *s, struct nearest *meant)
{
    struct vmt_snapshot *snapshot = NULL;
    enum fit *fits = calloc(count + 1, sizeof(*fits));
    enum fit best = FIT_NOT;
    bool segment = false; /* it is the name of a segment for sure */
    int r = fits ? vmt_snapshot_new(&snapshot) : -1;

    for (size_t i = 0; i < count && r == 0; i++) { /* all need not be read where one is called so */
        if (strcmp(found[i].name, vm) == 0)
            fits[i] = fit(common, &found[i], vm, snapshot, meant);
        best = fits[i] > best ? fits[i] : best;
        segment = segment || (fits[i] == FIT_FILE && !segment_process(found[i].path));
    }
    /* A pid is no name that a process gives itself; but it may come to have the one that a VM is called by. */
    for (size_t i = 0; i < count && r == 0 && !segment; i++) {
        if (is_pid(found[i].path, vm)) {
            free(fits);
            vmt_snapshot_free(snapshot);
            return add(s, found[i].path, found[i].name);
        }
    }
    for (size_t i = 0; i < count && r == 0 && best < FIT_FILE; i++) {
        fits[i] = fit(common, &found[i], vm, snapshot, meant);
        best = fits[i] > best ? fits[i] : best;
    }
    for (size_t i = 0; i < count && r == 0 && best > FIT_NOT; i++) {
        if (fits[i] == best)
            r = add(s, found[i].path, found[i].name);
    }
    vmt_snapshot_free(snapshot);
    free(fits);
    return r;
}

static int choose_all(const struct vmt_found *found, size_t count, struct selection *s)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = add(s, found[i].path, found[i].name);
    return r;
}

static int say_none_such(const struct options *common, const char *vm, const struct nearest *meant)
{
    char places[4096];
    char near[NEAREST_TEXT];

    if (meant->found) {
        message_error("no such VM: %s%s", vm, nearest_text(meant, near, sizeof(near)));
        return -1;
    }
    where(common->dir, places, sizeof(places));
    message_error("no such VM: %s (looked in %s%s); 'vmtally list' shows what there is", vm, places,
                  common->host ? ", and at all processes" : "");
    return -1;
}

int selection_find(const struct options *common, const char *vm, struct selection *ret)
{
    struct selection s = { 0 };
    struct nearest meant = { .asked = vm };
    struct vmt_found *found = NULL;
    long count = 0;
    char places[4096];
    char reason[256];
    int r;

    if (vm && strchr(vm, '/')) {
        r = add(&s, vm, vm);
    } else {
        count = common->host ? vmt_host_discover(common->host, common->dir, &found) : vmt_discover(common->dir, &found);
        if (count < 0) {
            where(common->dir, places, sizeof(places));
            message_error("%s: %s", places, message_reason((int)count, reason, sizeof(reason)));
            return -1;
        }
        r = vm ? choose(common, found, (size_t)count, vm, &s, &meant) : choose_all(found, (size_t)count, &s);
        vmt_found_free(found, count);
    }
    if (r) {
        message_error("out of memory");
        selection_free(&s);
        return -1;
    }
    if (vm && s.count == 0)
        return say_none_such(common, vm, &meant);
    *ret = s;
    return 0;
}

void selection_say_trouble(const struct options *common, const char *vm, const struct selection *selection)
{
    if (!vm)
        host_say_trouble(common, NULL);
    else if (selection->count == 0)
        host_say_trouble(common, ""); /* it may be one that can't be looked into */
    for (size_t i = 0; vm && i < selection->count; i++)
        host_say_trouble(common, selection->files[i].path);
}

int selection_take(const struct options *common, const char *path, struct vmt_snapshot *snapshot)
{
    const struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = VMT_READ_GUARDED };
    struct vmt_reader *reader = NULL;
    int r = vmt_reader_open_host(common->host, path, &options, &reader);

    if (r < 0)
        return r;
    r = vmt_snapshot_take(snapshot, reader);
    vmt_reader_close(reader);
    return r;
}

/* What the VMM has published for readers, and this one may not have. Where it may, or the VMM copies, there is something
 * else in its place. */
static int has_handle(const struct vmt_snapshot *snapshot)
{
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        if (kvm_is_handle(vmt_snapshot_source(snapshot, i)->schema))
            return vmt_snapshot_segment(snapshot)->state == VMT_STATE_LIVE;
    }
    return 0;
}

int selection_take_or_say(const struct options *common, const char *path, struct vmt_snapshot *snapshot)
{
    char reason[256];
    int r = selection_take(common, path, snapshot);

    if (r < 0)
        message_error("%s: %s", path, message_reason(r, reason, sizeof(reason)));
    else if (vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_PARTIAL)
        message_error("%s: some of it could not be read; what is shown is right, but not all", path);
    if (r >= 0 && has_handle(snapshot))
        message_error("kernel counters of %s: permission denied; run as root, or as the user of its VMM",
                      vmt_snapshot_segment(snapshot)->name);
    return r;
}

uint64_t select_age_ns(const struct vmt_segment_info *info)
{
    const uint64_t since = shm_clock_ns(CLOCK_BOOTTIME);
    const uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t started;

    if (!segment_process(info->path))
        return info->realtime_ns > info->created_ns ? info->realtime_ns - info->created_ns : 0;
    started = info->pid_start / ticks * SECOND + info->pid_start % ticks * SECOND / ticks;
    return since > started ? since - started : 0;
}

int select_matches(const char *glob, const char *name) { return !glob || fnmatch(glob, name, 0) == 0; }
