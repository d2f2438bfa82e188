/* SPDX-License-Identifier: MIT */
#include "cli/top/columns.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/segment.h"

static const struct vmt_descriptor events = { .flags = VMT_UNIT_NONE };
static const struct vmt_descriptor bytes = { .flags = VMT_UNIT_BYTES | VMT_BASE_POW2 };
static const struct vmt_descriptor seconds = { .flags = VMT_UNIT_SECONDS };

static void write_text(char *buf, const char *text) { snprintf(buf, CELL_TEXT, "%s", text); }

static void write_number(char *buf, double value)
{
    if (!isfinite(value))
        buf[0] = '\0';
    else
        snprintf(buf, CELL_TEXT, "%.3f", value);
}

/* A number per second under a title that says so. */
static void show_number(char *buf, const struct vmt_descriptor *d, double value)
{
    if (isnan(value))
        buf[0] = '\0';
    else
        unit_format_real(buf, CELL_TEXT, d, value);
}

char *quantile_format(char *buf, size_t size, const struct quantile *q)
{
    char bound[UNIT_TEXT];
    int open = isinf(q->high);

    snprintf(buf, size, "%c%s", open ? '>' : '<',
             unit_format_real(bound, sizeof(bound), &seconds, open ? q->low : q->high));
    return buf;
}

static void show_quantile(char *buf, const struct measures *m, const struct quantile *q)
{
    if (m->latency)
        quantile_format(buf, CELL_TEXT, q);
    else
        buf[0] = '\0';
}

/* A bound in seconds. */
static void write_bound(char *buf, const struct measures *m, double bound)
{
    if (!m->latency || !isfinite(bound))
        buf[0] = '\0';
    else
        snprintf(buf, CELL_TEXT, "%.9g", bound);
}

/* To sort by: the open bucket is beyond all others. */
static double bound_of(const struct measures *m, const struct quantile *q)
{
    if (!m->latency)
        return NAN;
    return isinf(q->high) ? q->low * 2 : q->high;
}

static void write_vm(char *buf, const struct track_facts *f) { write_text(buf, f->vm); }
static void write_source(char *buf, const struct track_facts *f) { write_text(buf, f->id); }
static void write_schema(char *buf, const struct track_facts *f) { write_text(buf, f->schema); }
static void write_name(char *buf, const struct track_facts *f) { write_text(buf, f->name); }
static void write_state(char *buf, const struct track_facts *f) { write_text(buf, f->state); }

static void show_state(char *buf, const struct track_facts *f)
{
    snprintf(buf, CELL_TEXT, "%s%s%s", f->state, f->note[0] ? ", " : "", f->note);
}

static void write_pid(char *buf, const struct track_facts *f)
{
    if (f->pid)
        snprintf(buf, CELL_TEXT, "%" PRIu32, f->pid);
    else
        buf[0] = '\0';
}

static double value_pid(const struct track_facts *f) { return f->pid ? (double)f->pid : NAN; }

static void show_counters(char *buf, const struct track_facts *f)
{
    if (f->from)
        segment_from_text(buf, f->from);
    else
        buf[0] = '\0';
}

/* Where all have only what their VMMs count, there is nothing to tell apart. */
static int telling_counters(const struct track_facts *f) { return f->from && f->from != VMT_FROM_SEGMENT; }

static void show_age(char *buf, const struct track_facts *f)
{
    if (f->age_ns == UINT64_MAX)
        buf[0] = '\0';
    else
        unit_format_age(buf, CELL_TEXT, f->age_ns);
}

static double value_age(const struct track_facts *f) { return f->age_ns == UINT64_MAX ? NAN : (double)f->age_ns / 1e9; }
static void write_age(char *buf, const struct track_facts *f) { write_number(buf, value_age(f)); }

static void write_vcpus(char *buf, const struct track_facts *f)
{
    if (f->measures.vcpus)
        snprintf(buf, CELL_TEXT, "%" PRIu32, f->measures.vcpus);
    else
        buf[0] = '\0';
}

static double value_vcpus(const struct track_facts *f) { return f->measures.vcpus ? (double)f->measures.vcpus : NAN; }
static void show_exits(char *buf, const struct track_facts *f) { show_number(buf, &events, f->measures.exits); }
static void write_exits(char *buf, const struct track_facts *f) { write_number(buf, f->measures.exits); }
static double value_exits(const struct track_facts *f) { return f->measures.exits; }

static void show_top(char *buf, const struct track_facts *f)
{
    size_t at = 0;

    buf[0] = '\0';
    for (int i = 0; i < MEASURES_TOP && f->measures.top[i].name[0] && at < CELL_TEXT; i++) {
        int n = snprintf(buf + at, CELL_TEXT - at, "%s%.16s %.0f%%", i ? "  " : "", f->measures.top[i].name,
                         f->measures.top[i].share * 100);

        at += n > 0 ? (size_t)n : 0;
    }
}

static void write_top(char *buf, const struct track_facts *f) { write_text(buf, f->measures.top[0].name); }
static void write_second(char *buf, const struct track_facts *f) { write_text(buf, f->measures.top[1].name); }

static void write_share(char *buf, const struct exit_reason *top)
{
    write_number(buf, top->name[0] ? top->share : NAN);
}

static void write_top_share(char *buf, const struct track_facts *f) { write_share(buf, &f->measures.top[0]); }
static void write_second_share(char *buf, const struct track_facts *f) { write_share(buf, &f->measures.top[1]); }

static void show_run(char *buf, const struct track_facts *f)
{
    if (isnan(f->measures.run))
        buf[0] = '\0';
    else
        unit_format_share(buf, CELL_TEXT, f->measures.run);
}

static void write_run(char *buf, const struct track_facts *f) { write_number(buf, f->measures.run); }
static double value_run(const struct track_facts *f) { return f->measures.run; }
static void show_bytes(char *buf, const struct track_facts *f) { show_number(buf, &bytes, f->measures.bytes); }
static void write_bytes(char *buf, const struct track_facts *f) { write_number(buf, f->measures.bytes); }
static double value_bytes(const struct track_facts *f) { return f->measures.bytes; }
static void show_ops(char *buf, const struct track_facts *f) { show_number(buf, &events, f->measures.ops); }
static void write_ops(char *buf, const struct track_facts *f) { write_number(buf, f->measures.ops); }
static double value_ops(const struct track_facts *f) { return f->measures.ops; }
static void show_p50(char *buf, const struct track_facts *f) { show_quantile(buf, &f->measures, &f->measures.p50); }
static void show_p99(char *buf, const struct track_facts *f) { show_quantile(buf, &f->measures, &f->measures.p99); }
static double value_p50(const struct track_facts *f) { return bound_of(&f->measures, &f->measures.p50); }
static double value_p99(const struct track_facts *f) { return bound_of(&f->measures, &f->measures.p99); }
static void write_p50_low(char *buf, const struct track_facts *f)
{
    write_bound(buf, &f->measures, f->measures.p50.low);
}
static void write_p50_high(char *buf, const struct track_facts *f)
{
    write_bound(buf, &f->measures, f->measures.p50.high);
}
static void write_p99_low(char *buf, const struct track_facts *f)
{
    write_bound(buf, &f->measures, f->measures.p99.low);
}
static void write_p99_high(char *buf, const struct track_facts *f)
{
    write_bound(buf, &f->measures, f->measures.p99.high);
}

#define BELOW " Of the row and all that is below it, what was unplugged meanwhile included."

/* In the order of the screen. Those without a title are for machines only. */
const struct column kvmtop_columns[] = {
    { .name = "name",
      .title = "NAME",
      .left = 1,
      .write = write_name,
      .help = "VMs, and below each the tree of what it counts: vCPUs, devices, programs, and shards where they are "
              "opened." },
    { .csv = "vm", .write = write_vm },
    { .csv = "source", .write = write_source },
    { .csv = "schema", .write = write_schema },
    { .name = "pid",
      .title = "PID",
      .csv = "pid",
      .width = 7,
      .priority = 12,
      .show = write_pid,
      .write = write_pid,
      .value = value_pid,
      .help = "Process of the VMM, in its own PID namespace; of a shard, the thread that holds it." },
    { .name = "state",
      .title = "STATE",
      .csv = "state",
      .priority = 1,
      .left = 1,
      .show = show_state,
      .write = write_state,
      .help = "Of a VM live, stalled, closed, died, damaged and so on, and behind it dropped or restarted; of a source "
              "leaving, unsure or torn." },
    { .name = "age",
      .title = "AGE",
      .csv = "age_seconds",
      .width = 6,
      .priority = 10,
      .show = show_age,
      .write = write_age,
      .value = value_age,
      .help = "Since the VM started, or the source was added." },
    { .name = "counters",
      .title = "COUNTERS",
      .priority = 13,
      .left = 1,
      .telling = telling_counters,
      .show = show_counters,
      .write = show_counters,
      .help =
          "Where a VM's counters come from: segment, what the VMM counts; of the kernel's own fds, statistics fds of "
          "the VMM's process, debugfs, or copies that the VMM has put into its segment. Only shown where there are "
          "any of the kernel's." },
    { .name = "vcpus",
      .title = "VCPUS",
      .csv = "vcpus",
      .width = 5,
      .priority = 9,
      .measure = 1,
      .show = write_vcpus,
      .write = write_vcpus,
      .value = value_vcpus,
      .help = "How many vCPUs are below." },
    { .name = "exits",
      .title = "EXITS/s",
      .csv = "exits_per_second",
      .width = 8,
      .priority = 2,
      .measure = 1,
      .show = show_exits,
      .write = write_exits,
      .value = value_exits,
      .help = "Exits from the guest, per second: to the VMM, or where the kernel counts them too, all." BELOW },
    { .name = "top",
      .title = "TOP EXIT",
      .csv = "top_exit",
      .width = 15,
      .priority = 8,
      .left = 1,
      .measure = 1,
      .show = show_top,
      .write = write_top,
      .help = "The most frequent reasons for exits, and their shares of all." },
    { .csv = "top_exit_share", .write = write_top_share },
    { .name = "run",
      .title = "RUN%",
      .csv = "run_share",
      .width = 6,
      .priority = 3,
      .measure = 1,
      .show = show_run,
      .write = write_run,
      .value = value_run,
      .help = "Time spent running the guest: 100% is one CPU kept busy." BELOW },
    { .name = "bytes",
      .title = "IO B/s",
      .csv = "io_bytes_per_second",
      .width = 8,
      .priority = 4,
      .measure = 1,
      .show = show_bytes,
      .write = write_bytes,
      .value = value_bytes,
      .help = "Bytes that devices move, per second." BELOW },
    { .name = "ops",
      .title = "IO/s",
      .csv = "io_operations_per_second",
      .width = 7,
      .priority = 7,
      .measure = 1,
      .show = show_ops,
      .write = write_ops,
      .value = value_ops,
      .help = "Operations of devices per second: reads, writes, packets, requests." BELOW },
    { .name = "p50",
      .title = "P50",
      .width = 8,
      .priority = 11,
      .measure = 1,
      .show = show_p50,
      .value = value_p50,
      .help =
          "Half of the latencies of the interval were below this, the end of a bucket (> : beyond the last one). Of "
          "vCPUs the time to handle an exit, of devices that of an operation; a VM shows that of its vCPUs." },
    { .name = "p99",
      .title = "P99",
      .width = 8,
      .priority = 5,
      .measure = 1,
      .show = show_p99,
      .value = value_p99,
      .help = "The same for 99 of 100 latencies." },
    { .name = "trend",
      .title = "TREND",
      .width = 12,
      .priority = 6,
      .left = 1,
      .measure = 1,
      .help = "The column that rows are sorted by (by name: exits) over the last beats, the newest at the right." },
    { .csv = "latency_p50_low_seconds", .write = write_p50_low },
    { .csv = "latency_p50_high_seconds", .write = write_p50_high },
    { .csv = "latency_p99_low_seconds", .write = write_p99_low },
    { .csv = "latency_p99_high_seconds", .write = write_p99_high },
    { .csv = "second_exit", .write = write_second },
    { .csv = "second_exit_share", .write = write_second_share },
    { .csv = "counters", .write = show_counters },
};
const size_t kvmtop_column_count = sizeof(kvmtop_columns) / sizeof(kvmtop_columns[0]);

long column_find(const char *name)
{
    for (size_t i = 0; i < kvmtop_column_count; i++) {
        if (kvmtop_columns[i].title && !strcmp(kvmtop_columns[i].name, name))
            return (long)i;
    }
    return -1;
}
