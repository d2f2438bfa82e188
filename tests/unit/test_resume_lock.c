/* SPDX-License-Identifier: MIT */
/* One writer at a time: the lock that says so, handed over, beside readers' locks, cancelled threads and forks. */
#include "descriptor.h"
#include "lives.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

TestSuite(resume_lock, .init = setup, .fini = teardown);

Test(resume_lock, two_writers_at_once_are_refused)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = resumed(&options), *other = NULL;
    int fd;

    cr_assert_eq(vmt_segment_create(&options, &other), -EEXIST);
    options.name = NULL;
    options.path = test_path("vm.vmt");
    cr_assert_eq(vmt_segment_create(&options, &other), -EEXIST);
    options.path = NULL;
    options.fd = fd = open(test_path("vm.vmt"), O_RDWR | O_CLOEXEC);
    cr_assert_eq(vmt_segment_create(&options, &other), -EEXIST);
    cr_assert_null(other);
    add_source(segment, &part_schema, NULL, "still-there");
    close(fd);
    vmt_segment_close(segment);
}

/* ---- handing over ---- */

Test(resume_lock, the_lock_is_handed_over_with_the_descriptor)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment = resumed(&options), *next = NULL;
    struct vmt_source *a = add_source(segment, &part_schema, NULL, "a"), *late;
    struct vmt_shard *shard = vmt_shard_acquire(a);
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);

    vmt_add(shard, P_EVENTS, 5);
    options.fd = vmt_segment_hand_over(segment);
    cr_assert_geq(options.fd, 3);
    cr_assert_eq(fcntl(options.fd, F_GETFD) & FD_CLOEXEC, 0);
    cr_assert_eq(vmt_segment_hand_over(segment), -ENODEV);
    vmt_segment_heartbeat(segment);
    vmt_segment_ready(segment);
    cr_assert_eq(vmt_source_add(segment, &part_schema, NULL, "late", &late), -ENODEV);
    vmt_segment_close(segment);
    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE, "nobody may take it in between");
    vmt_add(shard, P_EVENTS, 1000); /* into nothing */
    next = resumed(&options);
    cr_assert_eq(vmt_segment_hand_over(NULL), -ENODEV);
    a = add_source(next, &part_schema, NULL, "a");
    vmt_count(a, P_EVENTS, 1);
    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 6);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->incarnation, 2);
    vmt_shard_release(shard);
    vmt_reader_close(reader);
    vmt_segment_close(next);
    close(options.fd);
}

struct handed {
    struct vmt_segment_options options;
    int socket;
    int stage;
};

static void write_and_give_descriptor(void *arg)
{
    struct handed *h = arg;
    struct vmt_segment *segment = NULL;

    h->options.fd = open(test_path("given"), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    REQUIRE(h->options.fd > 0);
    REQUIRE(vmt_segment_create(&h->options, &segment) == 0);
    send_descriptor(h->socket, h->options.fd);
    say(&h->stage, 1);
    for (;;)
        pause();
}

Test(resume_lock, a_descriptor_alone_proves_nothing)
{
    struct handed *h = shared_memory(sizeof(*h));
    struct vmt_segment *segment = NULL;
    siginfo_t ended;
    int sockets[2];
    pid_t writer;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    h->options = resume("vm");
    h->socket = sockets[1];
    writer = start_child(write_and_give_descriptor, h);
    cr_assert(reached(&h->stage, 1));
    h->options.fd = receive_descriptor(sockets[0]);
    cr_assert_eq(vmt_segment_create(&h->options, &segment), -EEXIST, "its writer lives, and has not handed over");
    cr_assert_eq(kill(writer, SIGKILL), 0);
    cr_assert_eq(waitid(P_PID, (id_t)writer, &ended, WEXITED | WNOWAIT), 0);
    segment = resumed(&h->options); /* it is a zombie: nobody has asked for its status */
    cr_assert_eq(end_of(writer), 128 + SIGKILL);
    vmt_segment_close(segment);
    close(h->options.fd);
}

Test(resume_lock, what_was_made_by_name_is_known_by_it_after_a_hand_over)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;

    options.keep = 0;
    segment = resumed(&options);
    options.fd = vmt_segment_hand_over(segment);
    segment = resumed(&options);
    cr_assert_str_eq(vmt_segment_path(segment), test_path("vm.vmt"));
    vmt_segment_close(segment);
    close(options.fd);
    cr_assert_neq(access(test_path("vm.vmt"), F_OK), 0, "it is unlinked as it would have been");
}

/* ---- readers' locks, threads and forks ---- */

Test(resume_lock, a_readers_lock_does_not_keep_a_vmm_from_its_name)
{
    struct vmt_segment_options options = resume("vm");
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    struct vmt_segment *segment = NULL;
    int fd;

    one_life(&options);
    fd = open(test_path("vm.vmt"), O_RDONLY);
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
    options.path = test_path("vm.vmt");
    cr_assert_eq(vmt_segment_create(&options, &segment), -EBUSY);
    options.path = NULL;
    segment = resumed(&options);
    cr_assert_not_null(strstr(why, "read lock"), "%s", why);
    close(fd);
    vmt_segment_close(segment);
}

Test(resume_lock, a_reader_that_waits_for_each_death_costs_the_totals_but_never_the_statistics)
{
    struct vmt_segment_options options = resume("vm");
    struct vmt_segment *segment;

    for (int i = 1; i <= 10; i++) {
        struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
        int fd;

        one_life(&options);
        fd = open(test_path("vm.vmt"), O_RDONLY);
        cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
        segment = resumed(&options);
        cr_assert_not_null(strstr(why, "read lock"), "%s", why);
        cr_assert_eq(value_now(segment, "", VMT_SEGMENT_SOURCES_ADDED), 0, "a new one");
        vmt_segment_close(segment);
        unlink(test_path("vm.vmt"));
        close(fd);
    }
}

static void live_on(void *arg)
{
    (void)arg;
    nap_us(20000);
}

static void *create_slowly(void *arg)
{
    struct vmt_segment *segment = NULL;

    vmt_segment_create(arg, &segment);
    pthread_testcancel();
    return NULL;
}

Test(resume_lock, a_thread_cancelled_in_it_keeps_no_lock, .timeout = 60)
{
    struct vmt_segment_options options = resume("vm");
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    pthread_t thread;
    void *ret;
    int fd;

    one_life(&options);
    fd = open(test_path("vm.vmt"), O_RDONLY);
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0); /* then it waits for a tenth of a second */
    cr_assert_eq(pthread_create(&thread, NULL, create_slowly, &options), 0);
    nap_us(20000);
    pthread_cancel(thread);
    pthread_join(thread, &ret);
    cr_assert_eq(ret, PTHREAD_CANCELED);
    close(fd);
    assert_child(live_on, NULL);
}

static int stop;

static void *come_and_go(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "coming" };

    (void)arg;
    while (!said(&stop)) {
        struct vmt_segment *segment = NULL;

        if (vmt_segment_create(&options, &segment) == 0)
            vmt_segment_close(segment);
    }
    return NULL;
}

Test(resume_lock, a_child_forked_meanwhile_keeps_no_lock, .timeout = 60)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "coming" };
    struct vmt_segment *segment = NULL;
    pthread_t thread;
    pid_t children[100];

    cr_assert_eq(pthread_create(&thread, NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < LENGTH(children); i++)
        children[i] = start_child(live_on, NULL);
    say(&stop, 1);
    pthread_join(thread, NULL);
    cr_assert_eq(vmt_segment_create(&options, &segment), 0, "a child that still lives holds the lock");
    vmt_segment_close(segment);
    for (size_t i = 0; i < LENGTH(children); i++)
        cr_assert_eq(end_of(children[i]), 0);
}
