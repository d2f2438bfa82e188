/* SPDX-License-Identifier: MIT */
/* Recordings and decoders without memory: -ENOMEM, and all of it once there is memory again. */
#include "decoding.h"
#include "fixed_snapshot.h"
#include "scarce.h"

static struct vmt_snapshot *before, *later;
static struct vmt_buffer bytes;

static void setup(void)
{
    struct vmt_msgpack *stream = new_stream();

    before = fixed_snapshot();
    later = fixed_snapshot_later();
    encode_into(stream, before, &bytes);
    cr_assert_eq(vmt_msgpack_encode_full(later, &bytes), 0);
    vmt_msgpack_reset(stream);
    encode_into(stream, later, &bytes);
    vmt_msgpack_free(stream);
}

static void teardown(void)
{
    vmt_buffer_free(&bytes);
    vmt_snapshot_free(before);
    vmt_snapshot_free(later);
    fixed_forget();
}

TestSuite(decode_memory, .init = setup, .fini = teardown, .timeout = 120);

/* The next one, while allocation n from there on fails; where it does, once more with memory. */
static const struct vmt_snapshot *next_without(struct vmt_decoder *decoder, unsigned *n, bool *failed)
{
    const struct vmt_snapshot *got = NULL;
    unsigned left;
    int r;

    scarce_left = *n;
    r = vmt_decoder_next(decoder, &got);
    left = scarce_left;
    *failed |= *n && !left;
    scarce_left = 0;
    *n = left;
    if (r == -ENOMEM) {
        cr_assert(*failed);
        return next_of(decoder);
    }
    cr_assert_eq(r, 1, "%d", r);
    return got;
}

Test(decode_memory, decoder_goes_on_where_memory_ran_out)
{
    bool failed = true;
    unsigned n;

    for (n = 1; failed; n++) {
        struct vmt_decoder *decoder = NULL;
        unsigned left = n;
        int r;

        r = SCARCE(left, &failed, vmt_decoder_new(&decoder));
        if (failed) {
            cr_assert_eq(r, -ENOMEM);
            cr_assert_null(decoder);
            continue;
        }
        cr_assert_eq(r, 0);
        r = SCARCE(left, &failed, vmt_decoder_feed(decoder, bytes.data, bytes.size));
        if (r < 0) {
            cr_assert(failed && r == -ENOMEM);
            cr_assert_eq(state_of(decoder).bytes, 0);
            feed(decoder, bytes.data, bytes.size);
        }
        failed = false;
        assert_says_same(next_without(decoder, &left, &failed), before);
        assert_says_same(next_without(decoder, &left, &failed), later);
        assert_says_same(next_without(decoder, &left, &failed), later);
        cr_assert_eq(result_of(decoder), 0);
        cr_assert_eq(state_of(decoder).damaged_bytes, 0);
        vmt_decoder_free(decoder);
        cr_assert_lt(n, 3000);
    }
    cr_assert_gt(n, 40, "it allocates %u times only", n);
}

Test(decode_memory, copy_is_whole_or_empty)
{
    bool failed = true;
    unsigned n;

    for (n = 1; failed; n++) {
        struct vmt_snapshot *copy = NULL;
        int r;

        cr_assert_eq(vmt_snapshot_new(&copy), 0);
        r = SCARCE(n, &failed, vmt_snapshot_copy(copy, before));
        if (r < 0) {
            cr_assert_eq(r, -ENOMEM);
            cr_assert_eq(vmt_snapshot_count(copy), 0, "half a copy");
            cr_assert_str_eq(vmt_snapshot_segment(copy)->name, "");
            cr_assert_eq(vmt_snapshot_copy(copy, before), 0);
        }
        assert_says_same(copy, before);
        vmt_snapshot_free(copy);
    }
    cr_assert_gt(n, 6);
}

Test(decode_memory, rebuilt_snapshot_is_whole_or_empty)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(before);
    bool failed = true;
    unsigned n;

    for (n = 1; failed; n++) {
        struct vmt_snapshot *made = NULL;
        int r;

        cr_assert_eq(vmt_snapshot_new(&made), 0);
        r = SCARCE(n, &failed,
                   vmt_snapshot_rebuild(made, fixed_recorded, info, vmt_snapshot_source(before, 0),
                                        vmt_snapshot_count(before)));
        if (r < 0) {
            cr_assert_eq(r, -ENOMEM);
            cr_assert_eq(vmt_snapshot_count(made), 0, "half a snapshot");
        } else {
            assert_says_same(made, before);
        }
        vmt_snapshot_free(made);
    }
    cr_assert_gt(n, 6);
}

Test(decode_memory, schema_is_recorded_or_not)
{
    bool failed = true;
    unsigned n;

    for (n = 1; failed; n++) {
        struct vmt_recorded *recorded = NULL;
        const struct vmt_schema *own = NULL;
        int r = SCARCE(n, &failed, vmt_recorded_new(&recorded));

        if (r < 0) {
            cr_assert(r == -ENOMEM && !recorded);
            continue;
        }
        r = SCARCE(n, &failed, vmt_recorded_schema(recorded, &fixed_extra, &own));
        if (r < 0) {
            cr_assert(r == -ENOMEM && !own);
            cr_assert_eq(vmt_recorded_schema(recorded, &fixed_extra, &own), 0);
        }
        cr_assert_str_eq(own->name, fixed_extra.name);
        vmt_recorded_free(recorded);
    }
    cr_assert_gt(n, 4);
}
