/* SPDX-License-Identifier: MIT */
/* Streams that were joined, woven, cut and damaged: vmt_decoder and decode_stream.py, which knows nothing but
 * STREAM.md, say the same of them. */
#include "two_snapshots.h"

TestSuite(decode_streams, .init = setup, .fini = teardown, .timeout = 240);

/* ---- both decoders ---- */

#define DAMAGED "damaged\n"

static void put(struct vmt_buffer *text, const char *more, size_t size)
{
    text->data = realloc(text->data, text->size + size + 1);
    cr_assert_not_null(text->data);
    memcpy(text->data + text->size, more, size);
    text->size += size;
    text->data[text->size] = '\0';
}

/* A line for each snapshot, and one for each damage, however many times it was said in a row. */
static void put_line(struct vmt_buffer *text, const char *line, size_t size)
{
    size_t n = strlen(DAMAGED);

    if (size != n || memcmp(line, DAMAGED, n) != 0 || text->size < n ||
        memcmp(text->data + text->size - n, DAMAGED, n) != 0)
        put(text, line, size);
}

/* What vmt_decoder says. Maps are left out where asked for: both have them as they are. */
static struct vmt_buffer said_here(const char *bytes, size_t size)
{
    struct vmt_decoder *one = new_decoder();
    struct vmt_buffer text = { 0 }, json = { 0 };
    const struct vmt_snapshot *got;
    char rest[40];
    int r;

    feed(one, bytes, size);
    vmt_decoder_end(one);
    while ((r = vmt_decoder_next(one, &got)) != 0) {
        cr_assert(r == 1 || r == -EBADMSG, "%d", r);
        vmt_buffer_clear(&json);
        if (r == 1)
            cr_assert_eq(vmt_json_encode(got, 0, &json), 0);
        put_line(&text, r == 1 ? json.data : DAMAGED, r == 1 ? json.size : strlen(DAMAGED));
    }
    if (!text.data || !strstr(text.data, DAMAGED)) {
        snprintf(rest, sizeof(rest), "rest %llu\n", (unsigned long long)state_of(one).waiting);
        put(&text, rest, strlen(rest));
    }
    cr_assert_eq(state_of(one).bytes, size);
    vmt_buffer_free(&json);
    vmt_decoder_free(one);
    return text;
}

/* What decode_stream.py says. */
static struct vmt_buffer said_there(const char *bytes, size_t size)
{
    const char *path = test_path("bytes");
    struct vmt_buffer text = { 0 };
    char command[8192], *line = NULL;
    size_t room = 0;
    bool damaged = false;
    ssize_t n;
    FILE *f = fopen(path, "we");

    cr_assert(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
    snprintf(command, sizeof(command), "/usr/bin/python3 '%s/tests/unit/decode_stream.py' --documents '%s'",
             getenv("VMT_SOURCE_ROOT"), path);
    f = popen(command, "r");
    cr_assert_not_null(f);
    while ((n = getline(&line, &room, f)) > 0) {
        damaged |= strcmp(line, DAMAGED) == 0;
        if (!damaged || strncmp(line, "rest ", 5) != 0)
            put_line(&text, line, (size_t)n);
    }
    free(line);
    (void)pclose(f);
    cr_assert_gt(text.size, 0, "no answer from: %s", command);
    return text;
}

static unsigned lines(const struct vmt_buffer *text)
{
    unsigned n = 0;

    for (size_t i = 0; i < text->size; i++)
        n += text->data[i] == '\n';
    return n;
}

/* Returns how many snapshots both found. */
static unsigned assert_both_say_same(const char *bytes, size_t size, const char *what)
{
    struct vmt_buffer here = said_here(bytes, size), there = said_there(bytes, size);
    unsigned count = lines(&here);
    size_t at = 0;

    while (at < here.size && at < there.size && here.data[at] == there.data[at])
        at++;
    cr_expect(at == here.size && at == there.size, "%s: %u and %u lines, others from %zu on:\n%.300s\n%.300s", what,
              count, lines(&there), at, here.data + (at > 100 ? at - 100 : 0), there.data + (at > 100 ? at - 100 : 0));
    for (const char *p = here.data; p && (p = strstr(p, DAMAGED)); p++)
        count--;
    count -= strstr(here.data ? here.data : "", "\nrest ") || strncmp(here.data ? here.data : "", "rest ", 5) == 0;
    free(here.data);
    free(there.data);
    return count;
}

/* ---- frames ---- */

#define FRAMES_MAX 64

struct frames {
    size_t ends[FRAMES_MAX];
    size_t count;
};

/* Where frames end: where a decoder that was fed so far waits for nothing. */
static struct frames frames_of(const struct vmt_buffer *bytes)
{
    struct vmt_decoder *one = new_decoder();
    struct frames frames = { .count = 0 };

    for (size_t i = 0; i < bytes->size; i++) {
        feed(one, bytes->data + i, 1);
        while (result_of(one) == 1)
            ;
        if (state_of(one).waiting)
            continue;
        cr_assert_lt(frames.count, FRAMES_MAX);
        frames.ends[frames.count++] = i + 1;
    }
    vmt_decoder_free(one);
    return frames;
}

static void put_frame(struct vmt_buffer *to, const struct vmt_buffer *from, const struct frames *frames, size_t i)
{
    size_t start = i ? frames->ends[i - 1] : 0;

    put(to, from->data + start, frames->ends[i] - start);
}

/* Three streams: of the fixed VM, of the same with a header in between, and of a live segment. */
static void three_streams(struct vmt_buffer streams[3])
{
    struct vmt_msgpack *other = new_stream();

    memset(streams, 0, 3 * sizeof(streams[0]));
    encode_into(stream, before, &streams[0]);
    encode_into(stream, later, &streams[0]);
    encode_into(other, before, &streams[1]);
    vmt_msgpack_reset(other);
    encode_into(other, later, &streams[1]);
    vmt_msgpack_reset(other);
    for (int i = 0; i < 4; i++) {
        vmt_add(full_shard, ALL_TIME, 1);
        take();
        encode_into(other, snapshot, &streams[2]);
    }
    vmt_msgpack_free(other);
}

static void free_streams(struct vmt_buffer streams[3])
{
    for (int i = 0; i < 3; i++)
        vmt_buffer_free(&streams[i]);
}

/* A generator of our own: the same numbers everywhere. */
static uint32_t random_below(uint32_t n)
{
    static uint64_t state = 88172645463325252U;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % n;
}

/* ---- joined, woven, cut ---- */

Test(decode_streams, streams_one_after_the_other_are_one)
{
    struct vmt_buffer streams[3], all = { 0 };

    three_streams(streams);
    for (int i = 0; i < 6; i++)
        put(&all, streams[i % 3].data, streams[i % 3].size);
    cr_assert_eq(assert_both_say_same(all.data, all.size, "joined"), 2 * (2 + 2 + 4));
    free(all.data);
    free_streams(streams);
}

Test(decode_streams, woven_streams_lose_nothing)
{
    struct vmt_buffer streams[2], parts[3];
    struct frames frames[2];

    three_streams(parts);
    streams[0] = parts[0];
    streams[1] = parts[2];
    for (int i = 0; i < 2; i++)
        frames[i] = frames_of(&streams[i]);
    for (int way = 0; way < 8; way++) {
        struct vmt_buffer all = { 0 };
        size_t at[2] = { 0, 0 };

        while (at[0] < frames[0].count || at[1] < frames[1].count) {
            uint32_t i = way == 0 ? at[0] > at[1] : random_below(2);

            i = at[i] < frames[i].count ? i : !i;
            put_frame(&all, &streams[i], &frames[i], at[i]);
            at[i]++;
        }
        cr_assert_eq(assert_both_say_same(all.data, all.size, "woven"), 2 + 4);
        free(all.data);
    }
    free_streams(parts);
}

Test(decode_streams, frames_cut_out_take_only_what_needs_them_with_them)
{
    struct vmt_buffer streams[3];
    struct frames frames;

    three_streams(streams);
    frames = frames_of(&streams[2]);
    for (size_t from = 0; from < frames.count; from++) {
        for (size_t to = from + 1; to <= frames.count; to += 1 + (to - from) / 3) {
            struct vmt_buffer rest = { 0 };

            for (size_t i = 0; i < frames.count; i++) {
                if (i < from || i >= to)
                    put_frame(&rest, &streams[2], &frames, i);
            }
            put(&rest, streams[0].data, streams[0].size);
            cr_assert_geq(assert_both_say_same(rest.data, rest.size, "cut out"), 2);
            free(rest.data);
        }
    }
    free_streams(streams);
}

Test(decode_streams, decoder_that_starts_in_the_middle_goes_on_at_the_next_header)
{
    struct vmt_buffer streams[3];
    struct frames frames;

    three_streams(streams);
    frames = frames_of(&streams[1]);
    for (size_t i = 0; i < frames.count; i++) {
        unsigned want = i == frames.count - 1 ? 0 : 1; /* the second header is in the middle */
        unsigned got =
            assert_both_say_same(streams[1].data + frames.ends[i], streams[1].size - frames.ends[i], "from the middle");

        cr_expect_leq(got, want, "from frame %zu on", i + 1);
        if (i < frames.count / 2 - 1)
            cr_expect_eq(got, 1, "from frame %zu on", i + 1);
    }
    free_streams(streams);
}

static unsigned count_snapshots(const struct vmt_buffer *bytes)
{
    struct vmt_decoder *one = new_decoder();
    unsigned count;

    feed(one, bytes->data, bytes->size);
    vmt_decoder_end(one);
    while (result_of(one) != 0)
        ;
    count = (unsigned)state_of(one).snapshots;
    vmt_decoder_free(one);
    return count;
}

/* A writer that was killed, and one that goes on in the same file. (Where a number at the end of a frame was cut off,
 * the first bytes of what follows may be taken for the rest of it: then a header is lost.) */
Test(decode_streams, what_follows_a_frame_that_was_cut_off_is_found)
{
    struct vmt_buffer streams[3];
    unsigned lost = 0, cuts = 0;

    three_streams(streams);
    for (size_t cut = 1; cut < streams[2].size; cut += 3) {
        struct vmt_buffer all = { 0 };

        put(&all, streams[2].data, cut);
        put(&all, streams[0].data, streams[0].size);
        lost += count_snapshots(&all) < 2;
        if (cuts++ % 25 == 0)
            assert_both_say_same(all.data, all.size, "cut off");
        free(all.data);
    }
    cr_assert_lt(lost, cuts / 50, "%u of %u", lost, cuts);
    free_streams(streams);
}

/* ---- damaged ---- */

Test(decode_streams, damage_takes_no_more_than_it_hits)
{
    struct vmt_buffer streams[3];
    struct frames frames;
    size_t last;

    three_streams(streams);
    frames = frames_of(&streams[2]);
    last = frames.ends[frames.count - 1];
    cr_assert_eq(last, streams[2].size);
    /* In each of the samples but the last one: a byte that begins no value, where its number of sources stands. */
    for (size_t i = frames.count - 4; i < frames.count - 1; i++) {
        char *byte = &streams[2].data[frames.ends[i - 1] + 5], was = *byte;

        *byte = (char)0xc1;
        cr_assert_eq(assert_both_say_same(streams[2].data, streams[2].size, "a byte"), 3);
        *byte = was;
    }
    free_streams(streams);
}

Test(decode_streams, both_find_the_same_in_what_is_damaged)
{
    struct vmt_buffer streams[3], all = { 0 };
    unsigned found = 0, hit = 0;

    three_streams(streams);
    put(&all, streams[2].data, streams[2].size);
    put(&all, streams[1].data, streams[1].size);
    for (int run = 0; run < 60; run++) {
        struct vmt_buffer bad = { 0 };
        unsigned n;

        put(&bad, all.data, all.size);
        for (uint32_t k = 1 + random_below(4); k; k--) {
            uint32_t at = random_below((uint32_t)bad.size), how = random_below(4);

            if (how == 0)
                bad.data[at] = (char)random_below(256);
            else if (how == 1)
                bad.data[at] = (char)(bad.data[at] ^ 1 << random_below(8));
            else if (how == 2)
                memmove(bad.data + at, bad.data + at + 1, --bad.size - at);
            else
                bad.size = bad.size - random_below(9);
        }
        n = assert_both_say_same(bad.data, bad.size, "damaged");
        hit += n < 6;
        found += n;
        free(bad.data);
    }
    cr_assert_gt(hit, 15, "there was hardly any damage");
    cr_assert_gt(found, 60U * 6 / 2, "most of it was lost");
    free(all.data);
    free_streams(streams);
}

/* ---- many ---- */

Test(decode_streams, another_file_with_the_same_identity_is_another_stream)
{
    struct vmt_segment_info info = *vmt_snapshot_segment(before);
    struct vmt_sample root = *vmt_snapshot_source(before, 0);
    struct vmt_msgpack *other = new_stream();
    struct vmt_snapshot *copy;

    root.total_count = 0;
    info.path = "/run/vmtally/copy.vmt";
    cr_assert_eq(vmt_snapshot_new(&copy), 0);
    cr_assert_eq(vmt_snapshot_rebuild(copy, fixed_recorded, &info, &root, 1), 0);
    encode_into(stream, before, &out);
    encode_into(other, copy, &out);
    encode_into(stream, later, &out);
    feed(decoder, out.data, out.size);
    assert_says_same(next_of(decoder), before);
    assert_says_same(next_of(decoder), copy);
    assert_says_same(next_of(decoder), later);
    cr_assert_eq(assert_both_say_same(out.data, out.size, "a copy"), 3);
    vmt_snapshot_free(copy);
    vmt_msgpack_free(other);
}

/* 70,000 VMs: what was in use the longest time ago is forgotten, and nothing else. */
Test(decode_streams, oldest_stream_is_forgotten)
{
    struct vmt_segment_info info = *vmt_snapshot_segment(before);
    struct vmt_sample root = *vmt_snapshot_source(before, 0);
    struct vmt_msgpack *first = new_stream(), *second = new_stream();
    struct vmt_snapshot *one;
    struct vmt_buffer again[2] = { { 0 }, { 0 } };

    root.total_count = 0;
    cr_assert_eq(vmt_snapshot_new(&one), 0);
    for (uint32_t i = 0; i < 70000; i++) {
        memcpy(info.identity, &i, sizeof(i));
        info.realtime_ns++;
        cr_assert_eq(vmt_snapshot_rebuild(one, fixed_recorded, &info, &root, 1), 0);
        vmt_msgpack_reset(stream);
        vmt_buffer_clear(&out);
        encode_into(i == 0 ? first : i == 1 ? second : stream, one, &out);
        if (i < 2)
            encode_into(i == 0 ? first : second, one, &again[i]); /* the sample alone */
        feed(decoder, out.data, out.size);
        (void)next_of(decoder);
        if (i % 60000 == 0 && i) {
            feed(decoder, again[1].data, again[1].size); /* in use again */
            (void)next_of(decoder);
        }
    }
    feed(decoder, again[0].data, again[0].size);
    cr_assert_eq(result_of(decoder), 0);
    cr_assert_eq(state_of(decoder).skipped, 1);
    feed(decoder, again[1].data, again[1].size);
    (void)next_of(decoder);
    vmt_buffer_free(&again[0]);
    vmt_buffer_free(&again[1]);
    vmt_snapshot_free(one);
    vmt_msgpack_free(first);
    vmt_msgpack_free(second);
}

/* Each header's writer brings others: those of before make room. */
Test(decode_streams, schemas_of_writers_that_went_make_room)
{
    struct vmt_segment_info info = *vmt_snapshot_segment(before);
    struct vmt_descriptor d = { .name = "n", .help = "", .size = 1 };
    uint64_t value = 7;

    for (uint32_t round = 0; round < 5; round++) {
        struct vmt_recorded *recorded;
        struct vmt_sample sources[200];
        struct vmt_snapshot *one;

        info.incarnation++;
        cr_assert(vmt_recorded_new(&recorded) == 0 && vmt_snapshot_new(&one) == 0);
        for (uint32_t i = 0; i < LENGTH_OF(sources); i++) {
            char name[24];
            const struct vmt_schema schema = { name, "p", "t", &d, 1, 1 };

            snprintf(name, sizeof(name), "s%u-%u", round, i);
            sources[i] = (struct vmt_sample){ .id = i ? "a" : "", .values = &value, .parent = i ? 0 : UINT32_MAX };
            cr_assert_eq(vmt_recorded_schema(recorded, &schema, &sources[i].schema), 0);
        }
        cr_assert_eq(vmt_snapshot_rebuild(one, recorded, &info, sources, LENGTH_OF(sources)), 0);
        vmt_buffer_clear(&out);
        encode_into(stream, one, &out);
        feed(decoder, out.data, out.size);
        assert_says_same(next_of(decoder), one);
        vmt_snapshot_free(one);
        vmt_recorded_free(recorded);
    }
    cr_assert_eq(state_of(decoder).skipped, 0);
}
