/* SPDX-License-Identifier: MIT */
/* A stream read back says what was encoded, to the byte; and what it costs, whatever it is. */
#include "golden.h"
#include "two_snapshots.h"

#include <msgpack.h>

static void setup_shards(void)
{
    setup();
    vmt_snapshot_want_shards(snapshot, 1);
}

TestSuite(decode, .init = setup_shards, .fini = teardown, .timeout = 120);

/* ---- there and back ---- */

Test(decode, stream_says_what_was_encoded)
{
    encode_into(stream, before, &out);
    encode_into(stream, later, &out);
    take();
    encode_into(stream, snapshot, &out);
    vmt_add(full_shard, ALL_TIME, 1);
    feed(decoder, out.data, out.size);
    assert_equal(next_of(decoder), before);
    assert_equal(next_of(decoder), later);
    assert_equal(next_of(decoder), snapshot);
    cr_assert_eq(result_of(decoder), 0);
    cr_assert(source("vm/full")->shard_count > 0, "no shards: none were compared");
}

Test(decode, each_state_and_flag_comes_back)
{
    struct vmt_snapshot *made;
    struct vmt_segment_info info = *vmt_snapshot_segment(before);
    struct vmt_sample root = *vmt_snapshot_source(before, 0);

    root.totals = NULL;
    root.total_count = 0;
    cr_assert_eq(vmt_snapshot_new(&made), 0);
    for (uint32_t i = 0; i < 16; i++) {
        info.state = (enum vmt_state)(i % VMT_STATE_COUNT);
        info.flags = i;
        info.from = i;
        info.uid = UINT32_MAX - i;
        info.closed_ns = i % 2 ? info.realtime_ns + i : 0;
        info.realtime_ns = i == 3 ? UINT64_MAX : i == 4 ? 0 : info.created_ns + i;
        root.flags = i;
        cr_assert_eq(vmt_snapshot_rebuild(made, fixed_recorded, &info, &root, 1), 0);
        encode_into(stream, made, &out);
        feed(decoder, out.data, out.size);
        vmt_buffer_clear(&out);
        if (i == 0)
            cr_assert_eq(vmt_snapshot_segment(next_of(decoder))->from, VMT_FROM_SEGMENT, "not said: guessed");
        else
            assert_equal(next_of(decoder), made);
    }
    vmt_snapshot_free(made);
}

Test(decode, map_says_what_was_encoded)
{
    take();
    cr_assert_eq(vmt_msgpack_encode_full(before, &out), 0);
    cr_assert_eq(vmt_msgpack_encode_full(snapshot, &out), 0);
    feed(decoder, out.data, out.size);
    assert_says_same(next_of(decoder), before);
    assert_says_same(next_of(decoder), snapshot);
    cr_assert_eq(result_of(decoder), 0);
}

Test(decode, snapshot_that_was_decoded_is_encoded_to_the_same_bytes)
{
    struct vmt_msgpack *again = new_stream();
    struct vmt_buffer second = { 0 };

    encode_into(stream, before, &out);
    encode_into(stream, later, &out);
    feed(decoder, out.data, out.size);
    encode_into(again, next_of(decoder), &second);
    encode_into(again, next_of(decoder), &second);
    cr_assert_eq(second.size, out.size);
    cr_assert_arr_eq(second.data, out.data, out.size);
    vmt_buffer_free(&second);
    vmt_msgpack_free(again);
}

Test(decode, bytes_come_in_any_pieces)
{
    encode_into(stream, before, &out);
    cr_assert_eq(vmt_msgpack_encode_full(later, &out), 0);
    encode_into(stream, later, &out);
    for (size_t step = 1; step < 2 * out.size; step = 3 * step + 1) {
        struct vmt_decoder *one = new_decoder();
        unsigned count = 0;

        for (size_t at = 0; at < out.size; at += step) {
            const struct vmt_snapshot *got;
            int r;

            feed(one, out.data + at, out.size - at < step ? out.size - at : step);
            while ((r = vmt_decoder_next(one, &got)) == 1)
                assert_says_same(got, count++ ? later : before);
            cr_assert_eq(r, 0);
        }
        cr_assert_eq(count, 3, "in pieces of %zu", step);
        cr_assert_eq(state_of(one).waiting, 0);
        cr_assert_eq(state_of(one).bytes, out.size);
        vmt_decoder_free(one);
    }
}

Test(decode, deltas_go_on_behind_a_header_that_is_repeated)
{
    struct vmt_snapshot *older = NULL, *newer = NULL;
    struct vmt_delta *want, *got;

    cr_assert(vmt_snapshot_new(&older) == 0 && vmt_snapshot_new(&newer) == 0);
    cr_assert(vmt_delta_new(&want) == 0 && vmt_delta_new(&got) == 0);
    encode_into(stream, before, &out);
    vmt_msgpack_reset(stream);
    encode_into(stream, later, &out);
    feed(decoder, out.data, out.size);
    cr_assert_eq(vmt_snapshot_copy(older, next_of(decoder)), 0);
    cr_assert_eq(vmt_snapshot_copy(newer, next_of(decoder)), 0);
    cr_assert_eq(vmt_delta_compute(want, before, later), 0);
    cr_assert_eq(vmt_delta_compute(got, older, newer), 0);
    for (size_t i = 0; i < vmt_snapshot_count(later); i++) {
        for (size_t t = 0; t <= vmt_snapshot_source(later, i)->total_count; t++) {
            const struct vmt_change *a = t ? vmt_delta_total(want, i, t - 1) : vmt_delta_source(want, i);
            const struct vmt_change *b = t ? vmt_delta_total(got, i, t - 1) : vmt_delta_source(got, i);

            cr_assert_eq(a->flags, b->flags, "source %zu, total %zu", i, t);
            cr_assert_arr_eq(a->values, b->values, a->schema->slots * sizeof(uint64_t));
        }
    }
    vmt_delta_free(want);
    vmt_delta_free(got);
    vmt_snapshot_free(older);
    vmt_snapshot_free(newer);
}

Test(decode, golden_files)
{
    struct vmt_buffer text = { 0 };

    encode_into(stream, before, &out);
    encode_into(stream, later, &out);
    golden_compare("fixed.msgpack", out.data, out.size);
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_msgpack_encode_full(before, &out), 0);
    golden_compare("fixed-full.msgpack", out.data, out.size);
    cr_assert_eq(vmt_json_encode(before, 1, &text), 0);
    golden_compare("fixed.json", text.data, text.size);
    vmt_buffer_free(&text);
}

/* ---- what later versions may add ---- */

static int append(void *buffer, const char *data, size_t size)
{
    struct vmt_buffer *b = buffer;

    cr_assert(size < 4096 && b->size + size < b->capacity);
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return 0;
}

static void word(msgpack_packer *p, const char *text) { msgpack_pack_str_with_body(p, text, strlen(text)); }

static void frame(msgpack_packer *p, size_t elements, uint8_t kind)
{
    msgpack_pack_array(p, elements);
    msgpack_pack_uint8(p, kind);
    msgpack_pack_uint8(p, 1);
    if (kind == 0)
        word(p, "VMTALLY");
    msgpack_pack_uint64(p, 77);
}

static void header_frame(msgpack_packer *p, size_t extra)
{
    static const char id[16] = "0123456789abcde";

    frame(p, 14 + extra, 0);
    msgpack_pack_bin_with_body(p, id, 16);
    msgpack_pack_bin_with_body(p, id, 16);
    for (int i = 0; i < 3; i++)
        msgpack_pack_uint8(p, 1);
    word(p, "web");
    msgpack_pack_map(p, 0);
    msgpack_pack_timestamp(p, &(msgpack_timestamp){ 5, 0 });
    word(p, "/web");
    msgpack_pack_array(p, 3);
    for (int i = 0; i < 3; i++)
        msgpack_pack_uint8(p, 1);
    for (; extra; extra--)
        msgpack_pack_nil(p);
}

static void descriptor(msgpack_packer *p, const char *name, const char *type, const char *unit, uint16_t size)
{
    msgpack_pack_map(p, 6);
    word(p, "colour"); /* a key from the future, and what may stand there */
    msgpack_pack_map(p, 1);
    word(p, "name");
    msgpack_pack_array(p, 1);
    msgpack_pack_double(p, 1.5);
    word(p, "name");
    word(p, name);
    word(p, "type");
    word(p, type);
    word(p, "unit");
    word(p, unit);
    word(p, "size");
    msgpack_pack_uint16(p, size);
    word(p, "exponent");
    msgpack_pack_int8(p, 0);
}

static void sample_frame(msgpack_packer *p)
{
    frame(p, 17, 3);
    msgpack_pack_uint8(p, 1);
    msgpack_pack_timestamp(p, &(msgpack_timestamp){ 6, 0 });
    msgpack_pack_uint8(p, 1);
    msgpack_pack_uint8(p, 2);
    word(p, "live");
    msgpack_pack_uint8(p, 0);
    msgpack_pack_nil(p);
    msgpack_pack_uint8(p, 0);
    msgpack_pack_uint8(p, 0);
    msgpack_pack_array(p, 1);
    msgpack_pack_array(p, 5);
    msgpack_pack_uint8(p, 0);
    msgpack_pack_array(p, 6);
    msgpack_pack_uint8(p, 7);
    word(p, "who knows");
    msgpack_pack_array(p, 0);
    msgpack_pack_nil(p);
    msgpack_pack_double(p, 0);
    msgpack_pack_uint8(p, 8);
    msgpack_pack_uint8(p, 0);
    msgpack_pack_array(p, 0);
    word(p, "added");
    msgpack_pack_array(p, 0);
    msgpack_pack_uint8(p, 1);
    msgpack_pack_uint8(p, 99);
    word(p, "added");
}

Test(decode, what_is_not_known_is_left_out)
{
    char bytes[4096];
    struct vmt_buffer made = { bytes, 0, sizeof(bytes) };
    const struct vmt_snapshot *got;
    msgpack_packer p;

    msgpack_packer_init(&p, &made, append);
    msgpack_pack_array(&p, 2); /* a kind from the future */
    msgpack_pack_uint8(&p, 200);
    msgpack_pack_uint8(&p, 1);
    header_frame(&p, 3);
    frame(&p, 9, 1);
    msgpack_pack_uint8(&p, 0);
    for (int i = 0; i < 3; i++)
        word(&p, "segment");
    msgpack_pack_array(&p, 4);
    descriptor(&p, "first", "cumulative", "bytes", 1);
    descriptor(&p, "mood", "three-dimensional-histogram", "bytes", 3);
    descriptor(&p, "taste", "instant", "furlongs", 1);
    descriptor(&p, "last", "cumulative", "seconds", 1);
    word(&p, "added");
    frame(&p, 5, 2);
    msgpack_pack_uint8(&p, 1);
    msgpack_pack_array(&p, 1);
    msgpack_pack_array(&p, 8);
    msgpack_pack_uint8(&p, 0);
    word(&p, "");
    msgpack_pack_nil(&p);
    msgpack_pack_uint8(&p, 0);
    msgpack_pack_uint8(&p, 2);
    msgpack_pack_timestamp(&p, &(msgpack_timestamp){ 5, 0 });
    msgpack_pack_uint8(&p, 0);
    word(&p, "added");
    sample_frame(&p);

    feed(decoder, made.data, made.size);
    got = next_of(decoder);
    cr_assert_eq(vmt_snapshot_count(got), 1);
    cr_assert_eq(vmt_snapshot_segment(got)->uid, 99);
    cr_assert_eq(vmt_snapshot_source(got, 0)->schema->count, 2);
    cr_assert_str_eq(vmt_snapshot_source(got, 0)->schema->descriptors[1].name, "last");
    cr_assert_eq(vmt_snapshot_source(got, 0)->values[vmt_snapshot_source(got, 0)->schema->descriptors[0].slot], 7);
    cr_assert_eq(vmt_snapshot_source(got, 0)->values[vmt_snapshot_source(got, 0)->schema->descriptors[1].slot], 8);
    cr_assert_eq(state_of(decoder).skipped, 1);
    cr_assert_eq(state_of(decoder).damaged_bytes, 0);
    cr_assert_eq(result_of(decoder), 0);
}

/* ---- what it costs ---- */

/* Nobody waits for what no frame may have. */
Test(decode, lengths_that_no_frame_has_are_damage_at_once)
{
    static const struct {
        const char *what;
        uint8_t bytes[8];
        size_t size;
    } rows[] = {
        { "an array of 4 G", { 0xdd, 0xff, 0xff, 0xff, 0xff }, 5 },
        { "a map of 64 M", { 0xdf, 0x04, 0x00, 0x00, 0x00 }, 5 },
        { "a string of 4 G", { 0x94, 0xdb, 0xff, 0xff, 0xff, 0xff }, 6 },
        { "bytes of 64 MiB", { 0x94, 0xc6, 0x04, 0x00, 0x00, 0x00 }, 6 },
        { "an extension of 4 G", { 0x94, 0xc9, 0xff, 0xff, 0xff, 0xff, 0xff }, 7 },
        { "a number", { 0x07 }, 1 },
        { "a byte that begins nothing", { 0x94, 0x00, 0xc1 }, 3 },
    };

    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        struct vmt_decoder *one = new_decoder();

        feed(one, rows[i].bytes, rows[i].size);
        cr_expect_eq(result_of(one), -EBADMSG, "%s", rows[i].what);
        vmt_decoder_free(one);
    }
}

Test(decode, frame_is_16_deep_at_most)
{
    uint8_t deep[32] = { 0x94, 100, 1 }; /* of a kind that is not known */

    memset(deep + 3, 0x91, 15);
    memset(deep + 18, 0, 14); /* the innermost value, and what comes next */
    feed(decoder, deep, 20);
    cr_assert_eq(result_of(decoder), 0);
    cr_assert_eq(state_of(decoder).skipped, 1);
    cr_assert_eq(state_of(decoder).waiting, 0);
    memset(deep + 3, 0x91, 16);
    feed(decoder, deep, 21);
    cr_assert_eq(result_of(decoder), -EBADMSG);
}

/* Were it looked at from its start at each piece, this would take hours. */
Test(decode, cost_is_linear_however_it_is_fed)
{
    const size_t size = (size_t)2 << 20;
    uint8_t *bytes = calloc(1, size);

    cr_assert_not_null(bytes);
    memcpy(bytes, "\xdd\x00\x00\x00\x00\xc8\x01", 7);
    bytes[1] = (uint8_t)((size - 5) >> 24);
    bytes[2] = (uint8_t)((size - 5) >> 16);
    bytes[3] = (uint8_t)((size - 5) >> 8);
    bytes[4] = (uint8_t)(size - 5);
    bytes[5] = 100;
    for (size_t i = 0; i < size; i++) {
        cr_assert_eq(state_of(decoder).skipped, 0);
        feed(decoder, bytes + i, 1);
        cr_assert_eq(result_of(decoder), 0);
    }
    cr_assert_eq(state_of(decoder).skipped, 1);
    free(bytes);
}

/* Each begins like a header, and leads to the same long tail that comes to nothing. */
Test(decode, cost_is_linear_whatever_is_damaged)
{
    static const uint8_t begin[] = { 0x9e, 0x00, 0x01, 0xa7, 'V', 'M', 'T', 'A', 'L', 'L', 'Y', 0xc6 };
    const size_t entry = sizeof(begin) + 4, count = 100000, tail = (size_t)8 << 20;
    const size_t size = count * entry + tail;
    uint8_t *bytes = calloc(1, size);
    int r;

    cr_assert_not_null(bytes);
    for (size_t i = 0; i < count; i++) {
        size_t left = (count - i - 1) * entry;

        memcpy(bytes + i * entry, begin, sizeof(begin));
        for (int k = 0; k < 4; k++)
            bytes[i * entry + sizeof(begin) + (size_t)k] = (uint8_t)(left >> (24 - 8 * k));
    }
    memcpy(bytes + count * entry, "\xdd\x03\x00\x00\x00", 5);
    bytes[size - 1] = 0xc1;
    feed(decoder, bytes, size);
    while ((r = result_of(decoder)) == -EBADMSG)
        ;
    cr_assert_eq(r, 0);
    cr_assert_gt(state_of(decoder).damaged_bytes, size - 64);
    free(bytes);
}

Test(decode, decoder_of_nothing_waits)
{
    cr_assert_eq(result_of(decoder), 0);
    feed(decoder, NULL, 0);
    cr_assert_eq(result_of(decoder), 0);
    cr_assert_eq(state_of(decoder).bytes, 0);
    vmt_decoder_free(NULL);
}
