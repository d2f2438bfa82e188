/* SPDX-License-Identifier: MIT */
/* segment.h: what both commands say of a segment as a whole: its name, whose it is, what it lost, how often its writer
 * began again. */
#ifndef CLI_SEGMENT_H
#define CLI_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/reader.h>

#define SEGMENT_NAME VMT_TITLE_SIZE /* bytes that hold a name, with its owner too */
#define SEGMENT_OWNER 24            /* bytes that hold an owner alone */

/* The process that a VM without a segment is the path of, "/proc/4711": its number; 0 where path is a file's. */
uint32_t segment_process(const char *path);

/* 1 where the file is somebody else's: name and identity prove nothing. */
int segment_foreign(const struct vmt_segment_info *info);

/* The parts of vmt_segment_info_title(), the name and " (uid 1001)" or "", and all of it. All return buf. */
char *segment_name(char *buf, size_t n, const struct vmt_segment_info *info);
char *segment_owner(char *buf, size_t n, const struct vmt_segment_info *info);
char *segment_title(char *buf, size_t n, const struct vmt_segment_info *info);

/* As the writer is; but what was set aside is damaged, as far as its name goes. */
enum vmt_state segment_state(const struct vmt_segment_info *info);

/* How often a writer went on with what another had left. */
uint64_t segment_restarts(const struct vmt_segment_info *info);

#define SEGMENT_FROM 4 /* where counters may come from */

/* Place i (below SEGMENT_FROM) where counters may come from, if these do (VMT_FROM_), else NULL: "segment", what the VMM
 * counts; of the kernel's "fds", "debugfs", "copies". */
const char *segment_from(uint32_t from, size_t i);

#define SEGMENT_FROM_TEXT 40 /* bytes that hold them all */

/* "segment+fds"; "-" where there are none. Returns buf. */
char *segment_from_text(char *buf, uint32_t from);

/* What there was no room for, since the segment was made, and shards whose values disagree for good. */
struct segment_losses {
    uint64_t sources;
    uint64_t shards;
    uint64_t torn;
};
struct segment_losses segment_losses(const struct vmt_snapshot *snapshot);

#define SEGMENT_LOSSES 96 /* bytes that hold them as text */

/* "3 sources, 1 shard, 2 torn"; "" where nothing was lost. Returns buf. */
char *segment_losses_text(char *buf, size_t n, const struct segment_losses *losses);

#endif
