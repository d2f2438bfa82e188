/* SPDX-License-Identifier: MIT */
/* What people call a segment. */
#include "lib/title.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <vmtally/reader.h>

#include "shm/layout.h"
#include "shm/view.h"

#define OWNER_SIZE sizeof(" (uid 4294967295)")

uint32_t title_set_aside(const char *path)
{
    size_t n = strlen(path);
    size_t end;

    if (n < strlen(SHM_SUFFIX) || strcmp(path + n - strlen(SHM_SUFFIX), SHM_SUFFIX) != 0)
        return 0;
    end = n -= strlen(SHM_SUFFIX);
    while (n > 0 && path[n - 1] >= '0' && path[n - 1] <= '9')
        n--;
    return n < end && n > 1 && path[n - 1] == '~' && path[n - 2] != '/' ? VMT_SNAPSHOT_SET_ASIDE : 0;
}

size_t vmt_segment_info_title(const struct vmt_segment_info *info, char *buf, size_t n)
{
    const char *slash = strrchr(info->path, '/');
    const char *file = slash ? slash + 1 : info->path;
    const char *name = info->name;
    size_t size = strlen(name);
    size_t room = n > OWNER_SIZE ? n - OWNER_SIZE : 0; /* for the name */

    if (n == 0)
        return 0;
    if (title_set_aside(info->path)) {
        name = file;
        size = strlen(file) - strlen(SHM_SUFFIX);
    }
    if (size > room)
        size = room;
    memcpy(buf, name, size);
    buf[size] = '\0';
    shm_clean_text(buf, size + 1, false); /* the last character may be cut through */
    size = strlen(buf);
    if (info->flags & VMT_SNAPSHOT_FOREIGN)
        snprintf(buf + size, n - size, " (uid %" PRIu32 ")", info->uid);
    return size;
}
