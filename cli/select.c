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
#include "places.h"
#include "segment.h"
#include "shm/clock.h"

#define SECOND UINT64_C(1000000000)

/* By copying it would take ten times as long. */
static const struct vmt_reader_options guarded = { .struct_size = sizeof(guarded), .mode = VMT_READ_GUARDED };

void selection_say_none(const struct options *common)
{
    char places[PLACES];

    message_error("no VMs found in %s%s; start one, or name another place with --dir",
                  vmt_discover_places(common->dir, places, sizeof(places)),
                  common->host ? ", nor processes that have VMs" : "");
}

void selection_free(struct selection *selection)
{
    vmt_found_free(selection->files, (long)selection->count);
    *selection = (struct selection){ 0 };
}

static long find_all(const struct options *common, struct vmt_found **ret)
{
    return common->host ? vmt_host_discover(common->host, common->dir, ret) : vmt_discover(common->dir, ret);
}

static long find_path(const char *path, struct vmt_found **ret)
{
    struct vmt_found *one = calloc(1, sizeof(*one));

    if (!one)
        return -ENOMEM;
    one->path = strdup(path);
    one->name = strdup(path);
    if (!one->path || !one->name) {
        vmt_found_free(one, 1);
        return -ENOMEM;
    }
    *ret = one;
    return 1;
}

/* Of all names that there are, the one that was meant, perhaps. */
static void find_nearest(const struct options *common, struct nearest *meant)
{
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_found *found = NULL;
    long count = vmt_snapshot_new(&snapshot) < 0 ? 0 : find_all(common, &found);
    char title[SEGMENT_NAME];

    for (long i = 0; i < count; i++) {
        bool read = selection_take(common, found[i].path, snapshot) >= 0;

        nearest_try(meant, read ? segment_title(title, sizeof(title), vmt_snapshot_segment(snapshot)) : found[i].name);
    }
    vmt_found_free(found, count);
    vmt_snapshot_free(snapshot);
}

static void say_none_such(const struct options *common, const char *vm)
{
    struct nearest meant = { .asked = vm };
    char places[PLACES];
    char near[NEAREST_TEXT];

    find_nearest(common, &meant);
    if (meant.found)
        message_error("no such VM: %s%s", vm, nearest_text(&meant, near, sizeof(near)));
    else
        message_error("no such VM: %s (looked in %s%s); 'vmtally list' shows what there is", vm,
                      vmt_discover_places(common->dir, places, sizeof(places)),
                      common->host ? ", and at all processes" : "");
}

static long find_named(const struct options *common, const char *name, struct vmt_found **ret)
{
    return vmt_host_find(common->host, common->dir, name, &guarded, ret);
}

static long find(const struct options *common, const char *vm, struct vmt_found **ret)
{
    if (!vm)
        return find_all(common, ret);
    return strchr(vm, '/') ? find_path(vm, ret) : find_named(common, vm, ret);
}

int selection_find(const struct options *common, const char *vm, struct selection *ret)
{
    struct vmt_found *found = NULL;
    long count = find(common, vm, &found);
    char text[PLACES_TEXT];

    if (count > 0 || (count == 0 && !vm)) {
        *ret = (struct selection){ found, (size_t)count };
        return 0;
    }
    if (count == 0)
        say_none_such(common, vm);
    else
        message_error("%s", places_trouble(common, (int)count, false, text, sizeof(text)));
    return -1;
}

char *selection_path_of(const struct options *common, const char *name)
{
    struct vmt_found *found = NULL;
    long count = find_named(common, name, &found);
    char *path = NULL;

    if (count == 1) {
        path = found->path;
        found->path = NULL;
    }
    vmt_found_free(found, count);
    return path;
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
    struct vmt_reader *reader = NULL;
    int r = vmt_reader_open_host(common->host, path, &guarded, &reader);

    if (r < 0)
        return r;
    r = vmt_snapshot_take(snapshot, reader);
    vmt_reader_close(reader);
    return r;
}

int selection_take_or_say(const struct options *common, const char *path, struct vmt_snapshot *snapshot)
{
    char reason[256];
    int r = selection_take(common, path, snapshot);

    if (r < 0)
        message_error("%s: %s", path, message_reason(r, reason, sizeof(reason)));
    else if (vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_PARTIAL)
        message_error("%s: some of it could not be read; what is shown is right, but not all", path);
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
