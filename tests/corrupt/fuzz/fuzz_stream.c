/* SPDX-License-Identifier: MIT */
/* A recording from elsewhere, in pieces: whatever its bytes are, what is read of it is fit for all that encodes, and
 * goes there and back unchanged. The first byte of an input says how large the pieces are. */
#include <errno.h>
#include <string.h>

#include <vmtally/export.h>

#include "bases.h"
#include "judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum; /* of all that may be read, so that it is */

static void read_values(const struct vmt_schema *schema, const uint64_t *values)
{
    for (uint32_t i = 0; i < schema->slots; i++)
        sum += values[i];
}

static void judge_source(const struct vmt_snapshot *snapshot, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

    judge_text(sample->id, true);
    judge_text(sample->name, false);
    judge_schema(sample->schema);
    read_values(sample->schema, sample->values);
    ENSURE(i == 0 ? sample->parent == UINT32_MAX : sample->parent < i, "source %zu is below %u", i, sample->parent);
    ENSURE(sample->depth <= VMT_DEPTH_MAX, "depth %u", sample->depth);
    for (uint32_t t = 0; t < sample->total_count; t++) {
        judge_schema(sample->totals[t].schema);
        read_values(sample->totals[t].schema, sample->totals[t].values);
        read_values(sample->totals[t].schema, sample->totals[t].departed);
    }
    for (uint32_t k = 0; k < sample->shard_count; k++) {
        ENSURE(sample->shards[k].id, "shard %u has no id", k);
        read_values(sample->schema, sample->shards[k].values);
    }
}

static void judge(const struct vmt_snapshot *snapshot)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);

    judge_text(info->name, false);
    judge_text(info->path, false);
    for (size_t i = 0; info->labels[i]; i++)
        judge_text(info->labels[i], false);
    ENSURE((unsigned)info->state < VMT_STATE_COUNT && info->flags < 16 && info->from < 16, "state or flags");
    ENSURE(vmt_snapshot_count(snapshot), "no source");
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++)
        judge_source(snapshot, i);
}

/* ---- there and back ---- */

static struct vmt_buffer json_of(const struct vmt_snapshot *snapshot)
{
    struct vmt_buffer json = { 0 };

    ENSURE(vmt_json_encode(snapshot, 0, &json) == 0, "JSON");
    return json;
}

static void compare(const struct vmt_buffer *bytes, const struct vmt_snapshot *snapshot, const char *what)
{
    struct vmt_buffer want = json_of(snapshot), got;
    const struct vmt_snapshot *again;
    struct vmt_decoder *decoder;
    int r;

    ENSURE(vmt_decoder_new(&decoder) == 0 && vmt_decoder_feed(decoder, bytes->data, bytes->size) == 0, "no memory");
    r = vmt_decoder_next(decoder, &again);
    ENSURE(r == 1, "%s: %d", what, r);
    got = json_of(again);
    ENSURE(got.size == want.size && memcmp(got.data, want.data, want.size) == 0, "%s\n%.*s\n%.*s", what, (int)got.size,
           got.data, (int)want.size, want.data);
    vmt_buffer_free(&got);
    vmt_buffer_free(&want);
    vmt_decoder_free(decoder);
}

static void there_and_back(const struct vmt_snapshot *snapshot)
{
    struct vmt_buffer bytes = { 0 };
    struct vmt_msgpack *stream;

    ENSURE(vmt_msgpack_new(&stream) == 0 && vmt_msgpack_encode(stream, snapshot, &bytes) == 0, "stream");
    compare(&bytes, snapshot, "stream");
    vmt_buffer_clear(&bytes);
    ENSURE(vmt_msgpack_encode_full(snapshot, &bytes) == 0, "map");
    compare(&bytes, snapshot, "map");
    vmt_msgpack_free(stream);
    vmt_buffer_free(&bytes);
}

/* ---- all other formats ---- */

static int count_record(void *arg, const struct vmt_snapshot *snapshot, size_t i, const struct vmt_schema *schema,
                        const void *entry, size_t size)
{
    (void)arg;
    (void)entry;
    ENSURE(i < vmt_snapshot_count(snapshot) && schema && size, "record");
    return 0;
}

static void encode_all(const struct vmt_snapshot *snapshot)
{
    struct vmt_records_options options = { .struct_size = sizeof(options), .host = "h", .sender = "s" };
    struct vmt_buffer out = { 0 };
    struct vmt_metrics *metrics;
    struct vmt_firecracker *lines;
    struct vmt_records *records;
    int r;

    ENSURE(vmt_metrics_new(&metrics) == 0 && vmt_firecracker_new(&lines) == 0 &&
               vmt_records_new(&options, &records) == 0,
           "no memory");
    ENSURE(vmt_metrics_add(metrics, snapshot, NULL, NULL) == 0 && vmt_metrics_add(metrics, snapshot, "b", NULL) == 0 &&
               vmt_metrics_write(metrics, VMT_OPENMETRICS, &out) == 0 &&
               vmt_metrics_write(metrics, VMT_PROMETHEUS, &out) == 0,
           "metrics");
    ENSURE(vmt_firecracker_encode(lines, snapshot, NULL, &out) == 0, "firecracker");
    vmt_firecracker_keep(lines);
    ENSURE(vmt_tinykvm_encode(snapshot, NULL, 0, &out) == 0, "tinykvm");
    ENSURE(vmt_records_encode(records, snapshot, NULL, NULL, 1, NULL, count_record, NULL) == 0, "records");
    for (size_t i = 0; i < vmt_snapshot_count(snapshot) && i < 4; i++) {
        r = vmt_kvm_encode(snapshot, i, &out);
        ENSURE(r == 0 || r == -ENOENT || r == -ENODATA, "kvm: %d", r);
    }
    vmt_metrics_free(metrics);
    vmt_firecracker_free(lines);
    vmt_records_free(records);
    vmt_buffer_free(&out);
}

/* ---- */

static void judge_next(struct vmt_decoder *decoder, struct vmt_delta *delta, struct vmt_snapshot *last)
{
    const struct vmt_snapshot *snapshot;
    int r;

    while ((r = vmt_decoder_next(decoder, &snapshot)) != 0) {
        if (r == -EBADMSG)
            continue;
        ENSURE(r == 1, "%d", r);
        judge(snapshot);
        ENSURE(vmt_delta_compute(delta, vmt_snapshot_count(last) ? last : NULL, snapshot) == 0, "delta");
        ENSURE(vmt_snapshot_copy(last, snapshot) == 0, "copy");
        there_and_back(snapshot);
        encode_all(last);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmt_decoder_state state;
    struct vmt_decoder *decoder;
    struct vmt_snapshot *last;
    struct vmt_delta *delta;
    size_t piece;

    if (size == 0)
        return 0;
    ENSURE(vmt_decoder_new(&decoder) == 0 && vmt_snapshot_new(&last) == 0 && vmt_delta_new(&delta) == 0, "no memory");
    piece = data[0] ? data[0] : size;
    for (size_t at = 1; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;

        ENSURE(vmt_decoder_feed(decoder, data + at, n) == 0, "no memory");
        judge_next(decoder, delta, last);
    }
    vmt_decoder_end(decoder);
    judge_next(decoder, delta, last);
    vmt_decoder_state(decoder, &state);
    ENSURE(state.bytes == size - 1 && state.waiting + state.damaged_bytes <= state.bytes, "%llu of %zu wait",
           (unsigned long long)state.waiting, size - 1);
    vmt_decoder_free(decoder);
    vmt_snapshot_free(last);
    vmt_delta_free(delta);
    return 0;
}
