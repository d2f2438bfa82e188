/* SPDX-License-Identifier: MIT */
/* Frames: what STREAM.md, sections 2 to 5, says of them, but for samples. */
#include <errno.h>
#include <stdlib.h>

#include "decode.h"
#include "names.h"

#define STREAM_VERSION 1U
#define FRAME_MAGIC "VMTALLY"

enum { FRAME_HEADER = 0, FRAME_SCHEMA = 1, FRAME_SOURCES = 2, FRAME_SAMPLE = 3 };

/* ---- headers ---- */

static bool take_format(struct cursor *c, struct vmt_segment_info *info)
{
    uint64_t major, minor;
    size_t count;

    if (!take_array(c, &count) || count < 2 || !take_unsigned(c, UINT16_MAX, &major) ||
        !take_unsigned(c, UINT16_MAX, &minor))
        return false;
    info->major = (uint16_t)major;
    info->minor = (uint16_t)minor;
    return true;
}

/* labels: LABELS_MAX of them. */
static bool fill_header(struct stream *s, struct cursor *c, const char **labels, size_t *label_count)
{
    struct vmt_segment_info *info = &s->info;

    return take_unsigned(c, UINT64_MAX, &s->number) && take_bytes16(c, info->identity) &&
           take_bytes16(c, info->boot_id) && take_unsigned(c, UINT64_MAX, &info->incarnation) &&
           take_u32(c, &info->pid) && take_unsigned(c, UINT64_MAX, &info->pid_start) &&
           take_text(c, &s->text, &info->name) && take_labels(c, &s->text, labels, label_count) &&
           take_time(c, &info->created_ns) && take_text(c, &s->text, &info->path) && take_format(c, info);
}

/* 0, FRAME_BAD, -ENOMEM. */
static int read_header(struct stream *s, struct cursor *c)
{
    const char *labels[LABELS_MAX];
    size_t count;

    if (exact_room_for(&s->text, (size_t)(c->end - c->at), 1) < 0)
        return -ENOMEM;
    if (!fill_header(s, c, labels, &count))
        return FRAME_BAD;
    s->labels = calloc(count + 1, sizeof(*s->labels));
    if (!s->labels)
        return -ENOMEM;
    memcpy(s->labels, labels, count * sizeof(*labels));
    s->label_count = (uint32_t)count;
    s->info.labels = s->labels;
    return 0;
}

/* c is behind [kind, version. */
static int header(struct vmt_decoder *d, struct cursor *c, size_t elements)
{
    size_t frame_size = (size_t)(c->end - c->at), size;
    struct stream *s;
    const char *magic;
    int r;

    if (elements < 14 || frame_size > HEADER_BYTES_MAX || !take_string(c, &magic, &size) ||
        !is_word(magic, size, FRAME_MAGIC))
        return FRAME_BAD;
    s = stream_new();
    if (!s)
        return -ENOMEM;
    r = read_header(s, c);
    if (r == 0)
        r = stream_add(&d->streams, s);
    if (r < 0)
        stream_free(s);
    return r;
}

/* ---- schemas ---- */

static struct known *known_at(struct stream *s, uint64_t number)
{
    return number < s->known_count && s->known[number].schema ? &s->known[number] : NULL;
}

/* Room for one of that number. false: no memory. */
static bool make_room(struct stream *s, uint32_t number)
{
    uint32_t count = number + 1;
    struct known *known;

    if (count <= s->known_count)
        return true;
    known = realloc(s->known, count * sizeof(*known));
    if (!known)
        return false;
    memset(known + s->known_count, 0, (count - s->known_count) * sizeof(*known));
    s->known = known;
    s->known_count = count;
    return true;
}

static bool read_schema(struct schema_reader *reader, struct cursor *c)
{
    size_t count;

    if (!take_text(c, &reader->text, &reader->schema.name) || !take_text(c, &reader->text, &reader->schema.provider) ||
        !take_text(c, &reader->text, &reader->schema.target) || !take_array(c, &count))
        return false;
    for (; count; count--) {
        if (!schema_descriptor(reader, c, NULL))
            return false;
    }
    return true;
}

static int schema(struct vmt_decoder *d, struct stream *s, struct cursor *c, size_t elements)
{
    struct known known;
    uint64_t number;
    int r;

    if (elements < 8 || !take_unsigned(c, UINT64_MAX, &number))
        return FRAME_BAD;
    if (number >= SCHEMA_NUMBERS_MAX)
        return FRAME_SKIPPED;
    if (schema_begin(&d->reader, (size_t)(c->end - c->at)) < 0 || !make_room(s, (uint32_t)number))
        return -ENOMEM;
    if (!read_schema(&d->reader, c))
        return FRAME_BAD;
    r = schema_end(&d->reader, s->recorded, &known);
    if (r == -ENOSPC && !s->parted) {
        r = stream_part(s);
        s->parted = r != -ENOMEM;
        if (r == 0)
            r = schema_end(&d->reader, s->recorded, &known);
    }
    if (r == -ENOSPC)
        return FRAME_SKIPPED;
    if (r == 0)
        s->known[number] = known;
    return r;
}

/* ---- sets of sources ---- */

static bool take_parent(struct cursor *c, size_t number, uint32_t *ret)
{
    *ret = UINT32_MAX;
    if (take_nil(c))
        return number == 0;
    return take_u32(c, ret) && *ret < number;
}

/* What a set says of source i, and in struct sample what that is: 0, FRAME_BAD, FRAME_SKIPPED. */
static int fill_source(struct stream *s, struct cursor *c, size_t i, struct source *source, struct vmt_buffer *text)
{
    struct vmt_sample *sample = &source->sample;
    uint64_t number, schema_number;
    size_t elements;

    *source = (struct source){ 0 };
    if (!take_array(c, &elements) || elements < 7 || !take_unsigned(c, UINT64_MAX, &number) || number != i ||
        !take_id(c, text, &sample->id) || !take_parent(c, i, &sample->parent) ||
        !take_unsigned(c, UINT64_MAX, &schema_number) || !take_unsigned(c, UINT64_MAX, &sample->generation) ||
        !take_time(c, &sample->created_ns) || !take_u32(c, &sample->entry))
        return FRAME_BAD;
    for (size_t k = 7; k < elements; k++)
        take_any(c);
    source->schema = (uint32_t)schema_number;
    return known_at(s, schema_number) ? 0 : FRAME_SKIPPED;
}

static int fill_set(struct stream *s, struct cursor *c, size_t count, struct vmt_buffer *sources,
                    struct vmt_buffer *text)
{
    struct source *list;
    int result = 0;

    if (exact_room_for(sources, count, sizeof(*list)) < 0 || exact_room_for(text, (size_t)(c->end - c->at), 1) < 0)
        return -ENOMEM;
    list = put_room(sources, count, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        int r = fill_source(s, c, i, &list[i], text);

        if (r < 0)
            return r;
        if (r == FRAME_SKIPPED)
            result = r;
        list[i].sample.depth = i ? list[list[i].sample.parent].sample.depth + 1 : 0;
        if (list[i].sample.depth > VMT_DEPTH_MAX)
            return FRAME_BAD;
    }
    return result;
}

static int sources(struct stream *s, struct cursor *c, size_t elements)
{
    struct vmt_buffer list = { 0 }, text = { 0 };
    uint64_t set;
    size_t count;
    int r;

    if (elements < 5 || !take_unsigned(c, UINT64_MAX, &set) || set == 0 || !take_array(c, &count) || count == 0 ||
        count > VMT_SOURCES_MAX)
        return FRAME_BAD;
    r = fill_set(s, c, count, &list, &text);
    if (r < 0 || r == FRAME_SKIPPED) {
        if (r == FRAME_SKIPPED)
            s->set = 0; /* a sample of it is none of the set before */
        vmt_buffer_free(&list);
        vmt_buffer_free(&text);
        return r;
    }
    vmt_buffer_free(&s->sources);
    vmt_buffer_free(&s->set_text);
    s->sources = list;
    s->set_text = text;
    s->set = set;
    return 0;
}

/* ---- all of them ---- */

int decode_frame(struct vmt_decoder *d, struct cursor frame, bool *sampled)
{
    struct cursor c = frame;
    uint64_t kind, version, number;
    struct stream *s;
    size_t elements;
    int r;

    *sampled = false;
    if (!take_array(&c, &elements) || elements < 2 || !take_unsigned(&c, UINT64_MAX, &kind) ||
        !take_unsigned(&c, UINT64_MAX, &version))
        return FRAME_BAD;
    if (version != STREAM_VERSION || kind > FRAME_SAMPLE)
        return FRAME_SKIPPED;
    if (kind == FRAME_HEADER)
        return header(d, &c, elements);
    if (elements < 3 || !take_unsigned(&c, UINT64_MAX, &number))
        return FRAME_BAD;
    s = stream_find(&d->streams, number);
    if (!s)
        return FRAME_SKIPPED;
    r = kind == FRAME_SCHEMA  ? schema(d, s, &c, elements)
      : kind == FRAME_SOURCES ? sources(s, &c, elements)
                              : decode_sample(d, s, &c, elements);
    *sampled = r == 0 && kind == FRAME_SAMPLE;
    if (r != -ENOMEM)
        stream_used(&d->streams, s);
    return r;
}
