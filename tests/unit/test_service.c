/* SPDX-License-Identifier: MIT */
/* cli/service.h: signals that are read, what systemd is told, sockets that it gives, and beats. */
#include "parts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli/channel.h"
#include "cli/service.h"

#define SECOND UINT64_C(1000000000)

TestSuite(service, .init = test_dir_init, .fini = test_dir_fini);

/* ---- time (the linker puts this in front of the system's) ---- */

static uint64_t now_ns; /* 0: what it is */

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    if (!now_ns)
        return __real_clock_gettime(clock, t);
    *t = (struct timespec){ .tv_sec = (time_t)(now_ns / SECOND), .tv_nsec = (long)(now_ns % SECOND) };
    return 0;
}

/* ---- signals ---- */

static int next_signal(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    poll(&p, 1, 60000);
    return service_signal(fd);
}

Test(service, signals_are_read_and_end_nobody)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD };
    int fd = service_signals();

    cr_assert_geq(fd, 0);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(service_signal(fd), 0);
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        kill(getpid(), numbers[i]);
        cr_expect_eq(next_signal(fd), numbers[i]);
        cr_expect_eq(service_signal(fd), 0);
    }
    raise(SIGPIPE);
    cr_assert_eq(service_signal(fd), 0);
}

static void *raise_in_thread(void *arg)
{
    pthread_kill(pthread_self(), SIGCHLD); /* it stays this thread's */
    kill(getpid(), SIGTERM);
    return arg;
}

Test(service, signals_are_read_whatever_thread_they_find)
{
    int fd = service_signals();
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, raise_in_thread, NULL), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(next_signal(fd), SIGTERM);
}

Test(service, the_end_of_a_child_is_noticed_where_who_started_us_ignored_it)
{
    int fd, status = 0;
    pid_t child;

    signal(SIGCHLD, SIG_IGN);
    fd = service_signals();
    child = fork();
    if (child == 0)
        _exit(3);
    cr_assert_eq(next_signal(fd), SIGCHLD);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(WEXITSTATUS(status), 3);
}

static int raise_all(void *arg, int fd)
{
    char byte;

    (void)arg;
    raise(SIGINT);
    raise(SIGTERM);
    raise(SIGHUP);
    raise(SIGUSR1);
    byte = 1;
    return write(fd, &byte, 1) == 1 ? 5 : 1;
}

Test(service, what_a_terminal_sends_to_all_does_not_end_who_sees_segments)
{
    int signals = service_signals();
    int fd = -1;
    pid_t child = channel_start(raise_all, NULL, &fd);

    cr_assert_gt(child, 0);
    cr_assert_eq(next_signal(signals), SIGCHLD);
    cr_assert_eq(channel_end(child, 60000), 5);
}

/* ---- systemd ---- */

static int notified; /* as systemd listens */

static void listen_for_notes(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    strcpy(address.sun_path, test_path("notify"));
    cr_assert_eq(bind(notified, (const struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", test_path("notify"), 1);
}

static const char *note(void)
{
    static char text[4096];
    ssize_t n = recv(notified, text, sizeof(text) - 1, 0);

    text[n < 0 ? 0 : n] = '\0';
    return n < 0 ? "nothing" : text;
}

Test(service, systemd_is_told)
{
    listen_for_notes();
    service_ready("3 VMs");
    cr_expect_str_eq(note(), "READY=1\nSTATUS=3 VMs");
    service_status("no collector: connection refused");
    cr_expect_str_eq(note(), "STATUS=no collector: connection refused");
    service_alive();
    cr_expect_str_eq(note(), "WATCHDOG=1");
    service_stopping("delivering 2 chunks");
    cr_expect_str_eq(note(), "STOPPING=1\nSTATUS=delivering 2 chunks");
    now_ns = 5 * SECOND + 7000;
    service_reloading();
    cr_expect_str_eq(note(), "RELOADING=1\nMONOTONIC_USEC=5000007");
    cr_expect_str_eq(note(), "nothing");
}

Test(service, a_name_in_a_status_is_no_notification)
{
    listen_for_notes();
    service_status("vm\nMAINPID=1\nREADY=1 \x1b[31m%s%n");
    cr_expect_str_eq(note(), "STATUS=vm?MAINPID=1?READY=1 ?[31m%s%n");
}

Test(service, without_systemd_nothing_happens)
{
    int first = -2;

    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("LISTEN_FDS");
    service_ready("ready");
    service_alive();
    service_reloading();
    service_stopping(NULL);
    cr_assert_eq(service_watchdog_ms(), -1);
    cr_assert_eq(service_listen_fds(&first), 0);
    cr_assert_eq(first, -2);
}

static int watchdog_ms(const char *usec, pid_t pid)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    setenv("WATCHDOG_USEC", usec, 1);
    setenv("WATCHDOG_PID", text, 1);
    return service_watchdog_ms();
}

Test(service, the_watchdog_is_fed_twice_as_often_as_asked)
{
    cr_expect_eq(watchdog_ms("20000000", getpid()), 10000);
    cr_expect_eq(watchdog_ms("1", getpid()), 1);
    cr_expect_eq(watchdog_ms("18446744073709551614", getpid()), INT_MAX);
    cr_expect_eq(watchdog_ms("20000000", getpid() + 1), -1, "it is another's");
    cr_expect_eq(watchdog_ms("much", getpid()), -1);
}

/* In a child, as their numbers are given: systemd's first is 3. */
static int take_sockets(const char *count)
{
    int fds[2];
    int first = 0, n;
    char pid[16];

    if (pipe(fds) || dup2(fds[0], 100) < 0 || dup2(fds[1], 101) < 0 || dup2(100, 3) < 0 || dup2(101, 4) < 0)
        return 1;
    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", count, 1);
    n = service_listen_fds(&first);
    if (n < 0)
        return first == 0 ? 2 : 1;
    return n == 2 && first == 3 && fcntl(3, F_GETFD) == FD_CLOEXEC && fcntl(4, F_GETFD) == FD_CLOEXEC &&
                   !getenv("LISTEN_FDS") && service_listen_fds(&first) == 0
             ? 0
             : 1;
}

static int in_child(int (*run)(const char *arg), const char *arg)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(run(arg));
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(service, sockets_of_systemd_are_taken_once_and_are_nobody_elses)
{
    cr_expect_eq(in_child(take_sockets, "2"), 0);
    cr_expect_eq(in_child(take_sockets, "many"), 2);
}

/* ---- beats ---- */

static const uint64_t start_ns = 1000 * SECOND;

static struct beat new_beat(uint64_t interval_ns)
{
    struct beat beat;

    now_ns = start_ns;
    beat_start(&beat, interval_ns);
    return beat;
}

Test(service, the_first_beat_is_due_at_once)
{
    struct beat beat = new_beat(SECOND);

    cr_assert_eq(beat_wait_ms(&beat), 0);
    cr_assert_eq(beat_due(&beat), 1);
    cr_assert_eq(beat_due(&beat), 0);
    cr_assert_eq(beat_wait_ms(&beat), 1000);
}

Test(service, beats_do_not_drift)
{
    struct beat beat = new_beat(SECOND / 3);

    for (uint64_t i = 0; i < 1000; i++) {
        now_ns = start_ns + i * (SECOND / 3) + i % 7 * 1000000; /* a bit late now and then */
        cr_assert_eq(beat_due(&beat), 1, "%" PRIu64, i);
        cr_assert_eq(beat_due(&beat), 0, "%" PRIu64, i);
    }
    cr_assert_eq(beat.next_ns, start_ns + 1000 * (SECOND / 3));
    cr_assert_eq(beat.left_out, 0);
}

Test(service, beats_that_were_missed_are_left_out_and_counted)
{
    struct beat beat = new_beat(SECOND);

    beat_due(&beat);
    now_ns = start_ns + 3 * SECOND + SECOND / 2; /* 1 and 2 were missed, 3 is late */
    cr_assert_eq(beat_due(&beat), 1);
    cr_assert_eq(beat_due(&beat), 0);
    cr_assert_eq(beat.left_out, 2);
    cr_assert_eq(beat_wait_ms(&beat), 500);
}

Test(service, who_waited_for_a_beat_finds_it_due)
{
    for (uint64_t early = 1; early < 3000000; early += 99991) {
        struct beat beat = new_beat(SECOND);

        beat_due(&beat);
        now_ns = start_ns + SECOND - early;
        cr_assert_eq(beat_due(&beat), 0);
        now_ns += (uint64_t)beat_wait_ms(&beat) * 1000000;
        cr_assert_eq(beat_due(&beat), 1, "%" PRIu64, early);
    }
}

Test(service, the_longest_interval_is_not_the_shortest)
{
    struct beat beat = new_beat(UINT64_MAX);

    cr_assert_eq(beat_due(&beat), 1);
    cr_assert_eq(beat_wait_ms(&beat), INT_MAX);
    now_ns += 1000000 * SECOND;
    cr_assert_eq(beat_due(&beat), 0);
    beat = new_beat(0);
    now_ns += SECOND;
    cr_assert_eq(beat_due(&beat), 1);
}
