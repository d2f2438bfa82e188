/* SPDX-License-Identifier: MIT */
/* Going on in a segment that an earlier writer left: what continues, and what is mended. Death at each step is
 * tests/race/test_points.c's; many lives are tests/race/test_restart.c's. */
#include "lives.h"

#include <fcntl.h>
#include <sys/stat.h>

TestSuite(resume, .init = setup, .fini = teardown);

Test(resume, totals_go_on_and_readers_stay_attached)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_reader *copying, *mapped;
    struct vmt_segment *segment;
    struct vmt_source *vm, *a;
    struct vmt_shard *shard;
    uint8_t identity[16];

    one_life(&options);
    copying = attach(test_path("vm.vmt"), VMT_READ_COPY);
    mapped = attach(test_path("vm.vmt"), VMT_READ_GUARDED);
    take(snapshot, copying);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_DIED);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->incarnation, 1);
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), 1035);
    memcpy(identity, vmt_snapshot_segment(snapshot)->identity, 16);

    segment = resumed(&options);
    cr_assert_str_eq(why, "");
    vm = add_source(segment, &small_schema, NULL, "vm");
    a = add_source(segment, &part_schema, vm, "a");
    shard = vmt_shard_acquire(a);
    vmt_add(shard, P_EVENTS, 1);
    for (int i = 0; i < 2; i++) {
        take(snapshot, i ? mapped : copying);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->incarnation, 2);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->pid, (uint32_t)getpid());
        cr_assert_arr_eq(vmt_snapshot_segment(snapshot)->identity, identity, 16);
        cr_assert_eq(value_of(snapshot, "vm/a", P_EVENTS), 6);
        cr_assert_eq(value_of(snapshot, "vm/a", P_PEAK), 9);
        cr_assert_eq(value_of(snapshot, "vm/b", P_EVENTS), 30, "shown as it was");
        cr_assert_eq(total_of(snapshot, "", P_EVENTS), 1036);
    }
    cr_assert_eq(value_of(snapshot, "vm/a", P_LEVEL), 0, "of a moment long past");
    cr_assert_eq(value_of(snapshot, "vm/b", P_LEVEL), 0);
    cr_assert_eq(sample_of(snapshot, "vm/a")->flags, VMT_SAMPLE_TORN);
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_TORN), 1);
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SOURCES_ADDED), 4, "found, not added");
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_CREATED), 1, "the old shard goes on");
    vmt_reader_close(mapped);
    vmt_reader_close(copying);
    vmt_segment_close(segment);
}

Test(resume, what_is_not_added_again_goes_when_the_vmm_is_ready)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct vmt_source *vm, *found = NULL;
    struct vmt_reader *reader;

    one_life(&options);
    segment = resumed(&options);
    cr_assert_eq(vmt_source_find(segment, "vm", &found), -ENOENT, "not before it is added");
    vm = add_source(segment, &small_schema, NULL, "vm");
    cr_assert_eq(vmt_source_find(segment, "vm", &found), 0);
    cr_assert_eq(found, vm);
    cr_assert_eq(vmt_source_add(segment, &small_schema, NULL, "vm", &found), -EEXIST, "only once");
    add_source(segment, &part_schema, vm, "new");
    vmt_segment_ready(segment);
    vmt_segment_ready(segment);
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_count(snapshot), 3);
    cr_assert_null(vmt_snapshot_find(snapshot, "vm/a"));
    cr_assert_eq(total_of(snapshot, "vm", P_EVENTS), 1035);
    cr_assert_eq(vmt_check(vmt_segment_path(segment), why, sizeof(why)), VMT_STATE_LIVE, "%s", why);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
}

Test(resume, another_kind_of_thing_takes_the_id_over)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct vmt_source *vm, *a;
    struct vmt_reader *reader;

    one_life(&options);
    segment = resumed(&options);
    vm = add_source(segment, &small_schema, NULL, "vm");
    a = add_source(segment, &small_schema, vm, "a");
    vmt_count(a, S_EVENTS, 2);
    vmt_segment_ready(segment);
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    take(snapshot, reader);
    cr_assert_str_eq(sample_of(snapshot, "vm/a")->schema->name, "small");
    cr_assert_eq(value_of(snapshot, "vm/a", S_EVENTS), 2);
    cr_assert_eq(total_of(snapshot, "vm", P_EVENTS), 1035);
    cr_assert_eq(total_named(sample_of(snapshot, "vm"), "small")->values[S_EVENTS], 2);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
}

Test(resume, a_closed_one_opens_again)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_reader *reader = NULL;

    for (int life = 1; life <= 3; life++) {
        struct vmt_segment *segment = resumed(&options);
        struct vmt_source *a = add_source(segment, &part_schema, NULL, "a");

        vmt_count(a, P_EVENTS, 1);
        if (!reader)
            reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
        take(snapshot, reader);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->closed_ns, 0);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->incarnation, (uint64_t)life);
        cr_assert_eq(value_of(snapshot, "a", P_EVENTS), (uint64_t)life);
        vmt_segment_close(segment);
        take(snapshot, reader);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_CLOSED);
    }
    vmt_reader_close(reader);
}

Test(resume, labels_and_heartbeat_are_the_new_writers)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct vmt_reader *reader;

    options.labels = (const char *const[]){ "host=a", "rack=1", NULL };
    options.heartbeat_interval_ns = 1000000;
    one_life(&options);
    reader = attach(test_path("vm.vmt"), VMT_READ_COPY);
    take(snapshot, reader);
    cr_assert_str_eq(vmt_snapshot_segment(snapshot)->labels[1], "rack=1");
    options.labels = (const char *const[]){ "host=b", NULL };
    options.heartbeat_interval_ns = 0;
    segment = resumed(&options);
    take(snapshot, reader);
    cr_assert_str_eq(vmt_snapshot_segment(snapshot)->labels[0], "host=b");
    cr_assert_null(vmt_snapshot_segment(snapshot)->labels[1]);
    nap_us(10000);
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_LIVE, "no heartbeat is promised any more");
    vmt_reader_close(reader);
    vmt_segment_close(segment);
}

Test(resume, without_a_segment_makes_one)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = resumed(&options);

    cr_assert_str_eq(why, "");
    cr_assert_eq(access(test_path("vm.vmt"), F_OK), 0);
    vmt_segment_close(segment);
}

/* ---- in place, in a jail ---- */

Test(resume, in_place_in_a_jail)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *a;
    struct vmt_reader *reader;
    struct stat st;

    options.path = test_path("in-place");
    options.fixed_bytes = 256 << 10;
    close(open(options.path, O_RDWR | O_CREAT, 0640));
    one_life(&options);
    reader = attach(options.path, VMT_READ_COPY);
    for (int life = 0; life < 50; life++) {
        segment = resumed(&options);
        vm = add_source(segment, &small_schema, NULL, "vm");
        a = add_source(segment, &part_schema, vm, "a");
        vmt_shard_release(vmt_shard_acquire(a));
        for (int i = 0; i < 10; i++) { /* whose memory the next one finds again */
            char id[16];

            snprintf(id, sizeof(id), "x-%d", i);
            vmt_count(add_source(segment, &part_schema, vm, id), P_EVENTS, 1);
        }
        vmt_segment_ready(segment);
        take(snapshot, reader);
        cr_assert_eq(total_of(snapshot, "", P_EVENTS), (uint64_t)(1035 + 10 * (life + 1)));
        cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_DROPPED_SOURCES), 0);
        vmt_segment_close(segment);
    }
    vmt_reader_close(reader);
    cr_assert_eq(stat(options.path, &st), 0);
    cr_assert_eq(st.st_size, 256 << 10);
    options.fixed_bytes = 0;
    cr_assert_eq(vmt_segment_create(&options, &segment), -EBADMSG);
    cr_assert_not_null(strstr(why, "jail mode"), "%s", why);
}

Test(resume, a_half_made_file_is_made_anew)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;

    options.path = test_path("in-place");
    options.fixed_bytes = 256 << 10;
    close(open(options.path, O_RDWR | O_CREAT, 0640));
    cr_assert_eq(truncate(options.path, 128 << 10), 0); /* its creator was killed while it wrote zeros */
    segment = resumed(&options);
    cr_assert_str_eq(why, "");
    add_source(segment, &part_schema, NULL, "a");
    vmt_segment_close(segment);
}

Test(resume, a_word_in_a_help_text_changes_nothing)
{
    static struct vmt_descriptor descriptors[2];
    static struct vmt_schema mended;
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = resumed(&options);

    vmt_count(add_source(segment, &small_schema, NULL, "a"), S_EVENTS, 3);
    vmt_segment_close(segment);
    memcpy(descriptors, small_schema.descriptors, sizeof(descriptors));
    descriptors[S_EVENTS].help = "Events, mended\xff";
    mended = small_schema;
    mended.descriptors = descriptors;
    segment = resumed(&options);
    add_source(segment, &mended, NULL, "a");
    cr_assert_eq(value_now(segment, "a", S_EVENTS), 3);
    vmt_segment_close(segment);
}

/* ---- memory ---- */

#define SIZES 80
#define SHARDS 3

static char size_names[SIZES][24];
static struct vmt_descriptor buckets[SIZES];
static struct vmt_schema sizes[SIZES];

/* One histogram of each size up to the largest, most where pages and size classes end. */
static void make_sizes(void)
{
    for (uint32_t i = 0; i < SIZES; i++) {
        uint32_t pages = i / 8, near = i % 8;
        uint32_t slots = pages * 512 + near * 3;

        slots = i >= SIZES - 4 ? VMT_SLOTS_MAX - (SIZES - 1 - i) * 5 : slots ? slots : 1;
        slots = slots < VMT_SLOTS_MAX ? slots : VMT_SLOTS_MAX - i;
        snprintf(size_names[i], sizeof(size_names[i]), "size-%u", i);
        buckets[i] = (struct vmt_descriptor){ .name = "buckets", .flags = VMT_TYPE_LOG_HIST, .size = (uint16_t)slots };
        sizes[i] = (struct vmt_schema){ size_names[i], "test", "size", &buckets[i], 1, slots };
    }
}

/* Each value of each shard is one more than it was: 1 + its size's number, once a shard. */
static void count_everywhere(struct vmt_segment *segment, bool again)
{
    static struct vmt_source *source[SIZES];
    static struct vmt_shard *shards[SIZES][SHARDS];

    for (int i = 0; i < SIZES; i++) {
        source[i] = add_source(segment, &sizes[i], NULL, size_names[i]);
        vmt_shards_acquire(source[i], SHARDS, shards[i]);
    }
    for (int i = 0; i < SIZES; i++) {
        for (int k = 0; k < SHARDS; k++) {
            for (uint32_t slot = 0; slot < sizes[i].slots; slot++)
                vmt_add(shards[i][k], slot, (uint64_t)i + 1);
        }
        vmt_shards_release(SHARDS, shards[i]);
        if (again && i % 2)
            vmt_source_remove(source[i]);
    }
}

static void check_everywhere(const char *path, uint64_t times)
{
    struct vmt_reader *reader = attach(path, VMT_READ_COPY);

    take(snapshot, reader);
    for (int i = 0; i < SIZES; i++) {
        const uint64_t *values = total_named(sample_of(snapshot, ""), size_names[i])->values;

        for (uint32_t slot = 0; slot < sizes[i].slots; slot++)
            cr_assert_eq(values[slot], SHARDS * times * ((uint64_t)i + 1), "slot %u of %u: %llu", slot, sizes[i].slots,
                         (unsigned long long)values[slot]);
    }
    vmt_reader_close(reader);
}

Test(resume, no_two_blocks_of_any_size_overlap, .timeout = 60)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;
    struct stat first, last;

    make_sizes();
    for (uint64_t life = 1; life <= 8; life++) {
        segment = resumed(&options);
        cr_assert_str_eq(why, "");
        count_everywhere(segment, true);
        check_everywhere(vmt_segment_path(segment), life);
        cr_assert_eq(stat(vmt_segment_path(segment), life == 4 ? &first : &last), 0);
        vmt_segment_close(segment);
    }
    cr_assert_leq(last.st_size, first.st_size, "memory of what was removed is lost");
}
