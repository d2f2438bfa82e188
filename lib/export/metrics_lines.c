/* SPDX-License-Identifier: MIT */
/* Rows as lines. What a thousand sources of 64 counters take is copying two strings and a number a line. */
#include "metrics.h"

#include "decimal.h"

#define CLOSING 2U /* "} " at the end of a row's labels */

/* One kind of sample of one column. */
struct lines {
    const struct vmt_metrics *m;
    const struct metrics_member *member;
    struct vmt_buffer *out;
    char bucket[METRICS_NAME_SIZE + 16]; /* "NAME_bucket{" */
    char count[METRICS_NAME_SIZE + 16];
    char sum[METRICS_NAME_SIZE + 16];
    size_t bucket_size;
    size_t count_size;
    size_t sum_size;
};

static size_t begin(char *to, const struct metrics_column *column, const char *end)
{
    char *at = mempcpy(to, column->family, column->family_size);

    at = stpcpy(stpcpy(at, end), "{");
    return (size_t)(at - to);
}

static inline char *put(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

/* One value; false: there is none. */
static inline bool put_value(char **at, const struct metrics_column *column, const struct vmt_descriptor *d,
                             uint64_t value)
{
    uint64_t none = vmt_export_absent(d);
    bool negative = d->flags & VMT_SIGNED && (int64_t)value < 0;

    if (none != 0 && value == none)
        return false;
    if (column->boolean)
        *(*at)++ = value ? '1' : '0';
    else
        *at += vmt_scaled(*at, d, negative ? 0 - value : value, negative, false);
    return true;
}

static inline uint8_t mask_of(const struct vmt_metrics *m, const struct metrics_member *member,
                              const struct metrics_row *row)
{
    size_t i = (size_t)(member->column - member->plan->columns);

    return row->mask == METRICS_NONE ? UINT8_MAX : (uint8_t)m->masks.data[row->mask + i];
}

static inline const uint64_t *values_of(const struct vmt_metrics *m, const struct metrics_row *row)
{
    return (const uint64_t *)(const void *)m->values.data + row->values;
}

/* ---- counters and gauges ---- */

static int put_simple(const struct vmt_metrics *m, const struct metrics_member *member, const char *end,
                      struct vmt_buffer *out)
{
    const struct metrics_column *column = member->column;
    const bool whole = column->exact && vmt_export_absent(&column->d) == 0;
    char prefix[METRICS_NAME_SIZE + 16];
    size_t prefix_size = begin(prefix, column, end);

    for (uint32_t i = member->plan->first_row; i != METRICS_NONE;) {
        const struct metrics_row *row = metrics_row(m, i);
        uint64_t value = values_of(m, row)[column->d.slot];
        char *at;
        int r;

        i = row->next;
        if (!(mask_of(m, member, row) & METRICS_WANT_VALUE))
            continue;
        r = vmt_buffer_reserve(out, prefix_size + row->labels_size + VMT_SCALED_MAX + 1);
        if (r < 0)
            return r;
        at = put(out->data + out->size, prefix, prefix_size);
        at = put(at, m->text.data + row->labels, row->labels_size);
        if (whole)
            at += vmt_decimal(at, value);
        else if (!put_value(&at, column, &column->d, value))
            continue;
        *at++ = '\n';
        out->size = (size_t)(at - out->data);
    }
    return 0;
}

/* ---- histograms ---- */

static inline uint64_t add(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

/* One line, for which there is room. le NULL: without. */
static char *put_line(const struct lines *l, char *at, const char *name, size_t name_size,
                      const struct metrics_row *row, const char *le, size_t le_size)
{
    at = put(at, name, name_size);
    at = put(at, l->m->text.data + row->labels, row->labels_size - (le ? CLOSING : 0));
    return le ? put(at, le, le_size) : at;
}

static char *put_buckets(const struct lines *l, char *at, const struct metrics_row *row, bool write, uint64_t *total)
{
    const struct metrics_column *column = l->member->column;
    const uint64_t *buckets = values_of(l->m, row) + column->d.slot;
    uint64_t sum = 0;
    size_t le = 0;

    for (uint32_t i = 0; i < column->le_count; i++) {
        sum = add(sum, buckets[i]);
        for (uint32_t k = i + 1; i + 1 == column->le_count && k < column->d.size; k++)
            sum = add(sum, buckets[k]);
        if (write) {
            at = put_line(l, at, l->bucket, l->bucket_size, row, column->le_text + le, column->le_ends[i] - le);
            at += vmt_decimal(at, sum);
            *at++ = '\n';
        }
        le = column->le_ends[i];
    }
    *total = sum;
    return at;
}

static char *put_count(const struct lines *l, char *at, const struct metrics_row *row, uint64_t count)
{
    at = put_line(l, at, l->count, l->count_size, row, NULL, 0);
    at += vmt_decimal(at, count);
    *at++ = '\n';
    return at;
}

static char *put_sum(const struct lines *l, char *at, const struct metrics_row *row)
{
    const struct metrics_column *column = l->member->column;

    at = put_line(l, at, l->sum, l->sum_size, row, NULL, 0);
    at += vmt_scaled(at, &column->sum_d, values_of(l->m, row)[column->sum_d.slot], false, false);
    *at++ = '\n';
    return at;
}

static bool is_absent(const struct metrics_column *column, const uint64_t *values)
{
    uint64_t none = vmt_export_absent(&column->d);

    for (uint32_t i = 0; none != 0 && i < column->d.size; i++)
        if (values[column->d.slot + i] == none)
            return true;
    return false;
}

/* Of a histogram, or what is left of it where its buckets were not chosen. */
static int put_row(struct lines *l, const struct metrics_row *row, enum metrics_lines lines,
                   enum vmt_metrics_format format)
{
    const struct metrics_column *column = l->member->column;
    const bool latency = column->sum != METRICS_NONE, summary = l->member->class == METRICS_SUMMARY;
    const bool all = lines == METRICS_LINES_HISTOGRAM || lines == METRICS_LINES_SUMMARY;
    size_t line = l->bucket_size + row->labels_size + VMT_SCALED_MAX + 1;
    uint8_t mask = mask_of(l->m, l->member, row);
    uint64_t count = 0;
    char *at;
    int r;

    if ((!summary && !(mask & METRICS_WANT_VALUE)) || is_absent(column, values_of(l->m, row)))
        return 0;
    r = vmt_buffer_reserve(l->out, (column->le_count + 2U) * line + column->le_ends[column->le_count - 1]);
    if (r < 0)
        return r;
    at = l->out->data + l->out->size;
    /* What was counted is what is in the buckets: a group that was cut short says otherwise in its count. */
    if (summary)
        count = values_of(l->m, row)[column->count_slot];
    else
        at = put_buckets(l, at, row, all || lines == METRICS_LINES_BUCKET, &count);
    if (all || lines == METRICS_LINES_COUNT) {
        /* OpenMetrics has no count without a sum. */
        if (summary ? mask & METRICS_WANT_COUNT : latency || format == VMT_PROMETHEUS)
            at = put_count(l, at, row, count);
    }
    if ((all || lines == METRICS_LINES_SUM) && (summary ? mask & METRICS_WANT_SUM : latency))
        at = put_sum(l, at, row);
    l->out->size = (size_t)(at - l->out->data);
    return 0;
}

static int put_histogram(const struct vmt_metrics *m, const struct metrics_member *member, enum metrics_lines lines,
                         enum vmt_metrics_format format, struct vmt_buffer *out)
{
    struct lines l = { .m = m, .member = member, .out = out };
    int r = 0;

    l.bucket_size = begin(l.bucket, member->column, "_bucket");
    l.count_size = begin(l.count, member->column, "_count");
    l.sum_size = begin(l.sum, member->column, "_sum");
    for (uint32_t i = member->plan->first_row; i != METRICS_NONE && r == 0; i = metrics_row(m, i)->next)
        r = put_row(&l, metrics_row(m, i), lines, format);
    return r;
}

static bool has_lines(enum metrics_class class, enum metrics_lines lines)
{
    if (class == METRICS_COUNTER || class == METRICS_GAUGE)
        return lines == (class == METRICS_COUNTER ? METRICS_LINES_TOTAL : METRICS_LINES_VALUE);
    return lines != METRICS_LINES_TOTAL && lines != METRICS_LINES_VALUE;
}

int metrics_put_lines(const struct vmt_metrics *m, const struct metrics_group *group, enum metrics_lines lines,
                      enum vmt_metrics_format format, struct vmt_buffer *out)
{
    int r = 0;

    for (size_t i = 0; i < group->count && r == 0; i++) {
        const struct metrics_member *member = &group->members[i];

        if (!has_lines(member->class, lines))
            continue;
        if (lines == METRICS_LINES_TOTAL || lines == METRICS_LINES_VALUE)
            r = put_simple(m, member, lines == METRICS_LINES_TOTAL ? "_total" : "", out);
        else
            r = put_histogram(m, member, lines, format, out);
    }
    return r;
}
