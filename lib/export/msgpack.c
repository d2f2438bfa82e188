/* SPDX-License-Identifier: MIT */
/* The stream: what STREAM.md describes. A frame is sent when its bytes are other than those sent last, so the encoder
 * remembers bytes, not snapshots. */
#include <errno.h>
#include <stdlib.h>

#include "lib/hash.h"
#include "names.h"
#include "pack.h"
#include "schema_index.h"

#define STREAM_MAGIC "VMTALLY"
#define STREAM_VERSION 1U

enum frame { FRAME_HEADER = 0, FRAME_SCHEMA = 1, FRAME_SOURCES = 2, FRAME_SAMPLE = 3 };

/* Schemas are remembered up to that many bytes, then the stream starts anew: a hostile segment can have ever new
 * ones. */
#define SCHEMA_BYTES_KEPT (16U << 20)

/* A schema of the snapshot that is being encoded. */
struct numbered {
    uint32_t number; /* in the stream */
    uint32_t width;  /* elements of its arrays of values */
};

struct vmt_msgpack {
    struct vmt_buffer header;  /* sent last, from the identity on */
    struct vmt_buffer sources; /* sent last, the list */
    struct vmt_buffer schemas; /* sent since the header, from the name on, one after the other */
    struct vmt_buffer ends;    /* size_t each: where schema number i ends in schemas */
    struct vmt_buffer candidate;
    struct vmt_buffer numbers; /* uint32_t each: which one of the set source i is */
    struct vmt_schema_index index;
    struct numbered *numbered; /* of index */
    size_t numbered_capacity;
    uint64_t stream; /* number of the stream, from the header */
    uint64_t set;    /* number of the sources sent last; 0: none */
};

struct encoder {
    struct vmt_pack pack;
    struct vmt_msgpack *stream;
    struct vmt_buffer *out;
};

int vmt_msgpack_new(struct vmt_msgpack **ret)
{
    struct vmt_msgpack *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return -ENOMEM;
    *ret = stream;
    return 0;
}

void vmt_msgpack_free(struct vmt_msgpack *stream)
{
    if (!stream)
        return;
    vmt_buffer_free(&stream->header);
    vmt_buffer_free(&stream->sources);
    vmt_buffer_free(&stream->schemas);
    vmt_buffer_free(&stream->ends);
    vmt_buffer_free(&stream->candidate);
    vmt_buffer_free(&stream->numbers);
    free(stream->index.schemas);
    free(stream->numbered);
    free(stream);
}

void vmt_msgpack_reset(struct vmt_msgpack *stream)
{
    vmt_buffer_clear(&stream->header);
    vmt_buffer_clear(&stream->sources);
    vmt_buffer_clear(&stream->schemas);
    vmt_buffer_clear(&stream->ends);
    stream->set = 0;
}

/* From here on write the frame's inside aside, to see whether it has to be sent. */
static msgpack_packer *begin_candidate(struct encoder *e)
{
    vmt_buffer_clear(&e->stream->candidate);
    e->pack.base.out = &e->stream->candidate;
    return &e->pack.packer;
}

static bool candidate_is(struct encoder *e, const char *data, size_t size)
{
    const struct vmt_buffer *candidate = &e->stream->candidate;

    e->pack.base.out = e->out;
    return size == candidate->size && (size == 0 || memcmp(data, candidate->data, size) == 0);
}

static void put_candidate(struct encoder *e)
{
    vmt_writer_put(&e->pack.base, e->stream->candidate.data, e->stream->candidate.size);
}

static void swap(struct vmt_buffer *a, struct vmt_buffer *b)
{
    struct vmt_buffer c = *a;

    *a = *b;
    *b = c;
}

static void open_frame(struct encoder *e, enum frame kind, size_t elements)
{
    msgpack_packer *packer = &e->pack.packer;

    msgpack_pack_array(packer, elements);
    msgpack_pack_uint8(packer, (uint8_t)kind);
    msgpack_pack_uint8(packer, STREAM_VERSION);
    if (kind == FRAME_HEADER)
        vmt_pack_string(packer, STREAM_MAGIC);
    msgpack_pack_uint64(packer, e->stream->stream);
}

/* A number that other streams don't have: the time, and a hash of the header. */
static uint64_t number_stream(const struct vmt_buffer *header, uint64_t realtime_ns)
{
    return hash_add(HASH_START, header->data, header->size) ^ realtime_ns;
}

static void put_header(struct encoder *e, const struct vmt_segment_info *info)
{
    struct vmt_msgpack *stream = e->stream;
    msgpack_packer *packer = begin_candidate(e);

    msgpack_pack_bin_with_body(packer, info->identity, sizeof(info->identity));
    msgpack_pack_bin_with_body(packer, info->boot_id, sizeof(info->boot_id));
    msgpack_pack_uint64(packer, info->incarnation);
    msgpack_pack_uint32(packer, info->pid);
    msgpack_pack_uint64(packer, info->pid_start);
    vmt_pack_string(packer, info->name);
    vmt_document_labels(&e->pack.base, info->labels);
    vmt_pack_time(packer, info->created_ns);
    vmt_pack_string(packer, info->path);
    msgpack_pack_array(packer, 2);
    msgpack_pack_uint16(packer, info->major);
    msgpack_pack_uint16(packer, info->minor);
    if (candidate_is(e, stream->header.data, stream->header.size))
        return;
    vmt_msgpack_reset(stream);
    stream->stream = number_stream(&stream->candidate, info->realtime_ns);
    open_frame(e, FRAME_HEADER, 14);
    put_candidate(e);
    swap(&stream->header, &stream->candidate);
}

/* The number of the schema in candidate, which is sent if it has none yet. */
static uint32_t put_schema(struct encoder *e)
{
    struct vmt_msgpack *stream = e->stream;
    const size_t *ends = (const void *)stream->ends.data;
    uint32_t count = (uint32_t)(stream->ends.size / sizeof(*ends));
    size_t start = 0;

    for (uint32_t i = 0; i < count; start = ends[i++])
        if (candidate_is(e, stream->schemas.data + start, ends[i] - start))
            return i;
    e->pack.base.out = e->out;
    open_frame(e, FRAME_SCHEMA, 8);
    msgpack_pack_uint32(&e->pack.packer, count);
    put_candidate(e);

    e->pack.base.out = &stream->schemas;
    put_candidate(e);
    e->pack.base.out = &stream->ends;
    vmt_writer_put(&e->pack.base, &stream->schemas.size, sizeof(stream->schemas.size));
    e->pack.base.out = e->out;
    return count;
}

static int number_schema(void *arg, const struct vmt_schema *schema)
{
    struct encoder *e = arg;
    struct vmt_msgpack *stream = e->stream;
    size_t n = stream->index.count - 1;
    msgpack_packer *packer = begin_candidate(e);
    uint32_t width = 0;

    if (n >= stream->numbered_capacity) {
        struct numbered *numbered = realloc(stream->numbered, stream->index.capacity * sizeof(*numbered));

        if (!numbered)
            return -ENOMEM;
        stream->numbered = numbered;
        stream->numbered_capacity = stream->index.capacity;
    }
    vmt_pack_string(packer, schema->name);
    vmt_pack_string(packer, schema->provider);
    vmt_pack_string(packer, schema->target);
    msgpack_pack_array(packer, schema->count);
    for (uint32_t i = 0; i < schema->count; i++) {
        vmt_document_descriptor(&e->pack.base, schema, &schema->descriptors[i], true);
        width += schema->descriptors[i].size;
    }
    stream->numbered[n] = (struct numbered){ put_schema(e), width };
    return e->pack.base.error;
}

static const struct numbered *numbered(const struct encoder *e, const struct vmt_schema *schema)
{
    return &e->stream->numbered[vmt_schema_index_find(&e->stream->index, schema)];
}

static uint32_t number_of(const struct encoder *e, size_t i)
{
    return ((const uint32_t *)(const void *)e->stream->numbers.data)[i];
}

/* How many there are in the set. */
static uint32_t number_sources(struct encoder *e, const struct vmt_snapshot *snapshot)
{
    struct vmt_buffer *numbers = &e->stream->numbers;
    size_t count = vmt_snapshot_count(snapshot);
    uint32_t next = 0;

    vmt_buffer_clear(numbers);
    for (size_t i = 0; i < count && e->pack.base.error == 0; i++) {
        uint32_t number = vmt_export_leaves_out(snapshot, i) ? 0 : next++;

        e->pack.base.error = vmt_buffer_append(numbers, &number, sizeof(number));
    }
    return next;
}

static void put_sources(struct encoder *e, const struct vmt_snapshot *snapshot, uint32_t chosen)
{
    struct vmt_msgpack *stream = e->stream;
    size_t count = vmt_snapshot_count(snapshot);
    msgpack_packer *packer = begin_candidate(e);

    msgpack_pack_array(packer, chosen);
    for (size_t i = 0; i < count; i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
        size_t parent = vmt_export_parent(snapshot, i);

        if (vmt_export_leaves_out(snapshot, i))
            continue;
        msgpack_pack_array(packer, 7);
        msgpack_pack_uint32(packer, number_of(e, i));
        vmt_pack_string(packer, sample->id);
        if (parent < i)
            msgpack_pack_uint32(packer, number_of(e, parent));
        else
            msgpack_pack_nil(packer);
        msgpack_pack_uint32(packer, numbered(e, sample->schema)->number);
        msgpack_pack_uint64(packer, sample->generation);
        vmt_pack_time(packer, sample->created_ns);
        msgpack_pack_uint32(packer, sample->entry);
    }
    if (candidate_is(e, stream->sources.data, stream->sources.size))
        return;
    stream->set++;
    open_frame(e, FRAME_SOURCES, 5);
    msgpack_pack_uint64(packer, stream->set);
    put_candidate(e);
    swap(&stream->sources, &stream->candidate);
}

static void put_values(struct encoder *e, const struct vmt_schema *schema, const uint64_t *values)
{
    msgpack_packer *packer = &e->pack.packer;

    if (!values) {
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_array(packer, numbered(e, schema)->width);
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        const uint64_t *value = values + d->slot, *end = value + d->size;
        uint64_t none = vmt_export_absent(d);

        for (; value < end; value++) {
            if (none != 0 && *value == none)
                msgpack_pack_nil(packer);
            else if (d->flags & VMT_SIGNED)
                msgpack_pack_int64(packer, (int64_t)*value);
            else
                msgpack_pack_uint64(packer, *value);
        }
    }
}

static void put_shards(struct encoder *e, const struct vmt_sample *sample)
{
    msgpack_packer *packer = &e->pack.packer;

    msgpack_pack_array(packer, sample->shard_count);
    for (uint32_t i = 0; i < sample->shard_count; i++) {
        const struct vmt_shard_sample *shard = &sample->shards[i];

        msgpack_pack_array(packer, 5);
        msgpack_pack_uint32(packer, shard->owner);
        msgpack_pack_uint32(packer, shard->held);
        put_values(e, sample->schema, shard->values);
        msgpack_pack_uint32(packer, shard->flags);
        msgpack_pack_uint32(packer, shard->id);
    }
}

static void put_source(struct encoder *e, const struct vmt_sample *sample, size_t number)
{
    msgpack_packer *packer = &e->pack.packer;

    msgpack_pack_array(packer, sample->shard_count ? 4 : sample->flags ? 3 : 2);
    msgpack_pack_uint64(packer, number);
    put_values(e, sample->schema, sample->flags & VMT_SAMPLE_ABSENT ? NULL : sample->values);
    if (sample->flags || sample->shard_count)
        msgpack_pack_uint32(packer, sample->flags);
    if (sample->shard_count)
        put_shards(e, sample);
}

/* Whether something of it departed: a slot holds other than what it starts with. */
static bool has_departed(const struct vmt_total *total)
{
    const struct vmt_schema *schema = total->schema;

    if (!total->departed || total->flags & VMT_SAMPLE_ABSENT)
        return false;
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        for (uint32_t k = 0; k < d->size; k++)
            if (total->departed[d->slot + k] != shm_identity(d->flags))
                return true;
    }
    return false;
}

static size_t count_totals(const struct vmt_sample *sample)
{
    size_t n = 0;

    for (uint32_t i = 0; i < sample->total_count; i++)
        n += !kvm_is_handle(sample->totals[i].schema);
    return n;
}

static void put_totals(struct encoder *e, const struct vmt_sample *sample, size_t number)
{
    msgpack_packer *packer = &e->pack.packer;

    for (uint32_t i = 0; i < sample->total_count; i++) {
        const struct vmt_total *total = &sample->totals[i];
        bool departed = has_departed(total);

        if (kvm_is_handle(total->schema))
            continue;
        msgpack_pack_array(packer, departed ? 6 : total->flags ? 5 : 4);
        msgpack_pack_uint64(packer, number);
        msgpack_pack_uint32(packer, numbered(e, total->schema)->number);
        msgpack_pack_uint32(packer, total->sources);
        put_values(e, total->schema, total->flags & VMT_SAMPLE_ABSENT ? NULL : total->values);
        if (total->flags || departed)
            msgpack_pack_uint32(packer, total->flags);
        if (departed)
            put_values(e, total->schema, total->departed);
    }
}

static void put_sample(struct encoder *e, const struct vmt_snapshot *snapshot, const struct vmt_segment_info *info,
                       uint32_t chosen)
{
    msgpack_packer *packer = &e->pack.packer;
    size_t count = vmt_snapshot_count(snapshot), totals = 0;

    open_frame(e, FRAME_SAMPLE, 16);
    msgpack_pack_uint64(packer, e->stream->set);
    vmt_pack_time(packer, info->realtime_ns);
    msgpack_pack_uint64(packer, info->begin_ns);
    msgpack_pack_uint64(packer, info->end_ns);
    vmt_pack_string(packer, vmt_state_name(info->state));
    msgpack_pack_uint32(packer, info->flags);
    if (info->closed_ns)
        vmt_pack_time(packer, info->closed_ns);
    else
        msgpack_pack_nil(packer);
    msgpack_pack_uint64(packer, info->heartbeat_ns);
    msgpack_pack_uint64(packer, info->file_bytes);
    msgpack_pack_array(packer, chosen);
    for (size_t i = 0; i < count && e->pack.base.error == 0; i++) {
        if (vmt_export_leaves_out(snapshot, i))
            continue;
        put_source(e, vmt_snapshot_source(snapshot, i), number_of(e, i));
        totals += count_totals(vmt_snapshot_source(snapshot, i));
    }
    msgpack_pack_array(packer, totals);
    for (size_t i = 0; i < count && e->pack.base.error == 0; i++) {
        if (!vmt_export_leaves_out(snapshot, i))
            put_totals(e, vmt_snapshot_source(snapshot, i), number_of(e, i));
    }
    msgpack_pack_uint32(packer, info->from);
    msgpack_pack_uint32(packer, info->uid);
}

int vmt_msgpack_encode(struct vmt_msgpack *stream, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    struct encoder e = { .stream = stream, .out = out };
    size_t size = out->size;
    uint32_t chosen = 0;

    vmt_pack_init(&e.pack, out);
    if (stream->schemas.size > SCHEMA_BYTES_KEPT)
        vmt_msgpack_reset(stream);
    put_header(&e, info);
    if (e.pack.base.error == 0)
        e.pack.base.error = vmt_schema_index_fill(&stream->index, snapshot, number_schema, &e);
    e.pack.base.out = out;
    if (e.pack.base.error == 0)
        chosen = number_sources(&e, snapshot);
    if (e.pack.base.error == 0)
        put_sources(&e, snapshot, chosen);
    if (e.pack.base.error == 0)
        put_sample(&e, snapshot, info, chosen);
    if (e.pack.base.error < 0)
        vmt_msgpack_reset(stream); /* what was remembered may not have been sent */
    return vmt_writer_finish(&e.pack.base, size);
}
