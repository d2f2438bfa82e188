/* SPDX-License-Identifier: MIT */
/* judge.h: what a snapshot may look like, whatever the file was. */
#ifndef FUZZ_JUDGE_H
#define FUZZ_JUDGE_H

#include <stdbool.h>

#include <vmtally/delta.h>
#include <vmtally/reader.h>

/* -ENOMEM is an answer, too. */
extern bool judge_no_memory;

/* Valid UTF-8 without control characters, or only printable ASCII. */
void judge_text(const char *text, bool ascii);

void judge_schema(const struct vmt_schema *schema);

/* Schemas that were looked at already: they are immutable, and shared by the snapshots of one reader. */
struct seen {
    const struct vmt_schema *schemas[VMT_SCHEMAS_MAX];
    uint32_t count;
};

/* result: what vmt_snapshot_take() said. file_bytes: as large as the file ever was. */
void judge_snapshot(const struct vmt_snapshot *snapshot, int result, uint64_t file_bytes, struct seen *seen);

/* Single sources, from an earlier snapshot. still: nothing has changed since. */
void judge_samples(struct vmt_reader *reader, const struct vmt_snapshot *snapshot, bool still);

/* Both of the same bytes. */
void judge_equal(const struct vmt_snapshot *a, int result_a, const struct vmt_snapshot *b, int result_b,
                 const char *what);

void judge_delta(struct vmt_delta *delta, const struct vmt_snapshot *older, const struct vmt_snapshot *newer);

#endif
