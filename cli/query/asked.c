/* SPDX-License-Identifier: MIT */
#include "cli/query/asked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/host.h>

#include "cli/message.h"
#include "cli/segment.h"
#include "cli/select.h"

#define NAMED 4 /* of several, in a message */

/* Which of several? */
static int say_several(const struct selection *s, const char *vm)
{
    char list[1024] = "";
    size_t n = s->count < NAMED ? s->count : NAMED;

    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(list);

        snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", vm ? s->files[i].path : s->files[i].name);
    }
    if (s->count > n)
        snprintf(list + strlen(list), sizeof(list) - strlen(list), " and %zu more", s->count - n);
    if (vm)
        message_error("several VMs are called %s: %s; name one by its path", vm, list);
    else
        message_error("there are several VMs: %s; choose one with --vm", list);
    return -1;
}

static int choose(const struct selection *s, const char *vm, struct asked *a)
{
    /* Who named a file or a process wants no other. */
    bool by_name =
        !vm || (!strchr(vm, '/') && !(segment_process(s->files[0].path) && strspn(vm, "0123456789") == strlen(vm)));

    a->path = strdup(s->files[0].path);
    a->name = by_name ? strdup(s->files[0].name) : NULL;
    if (!a->path || (by_name && !a->name) || vmt_snapshot_new(&a->snapshot)) {
        message_error("out of memory");
        asked_free(a);
        return -1;
    }
    return 0;
}

int asked_find(const struct options *common, const char *vm, bool again, struct asked *ret)
{
    struct asked a = { .common = common, .again = again };
    struct selection s = { 0 };
    int r = -1;

    if (selection_find(common, vm, &s))
        return -1;
    if (s.count == 0)
        selection_say_none(common);
    else
        r = s.count > 1 ? say_several(&s, vm) : choose(&s, vm, &a);
    selection_free(&s);
    if (r == 0)
        *ret = a;
    return r;
}

void asked_free(struct asked *asked)
{
    free(asked->path);
    free(asked->name);
    vmt_snapshot_free(asked->snapshot);
    *asked = (struct asked){ 0 };
}

/* One of that name has come instead: another process, or with a segment now. */
static bool find_again(struct asked *a)
{
    char *path = selection_path_of(a->common, a->name);

    if (!path)
        return false;
    free(a->path);
    a->path = path;
    return true;
}

const struct vmt_snapshot *asked_look(void *arg, char *why, size_t size)
{
    struct asked *a = arg;
    char reason[256];
    int r = 0;

    if (a->fresh)
        return a->snapshot;
    if (a->again && a->common->host)
        r = vmt_host_look(a->common->host);
    if (r == -EPIPE) { /* any other failure may pass, and until then the last look stands */
        snprintf(why, size, "the process that reads the kernel's counters has ended; start vmtally query again");
        return NULL;
    }
    r = selection_take(a->common, a->path, a->snapshot);
    if ((r == -ESRCH || r == -ENOENT) && a->name && a->common->host && find_again(a))
        r = selection_take(a->common, a->path, a->snapshot);
    a->fresh = r >= 0;
    if (r >= 0)
        return a->snapshot;
    snprintf(why, size, "%s: %s", a->path, message_reason(r, reason, sizeof(reason)));
    return NULL;
}
