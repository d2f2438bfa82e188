/* SPDX-License-Identifier: MIT */
/* one_source.h: a segment "vm" with one source "a" of part_schema. */
#ifndef TESTS_UNIT_ONE_SOURCE_H
#define TESTS_UNIT_ONE_SOURCE_H

#include "parts.h"

static struct vmt_segment *segment;
static struct vmt_source *source;

static inline void setup(void)
{
    test_dir_init();
    segment = new_segment("vm");
    source = add_source(segment, &part_schema, NULL, "a");
}

static inline void teardown(void)
{
    vmt_segment_close(segment);
    test_dir_fini();
}

#endif
