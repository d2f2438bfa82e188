/* SPDX-License-Identifier: MIT */
/* Shards: had by whoever counts, handed on with all that was counted, and never in each other's way. */
#include "lib/writer.h"

#include "one_source.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

TestSuite(shard, .init = setup, .fini = teardown);

static bool is_scratch(const struct vmt_shard *shard) { return segment_of(shard) == NULL; }

static void *in_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    void *ret = NULL;

    cr_assert_eq(pthread_create(&thread, NULL, fn, arg), 0);
    cr_assert_eq(pthread_join(thread, &ret), 0);
    return ret;
}

static uint64_t library_count(uint32_t slot) { return value_now(segment, "", slot); }

/* ---- from one to the next ---- */

static void *count_and_release(void *arg)
{
    struct vmt_shard *shard = vmt_shard_acquire(arg);

    vmt_add(shard, P_EVENTS, 10);
    vmt_peak(shard, P_PEAK, 7);
    vmt_minimum(shard, P_MINIMUM, 7);
    vmt_set(shard, P_LEVEL, 50);
    vmt_set(shard, P_DRIFT, (uint64_t)-50);
    vmt_set(shard, P_MEAN, 50);
    vmt_set(shard, P_ZEROS, 50);
    vmt_record(shard, P_LOG, 5);
    vmt_shard_release(shard);
    return shard;
}

Test(shard, total_survives_thread_exit)
{
    in_thread(count_and_release, source);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 10);
    cr_assert_eq(value_now(segment, "a", P_PEAK), 7);
    cr_assert_eq(value_now(segment, "a", P_MINIMUM), 7);
    cr_assert_eq(value_now(segment, "a", P_LOG + 3), 1);
}

Test(shard, a_released_one_goes_on_with_the_next_and_is_never_zeroed)
{
    struct vmt_shard *first = in_thread(count_and_release, source);

    for (uint64_t i = 2; i < 20; i++) {
        cr_assert_eq(in_thread(count_and_release, source), first);
        cr_assert_eq(value_now(segment, "a", P_EVENTS), 10 * i);
        cr_assert_eq(value_now(segment, "a", P_LOG + 3), i);
    }
    cr_assert_eq(library_count(VMT_SEGMENT_SHARDS_CREATED), 1);
}

Test(shard, instants_that_are_sums_become_0_on_release)
{
    in_thread(count_and_release, source);
    cr_assert_eq(value_now(segment, "a", P_LEVEL), 0);
    cr_assert_eq(value_now(segment, "a", P_DRIFT), 0);
    cr_assert_eq(value_now(segment, "a", P_MEAN), 0);
    cr_assert_eq(value_now(segment, "a", P_ZEROS), 0);
}

static void *release_it(void *arg)
{
    vmt_shard_release(arg);
    return NULL;
}

Test(shard, may_be_released_from_another_thread)
{
    struct vmt_shard *shard = vmt_shard_acquire(source);

    vmt_add(shard, P_EVENTS, 1);
    in_thread(release_it, shard);
    cr_assert_eq(vmt_shard_acquire(source), shard);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 1);
}

Test(shard, releasing_twice_is_harmless)
{
    struct vmt_shard *a = vmt_shard_acquire(source);
    struct vmt_shard *b = vmt_shard_acquire(source);

    vmt_shard_release(a);
    vmt_shard_release(a);
    vmt_shard_release((void *)((char *)b + 8)); /* what never was one */
    cr_assert_eq(vmt_shard_acquire(source), a);
    cr_assert_neq(vmt_shard_acquire(source), a, "two have the same");
    vmt_source_remove(source);
    vmt_shard_release(b);
    vmt_shard_release(b);
    vmt_shard_release(b);
    vmt_add(a, P_EVENTS, 1);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 1, "removed before the last one was released");
}

Test(shard, an_array_has_one_for_each_context)
{
    struct vmt_shard *shards[16];

    vmt_shards_acquire(source, LENGTH(shards), shards);
    for (size_t i = 0; i < LENGTH(shards); i++) {
        cr_assert_not(is_scratch(shards[i]));
        for (size_t k = 0; k < i; k++)
            cr_assert_neq(shards[i], shards[k]);
        vmt_add(shards[i], P_EVENTS, 1);
    }
    cr_assert_eq(value_now(segment, "a", P_EVENTS), LENGTH(shards));
    vmt_shards_release(LENGTH(shards), shards);
    for (size_t i = 0; i < LENGTH(shards); i++)
        cr_assert_eq(shards[i], VMT_SCRATCH);
    vmt_shards_acquire(source, LENGTH(shards), shards);
    cr_assert_eq(library_count(VMT_SEGMENT_SHARDS_CREATED), LENGTH(shards));
}

/* ---- where they lie ---- */

static void assert_apart(const struct vmt_segment_options *options)
{
    static const struct vmt_schema *const schemas[] = { &small_schema, &part_schema, &vmt_schema_vcpu, &vmt_schema_vm };
    struct {
        uintptr_t from, to;
    } ranges[128];
    struct vmt_segment *own = NULL;
    size_t n = 0;

    cr_assert_eq(vmt_segment_create(options, &own), 0);
    for (int i = 0; i < 32; i++) {
        const struct vmt_schema *schema = schemas[i % 4];
        struct vmt_source *s = NULL;
        struct vmt_shard *shards[4] = { NULL };

        cr_assert_eq(vmt_source_addf(own, schema, NULL, &s, "s-%d", i), 0);
        shards[3] = (void *)s->shared;
        vmt_shards_acquire(s, 3, shards);
        for (int k = 0; k < 4; k++, n++) {
            cr_assert_not(is_scratch(shards[k]));
            ranges[n].from = (uintptr_t)shards[k];
            ranges[n].to = ranges[n].from + 128 + 8 * (uintptr_t)schema->slots;
            cr_assert_eq(ranges[n].from % 128, 0);
            for (size_t other = 0; other < n; other++)
                cr_assert((ranges[n].from - 1) / 128 >= (ranges[other].to - 1) / 128 ||
                              (ranges[other].from - 1) / 128 >= (ranges[n].to - 1) / 128,
                          "two shards share 128 bytes");
        }
        if (i % 3 == 0) { /* memory that is used again must be as far apart */
            vmt_shards_release(3, shards);
            vmt_source_remove(s);
            n -= 4;
        }
    }
    vmt_segment_close(own);
}

Test(shard, no_two_share_128_bytes)
{
    assert_apart(&(struct vmt_segment_options){ .struct_size = sizeof(struct vmt_segment_options), .name = "b" });
}

Test(shard, no_two_share_128_bytes_in_a_jail)
{
    assert_apart(&(struct vmt_segment_options){
        .struct_size = sizeof(struct vmt_segment_options), .name = "b", .fixed_bytes = 4 << 20 });
}

Test(shard, has_pages_of_its_own_so_that_they_lie_on_its_threads_node)
{
    struct vmt_shard *shards[16];

    vmt_shards_acquire(source, LENGTH(shards), shards);
    for (size_t i = 0; i < LENGTH(shards); i++) {
        uintptr_t first = (uintptr_t)shards[i] / 4096;
        uintptr_t last = ((uintptr_t)&shards[i]->value_[P_SLOTS] - 1) / 4096;

        cr_assert((uintptr_t)source->shared / 4096 < first || (uintptr_t)source->shared / 4096 > last);
        for (size_t k = 0; k < i; k++)
            cr_assert(((uintptr_t)&shards[k]->value_[P_SLOTS] - 1) / 4096 < first ||
                      (uintptr_t)shards[k] / 4096 > last);
    }
}

/* ---- threads that end without release ---- */

static void *die_with_it(void *arg)
{
    struct vmt_shard *shard = vmt_shard_acquire_thread(arg);

    vmt_add(shard, P_EVENTS, 3);
    vmt_set(shard, P_LEVEL, 9);
    return shard;
}

Test(shard, of_a_dead_thread_is_taken_over)
{
    struct vmt_shard *shard = in_thread(die_with_it, source);

    cr_assert_not(is_scratch(shard));
    for (uint64_t i = 2; i < 10; i++) {
        cr_assert_eq(in_thread(die_with_it, source), shard);
        cr_assert_eq(value_now(segment, "a", P_EVENTS), 3 * i);
        cr_assert_eq(value_now(segment, "a", P_LEVEL), 9);
    }
    cr_assert_eq(vmt_shard_acquire(source), shard);
    cr_assert_eq(value_now(segment, "a", P_LEVEL), 0);
    cr_assert_eq(library_count(VMT_SEGMENT_SHARDS_CREATED), 1);
    cr_assert_eq(library_count(VMT_SEGMENT_SHARDS_TORN), 0);
}

struct living {
    pthread_barrier_t barrier;
    struct vmt_shard *shard;
};

static void *live_with_it(void *arg)
{
    struct living *living = arg;

    living->shard = vmt_shard_acquire_thread(source);
    pthread_barrier_wait(&living->barrier);
    pthread_barrier_wait(&living->barrier);
    vmt_add(living->shard, P_EVENTS, 1);
    vmt_shard_release(living->shard);
    vmt_shard_release(living->shard);
    return NULL;
}

Test(shard, of_a_living_thread_is_not_taken_over_nor_released_by_others)
{
    struct living living;
    pthread_t thread;

    pthread_barrier_init(&living.barrier, NULL, 2);
    cr_assert_eq(pthread_create(&thread, NULL, live_with_it, &living), 0);
    pthread_barrier_wait(&living.barrier);
    if (!SANITIZED) /* ThreadSanitizer would report the unlock that the kernel refuses */
        vmt_shard_release(living.shard);
    for (int i = 0; i < 4; i++) {
        cr_assert_neq(vmt_shard_acquire(source), living.shard);
        cr_assert_neq(vmt_shard_acquire_thread(source), living.shard);
    }
    pthread_barrier_wait(&living.barrier);
    pthread_join(thread, NULL);
    cr_assert_eq(vmt_shard_acquire(source), living.shard);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 1);
    pthread_barrier_destroy(&living.barrier);
}

Test(shard, that_a_thread_released_is_not_reaped_when_the_thread_ends)
{
    struct vmt_shard *first, *second;

    first = vmt_shard_acquire_thread(source);
    vmt_shard_release(first);
    second = vmt_shard_acquire(source); /* held, but by no thread in particular */
    cr_assert_eq(second, first);
    in_thread(die_with_it, source);
    cr_assert_neq(in_thread(die_with_it, source), second);
}

static void *die_in_a_group(void *arg)
{
    struct vmt_shard *shard = vmt_shard_acquire_thread(arg);

    vmt_begin(shard);
    vmt_add(shard, P_TIME, 1);
    return shard;
}

Test(shard, whose_group_a_dead_thread_left_open_is_torn_for_good)
{
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_shard *shard = in_thread(die_in_a_group, source);

    take(snapshot, reader);
    cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_UNCONFIRMED);
    cr_assert_eq(vmt_shard_acquire(source), shard);
    for (int i = 0; i < 3; i++) {
        take(snapshot, reader);
        cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_TORN);
        cr_assert_eq(value_of(snapshot, "a", P_TIME), (uint64_t)i + 1);
        vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 5);
    }
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_TORN), 1);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

Test(shard, of_a_dead_thread_does_not_keep_a_removed_source)
{
    struct vmt_source *parent = add_source(segment, &small_schema, NULL, "parent");
    struct vmt_source *child = add_source(segment, &part_schema, parent, "child");
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();

    in_thread(die_with_it, child);
    vmt_source_remove(child);
    take(snapshot, reader);
    cr_assert_null(vmt_snapshot_find(snapshot, "parent/child"));
    cr_assert_eq(total_of(snapshot, "parent", P_EVENTS), 3);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* ---- when there are no more ---- */

/* Acquires until it gets scratch; how many it got before. */
static uint64_t exhaust(void)
{
    uint64_t before = library_count(VMT_SEGMENT_DROPPED_SHARDS), n = 0;
    struct vmt_shard *shard;

    while (!is_scratch(shard = vmt_shard_acquire(source))) {
        vmt_add(shard, P_EVENTS, 1);
        cr_assert_lt(++n, 100000);
    }
    vmt_add(shard, P_EVENTS, 1000);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 5);
    cr_assert_eq(library_count(VMT_SEGMENT_DROPPED_SHARDS), before + 1);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), n, "what went into scratch was seen");
    vmt_shard_release(shard);
    return n;
}

Test(shard, past_the_limit_on_file_size_is_scratch_and_no_signal)
{
    struct rlimit limit;
    struct stat st;
    struct vmt_source *more = NULL;
    int r = 0;

    signal(SIGXFSZ, SIG_DFL);
    cr_assert_eq(stat(vmt_segment_path(segment), &st), 0);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = (rlim_t)st.st_size + 5 * 4096;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(exhaust(), 5);
    for (int i = 0; r == 0 && i < 10000; i++)
        r = vmt_source_addf(segment, &part_schema, NULL, &more, "more-%d", i);
    cr_assert_eq(r, -EFBIG, "%s", strerror(-r));
    cr_assert_eq(library_count(VMT_SEGMENT_DROPPED_SOURCES), 1);
    cr_assert_eq(stat(vmt_segment_path(segment), &st), 0);
    cr_assert_leq((rlim_t)st.st_size, limit.rlim_cur);
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_not(is_scratch(vmt_shard_acquire(source)), "there is room again");
}

static void use(const struct vmt_segment_options *options)
{
    vmt_segment_close(segment);
    cr_assert_eq(vmt_segment_create(options, &segment), 0);
    source = add_source(segment, &part_schema, NULL, "a");
}

Test(shard, past_max_bytes_is_scratch)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "b", .max_bytes = 256 << 10, .max_sources = 64
    };
    struct vmt_source *more = NULL;
    struct stat st;
    int r = 0;

    use(&options);
    cr_assert_gt(exhaust(), 10);
    for (int i = 0; r == 0 && i < 10000; i++)
        r = vmt_source_addf(segment, &vmt_schema_vcpu, NULL, &more, "more-%d", i);
    cr_assert(r == -ENOSPC || r == -ENFILE, "%s", strerror(-r));
    cr_assert_eq(stat(vmt_segment_path(segment), &st), 0);
    cr_assert_leq(st.st_size, 256 << 10);
}

Test(shard, past_fixed_bytes_is_scratch)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "b", .fixed_bytes = 256 << 10 };
    uint64_t n;

    use(&options);
    n = exhaust();
    cr_assert_gt(n, 100);
    cr_assert_gt(n * (128 + 8 * P_SLOTS), (uint64_t)150 << 10, "room was wasted: %lu shards", n);
}

Test(shard, an_array_past_the_room_has_scratch_for_the_rest)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "b", .fixed_bytes = 256 << 10 };
    static struct vmt_shard *shards[1000], *again[LENGTH(shards)];
    size_t n = 0;

    use(&options);
    vmt_shards_acquire(source, LENGTH(shards), shards);
    for (size_t i = 0; i < LENGTH(shards); i++) {
        cr_assert_not_null(shards[i]);
        n += !is_scratch(shards[i]);
        vmt_add(shards[i], P_EVENTS, 1);
    }
    cr_assert(n > 100 && n < LENGTH(shards), "%zu", n);
    cr_assert_eq(library_count(VMT_SEGMENT_DROPPED_SHARDS), LENGTH(shards) - n);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), n);
    vmt_shards_release(LENGTH(shards), shards);
    vmt_shards_acquire(source, n, again);
    for (size_t i = 0; i < n; i++)
        cr_assert_not(is_scratch(again[i]));
    cr_assert_eq(library_count(VMT_SEGMENT_DROPPED_SHARDS), LENGTH(shards) - n);
}

static void *exhaust_it(void *arg)
{
    struct vmt_shard *shard;

    (void)arg;
    while (!is_scratch(shard = vmt_shard_acquire_thread(source)))
        vmt_add(shard, P_EVENTS, 1);
    return shard;
}

Test(shard, of_dead_threads_are_had_again_where_there_are_no_more)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "b", .max_bytes = 256 << 10, .max_sources = 64
    };
    uint64_t made;

    use(&options);
    vmt_shard_release(in_thread(exhaust_it, NULL));
    made = library_count(VMT_SEGMENT_SHARDS_CREATED);
    for (uint64_t i = 0; i < made; i++)
        cr_assert_not(is_scratch(vmt_shard_acquire(source)), "%lu of %lu", i, made);
    vmt_shard_release(exhaust_it(NULL));
    cr_assert_eq(library_count(VMT_SEGMENT_SHARDS_CREATED), made);
    cr_assert_eq(library_count(VMT_SEGMENT_DROPPED_SHARDS), 2);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), made);
}

Test(shard, are_to_be_had_again_once_some_were_released)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "b", .fixed_bytes = 256 << 10 };
    struct vmt_shard *shard;

    use(&options);
    shard = vmt_shard_acquire(source);
    exhaust();
    vmt_shard_release(shard);
    cr_assert_eq(vmt_shard_acquire(source), shard);
    cr_assert(is_scratch(vmt_shard_acquire(source)));
}

Test(shard, no_more_sources_than_max_sources)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "b", .max_sources = 4 };
    struct vmt_source *sources[3] = { source }, *more = (void *)0x1;

    use(&options);
    sources[1] = add_source(segment, &part_schema, NULL, "b");
    sources[2] = add_source(segment, &part_schema, NULL, "c");
    cr_assert_eq(vmt_source_add(segment, &part_schema, NULL, "d", &more), -ENFILE);
    cr_assert_eq(more, (void *)0x1);
    cr_assert_eq(library_count(VMT_SEGMENT_DROPPED_SOURCES), 1);
    vmt_source_remove(sources[1]);
    add_source(segment, &part_schema, NULL, "d");
    cr_assert_eq(vmt_source_add(segment, &part_schema, NULL, "e", &more), -ENFILE);
}

/* ---- 10,000 a second ---- */

static int stop;

static void *come_and_go(void *arg)
{
    uint64_t *counted = arg;

    while (!said(&stop)) {
        struct vmt_shard *shard = *counted & 1 ? vmt_shard_acquire(source) : vmt_shard_acquire_thread(source);

        vmt_latency(shard, P_TIME, P_TIME_BUCKETS, *counted);
        vmt_add(shard, P_EVENTS, 1);
        vmt_shard_release(shard);
        ++*counted;
    }
    return NULL;
}

Test(shard, totals_stay_exact_while_threads_come_and_go)
{
    struct vmt_reader *reader = attach_here(segment);
    struct vmt_snapshot *snapshot = new_snapshot();
    pthread_t threads[4];
    uint64_t counted[4] = { 0 }, sum = 0, last = 0;

    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &counted[i]), 0);
    for (int i = 0; i < 300; i++) {
        take(snapshot, reader);
        cr_assert_geq(value_of(snapshot, "a", P_EVENTS), last);
        last = value_of(snapshot, "a", P_EVENTS);
        nap_us(500);
    }
    say(&stop, 1);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += counted[i];
    }
    take(snapshot, reader);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), sum);
    cr_assert_eq(value_of(snapshot, "a", P_TIME), sum);
    cr_assert_eq(sample_of(snapshot, "a")->flags, 0);
    cr_assert_leq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_CREATED), 4);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}
