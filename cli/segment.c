/* SPDX-License-Identifier: MIT */
#include "segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESS "/proc/"

uint32_t segment_process(const char *path)
{
    const char *digits = path + strlen(PROCESS);

    if (strncmp(path, PROCESS, strlen(PROCESS)) != 0 || digits[0] < '1' || digits[0] > '9' || strlen(digits) > 9 ||
        digits[strspn(digits, "0123456789")])
        return 0;
    return (uint32_t)strtoul(digits, NULL, 10);
}

int segment_foreign(const struct vmt_segment_info *info) { return (info->flags & VMT_SNAPSHOT_FOREIGN) != 0; }

char *segment_name(char *buf, size_t n, const struct vmt_segment_info *info)
{
    buf[vmt_segment_info_title(info, buf, n)] = '\0';
    return buf;
}

char *segment_owner(char *buf, size_t n, const struct vmt_segment_info *info)
{
    char title[SEGMENT_NAME];

    snprintf(buf, n, "%s", title + vmt_segment_info_title(info, title, sizeof(title)));
    return buf;
}

char *segment_title(char *buf, size_t n, const struct vmt_segment_info *info)
{
    vmt_segment_info_title(info, buf, n);
    return buf;
}

enum vmt_state segment_state(const struct vmt_segment_info *info)
{
    return info->flags & VMT_SNAPSHOT_SET_ASIDE ? VMT_STATE_DAMAGED : info->state;
}

uint64_t segment_restarts(const struct vmt_segment_info *info)
{
    return info->incarnation > 1 ? info->incarnation - 1 : 0;
}

const char *segment_from(uint32_t from, size_t i)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } places[SEGMENT_FROM] = { { VMT_FROM_SEGMENT, "segment" },
                               { VMT_FROM_FDS, "fds" },
                               { VMT_FROM_DEBUGFS, "debugfs" },
                               { VMT_FROM_COPIES, "copies" } };

    return from & places[i].flag ? places[i].name : NULL;
}

char *segment_from_text(char *buf, uint32_t from)
{
    size_t at = 0;

    snprintf(buf, SEGMENT_FROM_TEXT, "-");
    for (size_t i = 0; i < SEGMENT_FROM; i++) {
        const char *name = segment_from(from, i);

        if (name)
            at += (size_t)snprintf(buf + at, SEGMENT_FROM_TEXT - at, "%s%s", at ? "+" : "", name);
    }
    return buf;
}

/* One counter of source 0, by its name: older libraries may not have it, newer ones elsewhere. */
static uint64_t counter(const struct vmt_sample *segment, const char *name)
{
    for (uint32_t i = 0; i < segment->schema->count; i++) {
        const struct vmt_descriptor *d = &segment->schema->descriptors[i];

        if (d->size == 1 && strcmp(d->name, name) == 0)
            return segment->values[d->slot];
    }
    return 0;
}

struct segment_losses segment_losses(const struct vmt_snapshot *snapshot)
{
    struct segment_losses losses = { 0, 0, 0 };
    const struct vmt_sample *segment = vmt_snapshot_count(snapshot) ? vmt_snapshot_source(snapshot, 0) : NULL;

    if (!segment || segment->flags & VMT_SAMPLE_ABSENT)
        return losses;
    losses.sources = counter(segment, "dropped_sources");
    losses.shards = counter(segment, "dropped_shards");
    losses.torn = counter(segment, "shards_torn");
    return losses;
}

char *segment_losses_text(char *buf, size_t n, const struct segment_losses *losses)
{
    const struct {
        uint64_t count;
        const char *one;
        const char *more;
    } parts[] = { { losses->sources, "source", "sources" },
                  { losses->shards, "shard", "shards" },
                  { losses->torn, "torn", "torn" } };
    size_t at = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && at < n; i++) {
        if (parts[i].count)
            at += (size_t)snprintf(buf + at, n - at, "%s%" PRIu64 " %s", at ? ", " : "", parts[i].count,
                                   parts[i].count == 1 ? parts[i].one : parts[i].more);
    }
    return buf;
}
