/* SPDX-License-Identifier: MIT */
/* What readers can tell of the writer: live, closed, died, died in the middle of a change, stalled. */
#include "parts.h"

#include "lib/writer.h"

TestSuite(state, .init = test_dir_init, .fini = test_dir_fini);

struct orders {
    int stage;  /* what the writer has done */
    int wanted; /* what it is to do */
    uint64_t interval_ns;
    bool in_change; /* dies between structure_begin and structure_end */
};

/* A writer in another process: source "a" with 5 events; then it waits for its end, or for orders. */
static void write_on(void *arg)
{
    struct orders *orders = arg;
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "vm", .heartbeat_interval_ns = orders->interval_ns, .keep = 1
    };
    struct vmt_segment *segment = NULL;
    struct vmt_source *source = NULL;

    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, NULL, "a", &source) == 0);
    vmt_count(source, P_EVENTS, 5);
    if (orders->in_change)
        structure_begin(segment);
    say(&orders->stage, 1);
    for (int i = 1;; i++) {
        REQUIRE(reached(&orders->wanted, i));
        if (__atomic_load_n(&orders->wanted, __ATOMIC_ACQUIRE) >= 100)
            break;
        vmt_segment_heartbeat(segment);
        say(&orders->stage, i + 1);
    }
    if (orders->in_change)
        structure_end(segment);
    vmt_segment_close(segment);
}

static struct orders *orders;
static struct vmt_reader *readers[2];
static struct vmt_snapshot *snapshot;
static pid_t writer;

static void start(uint64_t interval_ns, bool in_change)
{
    orders = shared_memory(sizeof(*orders));
    orders->interval_ns = interval_ns;
    orders->in_change = in_change;
    writer = start_child(write_on, orders);
    cr_assert(reached(&orders->stage, 1));
    readers[0] = attach(test_path("vm.vmt"), VMT_READ_COPY);
    readers[1] = attach(test_path("vm.vmt"), VMT_READ_GUARDED);
    snapshot = new_snapshot();
}

static void stop(void)
{
    vmt_snapshot_free(snapshot);
    for (int i = 0; i < 2; i++)
        vmt_reader_close(readers[i]);
}

/* The same by both ways of asking and of reading, and nothing that was counted is lost. */
static void assert_state(enum vmt_state state)
{
    for (int i = 0; i < 2; i++) {
        cr_assert_str_eq(vmt_state_name(vmt_reader_state(readers[i])), vmt_state_name(state));
        take(snapshot, readers[i]);
        cr_assert_str_eq(vmt_state_name(vmt_snapshot_segment(snapshot)->state), vmt_state_name(state));
        cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 5);
        cr_assert_eq(total_of(snapshot, "", P_EVENTS), 5);
    }
}

static void assert_verdict(enum vmt_state state)
{
    char why[256] = "untouched";
    int r = vmt_check(test_path("vm.vmt"), why, sizeof(why));

    cr_assert_eq(r, (int)state, "%s: %s", vmt_state_name((enum vmt_state)r), why);
    cr_assert_str_eq(why, "");
}

Test(state, names)
{
    static const char *const want[] = { "live",    "closed",  "died",         "died mid-change",
                                        "stalled", "damaged", "other version" };

    cr_assert_eq(LENGTH(want), VMT_STATE_COUNT);
    for (int i = 0; i < VMT_STATE_COUNT; i++)
        cr_assert_str_eq(vmt_state_name((enum vmt_state)i), want[i]);
    cr_assert_str_eq(vmt_state_name((enum vmt_state)99), "unknown");
}

Test(state, live_then_closed)
{
    start(0, false);
    assert_state(VMT_STATE_LIVE);
    assert_verdict(VMT_STATE_LIVE);
    say(&orders->wanted, 100);
    cr_assert_eq(end_of(writer), 0);
    assert_state(VMT_STATE_CLOSED);
    assert_verdict(VMT_STATE_CLOSED);
    cr_assert_neq(vmt_snapshot_segment(snapshot)->closed_ns, 0);
    stop();
}

Test(state, died)
{
    start(0, false);
    assert_state(VMT_STATE_LIVE);
    kill_child(writer);
    assert_state(VMT_STATE_DIED);
    assert_verdict(VMT_STATE_DIED);
    stop();
}

Test(state, died_in_the_middle_of_a_change)
{
    start(0, true);
    assert_state(VMT_STATE_LIVE);
    kill_child(writer);
    assert_state(VMT_STATE_DIED_MID_CHANGE);
    assert_verdict(VMT_STATE_DIED_MID_CHANGE);
    stop();
}

Test(state, stalled_in_the_middle_of_a_change)
{
    start(0, true);
    assert_state(VMT_STATE_LIVE);
    nap_us(600000);
    assert_state(VMT_STATE_STALLED);
    say(&orders->wanted, 100);
    cr_assert_eq(end_of(writer), 0);
    assert_state(VMT_STATE_CLOSED);
    stop();
}

Test(state, stalled_when_heartbeats_are_overdue_and_live_when_they_come_again)
{
    start(50000000, false);
    nap_us(300000);
    assert_state(VMT_STATE_LIVE); /* none was ever seen: it has not begun to turn */
    say(&orders->wanted, 1);
    cr_assert(reached(&orders->stage, 2));
    assert_state(VMT_STATE_LIVE);
    cr_assert_neq(vmt_snapshot_segment(snapshot)->heartbeat_ns, 0);
    nap_us(300000);
    assert_state(VMT_STATE_STALLED);
    assert_verdict(VMT_STATE_STALLED);
    say(&orders->wanted, 2);
    cr_assert(reached(&orders->stage, 3));
    assert_state(VMT_STATE_LIVE);
    kill_child(writer);
    assert_state(VMT_STATE_DIED);
    stop();
}

Test(state, stopped_without_promising_heartbeats_is_live)
{
    start(0, false);
    say(&orders->wanted, 1);
    cr_assert(reached(&orders->stage, 2));
    kill(writer, SIGSTOP);
    nap_us(600000);
    assert_state(VMT_STATE_LIVE);
    kill_child(writer);
    assert_state(VMT_STATE_DIED);
    stop();
}

static void churn(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "vm" };
    struct vmt_segment *segment = NULL;
    int *stage = arg;

    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    for (int i = 0;; i++) {
        static struct vmt_schema schemas[200];
        struct vmt_source *parent = NULL, *child = NULL;
        struct vmt_shard *shard;

        /* All that changes the structure: schemas, sources, growth, removal. */
        if (i < 200)
            schemas[i] = small_schema;
        REQUIRE(vmt_source_add(segment, &schemas[i % 200], NULL, "a", &parent) == 0);
        REQUIRE(vmt_source_addf(segment, &part_schema, parent, &child, "c-%d", i) == 0);
        shard = vmt_shard_acquire(child);
        vmt_add(shard, P_EVENTS, 1);
        if (i % 2 && i < 1000) /* growth; not without end, for each look walks all of it */
            vmt_shard_acquire(vmt_segment_root(segment));
        vmt_source_remove(child);
        vmt_shard_release(shard);
        vmt_source_remove(parent);
        if (i == 10)
            say(stage, 1);
        if (i % 10 == 0)
            nap_us(300);
    }
}

Test(state, a_busy_writer_is_sound)
{
    int *stage = shared_memory(sizeof(*stage));
    pid_t child = start_child(churn, stage);

    cr_assert(reached(stage, 1));
    for (int i = 0; i < 100; i++)
        assert_verdict(VMT_STATE_LIVE);
    kill_child(child);
}
