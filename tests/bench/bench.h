/* SPDX-License-Identifier: MIT */
/* The speed table. What is compared runs in turn, within one run of the program: ratios carry over to other machines,
 * times do not. A time is CPU time of the thread, so that others on the same machine disturb little. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/count.h>
#include <vmtally/reader.h>
#include <vmtally/segment.h>

#define ROUNDS 15

/* Makes the compiler forget what it knows of memory: increments are neither merged nor moved out of loops. */
#define BARRIER() __asm__ __volatile__("" ::: "memory")

/* One way of doing something. run does it n times; n is a multiple of 64. */
struct way {
    const char *name;
    void (*run)(void *arg, uint64_t n);
    void *arg;
    double ns; /* once, median of the rounds */
    double round_ns[ROUNDS];
};

/* Measure all these, in turn. */
void measure(struct way *ways, size_t count);

/* Median of the rounds' ratios. */
double ratio(const struct way *a, const struct way *b);

double median(const double *values, size_t count);
uint64_t thread_cpu_ns(void);

/* Run on this CPU only, or (negative) on all that there were. */
void pin(int cpu);

/* ---- the table ---- */

void heading(const char *text);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void row(const struct way *a);                                            /* a time, to be known */
void row_at_most_ns(const struct way *a, double limit_ns);                /* a time, with its target */
void row_ratio(const struct way *a, const struct way *b, double at_most); /* a / b; at_most 0: no target */
void row_speed(const struct way *a, const struct way *b, double bytes, double at_least); /* speed of a / speed of b */

/* ---- segments to be measured ---- */

/* In a directory of its own, which goes when the program ends. On failure the program ends with a message. */
struct vmt_segment *segment_new(const char *name, uint64_t fixed_bytes);
struct vmt_source *source_new(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                              const char *prefix, unsigned number);
struct vmt_reader *reader_new(struct vmt_segment *segment, enum vmt_read_mode mode);
struct vmt_snapshot *snapshot_new(struct vmt_reader *reader);
__attribute__((noreturn, format(printf, 1, 2))) void stop(const char *format, ...);

/* ---- KVM's own statistics of a vCPU ---- */

/* fd, the offset of the data in it and its schema as declared by this kernel; -1 and *why where there is no KVM. The same
 * at each call. */
int kvm_vcpu_stats(const struct vmt_schema **schema, uint64_t *data_offset, const char **why);

/* A schema of the same shape: the 45 statistics of Linux 6.1, 1,104 bytes. */
const struct vmt_schema *vcpu_shape(void);

/* A schema of 64 counters. */
const struct vmt_schema *counters(void);

/* ---- the parts ---- */

void bench_count(void);
void bench_bindings(void);
void bench_threads(void);
void bench_shards(void);
void bench_one_source(void);
void bench_many_sources(void);
void bench_encode(void);
void bench_kernel_counters(void);

#endif
