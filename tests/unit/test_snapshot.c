/* SPDX-License-Identifier: MIT */
/* Snapshots: what is in one besides sums, that it is the same from everywhere, and what taking one costs. */
#include "watched.h"

#include <pthread.h>

TestSuite(snapshot, .init = setup, .fini = teardown);

/* ---- per shard ---- */

static int stop;

static void *keep_counting(void *arg)
{
    struct vmt_shard *shard = arg;

    while (!said(&stop)) {
        vmt_add(shard, P_EVENTS, 3);
        vmt_peak(shard, P_PEAK, 7);
        vmt_add(shard, P_LEVEL, (uint64_t)-1);
        vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 8);
        if (SANITIZED) /* valgrind runs one thread at a time */
            nap_us(1);
    }
    return NULL;
}

Test(snapshot, the_values_of_shards_sum_up_to_the_whole_while_they_change)
{
    enum vmt_read_mode modes[] = { VMT_READ_COPY, VMT_READ_GUARDED };
    struct vmt_source *source = add_source(segment, &part_schema, NULL, "a");
    struct vmt_shard *shards[3];
    pthread_t threads[2];

    vmt_shards_acquire(source, 3, shards);
    vmt_shard_release(shards[2]);
    vmt_count(source, P_EVENTS, 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, keep_counting, shards[i]), 0);
    for (int i = 0; i < 2; i++)
        while (__atomic_load_n(&shards[i]->value_[P_EVENTS], __ATOMIC_RELAXED) < 1000)
            nap_us(100);
    vmt_snapshot_want_shards(snapshot, 1);
    for (int i = 0; i < 4000; i++) {
        const struct vmt_sample *a;
        uint64_t events = 0, level = 0, count = 0, peak = 0;
        uint32_t kinds[3] = { 0 };

        if (i % 2000 == 0) {
            vmt_reader_close(reader);
            reader = attach(vmt_segment_path(segment), modes[i / 2000]);
        }
        take(snapshot, reader);
        a = sample_of(snapshot, "a");
        cr_assert_eq(a->shard_count, 4);
        for (uint32_t k = 0; k < 4; k++) {
            cr_assert_lt(a->shards[k].held, 3);
            kinds[a->shards[k].held]++;
            events += a->shards[k].values[P_EVENTS];
            level += a->shards[k].values[P_LEVEL];
            count += a->shards[k].values[P_TIME];
            peak = a->shards[k].values[P_PEAK] > peak ? a->shards[k].values[P_PEAK] : peak;
        }
        cr_assert_eq(events, a->values[P_EVENTS]);
        cr_assert_eq(level, a->values[P_LEVEL]);
        cr_assert_eq(count, a->values[P_TIME]);
        cr_assert_eq(peak, a->values[P_PEAK]);
        cr_assert(kinds[0] == 1 && kinds[1] == 2 && kinds[2] == 1);
    }
    say(&stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    vmt_snapshot_want_shards(snapshot, 0);
    look();
    cr_assert_eq(sample_of(snapshot, "a")->shard_count, 0);
}

/* Of the shard of each in turn that has counted n events, its id. */
static uint32_t id_of(const struct vmt_sample *sample, uint64_t events)
{
    for (uint32_t i = 0; i < sample->shard_count; i++) {
        cr_assert_neq(sample->shards[i].id, 0);
        for (uint32_t k = 0; k < i; k++)
            cr_assert_neq(sample->shards[i].id, sample->shards[k].id);
        if (sample->shards[i].values[P_EVENTS] == events)
            return sample->shards[i].id;
    }
    cr_assert_fail("no shard of '%s' has counted %llu", sample->id, (unsigned long long)events);
    return 0;
}

Test(snapshot, a_shard_is_known_by_its_id_whoever_reads_and_whatever_comes)
{
    struct vmt_reader *readers[] = { attach(vmt_segment_path(segment), VMT_READ_COPY),
                                     attach(vmt_segment_path(segment), VMT_READ_GUARDED), attach_here(segment) };
    struct vmt_source *source = add_source(segment, &part_schema, NULL, "a");
    struct vmt_shard *shards[3];
    uint32_t ids[4];

    vmt_shards_acquire(source, 3, shards);
    for (unsigned i = 0; i < 3; i++)
        vmt_add(shards[i], P_EVENTS, 10 + i);
    vmt_count(source, P_EVENTS, 13);
    vmt_snapshot_want_shards(snapshot, 1);
    look();
    cr_assert_eq(sample_of(snapshot, "a")->shard_count, 4);
    for (unsigned i = 0; i < 4; i++)
        ids[i] = id_of(sample_of(snapshot, "a"), 10 + i);
    for (size_t n = 0; n < LENGTH(readers); n++) {
        vmt_shard_acquire(source);
        vmt_shard_acquire(add_source(segment, &part_schema, source, n ? n == 1 ? "1" : "2" : "0"));
        vmt_shard_release(shards[n]); /* nobody's by now, or who acquires next has it */
        take(snapshot, readers[n]);
        cr_assert_geq(sample_of(snapshot, "a")->shard_count, 5);
        for (unsigned i = 0; i < 4; i++)
            cr_assert_eq(id_of(sample_of(snapshot, "a"), 10 + i), ids[i]);
        vmt_reader_close(readers[n]);
    }
}

/* ---- memory ---- */

#if !SANITIZED
static int counting, allocations;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void *malloc(size_t bytes);
void *calloc(size_t n, size_t bytes);
void *realloc(void *p, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    allocations += counting;
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    allocations += counting;
    return __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
    allocations += counting;
    return __libc_realloc(p, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    allocations += counting;
    return __libc_memalign(alignment, bytes);
}

Test(snapshot, taking_one_allocates_nothing_once_warm)
{
    struct vmt_reader *readers[] = { attach(vmt_segment_path(segment), VMT_READ_COPY),
                                     attach(vmt_segment_path(segment), VMT_READ_GUARDED), attach_here(segment) };
    uint64_t values[P_SLOTS];

    for (int i = 0; i < 100; i++) {
        struct vmt_source *source = NULL;

        cr_assert_eq(vmt_source_addf(segment, i & 1 ? &part_schema : &vmt_schema_vcpu, NULL, &source, "s-%d", i), 0);
        vmt_shard_acquire(source);
    }
    vmt_snapshot_want_shards(snapshot, 1);
    for (size_t k = 0; k < LENGTH(readers); k++) {
        int r = 0;

        vmt_snapshot_take(snapshot, readers[k]);
        vmt_snapshot_take(snapshot, readers[k]);
        counting = 1;
        for (int i = 0; i < 100; i++) {
            r |= vmt_snapshot_take(snapshot, readers[k]);
            r |= vmt_reader_sample(readers[k], vmt_snapshot_find(snapshot, "s-1"), values);
        }
        counting = 0;
        cr_assert_eq(r, 0);
        cr_assert_eq(allocations, 0, "%d allocations", allocations);
    }
    for (size_t k = 0; k < LENGTH(readers); k++)
        vmt_reader_close(readers[k]);
}
#endif

Test(snapshot, outlives_its_reader_and_its_segment)
{
    struct vmt_segment *other = new_segment("other");
    struct vmt_reader *its_reader = attach(vmt_segment_path(other), VMT_READ_GUARDED);

    fill(add_source(other, &part_schema, NULL, "a"), 10);
    take(snapshot, its_reader);
    vmt_reader_close(its_reader);
    vmt_segment_close(other);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 31);
    cr_assert_str_eq(sample_of(snapshot, "a")->schema->descriptors[0].help, "Events");
    cr_assert_str_eq(vmt_snapshot_segment(snapshot)->name, "other");
    look(); /* and may be used for another one */
    cr_assert_null(vmt_snapshot_find(snapshot, "a"));
    cr_assert_str_eq(vmt_snapshot_segment(snapshot)->name, "vm");
}

/* ---- the same from everywhere ---- */

static void assert_equal(const struct vmt_snapshot *a, const struct vmt_snapshot *b)
{
    cr_assert_eq(vmt_snapshot_count(a), vmt_snapshot_count(b));
    for (size_t i = 0; i < vmt_snapshot_count(a); i++) {
        const struct vmt_sample *x = vmt_snapshot_source(a, i), *y = vmt_snapshot_source(b, i);

        cr_assert_str_eq(x->id, y->id);
        cr_assert_str_eq(x->name, y->name);
        cr_assert_str_eq(x->schema->name, y->schema->name);
        cr_assert_eq(x->generation, y->generation);
        cr_assert_eq(x->created_ns, y->created_ns);
        cr_assert_eq(x->flags, y->flags);
        cr_assert_eq(x->total_count, y->total_count);
        cr_assert_arr_eq(x->values, y->values, x->schema->slots * sizeof(uint64_t));
        for (uint32_t t = 0; t < x->total_count; t++) {
            cr_assert_str_eq(x->totals[t].schema->name, y->totals[t].schema->name);
            cr_assert_eq(x->totals[t].sources, y->totals[t].sources);
            cr_assert_arr_eq(x->totals[t].values, y->totals[t].values, x->totals[t].schema->slots * sizeof(uint64_t));
            cr_assert_arr_eq(x->totals[t].departed, y->totals[t].departed,
                             x->totals[t].schema->slots * sizeof(uint64_t));
        }
    }
}

Test(snapshot, is_the_same_in_this_process_by_copying_and_through_a_mapping)
{
    struct vmt_reader *here = attach_here(segment);
    struct vmt_reader *mapped = attach(vmt_segment_path(segment), VMT_READ_GUARDED);
    struct vmt_snapshot *others[] = { new_snapshot(), new_snapshot() };
    struct vmt_source *vm = add_source(segment, &vmt_schema_vm, NULL, "vm"), *gone;

    fill(add_source(segment, &part_schema, vm, "a"), 10);
    gone = add_source(segment, &part_schema, vm, "gone");
    fill(gone, 7);
    vmt_source_remove(gone);
    vmt_count(add_source(segment, &vmt_schema_vcpu, vm, "vcpu-0"), VMT_VCPU_EXITS, 5);
    look();
    take(others[0], here);
    take(others[1], mapped);
    assert_equal(snapshot, others[0]);
    assert_equal(snapshot, others[1]);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, 0);
    cr_assert_eq(vmt_snapshot_segment(others[0])->flags, 0);
    cr_assert_eq(vmt_snapshot_segment(others[1])->flags, VMT_SNAPSHOT_MAPPED);
    vmt_snapshot_free(others[0]);
    vmt_snapshot_free(others[1]);
    vmt_reader_close(here);
    vmt_reader_close(mapped);
}

Test(snapshot, one_source_alone_is_read_as_all_are)
{
    struct vmt_reader *readers[] = { attach(vmt_segment_path(segment), VMT_READ_COPY),
                                     attach(vmt_segment_path(segment), VMT_READ_GUARDED), attach_here(segment) };
    struct vmt_source *source = add_source(segment, &part_schema, NULL, "a");
    uint64_t values[P_SLOTS];

    fill(source, 10);
    for (size_t i = 0; i < LENGTH(readers); i++) {
        take(snapshot, readers[i]);
        cr_assert_eq(vmt_reader_sample(readers[i], sample_of(snapshot, "a"), values), 0);
        cr_assert_arr_eq(values, sample_of(snapshot, "a")->values, sizeof(values));
        vmt_count(source, P_EVENTS, 100);
        cr_assert_eq(vmt_reader_sample(readers[i], sample_of(snapshot, "a"), values), 0);
        cr_assert_eq(values[P_EVENTS], sample_of(snapshot, "a")->values[P_EVENTS] + 100);
    }
    /* Held shards keep it; a source without any goes at once. */
    source = add_source(segment, &part_schema, NULL, "b");
    for (size_t i = 0; i < LENGTH(readers); i++) {
        take(snapshot, readers[i]);
        vmt_source_remove(source);
        cr_assert_eq(vmt_reader_sample(readers[i], sample_of(snapshot, "b"), values), -ESTALE);
        source = add_source(segment, &part_schema, NULL, "b");
        cr_assert_eq(vmt_reader_sample(readers[i], sample_of(snapshot, "b"), values), -ESTALE);
        vmt_reader_close(readers[i]);
    }
}

/* ---- times, growth, names ---- */

Test(snapshot, says_between_which_times_it_was_taken)
{
    uint64_t before = vmt_clock_ns(), last = 0;

    for (int i = 0; i < 10; i++) {
        const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);

        look();
        cr_assert_leq(before, info->begin_ns);
        cr_assert_leq(info->begin_ns, info->end_ns);
        cr_assert_leq(info->end_ns, vmt_clock_ns());
        cr_assert_gt(info->begin_ns, last);
        cr_assert_gt(info->realtime_ns, UINT64_C(1600000000000000000));
        last = info->end_ns;
    }
}

Test(snapshot, says_that_the_file_has_no_name_any_more)
{
    look();
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, 0);
    cr_assert_eq(unlink(vmt_segment_path(segment)), 0);
    look();
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, VMT_SNAPSHOT_UNLINKED);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
}

#define BURSTS 150
static struct vmt_source *growing;

static void *grow(void *arg)
{
    int *bursts = arg;

    while (*bursts < BURSTS) {
        for (int i = 0; i < 2; i++)
            vmt_add(vmt_shard_acquire(growing), P_EVENTS, 1);
        say(bursts, *bursts + 1);
        nap_us(1000);
    }
    return NULL;
}

Test(snapshot, is_whole_while_the_file_grows)
{
    struct vmt_reader *readers[] = { attach(vmt_segment_path(segment), VMT_READ_COPY),
                                     attach(vmt_segment_path(segment), VMT_READ_GUARDED), attach_here(segment) };
    static const char *const names[] = { "by copying", "through a mapping", "in this process" };
    pthread_t thread;
    int partial[3] = { 0 }, missing[3] = { 0 }, bursts = 0;
    uint64_t last = 0;

    growing = add_source(segment, &part_schema, NULL, "a");
    cr_assert_eq(pthread_create(&thread, NULL, grow, &bursts), 0);
    for (int i = 0; __atomic_load_n(&bursts, __ATOMIC_ACQUIRE) < BURSTS; i++) {
        int r = vmt_snapshot_take(snapshot, readers[i % 3]);
        const struct vmt_sample *a = vmt_snapshot_find(snapshot, "a");

        cr_assert_geq(r, 0);
        partial[i % 3] += r;
        missing[i % 3] += a == NULL;
        if (a) {
            cr_assert_geq(a->values[P_EVENTS], last);
            last = a->values[P_EVENTS];
        }
    }
    pthread_join(thread, NULL);
    for (size_t i = 0; i < LENGTH(readers); i++) {
        cr_expect_eq(missing[i], 0, "%s: the source was missing %d times", names[i], missing[i]);
        cr_expect_eq(partial[i], 0, "%s: %d were partial", names[i], partial[i]);
        vmt_reader_close(readers[i]);
    }
}

Test(snapshot, is_whole_while_sources_come_and_go)
{
    struct vmt_reader *readers[] = { attach(vmt_segment_path(segment), VMT_READ_COPY),
                                     attach(vmt_segment_path(segment), VMT_READ_GUARDED), attach_here(segment) };

    /* The writer's changes fall between the snapshots, and each of them is whole and exact. */
    for (uint64_t i = 0; i < 300; i++) {
        struct vmt_source *source = add_source(segment, i & 1 ? &part_schema : &small_schema, NULL, "a");

        vmt_count(source, 1, 1);
        take(snapshot, readers[i % 3]);
        cr_assert_eq(value_of(snapshot, "a", 1), 1);
        cr_assert_eq(total_named(sample_of(snapshot, ""), "small")->values[1], i / 2 + 1);
        vmt_source_remove(source);
    }
    for (size_t i = 0; i < LENGTH(readers); i++)
        vmt_reader_close(readers[i]);
}
