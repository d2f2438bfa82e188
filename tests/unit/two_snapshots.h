/* SPDX-License-Identifier: MIT */
/* two_snapshots.h: what the tests of the decoder begin with: the fixed snapshot and the one after it, a real segment's, a
 * stream and a decoder. */
#ifndef TESTS_UNIT_TWO_SNAPSHOTS_H
#define TESTS_UNIT_TWO_SNAPSHOTS_H

#include "decoding.h"
#include "export_segment.h"
#include "fixed_snapshot.h"

static struct vmt_snapshot *before, *later;
static struct vmt_msgpack *stream;
static struct vmt_decoder *decoder;

static inline void setup(void)
{
    make_segment();
    before = fixed_snapshot();
    later = fixed_snapshot_later();
    stream = new_stream();
    decoder = new_decoder();
}

static inline void teardown(void)
{
    vmt_decoder_free(decoder);
    vmt_msgpack_free(stream);
    vmt_snapshot_free(before);
    vmt_snapshot_free(later);
    fixed_forget();
    remove_segment();
}

#endif
