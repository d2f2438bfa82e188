/* SPDX-License-Identifier: MIT */
/* decoding.h: for the tests of what reads streams back. */
#ifndef TESTS_UNIT_DECODING_H
#define TESTS_UNIT_DECODING_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/export.h>

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline struct vmt_decoder *new_decoder(void)
{
    struct vmt_decoder *decoder = NULL;

    cr_assert_eq(vmt_decoder_new(&decoder), 0);
    return decoder;
}

static inline struct vmt_decoder_state state_of(const struct vmt_decoder *decoder)
{
    struct vmt_decoder_state state;

    vmt_decoder_state(decoder, &state);
    return state;
}

static inline void feed(struct vmt_decoder *decoder, const void *bytes, size_t size)
{
    cr_assert_eq(vmt_decoder_feed(decoder, bytes, size), 0);
}

/* The next snapshot, which there must be. */
static inline const struct vmt_snapshot *next_of(struct vmt_decoder *decoder)
{
    const struct vmt_snapshot *snapshot = NULL;
    int r = vmt_decoder_next(decoder, &snapshot);

    cr_assert_eq(r, 1, "%d", r);
    return snapshot;
}

static inline int result_of(struct vmt_decoder *decoder)
{
    const struct vmt_snapshot *snapshot;

    return vmt_decoder_next(decoder, &snapshot);
}

/* To the byte, in what is JSON of them. */
static inline void assert_says_same(const struct vmt_snapshot *got, const struct vmt_snapshot *want)
{
    struct vmt_buffer x = { 0 }, y = { 0 };
    size_t at = 0;

    cr_assert_eq(vmt_json_encode(got, 0, &x), 0);
    cr_assert_eq(vmt_json_encode(want, 0, &y), 0);
    while (at < x.size && at < y.size && x.data[at] == y.data[at])
        at++;
    cr_assert(at == x.size && at == y.size, "from %zu on:\n%.200s\n%.200s", at, x.data + at, y.data + at);
    vmt_buffer_free(&x);
    vmt_buffer_free(&y);
}

/* And in what JSON leaves out, but a stream has. */
static inline void assert_equal(const struct vmt_snapshot *got, const struct vmt_snapshot *want)
{
    const struct vmt_segment_info *i = vmt_snapshot_segment(got), *k = vmt_snapshot_segment(want);

    assert_says_same(got, want);
    cr_assert(i->from == k->from && i->flags == k->flags && i->heartbeat_ns == k->heartbeat_ns &&
              i->pid_start == k->pid_start && i->file_bytes == k->file_bytes && i->closed_ns == k->closed_ns &&
              i->major == k->major && i->minor == k->minor);
    for (size_t n = 0; n < vmt_snapshot_count(want); n++) {
        const struct vmt_sample *s = vmt_snapshot_source(got, n), *t = vmt_snapshot_source(want, n);

        cr_assert_str_eq(s->name, t->name);
        cr_assert(s->depth == t->depth && s->flags == t->flags);
        for (uint32_t u = 0; u < t->total_count; u++) {
            cr_assert_eq(s->totals[u].flags, t->totals[u].flags);
            for (uint32_t v = 0; v < t->totals[u].schema->slots && !t->totals[u].flags; v++)
                cr_assert_eq(s->totals[u].departed[v], t->totals[u].departed[v]);
        }
        for (uint32_t u = 0; u < t->shard_count; u++)
            cr_assert(s->shards[u].id == t->shards[u].id && s->shards[u].flags == t->shards[u].flags);
    }
}

static inline void encode_into(struct vmt_msgpack *stream, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    cr_assert_eq(vmt_msgpack_encode(stream, snapshot, out), 0);
}

static inline struct vmt_msgpack *new_stream(void)
{
    struct vmt_msgpack *stream = NULL;

    cr_assert_eq(vmt_msgpack_new(&stream), 0);
    return stream;
}

#endif
