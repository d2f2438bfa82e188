/* SPDX-License-Identifier: MIT */
/* bench: prints the speed table. Its exit status is 0 whatever the times are: machines differ, and so do their days. */
#include "bench.h"

#include <ftw.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUND_NS 10e6
#define WAYS_MAX 8

static cpu_set_t all_cpus;

uint64_t thread_cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void pin(int cpu)
{
    cpu_set_t one = all_cpus;
    int nth = 0;

    for (size_t i = 0; cpu >= 0 && i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &all_cpus) && nth++ != cpu % CPU_COUNT(&all_cpus))
            CPU_CLR(i, &one);
    }
    (void)sched_setaffinity(0, sizeof(one), &one); /* where it may not, the scheduler does what it likes */
}

/* ---- measuring ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double median(const double *values, size_t count)
{
    double sorted[ROUNDS * 2];

    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_size);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static double run_ns(const struct way *w, uint64_t n)
{
    uint64_t start = thread_cpu_ns();

    w->run(w->arg, n);
    return (double)(thread_cpu_ns() - start);
}

/* How often it is to be done for a round to last ROUND_NS. Warms it up, too. */
static uint64_t calibrate(const struct way *w)
{
    uint64_t n = 64;
    double ns = run_ns(w, n);

    while (ns < ROUND_NS / 4) {
        n *= ns < ROUND_NS / 64 ? 8 : 2;
        ns = run_ns(w, n);
    }
    n = (uint64_t)((double)n * ROUND_NS / ns) / 64 * 64;
    return n ? n : 64;
}

void measure(struct way *ways, size_t count)
{
    uint64_t n[WAYS_MAX];

    if (count > WAYS_MAX)
        stop("more than %d ways at once", WAYS_MAX);
    for (size_t i = 0; i < count; i++)
        n[i] = calibrate(&ways[i]);
    for (int r = 0; r < ROUNDS; r++) {
        for (size_t k = 0; k < count; k++) {
            size_t i = r % 2 ? count - 1 - k : k;

            ways[i].round_ns[r] = run_ns(&ways[i], n[i]) / (double)n[i];
        }
    }
    for (size_t i = 0; i < count; i++)
        ways[i].ns = median(ways[i].round_ns, ROUNDS);
}

double ratio(const struct way *a, const struct way *b)
{
    double ratios[ROUNDS];

    for (int r = 0; r < ROUNDS; r++)
        ratios[r] = a->round_ns[r] / b->round_ns[r];
    return median(ratios, ROUNDS);
}

/* ---- the table ---- */

static const char *time_text(double ns, char text[24])
{
    if (ns < 1000)
        snprintf(text, 24, "%.2f ns", ns);
    else if (ns < 1e6)
        snprintf(text, 24, "%.2f us", ns / 1e3);
    else
        snprintf(text, 24, "%.2f ms", ns / 1e6);
    return text;
}

void heading(const char *text) { printf("\n%s\n", text); }

void note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("  ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
}

/* within: -1 where there is no target */
static void end_row(const char *target, int within)
{
    if (within < 0)
        printf("\n");
    else
        printf("  %-11s %s\n", target, within ? "within" : "MISSED");
    fflush(stdout);
}

void row(const struct way *a)
{
    char text[24];

    printf("  %-38s %10s\n", a->name, time_text(a->ns, text));
    fflush(stdout);
}

void row_at_most_ns(const struct way *a, double limit_ns)
{
    char text[24], limit[24], target[32];

    printf("  %-38s %10s  %-38s %10s         ", a->name, time_text(a->ns, text), "", "");
    snprintf(target, sizeof(target), "<= %s", time_text(limit_ns, limit));
    end_row(target, a->ns <= limit_ns);
}

void row_ratio(const struct way *a, const struct way *b, double at_most)
{
    char text[2][24], target[32];
    double times = ratio(a, b);

    printf("  %-38s %10s  %-38s %10s  %6.2f ", a->name, time_text(a->ns, text[0]), b->name, time_text(b->ns, text[1]),
           times);
    snprintf(target, sizeof(target), "<= %.2f", at_most);
    if (at_most > 0)
        end_row(target, times <= at_most);
    else
        end_row("", -1);
}

void row_speed(const struct way *a, const struct way *b, double bytes, double at_least)
{
    char text[2][24], target[32];
    double speed = ratio(b, a);

    snprintf(text[0], sizeof(text[0]), "%.1f GB/s", bytes / a->ns);
    snprintf(text[1], sizeof(text[1]), "%.1f GB/s", bytes / b->ns);
    printf("  %-38s %10s  %-38s %10s  %6.2f ", a->name, text[0], b->name, text[1], speed);
    snprintf(target, sizeof(target), ">= %.2f", at_least);
    end_row(target, speed >= at_least);
}

/* ---- segments ---- */

static char dir[] = "/dev/shm/vmtally-test.XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_dir(void) { (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

void stop(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "bench: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

struct vmt_segment *segment_new(const char *name, uint64_t fixed_bytes)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = name, .fixed_bytes = fixed_bytes };
    struct vmt_segment *segment;
    int r = vmt_segment_create(&options, &segment);

    if (r < 0)
        stop("segment '%s' in %s: %s", name, dir, strerror(-r));
    return segment;
}

struct vmt_source *source_new(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                              const char *prefix, unsigned number)
{
    struct vmt_source *source;
    int r = vmt_source_addf(segment, schema, parent, &source, "%s-%u", prefix, number);

    if (r < 0)
        stop("source %s-%u: %s", prefix, number, strerror(-r));
    return source;
}

struct vmt_reader *reader_new(struct vmt_segment *segment, enum vmt_read_mode mode)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = mode };
    struct vmt_reader *reader;
    int r = vmt_reader_open(vmt_segment_path(segment), &options, &reader);

    if (r < 0)
        stop("reading %s: %s", vmt_segment_path(segment), strerror(-r));
    return reader;
}

struct vmt_snapshot *snapshot_new(struct vmt_reader *reader)
{
    struct vmt_snapshot *snapshot;
    int r = vmt_snapshot_new(&snapshot);

    if (r == 0)
        r = vmt_snapshot_take(snapshot, reader);
    if (r != 0)
        stop("a snapshot of %s: %s", vmt_reader_path(reader), r < 0 ? strerror(-r) : "partial");
    return snapshot;
}

int main(void)
{
    if (sched_getaffinity(0, sizeof(all_cpus), &all_cpus) < 0)
        stop("sched_getaffinity: %m");
    if (!mkdtemp(dir) || setenv("VMTALLY_DIR", dir, 1) < 0)
        stop("can't make %s: %m", dir);
    atexit(remove_dir);
    printf("CPU time of one thread, median of %d rounds; what is compared runs in turn.\n", ROUNDS);
    pin(0);
    bench_count();
    bench_bindings();
    bench_threads();
    pin(0);
    bench_shards();
    bench_one_source();
    bench_many_sources();
    bench_encode();
    bench_kernel_counters();
    return 0;
}
