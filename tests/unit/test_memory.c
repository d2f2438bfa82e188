/* SPDX-License-Identifier: MIT */
/* Out of memory at each allocation in turn: -ENOMEM, nothing half done, and all of it once there is memory again. */
#include "parts.h"

#include <stdarg.h>

#include <vmtally/export.h>

#include "lib/writer.h"

/* ---- allocations that fail; linked with --wrap ---- */

static struct {
    unsigned fail;  /* which one, from 1 */
    bool from_then; /* and all that follow it */
    bool active;
    unsigned seen;
} memory;

static bool short_of_memory(void)
{
    if (!memory.active)
        return false;
    memory.seen++;
    if (memory.from_then ? memory.seen < memory.fail : memory.seen != memory.fail)
        return false;
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void **ret, size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t bytes) { return short_of_memory() ? NULL : __real_malloc(bytes); }
void *__wrap_calloc(size_t n, size_t bytes) { return short_of_memory() ? NULL : __real_calloc(n, bytes); }
void *__wrap_realloc(void *p, size_t bytes) { return short_of_memory() ? NULL : __real_realloc(p, bytes); }
char *__wrap_strdup(const char *text) { return short_of_memory() ? NULL : __real_strdup(text); }

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return short_of_memory() ? NULL : __real_aligned_alloc(alignment, bytes);
}

int __wrap_posix_memalign(void **ret, size_t alignment, size_t bytes)
{
    return short_of_memory() ? ENOMEM : __real_posix_memalign(ret, alignment, bytes);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
    va_list args;
    int n;

    if (short_of_memory())
        return -1;
    va_start(args, format);
    n = vasprintf(ret, format, args);
    va_end(args);
    return n;
}

/* A call with as little memory as the course says. */
#define SHORT_OF_MEMORY(call)                                                                                          \
    ({                                                                                                                 \
        memory.active = true;                                                                                          \
        __typeof__(call) short_result = (call);                                                                        \
        memory.active = false;                                                                                         \
        short_result;                                                                                                  \
    })

#define DID_WITHOUT 1

/* Runs it with each allocation failing in turn, that one only and then all from there on, until none is left to fail.
 * course() asserts what it is left with, cleans up, and returns the call's result, or that it did without. */
static void each_in_turn(const char *what, unsigned least, int (*course)(void))
{
    for (int from_then = 0; from_then < 2; from_then++) {
        for (unsigned n = 1;; n++) {
            int r;

            memory.fail = n;
            memory.from_then = from_then;
            memory.seen = 0;
            r = course();
            if (memory.seen < n) {
                cr_assert_eq(r, 0, "%s: %s", what, strerror(-r));
                cr_assert_gt(n, least, "%s allocates %u times only", what, n - 1);
                break;
            }
            cr_assert(r == -ENOMEM || r == DID_WITHOUT, "%s without allocation %u%s: %d", what, n,
                      from_then ? " and those after" : "", r);
            cr_assert_lt(n, 1000, "%s does not come to an end", what);
        }
    }
}

/* ---- what there is ---- */

static struct vmt_segment *segment;
static struct vmt_snapshot *before, *after;
static struct vmt_reader *reader;

#define DEVICES 40

static void setup(void)
{
    struct vmt_source *vm, *source;

    test_dir_init();
    segment = new_segment("vm");
    vm = add_source(segment, &small_schema, NULL, "vm");
    for (int i = 0; i < DEVICES; i++) {
        source = NULL;
        cr_assert_eq(vmt_source_addf(segment, i % 2 ? &part_schema : &vmt_schema_block, vm, &source, "dev-%d", i), 0);
        vmt_add(vmt_shard_acquire(source), 0, (uint64_t)i);
    }
    before = new_snapshot();
    after = new_snapshot();
    vmt_snapshot_want_shards(after, 1);
    reader = attach(vmt_segment_path(segment), VMT_READ_GUARDED);
    take(before, reader);
    take(after, reader);
}

static void teardown(void)
{
    vmt_snapshot_free(before);
    vmt_snapshot_free(after);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(memory, .init = setup, .fini = teardown);

/* ---- the writer ---- */

static int make_a_segment(void)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "other" };
    struct vmt_segment *other = NULL;
    int r = SHORT_OF_MEMORY(vmt_segment_create(&options, &other));

    cr_assert_eq(test_dir_files(), r < 0 ? 1 : 2);
    cr_assert_eq(other == NULL, r < 0);
    vmt_segment_close(other);
    cr_assert_eq(test_dir_files(), 1);
    return r;
}

Test(memory, a_segment_is_made_whole_or_not_at_all) { each_in_turn("create", 2, make_a_segment); }

static int make_one_in_place(void)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "other", .path = test_path("place"), .fixed_bytes = 1 << 20
    };
    struct vmt_segment *other = NULL;
    FILE *file = fopen(options.path, "w");
    int r;

    cr_assert_not_null(file);
    fclose(file);
    r = SHORT_OF_MEMORY(vmt_segment_create(&options, &other));
    cr_assert_eq(other == NULL, r < 0);
    vmt_segment_close(other);
    unlink(options.path);
    return r;
}

Test(memory, a_jails_segment_is_made_whole_or_not_at_all) { each_in_turn("create in place", 2, make_one_in_place); }

/* What an earlier writer left stays as it is until the whole of it can be gone on with. */
static int go_on(void)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "left", .keep = 1 };
    struct vmt_segment *left = NULL;
    struct vmt_source *source;
    int r;

    cr_assert_eq(vmt_segment_create(&options, &left), 0);
    source = add_source(left, &part_schema, NULL, "a");
    vmt_add(vmt_shard_acquire(source), P_EVENTS, 7);
    vmt_segment_close(left);
    left = NULL;

    options.resume = 1;
    r = SHORT_OF_MEMORY(vmt_segment_create(&options, &left));
    cr_assert_eq(left == NULL, r < 0);
    cr_assert_eq(test_dir_files(), 2);
    if (r < 0)
        cr_assert_eq(vmt_segment_create(&options, &left), 0);
    source = add_source(left, &part_schema, NULL, "a");
    cr_assert_eq(value_now(left, "a", P_EVENTS), 7);
    vmt_segment_close(left);
    unlink(test_path("left.vmt"));
    return r;
}

Test(memory, what_was_left_is_gone_on_with_or_kept) { each_in_turn("resume", 3, go_on); }

static int scratch_only; /* times that it was the common one */

/* Counting never fails: without a shard of its own, or memory for a scratch one, there is the common one. */
static void acquire_when_full(void)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "full", .max_bytes = 1 << 20 };
    struct vmt_segment *full = NULL;
    struct vmt_source *source;
    struct vmt_shard *shard, *last = NULL;

    cr_assert_eq(vmt_segment_create(&options, &full), 0);
    source = add_source(full, &part_schema, NULL, "a");
    for (int n = 0; segment_of(shard = vmt_shard_acquire(source)); n++)
        cr_assert_lt(n, 100000);
    vmt_shard_release(shard);
    last = SHORT_OF_MEMORY(vmt_shard_acquire(source));
    cr_assert_not_null(last);
    cr_assert_null(segment_of(last));
    for (uint32_t i = 0; i < P_SLOTS; i++)
        vmt_add(last, i, 1);
    scratch_only += last == VMT_SCRATCH;
    cr_assert_eq(value_now(full, "a", P_EVENTS), 0);
    vmt_shard_release(last);
    vmt_segment_close(full);
}

Test(memory, counting_has_somewhere_to_go)
{
    memory.fail = 0; /* none */
    acquire_when_full();
    cr_assert_eq(scratch_only, 0);
    memory.fail = 1;
    memory.from_then = true;
    acquire_when_full();
    cr_assert_eq(scratch_only, 1);
}

/* ---- the reader ---- */

static int open_by(enum vmt_read_mode mode)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = mode };
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_reader *opened = NULL;
    bool mapped;
    int r = SHORT_OF_MEMORY(vmt_reader_open(vmt_segment_path(segment), &options, &opened));

    cr_assert_eq(opened == NULL, r < 0);
    if (r == 0) {
        take(snapshot, opened);
        cr_assert_eq(value_of(snapshot, "vm/dev-39", P_EVENTS), 39);
        mapped = vmt_snapshot_segment(snapshot)->flags & VMT_SNAPSHOT_MAPPED;
        cr_assert_eq(mapped, mode == VMT_READ_GUARDED);
        if (mode == VMT_READ_GUARDED && memory.seen >= memory.fail)
            r = DID_WITHOUT; /* a guard, until there was memory for it */
    }
    vmt_snapshot_free(snapshot);
    vmt_reader_close(opened);
    return r;
}

static int open_to_copy(void) { return open_by(VMT_READ_COPY); }
static int open_guarded(void) { return open_by(VMT_READ_GUARDED); }

static int open_here(void)
{
    struct vmt_reader *opened = NULL;
    int r = SHORT_OF_MEMORY(vmt_reader_open_segment(segment, &opened));

    cr_assert_eq(opened == NULL, r < 0);
    vmt_reader_close(opened);
    return r;
}

Test(memory, attaching_fails_with_nothing_left_open)
{
    each_in_turn("open to copy", 3, open_to_copy);
    each_in_turn("open guarded", 3, open_guarded);
    each_in_turn("open here", 3, open_here);
}

/* What a snapshot can do without: giving back what pools grew by in advance, one copy of what has counted nothing. */
static int without(int r) { return r == 0 && memory.seen >= memory.fail ? DID_WITHOUT : r; }

static enum vmt_read_mode taken_by;

static int take_one(void)
{
    struct vmt_reader *fresh = attach(vmt_segment_path(segment), taken_by);
    struct vmt_snapshot *snapshot = NULL;
    int r = SHORT_OF_MEMORY(vmt_snapshot_new(&snapshot));

    if (r < 0) {
        cr_assert_null(snapshot);
        vmt_reader_close(fresh);
        return r;
    }
    vmt_snapshot_want_shards(snapshot, 1);
    r = SHORT_OF_MEMORY(vmt_snapshot_take(snapshot, fresh));
    if (r < 0) {
        cr_assert_eq(vmt_snapshot_count(snapshot), 0, "half a snapshot");
        take(snapshot, fresh);
    }
    cr_assert_eq(vmt_snapshot_count(snapshot), DEVICES + 2);
    cr_assert_eq(value_of(snapshot, "vm/dev-39", P_EVENTS), 39);
    cr_assert_eq(sample_of(snapshot, "vm/dev-39")->shard_count, 1);
    cr_assert_eq(total_of(snapshot, "vm", P_EVENTS), DEVICES / 2 * (DEVICES / 2));
    vmt_snapshot_free(snapshot);
    vmt_reader_close(fresh);
    return without(r);
}

Test(memory, a_snapshot_is_whole_or_empty)
{
    for (taken_by = VMT_READ_COPY; taken_by <= VMT_READ_GUARDED; taken_by++)
        each_in_turn("take", 10, take_one);
}

static int check(void)
{
    char why[256];
    int r = SHORT_OF_MEMORY(vmt_check(vmt_segment_path(segment), why, sizeof(why)));

    cr_assert(r < 0 || !why[0], "%s", why);
    return without(r);
}

Test(memory, a_verdict_is_not_given_without) { each_in_turn("check", 5, check); }

static int discover(void)
{
    struct vmt_found *found = NULL;
    long n = SHORT_OF_MEMORY(vmt_discover(NULL, &found));

    cr_assert_eq(found == NULL, n < 0);
    if (n < 0)
        return (int)n;
    cr_assert_eq(n, 1);
    cr_assert_str_eq(found->name, "vm");
    vmt_found_free(found, n);
    return 0;
}

static int discover_many(void)
{
    struct vmt_found *found = NULL;
    long n = SHORT_OF_MEMORY(vmt_discover(getenv("VMTALLY_DIR"), &found));

    cr_assert_eq(found == NULL, n < 0);
    if (n < 0)
        return (int)n;
    cr_assert_eq(n, 101);
    vmt_found_free(found, n);
    return 0;
}

Test(memory, all_segments_are_found_or_none)
{
    each_in_turn("discover", 2, discover);
    for (int i = 0; i < 100; i++) {
        char name[32];
        FILE *file;

        snprintf(name, sizeof(name), "x-%d.vmt", i);
        file = fopen(test_path(name), "w");
        cr_assert_not_null(file);
        fclose(file);
    }
    each_in_turn("discover many", 100, discover_many);
}

/* ---- what is made of snapshots ---- */

static int compare(void)
{
    struct vmt_delta *delta = NULL;
    size_t last = vmt_snapshot_count(after) - 1;
    int r = SHORT_OF_MEMORY(vmt_delta_new(&delta));

    if (r < 0) {
        cr_assert_null(delta);
        return r;
    }
    r = SHORT_OF_MEMORY(vmt_delta_compute(delta, before, after));
    if (r < 0) {
        for (size_t i = 0; i <= last; i++)
            cr_assert_null(vmt_delta_source(delta, i), "half a comparison");
        cr_assert_eq(vmt_delta_compute(delta, before, after), 0);
    }
    cr_assert_not_null(vmt_delta_source(delta, last));
    cr_assert_eq(vmt_delta_source(delta, last)->flags, 0);
    vmt_delta_free(delta);
    return r;
}

Test(memory, a_comparison_is_whole_or_empty) { each_in_turn("compare", 4, compare); }

static struct vmt_buffer wanted;
static int (*encode)(const struct vmt_snapshot *snapshot, struct vmt_buffer *out);

static int to_json(const struct vmt_snapshot *s, struct vmt_buffer *out) { return vmt_json_encode(s, 0, out); }
static int to_pretty(const struct vmt_snapshot *s, struct vmt_buffer *out) { return vmt_json_encode(s, 1, out); }

static int to_kvm(const struct vmt_snapshot *s, struct vmt_buffer *out) { return vmt_kvm_encode(s, 1, out); }

static int to_schema(const struct vmt_snapshot *s, struct vmt_buffer *out)
{
    const struct vmt_schema *schema = vmt_snapshot_source(s, 1)->schema;

    return vmt_schema_json_encode(&schema, NULL, 1, 0, out);
}

static int to_schema_pack(const struct vmt_snapshot *s, struct vmt_buffer *out)
{
    const struct vmt_schema *schema = vmt_snapshot_source(s, 1)->schema;

    return vmt_schema_msgpack_encode(&schema, NULL, 1, out);
}

static int encode_after_something(void)
{
    struct vmt_buffer out = { 0 };
    size_t had;
    int r;

    cr_assert_eq(encode(before, &out), 0);
    had = out.size;
    out.capacity = out.size; /* else the small ones have room enough */
    r = SHORT_OF_MEMORY(encode(after, &out));
    if (r < 0) {
        cr_assert_eq(out.size, had, "half a document");
        cr_assert_eq(encode(after, &out), 0);
    }
    cr_assert_eq(out.size - had, wanted.size);
    cr_assert_eq(memcmp(out.data + had, wanted.data, wanted.size), 0);
    vmt_buffer_free(&out);
    return r;
}

Test(memory, a_document_is_appended_whole_or_not_at_all)
{
    int (*const all[])(const struct vmt_snapshot *, struct vmt_buffer *) = {
        to_json, to_pretty, vmt_msgpack_encode_full, to_kvm, to_schema, to_schema_pack,
    };

    for (size_t i = 0; i < LENGTH(all); i++) {
        encode = all[i];
        vmt_buffer_clear(&wanted);
        cr_assert_eq(encode(after, &wanted), 0);
        each_in_turn("encode", 1, encode_after_something);
    }
    vmt_buffer_free(&wanted);
}

/* A frame that could not be written is a gap: the stream says all anew. */
static int stream(void)
{
    struct vmt_msgpack *s = NULL;
    struct vmt_buffer out = { 0 };
    int r = SHORT_OF_MEMORY(vmt_msgpack_new(&s));

    if (r < 0) {
        cr_assert_null(s);
        return r;
    }
    r = SHORT_OF_MEMORY(vmt_msgpack_encode(s, after, &out));
    if (r < 0) {
        cr_assert_eq(out.size, 0, "half a frame");
        cr_assert_eq(vmt_msgpack_encode(s, after, &out), 0);
    }
    cr_assert_eq(out.size, wanted.size);
    cr_assert_eq(memcmp(out.data, wanted.data, wanted.size), 0);
    vmt_buffer_free(&out);
    vmt_msgpack_free(s);
    return r;
}

Test(memory, a_stream_starts_anew_where_it_lost_a_frame)
{
    struct vmt_msgpack *s = NULL;

    cr_assert_eq(vmt_msgpack_new(&s), 0);
    cr_assert_eq(vmt_msgpack_encode(s, after, &wanted), 0);
    vmt_msgpack_free(s);
    each_in_turn("stream", 4, stream);
    vmt_buffer_free(&wanted);
}
