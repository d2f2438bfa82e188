/* SPDX-License-Identifier: MIT */
/* What clients of vmtally query --listen can do to each other: nothing. The server is a child of the test. */
#include "helper.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmtally/schemas.h>
#include <vmtally/segment.h>

#include "cli/query/serve.h"
#include "shm/clock.h"

#define SECOND UINT64_C(1000000000)
#define VCPUS 256

static struct vmt_segment *segment;
static pid_t server;

/* The child's part. */
static _Noreturn void serve(int listener, char *path, uint64_t patience_ns)
{
    struct options none = { 0 };
    struct asked asked = { .common = &none, .path = path };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve_prepare();
    if (vmt_snapshot_new(&asked.snapshot))
        _exit(1);
    _exit(serve_clients(listener, &asked, patience_ns));
}

static struct sockaddr_un address(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", test_path("socket"));
    return a;
}

static void start_server(uint64_t patience_ns)
{
    struct sockaddr_un a = address();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char path[4096];

    snprintf(path, sizeof(path), "%s", vmt_segment_path(segment));
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(fd, 64), 0);
    server = fork();
    if (server == 0)
        serve(fd, path, patience_ns);
    cr_assert_gt(server, 0);
    close(fd);
}

static void start(void)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web-1" };
    struct vmt_source *vm, *vcpu;

    test_dir_init();
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    cr_assert_eq(vmt_source_add(segment, &vmt_schema_vm, NULL, "vm", &vm), 0);
    for (int i = 0; i < VCPUS; i++)
        cr_assert_eq(vmt_source_addf(segment, &vmt_schema_vcpu, vm, &vcpu, "vcpu-%d", i), 0);
}

static void end(void)
{
    int status = -1;

    kill(server, SIGTERM);
    waitpid(server, &status, 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", (unsigned)status);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(query_serve, .init = start, .fini = end, .timeout = 60);

static int connected(void)
{
    struct sockaddr_un a = address();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0, "%m");
    return fd;
}

static void say(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

#define BEGIN "{\"execute\":\"qmp_capabilities\"}"
#define ASK_ALL "{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vcpu\"}}"
#define ASK_NAME "{\"execute\":\"query-name\"}"

/* Lines until then, or until the end: how many; the last one in line. */
static int read_lines(int fd, int most, char *line, size_t size)
{
    size_t n = 0;
    int lines = 0;
    char c;

    while (lines < most && recv(fd, &c, 1, 0) == 1) {
        if (n + 1 < size)
            line[n++] = c;
        line[n] = '\0';
        if (c == '\n') {
            lines++;
            n = 0;
        }
    }
    return lines;
}

/* Whether all that was written has been read, and the other side has hung up. */
static bool is_cut(int fd)
{
    static char data[1 << 16];
    ssize_t n;

    while ((n = recv(fd, data, sizeof(data), 0)) > 0)
        ;
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

Test(query_serve, who_takes_nothing_is_given_up)
{
    uint64_t before;
    struct pollfd p;
    char line[256];
    int stuck, other;

    start_server(SECOND / 2);
    stuck = connected();
    other = connected();
    say(stuck, BEGIN ASK_ALL ASK_ALL ASK_ALL);
    say(other, BEGIN);
    cr_assert_eq(read_lines(other, 2, line, sizeof(line)), 2);
    before = shm_clock_ns(CLOCK_MONOTONIC);
    p = (struct pollfd){ .fd = stuck, .events = POLLRDHUP };
    cr_expect_eq(poll(&p, 1, 10000), 1, "it still is waited for");
    cr_expect_geq(shm_clock_ns(CLOCK_MONOTONIC) - before, SECOND / 4, "but not at once");
    cr_expect(is_cut(stuck));
    say(other, ASK_NAME);
    cr_expect_eq(read_lines(other, 1, line, sizeof(line)), 1, "who waits for an answer only is not");
    cr_expect_str_eq(line, "{\"return\":{\"name\":\"web-1\"}}\r\n");
}

Test(query_serve, who_takes_it_slowly_gets_all_of_it)
{
    static char all[4 << 20];
    size_t size = 0;
    ssize_t n = 1;
    int fd;

    start_server(SECOND);
    fd = connected();
    say(fd, BEGIN ASK_ALL "{\"execute\":\"quit\"}");
    while (n > 0 && size + 65536 < sizeof(all)) {
        usleep(20000);
        n = recv(fd, all + size, 65536, 0);
        size += n > 0 ? (size_t)n : 0;
    }
    cr_expect_eq(n, 0);
    all[size] = '\0';
    cr_expect_not_null(strstr(all, "\"qom-path\":\"vm/vcpu-255\""));
    cr_expect_str_eq(all + size - 15, "{\"return\":{}}\r\n");
}

/* Bytes of memory that the server has. */
static long server_memory(void)
{
    char path[64];
    long pages = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)server);
    f = fopen(path, "re");
    cr_assert(f && fscanf(f, "%*d %ld", &pages) == 1);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

Test(query_serve, what_is_not_read_is_not_made)
{
    char line[256];
    long before;
    int stuck[SERVE_CLIENTS - 1], other;

    start_server(60 * SECOND);
    other = connected();
    say(other, BEGIN ASK_ALL);
    cr_assert_eq(read_lines(other, 3, line, sizeof(line)), 3);
    before = server_memory();
    for (int i = 0; i < SERVE_CLIENTS - 1; i++) {
        stuck[i] = connected();
        say(stuck[i], BEGIN);
        for (int k = 0; k < 100; k++)
            say(stuck[i], ASK_ALL);
    }
    for (int k = 0; k < 50; k++) {
        say(other, ASK_NAME);
        cr_assert_eq(read_lines(other, 1, line, sizeof(line)), 1);
    }
    cr_expect_leq(server_memory() - before, (SERVE_CLIENTS - 1) * (long)(2 << 20), "one response each, not 100");
    for (int i = 0; i < SERVE_CLIENTS - 1; i++)
        close(stuck[i]);
    say(other, ASK_NAME);
    cr_expect_eq(read_lines(other, 1, line, sizeof(line)), 1);
}
