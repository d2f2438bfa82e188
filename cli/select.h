/* SPDX-License-Identifier: MIT */
/* select.h: which segments, sources and statistics a command is about. */
#ifndef CLI_SELECT_H
#define CLI_SELECT_H

#include <vmtally/reader.h>

#include "options.h"

/* Files of segments, and processes. */
struct selection {
    struct vmt_found *files;
    size_t count;
};

/* The VMs that vm names, or all (vm NULL): a path if it contains a '/' (of a segment, or "/proc/PID"), else what
 * vmt_host_find() says of those found in common->dir (as for vmt_discover()) or on the host. *ret is the caller's; free with selection_free(). 0, or -1 after a message that says what there is, and which of them was
 * perhaps meant. None at all where vm is NULL is not an error: say so with selection_say_none(). */
int selection_find(const struct options *common, const char *vm, struct selection *ret);
void selection_free(struct selection *selection);

/* The path of the VM that name, which is no path, means; NULL where it means none or several, without a message. The
 * caller's to free. */
char *selection_path_of(const struct options *common, const char *name);

/* "no VMs found in ...; ..." on stderr. */
void selection_say_none(const struct options *common);

/* host_say_trouble() of the VMs that were found for vm; of all where it is NULL. */
void selection_say_trouble(const struct options *common, const char *vm, const struct selection *selection);

/* Attach to the VM at path, take one snapshot of it, and detach. As vmt_snapshot_take(), and what
 * vmt_reader_open_host() gives; on error without a message. */
int selection_take(const struct options *common, const char *path, struct vmt_snapshot *snapshot);

/* selection_take(), with a message where it fails or where the snapshot is partial. */
int selection_take_or_say(const struct options *common, const char *path, struct vmt_snapshot *snapshot);

/* How long the segment exists, 0 where the clock was set back since; of a VM without one, how long its process runs. */
uint64_t select_age_ns(const struct vmt_segment_info *info);

/* Whether name (the full id of a source, or the name of a statistic) matches glob, where '*' matches a '/' too.
 * glob NULL matches all. */
int select_matches(const char *glob, const char *name);

#endif
