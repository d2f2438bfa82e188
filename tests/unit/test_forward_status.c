/* SPDX-License-Identifier: MIT */
/* What vmtally forward says of itself: to its collector, each figure under its name and once a minute; to systemd, that
 * all is well only while it is. */
#include "helper.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <msgpack.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/channel.h"
#include "cli/forward/status.h"
#include "cli/service.h"
#include "shm/clock.h"

#define SECOND UINT64_C(1000000000)
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define TIMEOUT_MS 100U

TestSuite(forward_status, .init = test_dir_init, .fini = test_dir_fini);

/* ---- the record ---- */

static uint64_t figure(const msgpack_object *record, const char *group, const char *name)
{
    const char *keys[] = { group, name };

    for (size_t k = 0; k < LENGTH(keys); k++) {
        const msgpack_object *value = NULL;

        cr_assert_eq(record->type, MSGPACK_OBJECT_MAP);
        for (uint32_t i = 0; i < record->via.map.size; i++) {
            const msgpack_object_kv *kv = &record->via.map.ptr[i];

            if (kv->key.via.str.size == strlen(keys[k]) && !memcmp(kv->key.via.str.ptr, keys[k], strlen(keys[k])))
                value = &kv->val;
        }
        cr_assert_not_null(value, "there is no %s", keys[k]);
        record = value;
    }
    return record->via.u64;
}

Test(forward_status, record_about_itself_has_each_figure_under_its_name)
{
    static const struct forward_arguments a = { .self_host = "h" };
    const struct status s = {
        .a = &a,
        .sender = "0123456789abcdef",
        .reader = { 1, 2, 3, 4, 5, 6, 7, 8 },
        .queue = { .waiting = { 11, 12, 13 }, .delivered = { 14, 15, 16 }, .dropped = { 17, 18, 19 } },
        .delivery = { .connections = 21, .failures = 22, .sent_again = 23 },
    };
    static const struct {
        const char *group;
        const char *name;
        uint64_t value;
    } figures[] = {
        { "c", "samples", 1 },
        { "c", "records", 2 },
        { "c", "records_not_handed", 3 },
        { "c", "records_left_out", 4 },
        { "c", "bytes", 5 },
        { "g", "sample_ns", 6 },
        { "g", "vms", 7 },
        { "g", "vms_unreadable", 8 },
        { "g", "queue_chunks", 11 },
        { "g", "queue_records", 12 },
        { "g", "queue_bytes", 13 },
        { "c", "chunks_delivered", 14 },
        { "c", "records_delivered", 15 },
        { "c", "bytes_delivered", 16 },
        { "c", "chunks_dropped", 17 },
        { "c", "records_dropped", 18 },
        { "c", "bytes_dropped", 19 },
        { "c", "connections", 21 },
        { "c", "connection_failures", 22 },
        { "c", "chunks_sent_again", 23 },
    };
    struct vmt_buffer entry = { 0 };
    msgpack_unpacked unpacked;

    cr_assert_eq(status_entry(&s, 1, &entry), 0);
    msgpack_unpacked_init(&unpacked);
    cr_assert_eq(msgpack_unpack_next(&unpacked, entry.data, entry.size, NULL), MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(unpacked.data.via.array.size, 2);
    for (size_t i = 0; i < LENGTH(figures); i++)
        cr_expect_eq(figure(&unpacked.data.via.array.ptr[1], figures[i].group, figures[i].name), figures[i].value, "%s",
                     figures[i].name);
    msgpack_unpacked_destroy(&unpacked);
    vmt_buffer_free(&entry);
}

/* ---- in its time (the linker puts these in front of what they are called after) ---- */

static uint64_t ahead_ns; /* atomic: of the clock that all go by */
static uint64_t hung_ns;  /* atomic: for how long the thread that delivers has done nothing; 0: it goes on */

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
uint64_t __real_delivery_alive_ns(const struct delivery *d);
uint64_t __wrap_delivery_alive_ns(const struct delivery *d);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    int r = __real_clock_gettime(clock, t);

    t->tv_sec += (time_t)(__atomic_load_n(&ahead_ns, __ATOMIC_RELAXED) / SECOND);
    return r;
}

uint64_t __wrap_delivery_alive_ns(const struct delivery *d)
{
    uint64_t hung = __atomic_load_n(&hung_ns, __ATOMIC_RELAXED);

    return hung ? shm_now_ns() - hung : __real_delivery_alive_ns(d);
}

/* A sender with nobody to deliver to, and the other end of all that it speaks to. */
struct peer {
    struct forward_arguments a;
    pthread_t thread;
    int ends[2]; /* of the channel: the sender's, the reader's */
    int signals;
    int notes;
    char note[2048]; /* the newest */
};

static void *send_all(void *argument)
{
    struct peer *p = argument;

    forward_sender(&p->a, p->ends[0], p->signals);
    return NULL;
}

static void take_note(struct peer *p)
{
    struct pollfd fd = { .fd = p->notes, .events = POLLIN };
    ssize_t n = poll(&fd, 1, 60000) > 0 ? recv(p->notes, p->note, sizeof(p->note) - 1, 0) : -1;

    cr_assert_gt(n, 0, "nothing was notified any more");
    p->note[n] = '\0';
}

/* The next status; whether the watchdog was fed until then. */
static bool next_status(struct peer *p)
{
    bool fed = false;

    for (take_note(p); strncmp(p->note, "STATUS=", 7) != 0; take_note(p))
        fed |= strcmp(p->note, "WATCHDOG=1") == 0;
    return fed;
}

/* Past those that were on their way before what has changed. */
static void catch_up(struct peer *p)
{
    while (recv(p->notes, p->note, sizeof(p->note), MSG_DONTWAIT) > 0)
        ;
    for (int i = 0; i < 2; i++)
        next_status(p);
}

static void start(struct peer *p)
{
    static const struct endpoint nowhere = { .text = "unix:/nowhere/at/all", .path = "/nowhere/at/all" };
    static const struct forward_sample sample = { .samples = 1 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    *p = (struct peer){ .a = { .endpoint_count = 1,
                               .endpoints = { nowhere },
                               .ack = 1,
                               .timeout_ms = TIMEOUT_MS,
                               .queue_bytes = 4 << 20,
                               .self_host = "test" } };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_path("notify"));
    p->notes = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(p->notes, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "100000", 1);
    p->signals = service_signals();
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->ends), 0);
    cr_assert_eq(pthread_create(&p->thread, NULL, send_all, p), 0);
    cr_assert_eq(channel_send(p->ends[1], FORWARD_SAMPLE, &sample, sizeof(sample), 30000, NULL), 0);
    catch_up(p);
}

static void end(struct peer *p)
{
    close(p->ends[1]);
    pthread_join(p->thread, NULL);
    close(p->ends[0]), close(p->signals), close(p->notes);
}

Test(forward_status, watchdog_is_fed_only_while_the_thread_that_delivers_goes_on)
{
    static const struct {
        uint64_t hung_s;
        bool fed;
    } cases[] = { { 0, true }, { 60, true }, { 61, false }, { 3600, false }, { 1, true } };
    struct peer p;

    start(&p);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        __atomic_store_n(&hung_ns, cases[i].hung_s * SECOND, __ATOMIC_RELAXED);
        catch_up(&p);
        for (int k = 0; k < 3; k++)
            cr_expect_eq(next_status(&p), cases[i].fed, "it has done nothing for %" PRIu64 " s", cases[i].hung_s);
    }
    end(&p);
}

Test(forward_status, each_minute_there_is_a_record_about_itself)
{
    struct peer p;

    start(&p);
    for (unsigned minute = 0; minute < 3; minute++) {
        char waiting[64];

        snprintf(waiting, sizeof(waiting), "waiting %u chunk%s with %u record", minute, minute == 1 ? "" : "s", minute);
        __atomic_add_fetch(&ahead_ns, 25 * SECOND, __ATOMIC_RELAXED);
        catch_up(&p);
        cr_expect(strstr(p.note, waiting), "before the minute is over: %s", p.note);
        __atomic_add_fetch(&ahead_ns, 36 * SECOND, __ATOMIC_RELAXED);
        catch_up(&p);
        snprintf(waiting, sizeof(waiting), "waiting %u chunk%s with %u record", minute + 1, minute ? "s" : "",
                 minute + 1);
        for (int k = 0; k < 20 && !strstr(p.note, waiting); k++)
            next_status(&p);
        cr_expect(strstr(p.note, waiting), "when it is: %s", p.note);
    }
    end(&p);
}
