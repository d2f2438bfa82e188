/* SPDX-License-Identifier: MIT */
/* The runner of builds for sanitizers, coverage and valgrind: it runs what Test() declares, from the same object files,
 * each in a child of its own. Criterion's runner can't: the arena of its sandbox does not fit into ThreadSanitizer's
 * address space, and it takes its verdict before the test's process ends, which is when leaks and races are counted and
 * a profile is written. Here the exit status decides. Prints TAP on stdout. An argument is a pattern of "suite/test"
 * names (fnmatch). VMT_LEAVE_OUT may name a file of lines "PATTERN REASON": those tests are skipped, or, where the
 * reason starts with "leaks:", run without valgrind's search for leaks.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if SANITIZED /* the build for valgrind */
#include <valgrind/valgrind.h>
#define LOOK_FOR_NO_LEAKS() VALGRIND_CLO_CHANGE("--leak-check=no")
#else
#define LOOK_FOR_NO_LEAKS() ((void)0)
#endif

#define TIMEOUT_S 300
#define EXIT_FAILED 101 /* no test's own .exit_code */
#define EXIT_SKIPPED 102

/* Made by the linker around the section into which Test() and TestSuite() put their pointers. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak)), *__stop_cr_sts[] __attribute__((weak));

static pid_t test_pid;
static sigset_t usual;     /* the signal mask of a test */
static _Atomic int failed; /* a failed cr_expect, or cr_assert in any thread */

/* ---- what the macros of criterion.h call, instead of the library's own ---- */

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (stats->passed)
        return;
    failed = 1;
    fprintf(stderr, "%s:%u: assertion failed: %s\n", stats->file, stats->line, stats->message);
}

void criterion_abort_test(void)
{
    if (getpid() != test_pid)
        _exit(EXIT_FAILED); /* a child that the test made: its parent sees the status */
    exit(EXIT_FAILED);
}

void criterion_skip_test(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    LOOK_FOR_NO_LEAKS(); /* it ends in the middle of what it was about */
    exit(EXIT_SKIPPED);
}

void criterion_internal_test_setup(void) {}
void criterion_internal_test_main(void (*test)(void)) { test(); }
void criterion_internal_test_teardown(void) {}
void cri_asserts_passed_incr(void) {}

/* ---- */

static const struct criterion_test_extra_data *suite_of(const struct criterion_test *test)
{
    for (struct criterion_suite **s = __start_cr_sts; s < __stop_cr_sts; s++)
        if (*s && strcmp((*s)->name, test->category) == 0)
            return (*s)->data;
    return NULL;
}

static void run_child(const struct criterion_test *test, const struct criterion_test_extra_data *suite, int no_leaks)
{
    void (*init)(void) = test->data->init ? test->data->init : suite ? suite->init : NULL;
    void (*fini)(void) = test->data->fini ? test->data->fini : suite ? suite->fini : NULL;

    setpgid(0, 0);                    /* the parent ends what the test leaves running, */
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* or the test, if its own end comes first */
    sigprocmask(SIG_SETMASK, &usual, NULL);
    test_pid = getpid();
    if (no_leaks)
        LOOK_FOR_NO_LEAKS();
    if (init)
        init();
    test->test();
    if (fini)
        fini();
    exit(failed ? EXIT_FAILED : 0);
}

/* Whether it ended in time; *status as waitpid() gives it. SIGCHLD is blocked. */
static int ended_in(pid_t pid, double seconds, int *status)
{
    struct timespec now, end;
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)seconds + 1;
    while (waitpid(pid, status, WNOHANG) != pid) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec >= end.tv_sec)
            return 0;
        sigtimedwait(&child, NULL, &(struct timespec){ .tv_sec = end.tv_sec - now.tv_sec });
    }
    return 1;
}

/* 0 passed, 1 failed (why says it), 2 skipped. */
static int run(const struct criterion_test *test, int no_leaks, const char **why)
{
    const struct criterion_test_extra_data *suite = suite_of(test);
    double timeout = test->data->timeout > 0 ? test->data->timeout * 10 : TIMEOUT_S; /* it is slow there */
    int status = 0, in_time;
    pid_t pid;

    if (test->data->disabled || (suite && suite->disabled))
        return 2;
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        *why = strerror(errno);
        return 1;
    }
    if (pid == 0)
        run_child(test, suite, no_leaks);
    in_time = ended_in(pid, timeout, &status);
    if (!in_time) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    kill(-pid, SIGKILL);

    *why = in_time ? "failed" : "timed out";
    if (!in_time)
        return 1;
    if (WIFSIGNALED(status)) {
        *why = strsignal(WTERMSIG(status));
        return WTERMSIG(status) != test->data->signal;
    }
    if (WEXITSTATUS(status) == EXIT_SKIPPED)
        return 2;
    return test->data->signal || WEXITSTATUS(status) != test->data->exit_code;
}

#define LEAVE_OUT_MAX 64

static struct {
    char pattern[160];
    char reason[160];
} leave_out[LEAVE_OUT_MAX];

static void read_leave_out(void)
{
    const char *path = getenv("VMT_LEAVE_OUT");
    FILE *f = path ? fopen(path, "r") : NULL;
    char line[320];
    int n = 0;

    if (path && !f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    while (f && n < LEAVE_OUT_MAX && fgets(line, sizeof(line), f))
        if (line[0] != '#')
            n += sscanf(line, "%159s %159[^\n]", leave_out[n].pattern, leave_out[n].reason) == 2;
    if (f)
        fclose(f);
}

static const char *reason_to_leave_out(const char *name)
{
    for (int i = 0; i < LEAVE_OUT_MAX && leave_out[i].pattern[0]; i++)
        if (fnmatch(leave_out[i].pattern, name, 0) == 0)
            return leave_out[i].reason;
    return NULL;
}

static int selected(const char *name, int argc, char *argv[])
{
    for (int i = 1; i < argc; i++)
        if (fnmatch(argv[i], name, 0) == 0)
            return 1;
    return argc < 2;
}

int main(int argc, char *argv[])
{
    int bad = 0;
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &usual);
    read_leave_out();
    for (struct criterion_test **t = __start_cr_tst; t < __stop_cr_tst; t++) {
        const char *why = "", *reason;
        char name[512];
        int result, no_leaks;

        if (!*t)
            continue;
        snprintf(name, sizeof(name), "%s/%s", (*t)->category, (*t)->name);
        if (!selected(name, argc, argv))
            continue;
        reason = reason_to_leave_out(name);
        no_leaks = reason && strncmp(reason, "leaks:", 6) == 0;
        if (no_leaks)
            reason = NULL;
        result = reason ? 2 : run(*t, no_leaks, &why);
        bad |= result == 1;
        if (result == 1)
            printf("not ok - %s::%s # %s\n", (*t)->category, (*t)->name, why);
        else
            printf("ok - %s::%s%s%s\n", (*t)->category, (*t)->name, result == 2 ? " # SKIP " : "",
                   reason ? reason : "");
    }
    return bad;
}
