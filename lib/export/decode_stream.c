/* SPDX-License-Identifier: MIT */
/* The streams that a decoder remembers: in trees, as who writes a stream may choose its number, and in a list by when
 * they were last in use, the end of which is forgotten. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "decode.h"

struct stream *stream_new(void)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream && vmt_recorded_new(&stream->recorded) < 0) {
        free(stream);
        return NULL;
    }
    return stream;
}

void stream_free(struct stream *stream)
{
    if (!stream)
        return;
    vmt_recorded_free(stream->recorded);
    vmt_buffer_free(&stream->text);
    free(stream->labels);
    vmt_buffer_free(&stream->sources);
    vmt_buffer_free(&stream->set_text);
    free(stream->known);
    free(stream);
}

static int order_numbers(const void *a, const void *b)
{
    const struct stream *s = a, *t = b;

    return (s->number > t->number) - (s->number < t->number);
}

/* A segment can say that it has another one's identity, but not that it is in its file. */
static int order_segments(const void *a, const void *b)
{
    const struct vmt_segment_info *s = &((const struct stream *)a)->info, *t = &((const struct stream *)b)->info;
    int order = memcmp(s->identity, t->identity, sizeof(s->identity));

    if (order == 0)
        order = memcmp(s->boot_id, t->boot_id, sizeof(s->boot_id));
    return order ? order : strcmp(s->path, t->path);
}

static struct stream *found(void *const *tree, const struct stream *key, int (*order)(const void *a, const void *b))
{
    struct stream *const *node = tfind(key, tree, order);

    return node ? *node : NULL;
}

struct stream *stream_find(struct streams *streams, uint64_t number)
{
    const struct stream key = { .number = number };

    return found(&streams->by_number, &key, order_numbers);
}

static size_t bytes_of(const struct stream *stream)
{
    return sizeof(*stream) + vmt_recorded_bytes(stream->recorded) + stream->known_count * sizeof(*stream->known) +
           stream->text.capacity + stream->label_count * sizeof(*stream->labels) + stream->sources.capacity +
           stream->set_text.capacity;
}

/* ---- the list ---- */

static void unlink_stream(struct streams *streams, struct stream *stream)
{
    *(stream->newer ? &stream->newer->older : &streams->newest) = stream->older;
    *(stream->older ? &stream->older->newer : &streams->oldest) = stream->newer;
}

static void link_newest(struct streams *streams, struct stream *stream)
{
    stream->newer = NULL;
    stream->older = streams->newest;
    *(streams->newest ? &streams->newest->newer : &streams->oldest) = stream;
    streams->newest = stream;
}

/* One that is no longer in the trees. */
static void drop(struct streams *streams, struct stream *stream)
{
    unlink_stream(streams, stream);
    streams->count--;
    streams->bytes -= stream->bytes;
    stream_free(stream);
}

static void forget(struct streams *streams, struct stream *stream)
{
    tdelete(stream, &streams->by_number, order_numbers);
    tdelete(stream, &streams->by_segment, order_segments);
    drop(streams, stream);
}

void streams_free(struct streams *streams)
{
    while (streams->oldest)
        forget(streams, streams->oldest);
}

/* ---- one more ---- */

/* In place of those that stand where it does in the trees. 0 or -ENOMEM. */
static int replace(struct streams *streams, struct stream *stream, struct stream **same_number,
                   struct stream **same_segment)
{
    struct stream **by_number = tsearch(stream, &streams->by_number, order_numbers);
    struct stream **by_segment = by_number ? tsearch(stream, &streams->by_segment, order_segments) : NULL;

    if (!by_segment) {
        if (by_number && *by_number == stream)
            tdelete(stream, &streams->by_number, order_numbers);
        return -ENOMEM;
    }
    *same_number = *by_number == stream ? NULL : *by_number;
    *same_segment = *by_segment == stream ? NULL : *by_segment;
    *by_number = *by_segment = stream;
    return 0;
}

int stream_add(struct streams *streams, struct stream *stream)
{
    struct stream *same_number, *same_segment;
    int r = replace(streams, stream, &same_number, &same_segment);

    if (r < 0)
        return r;
    if (same_segment) {
        struct vmt_recorded *own = stream->recorded;

        /* What was made of samples before the header can be compared with those behind it. */
        stream->recorded = same_segment->recorded;
        same_segment->recorded = own;
    }
    if (same_number && same_number != same_segment) {
        tdelete(same_number, &streams->by_segment, order_segments);
        drop(streams, same_number);
    }
    if (same_segment) {
        if (same_segment != same_number)
            tdelete(same_segment, &streams->by_number, order_numbers);
        drop(streams, same_segment);
    }
    stream->bytes = bytes_of(stream);
    streams->bytes += stream->bytes;
    streams->count++;
    link_newest(streams, stream);
    while (streams->count > STREAMS_MAX)
        forget(streams, streams->oldest);
    return 0;
}

void stream_used(struct streams *streams, struct stream *stream)
{
    size_t bytes = bytes_of(stream);

    streams->bytes += bytes - stream->bytes;
    stream->bytes = bytes;
    if (stream != streams->newest) {
        unlink_stream(streams, stream);
        link_newest(streams, stream);
    }
    while (streams->bytes > VMT_BUFFER_MAX && streams->oldest != stream)
        forget(streams, streams->oldest);
}

int stream_part(struct stream *stream)
{
    struct known *known = calloc(stream->known_count + 1U, sizeof(*known));
    struct vmt_recorded *own = NULL;
    int r = known ? vmt_recorded_new(&own) : -ENOMEM;

    for (uint32_t i = 0; r == 0 && i < stream->known_count; i++) {
        known[i] = stream->known[i];
        if (known[i].schema)
            r = vmt_recorded_schema(own, known[i].schema, &known[i].schema);
    }
    if (r < 0) {
        free(known);
        vmt_recorded_free(own);
        return r;
    }
    free(stream->known);
    vmt_recorded_free(stream->recorded);
    stream->known = known;
    stream->recorded = own;
    return 0;
}
