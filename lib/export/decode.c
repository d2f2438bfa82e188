/* SPDX-License-Identifier: MIT */
/* What was fed, frame by frame; behind damage, the search for what may be one. The work is linear in what was fed,
 * however it is cut and whatever it is. */
#include "decode.h"

#include <errno.h>
#include <stdlib.h>

/* What was fed and is done with is given back from that size on. */
#define KEPT_BYTES ((size_t)16 << 20)

int vmt_decoder_new(struct vmt_decoder **ret)
{
    struct vmt_decoder *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    if (vmt_snapshot_new(&d->snapshot) < 0) {
        free(d);
        return -ENOMEM;
    }
    *ret = d;
    return 0;
}

/* What a large frame took is not kept for small ones. */
static void give_back(struct vmt_decoder *d)
{
    vmt_buffer_free(&d->reader.text);
    vmt_buffer_free(&d->samples);
    vmt_buffer_free(&d->totals);
    vmt_buffer_free(&d->shards);
    vmt_buffer_free(&d->values);
    vmt_buffer_free(&d->places);
    vmt_buffer_free(&d->text);
}

void vmt_decoder_free(struct vmt_decoder *d)
{
    if (!d)
        return;
    streams_free(&d->streams);
    vmt_snapshot_free(d->snapshot);
    vmt_buffer_free(&d->in);
    give_back(d);
    free(d);
}

int vmt_decoder_feed(struct vmt_decoder *d, const void *bytes, size_t size)
{
    size_t left = d->in.size - d->start;

    d->ended = false;
    if (left == 0 && d->in.capacity > KEPT_BYTES)
        vmt_buffer_free(&d->in);
    if (d->start >= left) { /* each byte is moved once at most, on the average */
        if (left)
            memmove(d->in.data, d->in.data + d->start, left);
        d->in.size = left;
        d->start = 0;
    }
    if (size && vmt_buffer_append(&d->in, bytes, size) < 0)
        return -ENOMEM;
    d->state.bytes += size;
    return 0;
}

void vmt_decoder_end(struct vmt_decoder *d) { d->ended = true; }

void vmt_decoder_state(const struct vmt_decoder *d, struct vmt_decoder_state *ret)
{
    *ret = d->state;
    ret->waiting = d->in.size - d->start;
}

static void pass(struct vmt_decoder *d, size_t bytes)
{
    d->start += bytes;
    d->scan = (struct scan){ 0 };
}

/* ---- behind damage ---- */

/* What stands behind an array's head is a frame's of a stream that is known. */
static int may_be_frame(struct vmt_decoder *d, const uint8_t *p, size_t size)
{
    struct value number;
    int r;

    if ((size > 0 && (p[0] == 0 || p[0] > 3)) || (size > 1 && p[1] != 1))
        return NO;
    r = size < 2 ? 0 : value_head(p + 2, size - 2, &number);
    if (r <= 0)
        return r == 0 ? PERHAPS : NO;
    return number.type == VALUE_UNSIGNED && stream_find(&d->streams, number.n) ? YES : NO;
}

/* Here, of size bytes, of which there is one. */
static int may_begin(struct vmt_decoder *d, const uint8_t *p, size_t size)
{
    size_t head = p[0] == 0xdc ? 3 : 1;
    int r;

    if (p[0] == 0xde) /* a map of 16 keys or more, of which the first one is this */
        return size <= 3 ? PERHAPS : begins_with(p + 3, size - 3, "\xa4name", 5);
    if (p[0] != 0xdc && (p[0] < 0x95 || p[0] > 0x9f))
        return NO;
    r = begins_with(p, size, stream_magic, MAGIC_BYTES);
    if (r != NO)
        return r;
    return size <= head ? PERHAPS : may_be_frame(d, p + head, size - head);
}

/* Whether one was found. */
static bool search(struct vmt_decoder *d)
{
    const uint8_t *in = (const uint8_t *)d->in.data;
    size_t at = d->start;
    int r = NO;

    while (at < d->in.size && (r = may_begin(d, in + at, d->in.size - at)) == NO)
        at++;
    d->state.damaged_bytes += at - d->start;
    pass(d, at - d->start);
    d->searching = r != YES;
    return r == YES;
}

/* There is no frame where one should be: search behind its first byte. In what was looked at in vain there may be
 * one, but not again and again: then behind all of that. */
static void give_up(struct vmt_decoder *d)
{
    size_t looked_at = d->scan.at ? d->scan.at : 1;
    size_t skip = 1;

    if (d->again > 4 * d->state.bytes)
        skip = looked_at;
    else
        d->again += looked_at;
    d->state.damaged_bytes += skip;
    pass(d, skip);
    d->searching = true;
}

/* At the end of all that there is: is it worth going on? What waits was cut off, or it swallows whole frames. */
static bool look_behind(struct vmt_decoder *d)
{
    if (!d->ended || d->start == d->in.size)
        return false;
    if (!d->cut) {
        d->cut = true;
        d->cut_start = d->start;
        d->cut_damaged = d->state.damaged_bytes;
    }
    give_up(d);
    return true;
}

/* There was none: it waits where it was. */
static void look_no_more(struct vmt_decoder *d)
{
    if (d->cut) {
        d->state.damaged_bytes = d->cut_damaged;
        d->start = d->cut_start;
        d->scan = (struct scan){ 0 };
        d->searching = false;
    }
    d->cut = d->ended = false;
}

/* ---- frames ---- */

/* The whole frame at the start: 0, FRAME_SKIPPED, FRAME_BAD, -ENOMEM. */
static int read_frame(struct vmt_decoder *d, bool *sampled)
{
    const uint8_t *start = (const uint8_t *)d->in.data + d->start;
    const struct cursor frame = { start, start + d->scan.at };
    struct value v;

    if (value_head(start, d->scan.at, &v) == 1 && v.type == VALUE_MAP) {
        *sampled = true;
        return decode_map(d, frame);
    }
    return decode_frame(d, frame, sampled);
}

/* Does another header begin anywhere in what is there of the frame, which is none itself? In no value of such a frame
 * can there be its first bytes. (In a header's there can: identity and boot id are any bytes.) */
static bool was_cut_off(struct vmt_decoder *d, bool whole)
{
    const uint8_t *p = (const uint8_t *)d->in.data + d->start;
    size_t size = whole ? d->scan.at : d->in.size - d->start;
    size_t from = d->scan.searched ? d->scan.searched : 1;

    if (size < from + MAGIC_BYTES || p[0] < 0x90 || p[0] == 0xde || p[0] == 0xdf ||
        begins_with(p, size, stream_magic, MAGIC_BYTES) == YES)
        return false;
    d->scan.searched = size - (MAGIC_BYTES - 1);
    return memmem(p + from, size - from, stream_magic, MAGIC_BYTES) != NULL;
}

/* One frame on. 1: it gave a snapshot; 0: it did not; what vmt_decoder_next() gives below 0; NO_MORE. */
#define NO_MORE 2

static int step(struct vmt_decoder *d)
{
    bool sampled = false;
    int r;

    if (d->start == d->in.size || (d->searching && !search(d)))
        return NO_MORE;
    r = scan_frame(&d->scan, (const uint8_t *)d->in.data + d->start, d->in.size - d->start);
    if (r != FRAME_BAD && was_cut_off(d, r == 1))
        r = FRAME_BAD;
    if (r == 0)
        return look_behind(d) ? 0 : NO_MORE;
    if (r == 1)
        r = read_frame(d, &sampled);
    if (d->scan.at > KEPT_BYTES)
        give_back(d);
    if (r == -ENOMEM)
        return r;
    if (r == FRAME_BAD) {
        give_up(d);
        return d->cut ? 0 : r;
    }
    pass(d, d->scan.at);
    d->cut = d->cut && r == FRAME_SKIPPED; /* which may be none */
    d->state.skipped += r == FRAME_SKIPPED;
    d->state.snapshots += sampled;
    return sampled;
}

int vmt_decoder_next(struct vmt_decoder *d, const struct vmt_snapshot **ret)
{
    int r;

    do
        r = step(d);
    while (r == 0);
    if (r == NO_MORE) {
        look_no_more(d);
        return 0;
    }
    if (r == 1)
        *ret = d->snapshot;
    return r;
}
