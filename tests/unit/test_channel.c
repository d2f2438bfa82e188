/* SPDX-License-Identifier: MIT */
/* cli/channel.h: what a process that may be hostile can't do to the one on the other end; and that neither outlives the
 * other. */
#include "parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "cli/channel.h"
#include "cli/sandbox.h"

#define PATIENCE_MS 60000
#define MIB ((size_t)1 << 20)

TestSuite(channel, .init = test_dir_init, .fini = test_dir_fini);

/* ---- other ends ---- */

/* Sends back what it gets. */
static int echo(void *arg, int fd)
{
    struct vmt_buffer data = { 0 };
    uint32_t kind;
    int r;

    (void)arg;
    while ((r = channel_receive(fd, &kind, &data, CHANNEL_MAX, -1)) == 0)
        r = channel_send(fd, kind, data.data, data.size, -1, NULL);
    vmt_buffer_free(&data);
    return r == -EPIPE ? 7 : 1;
}

static int echo_in_sandbox(void *arg, int fd)
{
    struct options common = { .dir = getenv("VMTALLY_DIR") };

    sandbox_enter(&common, NULL, 0, 0);
    return echo(arg, fd);
}

/* As channel_start()'s: neither waits. */
static void make_pair(int fds[2])
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static int start(int (*run)(void *arg, int fd), void *arg, pid_t *child)
{
    int fd = -1;

    *child = channel_start(run, arg, &fd);
    cr_assert_gt(*child, 0, "%d", *child);
    return fd;
}

static void end(int fd, pid_t child, int status)
{
    close(fd);
    cr_assert_eq(channel_end(child, PATIENCE_MS), status);
}

static char *pattern(size_t size)
{
    char *data = malloc(size + 1);

    cr_assert(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 31 + (i >> 8));
    return data;
}

/* ---- messages ---- */

static void send_and_compare(int fd, uint32_t kind, const char *sent, size_t size)
{
    struct vmt_buffer got = { 0 };
    uint32_t got_kind = ~kind;

    cr_assert_eq(channel_send(fd, kind, sent, size, PATIENCE_MS, NULL), 0, "%zu", size);
    cr_assert_eq(channel_receive(fd, &got_kind, &got, size, PATIENCE_MS), 0, "%zu", size);
    cr_assert_eq(got_kind, kind);
    cr_assert_eq(got.size, size);
    cr_assert(size == 0 || memcmp(got.data, sent, size) == 0, "%zu", size);
    vmt_buffer_free(&got);
}

static void messages_pass(int (*run)(void *arg, int fd))
{
    static const size_t sizes[] = { 0, 1, 15, 16, 17, 4096, 65535, 65536, 65537, 3 * MIB + 1 };
    char *data = pattern(sizes[LENGTH(sizes) - 1]);
    pid_t child;
    int fd = start(run, NULL, &child);

    for (size_t i = 0; i < LENGTH(sizes); i++)
        send_and_compare(fd, (uint32_t)(i ? i : UINT32_MAX), data, sizes[i]);
    end(fd, child, 7);
    free(data);
}

Test(channel, a_message_arrives_whole_whatever_its_size) { messages_pass(echo); }

Test(channel, it_works_in_the_sandbox) { messages_pass(echo_in_sandbox); }

Test(channel, messages_keep_their_order_and_their_bounds)
{
    struct vmt_buffer got = { 0 };
    uint32_t kind;
    int fds[2];

    make_pair(fds);
    for (uint32_t i = 1; i <= 100; i++)
        cr_assert_eq(channel_send(fds[0], i, "0123456789", i % 10, 0, NULL), 0);
    for (uint32_t i = 1; i <= 100; i++) {
        cr_assert_eq(channel_receive(fds[1], &kind, &got, 10, 0), 0);
        cr_assert_eq(kind, i);
        cr_assert_eq(got.size, i % 10);
    }
    cr_assert_eq(channel_receive(fds[1], &kind, &got, 10, 0), -ETIMEDOUT);
    vmt_buffer_free(&got);
}

/* The bytes of a message. */
static size_t bytes_of(uint32_t kind, const void *data, size_t size, char *bytes, size_t most)
{
    int fds[2];
    ssize_t n;

    make_pair(fds);
    cr_assert_eq(channel_send(fds[0], kind, data, size, 0, NULL), 0);
    n = read(fds[1], bytes, most);
    cr_assert_gt(n, 0);
    close(fds[0]);
    close(fds[1]);
    return (size_t)n;
}

Test(channel, a_message_that_comes_byte_by_byte_is_one)
{
    struct vmt_buffer got = { 0 };
    char bytes[64];
    size_t n = bytes_of(5, "in pieces", 9, bytes, sizeof(bytes));
    uint32_t kind = 0;
    int fds[2];
    pid_t child;

    make_pair(fds);
    child = fork();
    if (child == 0) {
        for (size_t i = 0; i < n; i++) {
            usleep(500);
            if (write(fds[1], bytes + i, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    cr_assert_eq(channel_receive(fds[0], &kind, &got, 9, PATIENCE_MS), 0);
    cr_assert(kind == 5 && got.size == 9 && memcmp(got.data, "in pieces", 9) == 0);
    cr_assert_eq(channel_end(child, PATIENCE_MS), 0);
    vmt_buffer_free(&got);
}

Test(channel, a_message_that_was_cut_off_is_none)
{
    struct vmt_buffer got = { 0 };
    char bytes[64];
    size_t n = bytes_of(5, "in pieces", 9, bytes, sizeof(bytes));
    uint32_t kind = 77;

    for (size_t cut = 0; cut < n; cut++) {
        int fds[2];

        make_pair(fds);
        cr_assert_eq(write(fds[1], bytes, cut), (ssize_t)cut);
        if (cut % 2)
            cr_expect_eq(channel_receive(fds[0], &kind, &got, 9, 1), -ETIMEDOUT, "%zu", cut);
        else if (close(fds[1]) == 0)
            cr_expect_eq(channel_receive(fds[0], &kind, &got, 9, -1), -EPIPE, "%zu", cut);
        close(fds[0]);
    }
    cr_assert_eq(kind, 77);
    vmt_buffer_free(&got);
}

Test(channel, what_is_no_message_is_refused)
{
    struct vmt_buffer got = { 0 };
    char good[64];
    size_t n = bytes_of(5, "text", 4, good, sizeof(good));
    uint32_t kind;

    for (size_t i = 0; i < 16; i++) {
        char bytes[64];
        int fds[2];
        int r;

        memcpy(bytes, good, n);
        bytes[i] = (char)(bytes[i] + 1 + (char)(i == 8) * 100);
        make_pair(fds);
        cr_assert_eq(write(fds[1], bytes, n), (ssize_t)n);
        r = channel_receive(fds[0], &kind, &got, 16, 0);
        cr_expect_eq(r, i >= 4 && i < 8 ? 0 : -EBADMSG, "byte %zu: %d", i, r); /* its kind may be any */
        close(fds[0]);
        close(fds[1]);
    }
    vmt_buffer_free(&got);
}

Test(channel, one_that_is_larger_than_expected_is_refused)
{
    struct vmt_buffer got = { 0 };
    uint32_t kind;
    int fds[2];

    make_pair(fds);
    cr_assert_eq(channel_send(fds[0], 1, "0123456789", 10, 0, NULL), 0);
    cr_assert_eq(channel_receive(fds[1], &kind, &got, 9, 0), -EBADMSG);
    cr_assert_eq(channel_send(fds[0], 1, "", CHANNEL_MAX + 1, 0, NULL), -EMSGSIZE);
    vmt_buffer_free(&got);
}

Test(channel, memory_is_taken_for_bytes_that_came_not_for_those_announced)
{
    struct vmt_buffer got = { 0 };
    char bytes[64];
    size_t n = bytes_of(5, "", 0, bytes, sizeof(bytes));
    const uint32_t most = (uint32_t)CHANNEL_MAX;
    uint32_t kind;
    int fds[2];

    memcpy(bytes + 8, &most, sizeof(most));
    make_pair(fds);
    cr_assert_eq(write(fds[1], bytes, n), (ssize_t)n);
    cr_assert_eq(channel_receive(fds[0], &kind, &got, CHANNEL_MAX, 0), -ETIMEDOUT);
    cr_expect_leq(got.capacity, 2 * MIB);
    vmt_buffer_free(&got);
}

/* ---- nobody is waited for longer than was said ---- */

static void fill(int fd)
{
    char bytes[4096] = { 0 };

    while (write(fd, bytes, sizeof(bytes)) > 0 || write(fd, bytes, 1) > 0)
        ;
    cr_assert_eq(errno, EAGAIN);
}

Test(channel, one_that_takes_nothing_holds_nobody_up_and_the_message_is_not_begun)
{
    int part = 0;
    int fds[2];

    make_pair(fds);
    fill(fds[0]);
    cr_assert_eq(channel_send(fds[0], 1, "text", 4, 0, &part), -ETIMEDOUT);
    cr_assert_eq(channel_send(fds[0], 1, "text", 4, 20, &part), -ETIMEDOUT);
    cr_assert_eq(part, 0);
}

Test(channel, a_message_that_was_begun_is_said)
{
    char *data = pattern(8 * MIB);
    int part = 0;
    int fds[2];

    make_pair(fds);
    cr_assert_eq(channel_send(fds[0], 1, data, 8 * MIB, 20, &part), -ETIMEDOUT);
    cr_assert_eq(part, 1);
    free(data);
}

Test(channel, who_must_not_wait_sends_as_it_is_taken)
{
    char *data = pattern(2 * MIB);
    struct vmt_buffer got = { 0 };
    struct channel_out out;
    uint32_t kind = 0;
    int fds[2];
    pid_t child;
    int r;

    make_pair(fds);
    channel_out_begin(&out, 9, data, 2 * MIB);
    cr_assert_eq(channel_out_go(fds[0], &out), 0);
    cr_assert_eq(channel_out_go(fds[0], &out), 0, "nobody took any of it");
    child = fork();
    if (child == 0) {
        close(fds[1]);
        while ((r = channel_out_go(fds[0], &out)) == 0) {
            struct pollfd p = { .fd = fds[0], .events = POLLOUT };

            poll(&p, 1, PATIENCE_MS);
        }
        _exit(r == 1 ? 0 : 1); /* without having waited, where who takes it is faster */
    }
    cr_assert_eq(channel_receive(fds[1], &kind, &got, 2 * MIB, PATIENCE_MS), 0);
    cr_assert(kind == 9 && got.size == 2 * MIB && memcmp(got.data, data, got.size) == 0);
    cr_assert_eq(channel_end(child, PATIENCE_MS), 0);
    close(fds[1]);
    channel_out_begin(&out, 9, data, 1);
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(channel_out_go(fds[0], &out), -EPIPE);
    channel_out_begin(&out, 9, data, CHANNEL_MAX + 1);
    cr_assert_eq(channel_out_go(fds[0], &out), -EMSGSIZE);
    vmt_buffer_free(&got);
    free(data);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

/* A signal each few milliseconds that interrupts whatever waits. */
static void disturb(bool on)
{
    struct sigaction action = { .sa_handler = on_alarm };
    struct itimerval timer = { .it_interval.tv_usec = on ? 10000 : 0, .it_value.tv_usec = on ? 10000 : 0 };

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

Test(channel, signals_neither_cut_a_message_nor_make_a_wait_longer)
{
    char *data = pattern(MIB);
    struct vmt_buffer got = { 0 };
    uint32_t kind;
    pid_t child;
    int fd = start(echo, NULL, &child);
    int fds[2];

    make_pair(fds);
    disturb(true);
    while (alarms < 20)
        send_and_compare(fd, 3, data, MIB);
    cr_expect_eq(channel_receive(fds[0], &kind, &got, 1, 100), -ETIMEDOUT);
    fill(fds[0]);
    cr_expect_eq(channel_send(fds[0], 3, data, 1, 100, NULL), -ETIMEDOUT);
    close(fd);
    cr_expect_eq(channel_end(child, PATIENCE_MS), 7);
    disturb(false);
    free(data);
}

/* ---- the two processes ---- */

static int end_with(void *arg, int fd)
{
    (void)fd;
    return *(int *)arg;
}

static int end_by_signal(void *arg, int fd)
{
    (void)fd;
    raise(*(int *)arg);
    return 0;
}

static int hang(void *arg, int fd)
{
    (void)arg;
    (void)fd;
    while (pause() < 0)
        ;
    return 0;
}

Test(channel, the_exit_status_is_the_childs)
{
    int status = 23;
    pid_t child;
    int fd = start(end_with, &status, &child);

    end(fd, child, 23);
    cr_assert_eq(channel_end(child, 0), -1, "there is none any more");
}

Test(channel, one_that_was_ended_by_a_signal_is_said)
{
    int number = SIGKILL;
    pid_t child;
    int fd = start(end_by_signal, &number, &child);

    end(fd, child, -1);
}

Test(channel, one_that_does_not_end_is_killed)
{
    pid_t child;
    int fd = start(hang, NULL, &child);

    close(fd);
    cr_assert_eq(channel_end(child, 50), -1);
    cr_assert_eq(kill(child, 0), -1, "and reaped");
}

Test(channel, who_sends_to_one_that_has_gone_gets_an_error_and_no_signal)
{
    int status = 0;
    struct vmt_buffer got = { 0 };
    uint32_t kind;
    pid_t child;
    int fd = start(end_with, &status, &child);

    cr_assert_eq(channel_end(child, PATIENCE_MS), 0);
    cr_assert_eq(channel_send(fd, 1, "text", 4, PATIENCE_MS, NULL), -EPIPE);
    cr_assert_eq(channel_receive(fd, &kind, &got, 4, PATIENCE_MS), -EPIPE);
}

/* What is open, but for the directory that is being listed, as a text. */
static int tell_open(void *arg, int fd)
{
    DIR *dir = opendir("/proc/self/fd");
    struct stat null, st;
    char text[256] = "";

    (void)arg;
    stat("/dev/null", &null);
    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        int n = d->d_name[0] == '.' ? dirfd(dir) : atoi(d->d_name);

        if (n != dirfd(dir) && n != STDERR_FILENO && fstat(n, &st) == 0)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d:%s ", n,
                     n == fd                      ? "channel"
                     : st.st_rdev == null.st_rdev ? "null"
                                                  : "other");
    }
    if (dir)
        closedir(dir);
    return channel_send(fd, 1, text, strlen(text), PATIENCE_MS, NULL);
}

Test(channel, who_sees_segments_has_nothing_open_that_the_other_one_has)
{
    int secret = open(test_path("secret"), O_RDWR | O_CREAT, 0600);
    struct vmt_buffer got = { 0 };
    uint32_t kind;
    pid_t child;
    int fd;

    cr_assert_geq(dup2(secret, 200), 0);
    fd = start(tell_open, NULL, &child);
    cr_assert_eq(channel_receive(fd, &kind, &got, 256, PATIENCE_MS), 0);
    cr_expect(got.size == 24 && memcmp(got.data, "0:null 1:null 3:channel ", 24) == 0, "%.*s", (int)got.size, got.data);
    vmt_buffer_free(&got);
    end(fd, child, 0);
}

/* Its process id, then whatever happens. */
static int tell_and_hang(void *arg, int fd)
{
    pid_t self = getpid();

    channel_send(fd, 1, &self, sizeof(self), PATIENCE_MS, NULL);
    return hang(arg, fd);
}

Test(channel, who_sees_segments_ends_with_its_parent)
{
    int fds[2];
    pid_t parent, child = 0;
    int status = 0;

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    cr_assert_eq(pipe(fds), 0);
    parent = fork();
    if (parent == 0) {
        struct vmt_buffer got = { 0 };
        uint32_t kind;
        pid_t ours;
        int fd = -1;

        ours = channel_start(tell_and_hang, NULL, &fd);
        if (ours > 0 && channel_receive(fd, &kind, &got, sizeof(pid_t), PATIENCE_MS) == 0 &&
            write(fds[1], got.data, got.size) == sizeof(pid_t))
            hang(NULL, fd);
        _exit(1);
    }
    close(fds[1]);
    cr_assert_eq(read(fds[0], &child, sizeof(child)), (ssize_t)sizeof(child));
    cr_assert_eq(kill(parent, SIGKILL), 0);
    cr_assert_eq(waitpid(parent, NULL, 0), parent);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
