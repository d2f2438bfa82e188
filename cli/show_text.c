/* SPDX-License-Identifier: MIT */
/* vmtally show: a VM for people. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/host.h>

#include "segment.h"
#include "show.h"
#include "units.h"
#include "lib/kvm/handle.h"

#define EXACT_TEXT 24 /* bytes that hold any u64 */
#define BUCKETS_A_LINE 4

/* The number as it is, sign and all; "-" where nothing was counted yet. */
static char *exact_text(char *buf, const struct vmt_descriptor *d, uint64_t value)
{
    if (unit_absent(d, value))
        snprintf(buf, EXACT_TEXT, "-");
    else if (d->flags & VMT_SIGNED)
        snprintf(buf, EXACT_TEXT, "%" PRId64, (int64_t)value);
    else
        snprintf(buf, EXACT_TEXT, "%" PRIu64, value);
    return buf;
}

/* The number with its unit, "" where that says no more than the number. over_sources: a sum of yes and no is a
 * number. */
static char *people_text(char *buf, const struct vmt_descriptor *d, uint64_t value, int over_sources)
{
    char exact[EXACT_TEXT];

    unit_format(buf, UNIT_TEXT, d, value);
    if (strcmp(buf, exact_text(exact, d, value)) == 0 ||
        (over_sources && (d->flags & VMT_UNIT_MASK) == VMT_UNIT_BOOLEAN))
        buf[0] = '\0';
    return buf;
}

static int is_histogram(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST;
}

/* low <= value < high, as "512 ns..1.02 us"; the last bucket has no end. */
#define RANGE_TEXT (2 * UNIT_TEXT + 4)
static char *range_text(char *buf, const struct vmt_descriptor *d, uint64_t low, uint64_t high)
{
    char from[UNIT_TEXT], to[UNIT_TEXT];

    unit_format(from, sizeof(from), d, low);
    unit_format(to, sizeof(to), d, high);
    if (high == UINT64_MAX)
        snprintf(buf, RANGE_TEXT, ">=%s", from);
    else if (high - low == 1)
        snprintf(buf, RANGE_TEXT, "%s", from);
    else
        snprintf(buf, RANGE_TEXT, "%s..%s", from, to);
    return buf;
}

/* How many, three quantiles, and the buckets that hold something. */
static void print_histogram(const struct vmt_descriptor *d, const uint64_t *buckets, int width, int indent)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 } };
    char text[RANGE_TEXT];
    uint64_t low, high, count = 0;
    int shown = 0;

    for (uint32_t i = 0; i < d->size; i++)
        count += buckets[i];
    printf("%*s%-*s  %" PRIu64 " recorded", indent, "", width, d->name, count);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        if (vmt_quantile(d, buckets, quantiles[i].q, &low, &high) == 0)
            printf("%s%s %s", i ? ", " : ": ", quantiles[i].name, range_text(text, d, low, high));
    }
    printf("%s%s\n", d->help[0] ? "  " : "", d->help);
    for (uint32_t i = 0; i < d->size; i++) {
        if (buckets[i] == 0)
            continue;
        vmt_bucket_bounds(d, i, &low, &high);
        if (shown % BUCKETS_A_LINE == 0)
            printf("%s%*s", shown ? "\n" : "", indent + 2, "");
        else
            printf("   ");
        printf("%s: %" PRIu64, range_text(text, d, low, high), buckets[i]);
        shown++;
    }
    if (shown)
        puts("");
}

/* The values that match, a line a statistic. */
static void print_values(const char *glob, const struct vmt_schema *schema, const uint64_t *values, int over_sources,
                         int indent)
{
    char exact[EXACT_TEXT], people[UNIT_TEXT];
    int name_width = 0, exact_width = 0, people_width = 0;

    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        int name = (int)strlen(d->name);
        int number = (int)strlen(exact_text(exact, d, values[d->slot]));
        int unit = (int)strlen(people_text(people, d, values[d->slot], over_sources));

        if (!select_matches(glob, d->name))
            continue;
        name_width = name > name_width ? name : name_width;
        if (is_histogram(d) || d->size != 1)
            continue;
        exact_width = number > exact_width ? number : exact_width;
        people_width = unit > people_width ? unit : people_width;
    }
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        if (!select_matches(glob, d->name))
            continue;
        if (is_histogram(d)) {
            print_histogram(d, values + d->slot, name_width, indent);
            continue;
        }
        printf("%*s%-*s", indent, "", name_width, d->name);
        if (d->size == 1)
            printf("  %*s  %*s", exact_width, exact_text(exact, d, values[d->slot]), people_width,
                   people_text(people, d, values[d->slot], over_sources));
        else
            for (uint32_t j = 0; j < d->size; j++)
                printf("  %s", exact_text(exact, d, values[d->slot + j]));
        printf("%s%s\n", d->help[0] ? "  " : "", d->help);
    }
}

/* How many statistics of schema match. The number of a descriptor, in a handle, is none. */
static size_t matching(const char *glob, const struct vmt_schema *schema)
{
    size_t n = 0;

    if (kvm_is_handle(schema))
        return 0;

    for (uint32_t i = 0; i < schema->count; i++)
        n += (size_t)select_matches(glob, schema->descriptors[i].name);
    return n;
}

static const char *flag_text(uint32_t flags)
{
    if (flags & VMT_SAMPLE_ABSENT)
        return " (could not be read)";
    if (flags & VMT_SAMPLE_TORN)
        return " (a group was cut short: values may disagree)";
    if (flags & VMT_SAMPLE_UNCONFIRMED)
        return " (unconfirmed: values of a group may disagree)";
    return flags & VMT_SAMPLE_LEAVING ? " (leaving)" : "";
}

static void print_shards(const struct show *show, const struct vmt_sample *source)
{
    static const char *const held[] = { "free", "held", "shared" };

    for (uint32_t i = 0; i < source->shard_count; i++) {
        const struct vmt_shard_sample *shard = &source->shards[i];

        printf("  shard %" PRIu32 ": %s", i, held[shard->held < 3 ? shard->held : 0]);
        if (shard->owner)
            printf(", tid %" PRIu32, shard->owner);
        printf("%s\n", flag_text(shard->flags));
        print_values(show->stat, source->schema, shard->values, 0, 4);
    }
}

static void print_heading(const struct show *show, const struct vmt_snapshot *snapshot)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    char age[UNIT_TEXT];
    char title[SEGMENT_NAME];

    printf("%s%s: %s, pid %" PRIu32 ", age %s\n", show->stats ? "\n" : "", segment_title(title, sizeof(title), info),
           vmt_state_name(segment_state(info)), vmt_snapshot_pid(snapshot),
           unit_format_age(age, sizeof(age), select_age_ns(info)));
    for (size_t i = 0; info->labels[i]; i++)
        printf("  %s\n", info->labels[i]);
}

/* What source i is called: as what it speaks of. */
static const char *subject_id(const struct vmt_snapshot *snapshot, size_t i)
{
    const char *id = vmt_snapshot_source(snapshot, vmt_snapshot_subject(snapshot, i))->id;

    if (id[0])
        return id;
    return segment_process(vmt_snapshot_segment(snapshot)->path) ? "the process" : "the segment";
}

/* Of several vCPUs debugfs has the sum alone, which is a total. */
static int only_sum(const struct vmt_segment_info *info, const struct vmt_sample *source)
{
    return source->flags & VMT_SAMPLE_ABSENT && info->from & VMT_FROM_DEBUGFS && kvm_is_kernels(source->schema) &&
           strcmp(source->schema->target, "vcpu") == 0;
}

/* Whether a total says only what view (NULL: there is none) says, which speaks of the same thing and is shown next. */
static int says_the_same(const struct vmt_total *total, const struct vmt_sample *view)
{
    return view && total->sources == 1 && total->schema == view->schema &&
           (total->values == view->values || total->flags & view->flags & VMT_SAMPLE_ABSENT);
}

/* Those of the kernel, or those of the VMM, which come first as its sources do. Of what departed the kernel itself has
 * nothing left. */
static void print_totals(const struct show *show, const struct vmt_segment_info *info, const char *id,
                         const struct vmt_sample *source, const struct vmt_sample *view, int kernel)
{
    int direct = info->from & (VMT_FROM_FDS | VMT_FROM_DEBUGFS) || segment_process(info->path);
    const char *departed = kernel && direct ? "" : ", with departed";

    for (uint32_t t = 0; t < source->total_count; t++) {
        const struct vmt_total *total = &source->totals[t];

        if (kvm_is_kernels(total->schema) != kernel || matching(show->stat, total->schema) == 0 ||
            says_the_same(total, view))
            continue;
        printf("\n%s (%s, total of %" PRIu32 " %s%s)%s\n", id, total->schema->provider, total->sources,
               total->schema->target, departed, flag_text(total->flags));
        if (!(total->flags & VMT_SAMPLE_ABSENT))
            print_values(show->stat, total->schema, total->values, 1, 2);
    }
}

/* A handle that led nowhere, where no statistics are asked for by name. */
static int is_unread(const struct show *show, const struct vmt_sample *source)
{
    return kvm_is_handle(source->schema) && !show->stat;
}

static void print_source(const struct show *show, const struct vmt_snapshot *snapshot, size_t i,
                         const struct vmt_sample *view)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    const struct vmt_sample *source = vmt_snapshot_source(snapshot, i);
    const char *id = subject_id(snapshot, i);

    if (matching(show->stat, source->schema) > 0) {
        int sum = only_sum(info, source);

        printf("\n%s", id);
        if (source->id[0])
            printf(" (%s, %s)", source->schema->provider, source->schema->target);
        puts(sum ? "" : flag_text(source->flags));
        if (sum)
            puts("  -  debugfs has only the sum over all vCPUs: it is shown as the total of the VM");
        if (!(source->flags & VMT_SAMPLE_ABSENT))
            print_values(show->stat, source->schema, source->values, 0, 2);
        print_shards(show, source);
    }
    if (is_unread(show, source))
        printf("\n%s (%s, %s)\n  -  " KVM_HANDLE_UNREAD "\n", id, source->schema->provider, source->schema->target);
    print_totals(show, info, id, source, view, 0);
    print_totals(show, info, id, source, view, 1);
}

/* All sources: behind each what others count of the same thing. NULL: no memory. Parents come before their children. */
static size_t *in_order(const struct vmt_snapshot *snapshot)
{
    size_t count = vmt_snapshot_count(snapshot);
    size_t *order = calloc(3 * count + 1, sizeof(*order));
    size_t *thing = order + count; /* that source i speaks of in the end */
    size_t *place = thing + count; /* first how many speak of i; then where in the order the next of them comes */
    size_t at = 0;

    if (!order)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t subject = vmt_snapshot_subject(snapshot, i);

        thing[i] = subject < i ? thing[subject] : i;
        place[thing[i]]++;
    }
    for (size_t i = 0; i < count; i++) {
        size_t n = place[i];

        place[i] = at;
        at += n;
    }
    for (size_t i = 0; i < count; i++)
        order[place[thing[i]]++] = i;
    return order;
}

/* What somebody else counts of the source at place k of the order, or NULL. */
static const struct vmt_sample *view_of(const struct vmt_snapshot *snapshot, const size_t *order, size_t k)
{
    size_t next = k + 1 < vmt_snapshot_count(snapshot) ? order[k + 1] : order[k];

    return next != order[k] && vmt_snapshot_subject(snapshot, next) == order[k] ? vmt_snapshot_source(snapshot, next)
                                                                                : NULL;
}

int show_text(struct show *show, const struct vmt_snapshot *snapshot)
{
    size_t *order = in_order(snapshot);
    int headed = 0;

    if (!order)
        return -ENOMEM;
    for (size_t k = 0; k < vmt_snapshot_count(snapshot); k++) {
        const struct vmt_sample *source = vmt_snapshot_source(snapshot, order[k]);
        size_t n = matching(show->stat, source->schema);

        if (!show_matches(show, snapshot, order[k]))
            continue;
        for (uint32_t t = 0; t < source->total_count; t++)
            n += matching(show->stat, source->totals[t].schema);
        if ((n > 0 || is_unread(show, source)) && !headed++)
            print_heading(show, snapshot);
        show->sources++;
        show->stats += n;
        print_source(show, snapshot, order[k], view_of(snapshot, order, k));
    }
    free(order);
    return 0;
}
