/* SPDX-License-Identifier: MIT */
/* vmtally show: the values of a VM, for people or as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <vmtally/export.h>

#include "commands.h"
#include "message.h"
#include "sandbox.h"
#include "segment.h"
#include "select.h"
#include "units.h"

enum { OPTION_SOURCE = 0x200, OPTION_STAT, OPTION_SHARDS, OPTION_JSON };

struct arguments {
    struct options *common;
    char *vm;           /* NULL: all */
    const char *source; /* globs, NULL: all */
    const char *stat;
    int shards;
    int json;
    /* how many were shown, of all VMs */
    size_t sources;
    size_t stats;
};

static const struct argp_option options[] = {
    { "source", OPTION_SOURCE, "GLOB", 0, "Only sources whose full id matches, such as 'vm/vcpu-*'", 0 },
    { "stat", OPTION_STAT, "GLOB", 0, "Only statistics whose name matches, such as '*_bytes'", 0 },
    { "shards", OPTION_SHARDS, NULL, 0, "What each shard of a source has counted, too, and whose it is", 0 },
    { "json", OPTION_JSON, NULL, 0, "Print a JSON object a VM, one a line, with exact values", 0 },
    { 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_SOURCE:
        a->source = arg;
        return 0;
    case OPTION_STAT:
        a->stat = arg;
        return 0;
    case OPTION_SHARDS:
        a->shards = 1;
        return 0;
    case OPTION_JSON:
        a->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        if (a->vm)
            argp_error(state, "one VM at a time, or all: '%s' is one too many", arg);
        a->vm = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    "[VM]",
    "Show what the sources of a VM have counted, or those of all VMs."
    "\vVM is the name that 'vmtally list' shows, or the path of a segment file. In a GLOB '*' matches a '/' too; quote "
    "it, so that the shell leaves it alone.",
    children,
    NULL,
    NULL,
};

/* ---- for people ---- */

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

/* How many statistics of schema match. */
static size_t matching(const char *glob, const struct vmt_schema *schema)
{
    size_t n = 0;

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

static void print_shards(const struct arguments *a, const struct vmt_sample *source)
{
    static const char *const held[] = { "free", "held", "shared" };

    for (uint32_t i = 0; i < source->shard_count; i++) {
        const struct vmt_shard_sample *shard = &source->shards[i];

        printf("  shard %" PRIu32 ": %s", i, held[shard->held < 3 ? shard->held : 0]);
        if (shard->owner)
            printf(", tid %" PRIu32, shard->owner);
        printf("%s\n", flag_text(shard->flags));
        print_values(a->stat, source->schema, shard->values, 0, 4);
    }
}

static void print_heading(struct arguments *a, const struct vmt_segment_info *info)
{
    char age[UNIT_TEXT];
    char title[SEGMENT_NAME];

    printf("%s%s: %s, pid %" PRIu32 ", age %s\n", a->stats ? "\n" : "", segment_title(title, sizeof(title), info),
           vmt_state_name(segment_state(info)), info->pid, unit_format_age(age, sizeof(age), select_age_ns(info)));
    for (size_t i = 0; info->labels[i]; i++)
        printf("  %s\n", info->labels[i]);
}

static void print_source(const struct arguments *a, const struct vmt_sample *source)
{
    const char *id = source->id[0] ? source->id : "the segment";

    if (matching(a->stat, source->schema) > 0) {
        printf("\n%s%s\n", id, flag_text(source->flags));
        if (!(source->flags & VMT_SAMPLE_ABSENT))
            print_values(a->stat, source->schema, source->values, 0, 2);
        print_shards(a, source);
    }
    for (uint32_t t = 0; t < source->total_count; t++) {
        const struct vmt_total *total = &source->totals[t];

        if (matching(a->stat, total->schema) == 0)
            continue;
        printf("\n%s (total of %" PRIu32 " %s, with departed)%s\n", id, total->sources, total->schema->target,
               flag_text(total->flags));
        if (!(total->flags & VMT_SAMPLE_ABSENT))
            print_values(a->stat, total->schema, total->values, 1, 2);
    }
}

static void print_text(struct arguments *a, const struct vmt_snapshot *snapshot)
{
    int headed = 0;

    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *source = vmt_snapshot_source(snapshot, i);
        size_t n = matching(a->stat, source->schema);

        if (!select_matches(a->source, source->id))
            continue;
        for (uint32_t t = 0; t < source->total_count; t++)
            n += matching(a->stat, source->totals[t].schema);
        if (n > 0 && !headed++)
            print_heading(a, vmt_snapshot_segment(snapshot));
        a->sources++;
        a->stats += n;
        print_source(a, source);
    }
}

/* ---- as JSON ---- */

/* The document is libvmtally-export's; with a glob what does not match is taken out of it. */

static const char *member(struct json_object *o, const char *key)
{
    return json_object_get_string(json_object_object_get(o, key));
}

/* Keep of o's array key (the stats, or a shard's values beside them) what stands where a statistic of stats matches. */
static void filter_beside(const struct arguments *a, struct json_object *o, const char *key, struct json_object *stats)
{
    struct json_object *all = json_object_object_get(o, key);
    struct json_object *kept = json_object_new_array();
    size_t n = json_object_array_length(stats);

    for (size_t i = 0; i < n; i++) {
        if (select_matches(a->stat, member(json_object_array_get_idx(stats, i), "name")))
            json_object_array_add(kept, json_object_get(json_object_array_get_idx(all, i)));
    }
    json_object_object_add(o, key, kept);
}

/* The same for a source or a total. Returns how many statistics are left. */
static size_t filter_stats(const struct arguments *a, struct json_object *o)
{
    struct json_object *stats = json_object_get(json_object_object_get(o, "stats"));
    struct json_object *shards = json_object_object_get(o, "shards");

    for (size_t i = 0; shards && i < json_object_array_length(shards); i++)
        filter_beside(a, json_object_array_get_idx(shards, i), "values", stats);
    filter_beside(a, o, "stats", stats);
    json_object_put(stats);
    return json_object_array_length(json_object_object_get(o, "stats"));
}

/* Drop from the source the statistics that don't match, and totals without any. Returns how many are left. */
static size_t filter_source(const struct arguments *a, struct json_object *source)
{
    struct json_object *totals = json_object_object_get(source, "totals");
    struct json_object *kept = json_object_new_array();
    size_t stats = filter_stats(a, source);

    for (size_t i = 0; i < json_object_array_length(totals); i++) {
        struct json_object *total = json_object_array_get_idx(totals, i);
        size_t n = filter_stats(a, total);

        stats += n;
        if (n > 0)
            json_object_array_add(kept, json_object_get(total));
    }
    json_object_object_add(source, "totals", kept);
    return stats;
}

static void filter_document(struct arguments *a, struct json_object *document)
{
    struct json_object *sources = json_object_object_get(document, "sources");
    struct json_object *kept = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(sources); i++) {
        struct json_object *source = json_object_array_get_idx(sources, i);
        size_t n;

        if (!select_matches(a->source, member(source, "id")))
            continue;
        n = filter_source(a, source);
        a->sources++;
        a->stats += n;
        if (n > 0)
            json_object_array_add(kept, json_object_get(source));
    }
    json_object_object_add(document, "sources", kept);
}

static int print_filtered(struct arguments *a, const struct vmt_buffer *buffer)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *document = NULL;

    if (tokener && buffer->size <= INT_MAX)
        document = json_tokener_parse_ex(tokener, buffer->data, (int)buffer->size);
    if (tokener)
        json_tokener_free(tokener);
    if (!document)
        return -ENOMEM;
    filter_document(a, document);
    if (a->stats > 0)
        puts(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(document);
    return 0;
}

static int print_json(struct arguments *a, const struct vmt_snapshot *snapshot, int *status)
{
    struct vmt_buffer buffer = { 0 };
    int r = vmt_json_encode(snapshot, 0, &buffer);

    if (r == 0 && (a->source || a->stat))
        r = print_filtered(a, &buffer);
    else if (r == 0)
        *status |= message_write(buffer.data, buffer.size);
    vmt_buffer_free(&buffer);
    return r;
}

/* ---- the command ---- */

/* A glob that nothing matched is said. */
static int say_unmatched(const struct arguments *a)
{
    if (a->source && a->sources == 0)
        message_error("no source matches '%s'; 'vmtally show' without --source shows all", a->source);
    else if (a->stat && a->stats == 0)
        message_error("no statistic matches '%s'%s; 'vmtally show' without --stat shows all", a->stat,
                      a->source ? " in these sources" : "");
    else
        return 0;
    return 1;
}

int cmd_show(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { .common = common };
    struct selection selection = { 0 };
    struct vmt_snapshot *snapshot = NULL;
    size_t shown = 0;
    int status = 0;
    int r = 0;

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    sandbox_enter(common, &arguments.vm, arguments.vm != NULL, 0);
    if (selection_find(common->dir, arguments.vm, &selection))
        return 1;
    if (selection.count == 0) {
        selection_say_none(common->dir);
        status = 1;
    }
    r = vmt_snapshot_new(&snapshot);
    if (r == 0)
        vmt_snapshot_want_shards(snapshot, arguments.shards);
    for (size_t i = 0; i < selection.count && r == 0; i++) {
        if (selection_take_or_say(selection.files[i].path, snapshot) < 0) {
            status = 1;
            continue;
        }
        shown++;
        if (arguments.json)
            r = print_json(&arguments, snapshot, &status);
        else
            print_text(&arguments, snapshot);
        if (message_too_large(r, selection.files[i].path)) {
            status = 1;
            r = 0;
        }
    }
    if (r < 0) {
        message_error("out of memory");
        status = 1;
    } else if (shown > 0) {
        status |= say_unmatched(&arguments);
    }
    vmt_snapshot_free(snapshot);
    selection_free(&selection);
    return status;
}
