/* SPDX-License-Identifier: MIT */
/* Several processes want to be the writer of one name: one is, whatever was there before. */
#include "tests/race/race.h"

#include <fcntl.h>
#include <sched.h>

#include "shm/file.h"

TestSuite(creators, .init = test_dir_init, .fini = test_dir_fini);

#define CREATORS 3
#define ROUNDS (SANITIZED ? 40 : 200)

struct shared {
    int waiting;
    int go;
    int tried;
    int checked;
    int result[CREATORS];
    bool close[CREATORS];
    char identity[CREATORS][16];
};

static struct shared *shared;

static void reach(int *flag, int value) { REQUIRE(reached(flag, value)); }

/* One attempt; the winner stays until all has been looked at, then closes, or dies. */
static void creator(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "one" };
    struct vmt_segment *segment = NULL;
    int me = *(int *)arg;

    __atomic_fetch_add(&shared->waiting, 1, __ATOMIC_ACQ_REL);
    while (!said(&shared->go))
        sched_yield();
    shared->result[me] = vmt_segment_create(&options, &segment);
    __atomic_fetch_add(&shared->tried, 1, __ATOMIC_ACQ_REL);
    reach(&shared->checked, 1);
    if (segment && shared->close[me])
        vmt_segment_close(segment);
}

static void assert_live_by(pid_t pid)
{
    struct vmt_reader *reader = attach(test_path("one.vmt"), VMT_READ_COPY);
    struct vmt_snapshot *s = new_snapshot();

    take(s, reader);
    cr_assert_eq(vmt_snapshot_segment(s)->state, VMT_STATE_LIVE);
    cr_assert_eq(vmt_snapshot_segment(s)->pid, (uint32_t)pid, "the file of that name is not the winner's");
    vmt_snapshot_free(s);
    vmt_reader_close(reader);
}

/* Returns whether the winner closed its segment. */
static void one_round(bool close_it)
{
    pid_t pids[CREATORS];
    int winners = 0;
    int winner = 0;

    memset(shared, 0, sizeof(*shared));
    for (int i = 0; i < CREATORS; i++) {
        static int number; /* the child has its own copy */

        number = i;
        shared->close[i] = close_it;
        pids[i] = start_child(creator, &number);
    }
    cr_assert(reached(&shared->waiting, CREATORS));
    say(&shared->go, 1);
    cr_assert(reached(&shared->tried, CREATORS));
    for (int i = 0; i < CREATORS; i++) {
        cr_assert(shared->result[i] == 0 || shared->result[i] == -EEXIST, "%s", strerror(-shared->result[i]));
        if (shared->result[i] == 0) {
            winners++;
            winner = i;
        }
    }
    cr_assert_eq(winners, 1, "%d are the writer", winners);
    assert_live_by(pids[winner]);
    cr_assert_eq(test_dir_files(), 1, "something half-made was left behind");
    say(&shared->checked, 1);
    for (int i = 0; i < CREATORS; i++)
        cr_assert_eq(end_of(pids[i]), 0);
    cr_assert_eq(test_dir_files(), close_it ? 0 : 1);
}

Test(creators, exactly_one_of_several_is_the_writer)
{
    uint64_t random = 1;

    shared = shared_memory(sizeof(*shared));
    for (int i = 0; i < ROUNDS; i++)
        one_round(roll(&random, 2)); /* the next find nothing, or the file of one that died */
}

/* ---- the last step alone, which is where they meet ---- */

struct publishing {
    int round[CREATORS]; /* that each is ready for */
    int result[CREATORS];
    int begun; /* the round that all are in */
    int ended;
    int over;
};

static void publisher(void *arg)
{
    struct publishing *p = ((void **)arg)[0];
    int me = *(int *)((void **)arg)[1];
    int dirfd = open(test_path("."), O_RDONLY | O_DIRECTORY);

    REQUIRE(dirfd >= 0);
    for (int round = 1; !said(&p->over); round++) {
        char temporary[SHM_TEMPORARY_MAX];
        int fd = shm_file_create(dirfd, "one", 0640, temporary);

        REQUIRE(fd >= 0 && shm_file_lock(fd, true) == 0);
        say(&p->round[me], round);
        while (__atomic_load_n(&p->begun, __ATOMIC_ACQUIRE) < round && !said(&p->over))
            sched_yield();
        p->result[me] = shm_file_publish(dirfd, temporary, "one.vmt");
        if (p->result[me] < 0)
            unlinkat(dirfd, temporary, 0);
        say(&p->round[me], -round);
        while (__atomic_load_n(&p->ended, __ATOMIC_ACQUIRE) < round && !said(&p->over))
            sched_yield();
        close(fd); /* the winner dies: the next round finds its file */
    }
    close(dirfd);
}

static void wait_for(const struct publishing *p, int value)
{
    for (int i = 0; i < CREATORS; i++)
        while (__atomic_load_n(&p->round[i], __ATOMIC_ACQUIRE) != value)
            sched_yield();
}

Test(creators, one_of_several_that_replace_a_dead_ones_file_is_the_writer)
{
    struct publishing *p = shared_memory(sizeof(*p));
    double end = seconds_now() + race_seconds() / 2;
    pid_t pids[CREATORS];
    int round = 0;

    for (int i = 0; i < CREATORS; i++) {
        static int number; /* the child has its own copy */

        number = i;
        pids[i] = start_child(publisher, (void *[]){ p, &number });
    }
    while (seconds_now() < end) {
        int winners = 0;

        round++;
        wait_for(p, round);
        say(&p->begun, round);
        wait_for(p, -round);
        for (int i = 0; i < CREATORS; i++) {
            winners += p->result[i] == 0;
            cr_assert(p->result[i] == 0 || p->result[i] == -EEXIST, "%s", strerror(-p->result[i]));
        }
        cr_assert_eq(winners, 1, "%d are the writer in round %d", winners, round);
        say(&p->ended, round);
    }
    wait_for(p, round + 1);
    say(&p->over, 1);
    for (int i = 0; i < CREATORS; i++)
        cr_assert_eq(end_of(pids[i]), 0);
    fprintf(stderr, "# creators: %d rounds\n", round);
}

/* ---- cleaners between them ---- */

#define CLEANERS 3
#define SHORT_LIVES (SANITIZED ? 500 : 5000)

static void cleaner(void *arg)
{
    unsigned removed = 0;

    (void)arg;
    while (!said(&shared->checked)) {
        int r = vmt_remove_dead(test_path("one.vmt"), 0);

        REQUIRE(r == 0 || r == -EBUSY || r == -ENOENT || r == -EAGAIN);
        removed += r == 0;
    }
    fprintf(stderr, "# creators: a cleaner removed %u files of the dead\n", removed);
}

/* A live one's file stays, whoever cleans, and how many do. */
static void short_lives(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "one", .keep = 1 };

    (void)arg;
    for (int life = 0; life < SHORT_LIVES; life++) {
        struct vmt_segment *segment = NULL;

        options.resume = (uint32_t)life % 2;
        REQUIRE(vmt_segment_create(&options, &segment) == 0);
        for (int i = 0; i < 20; i++)
            REQUIRE(access(test_path("one.vmt"), F_OK) == 0);
        vmt_segment_close(segment);
    }
}

Test(creators, cleaners_never_take_the_file_of_a_live_one_nor_its_name)
{
    pid_t cleaning[CLEANERS];

    shared = shared_memory(sizeof(*shared));
    for (int i = 0; i < CLEANERS; i++)
        cleaning[i] = start_child(cleaner, NULL);
    assert_child(short_lives, NULL);
    say(&shared->checked, 1);
    for (int i = 0; i < CLEANERS; i++)
        cr_assert_eq(end_of(cleaning[i]), 0);
    cr_assert_neq(access(test_path("one~1.vmt"), F_OK), 0, "a sound segment was set aside");
}
