/* SPDX-License-Identifier: MIT */
/* vmtally schema: what VMs count, without the values. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmtally/export.h>

#include "distinct.h"
#include "commands.h"
#include "host.h"
#include "lib/export/names.h"
#include "message.h"
#include "sandbox.h"
#include "select.h"
#include "units.h"

enum { OPTION_JSON = 0x200, OPTION_MSGPACK, OPTION_PROVIDER, OPTION_TARGET, OPTION_STAT };

enum form { FORM_TEXT, FORM_JSON, FORM_MSGPACK };

struct arguments {
    struct options *common;
    char *vm;             /* NULL: all */
    const char *provider; /* NULL: all */
    const char *target;
    const char *stat; /* a glob */
    enum form form;
};

static const struct argp_option options[] = {
    { "provider", OPTION_PROVIDER, "NAME", 0, "Only what is counted by this one, such as kvm", 0 },
    { "target", OPTION_TARGET, "NAME", 0, "Only what is counted of such things, such as vcpu", 0 },
    { "stat", OPTION_STAT, "GLOB", 0, "Only statistics whose name matches, such as '*_bytes'", 0 },
    { "json", OPTION_JSON, NULL, 0, "Print them as one JSON array", 0 },
    { "msgpack", OPTION_MSGPACK, NULL, 0, "The same in msgpack", 0 },
    { 0 },
};

static void take_form(struct arguments *a, enum form form, struct argp_state *state)
{
    if (a->form != FORM_TEXT && a->form != form)
        argp_error(state, "--json and --msgpack don't go together");
    a->form = form;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_PROVIDER:
        a->provider = arg;
        return 0;
    case OPTION_TARGET:
        a->target = arg;
        return 0;
    case OPTION_STAT:
        a->stat = arg;
        return 0;
    case OPTION_JSON:
    case OPTION_MSGPACK:
        take_form(a, key == OPTION_JSON ? FORM_JSON : FORM_MSGPACK, state);
        return 0;
    case ARGP_KEY_ARG:
        if (a->vm)
            argp_error(state, "one VM at a time, or all: '%s' is one too many", arg);
        a->vm = arg;
        return 0;
    case ARGP_KEY_SUCCESS:
        if (a->form == FORM_MSGPACK && isatty(STDOUT_FILENO))
            argp_error(state, "msgpack is not for a terminal; use a pipe, or --json");
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
    "Show what a VM counts, or what all VMs count: type, unit and meaning of each statistic."
    "\vVM is the name that 'vmtally list' shows, or the path of a segment file. What several VMs have alike is shown "
    "once. "
    "SIZE is the number of values, 1 or that of a histogram's buckets.",
    children,
    NULL,
    NULL,
};

/* ---- for people ---- */

#define NAMES_SHOWN 4
#define TYPE_TEXT 48
#define RULE_TEXT (3 * UNIT_TEXT + 64)

/* "cumulative"; "instant, signed, min" where it is more than that. */
static char *type_text(char *buf, const struct vmt_descriptor *d)
{
    const char *aggregation = vmt_export_aggregation(d);

    snprintf(buf, TYPE_TEXT, "%s%s%s%s", vmt_export_type(d), d->flags & VMT_SIGNED ? ", signed" : "",
             aggregation ? ", " : "", aggregation ? aggregation : "");
    return buf;
}

/* What 1 is: "ns", "KiB", "cycles"; "bytes*10^3" where that has no name; "" where it has no unit. */
static char *unit_text(char *buf, const struct vmt_descriptor *d)
{
    char one[UNIT_TEXT];
    uint32_t unit = d->flags & VMT_UNIT_MASK;
    const char *space;

    if (unit == VMT_UNIT_BYTES || unit == VMT_UNIT_SECONDS) {
        space = strchr(unit_format_real(one, sizeof(one), d, 1), ' ');
        if (space && strtod(one, NULL) == 1) {
            snprintf(buf, UNIT_TEXT, "%s", space + 1);
            return buf;
        }
    }
    snprintf(buf, UNIT_TEXT, "%s", unit == VMT_UNIT_NONE ? "" : unit_name(d));
    if (d->exponent != 0)
        snprintf(buf + strlen(buf), UNIT_TEXT - strlen(buf), "%s%" PRIu64 "^%d", buf[0] ? "*" : "", vmt_export_base(d),
                 d->exponent);
    return buf;
}

/* Of a histogram: which values are in which bucket; else "". */
static char *rule_text(char *buf, const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;
    char width[UNIT_TEXT], from[UNIT_TEXT];
    uint64_t low, high;

    buf[0] = '\0';
    if (type != VMT_TYPE_LINEAR_HIST && type != VMT_TYPE_LOG_HIST)
        return buf;
    vmt_bucket_bounds(d, d->size - 1U, &low, &high);
    unit_format(from, sizeof(from), d, low);
    if (d->size == 1)
        snprintf(buf, RULE_TEXT, "one bucket for all");
    else if (type == VMT_TYPE_LINEAR_HIST)
        snprintf(buf, RULE_TEXT, "buckets of %s, the last from %s on",
                 unit_format(width, sizeof(width), d, d->bucket_size), from);
    else
        snprintf(buf, RULE_TEXT, "buckets begin at 0 and at powers of 2, the last at %s", from);
    return buf;
}

static int longer(int width, const char *text)
{
    int n = (int)strlen(text);

    return n > width ? n : width;
}

static void print_heading(const struct distinct_entry *e)
{
    const struct vmt_schema *s = &e->schema;

    printf("%s (%s)", s->target, s->provider);
    if (strcmp(s->name, s->target) != 0)
        printf(", schema %s", s->name);
    printf(": %" PRIu32 " statistic%s, in ", s->count, s->count == 1 ? "" : "s");
    for (size_t i = 0; i < e->vm_count && i < NAMES_SHOWN; i++)
        printf("%s%s", i ? ", " : "", e->vms[i]);
    if (e->vm_count > NAMES_SHOWN)
        printf(" and %zu more", e->vm_count - NAMES_SHOWN);
    puts("");
}

static void print_schema(const struct distinct_entry *e)
{
    char type[TYPE_TEXT], unit[UNIT_TEXT], rule[RULE_TEXT];
    int names = 4, types = 4, units = 4;

    for (uint32_t i = 0; i < e->schema.count; i++) {
        names = longer(names, e->schema.descriptors[i].name);
        types = longer(types, type_text(type, &e->schema.descriptors[i]));
        units = longer(units, unit_text(unit, &e->schema.descriptors[i]));
    }
    print_heading(e);
    printf("  %-*s  %-*s  %-*s  %4s  %s\n", names, "NAME", types, "TYPE", units, "UNIT", "SIZE", "HELP");
    for (uint32_t i = 0; i < e->schema.count; i++) {
        const struct vmt_descriptor *d = &e->schema.descriptors[i];

        rule_text(rule, d);
        printf("  %-*s  %-*s  %-*s  %4u%s%s%s%s\n", names, d->name, types, type_text(type, d), units,
               unit_text(unit, d), d->size, d->help[0] || rule[0] ? "  " : "", d->help,
               d->help[0] && rule[0] ? "; " : "", rule);
    }
}

static void print_text(const struct distinct *c)
{
    int first = 1;

    for (const struct distinct_entry *e = c->first; e; e = e->next) {
        if (e->schema.count == 0)
            continue;
        if (!first)
            puts("");
        first = 0;
        print_schema(e);
    }
}

/* ---- for machines ---- */

/* 0, 1 after a message, or what the encoders give. */
static int print_encoded(const struct distinct *c, enum form form)
{
    const struct vmt_schema **schemas = calloc(c->count, sizeof(*schemas));
    const char *const **vms = calloc(c->count, sizeof(*vms));
    struct vmt_buffer buffer = { 0 };
    size_t n = 0;
    int r = -ENOMEM;

    for (const struct distinct_entry *e = c->first; e && schemas && vms; e = e->next) {
        if (e->schema.count == 0)
            continue;
        schemas[n] = &e->schema;
        vms[n++] = e->vms;
    }
    if (schemas && vms)
        r = form == FORM_JSON ? vmt_schema_json_encode(schemas, vms, n, 0, &buffer)
                              : vmt_schema_msgpack_encode(schemas, vms, n, &buffer);
    if (r == 0)
        r = message_write(buffer.data, buffer.size);
    vmt_buffer_free(&buffer);
    free(schemas);
    free(vms);
    return r;
}

/* ---- the command ---- */

static int collect(struct distinct *c, const struct options *common, const struct selection *selection, int *status)
{
    struct vmt_snapshot *snapshot = NULL;
    int r = 0;

    for (size_t i = 0; i < selection->count && r == 0; i++) {
        if (!snapshot)
            r = vmt_snapshot_new(&snapshot);
        if (r == 0 && selection_take_or_say(common, selection->files[i].path, snapshot) < 0)
            *status = 1;
        else if (r == 0)
            r = distinct_add(c, &snapshot);
    }
    vmt_snapshot_free(snapshot);
    return r;
}

/* Nothing is left of what was asked for. */
static int say_none(const struct distinct *c)
{
    const char *provider = c->provider.asked, *target = c->target.asked, *stat = c->stat.asked;
    const char *all = "; 'vmtally schema' shows all";
    char near[NEAREST_TEXT];

    if (!c->has_target && c->target.found)
        message_error("no target %s%s", target, nearest_text(&c->target, near, sizeof(near)));
    else if (!c->has_provider && c->provider.found)
        message_error("no provider %s%s", provider, nearest_text(&c->provider, near, sizeof(near)));
    else if (c->count == 0 && (provider || target))
        message_error("nothing%s%s is counted%s%s%s", target ? " of target " : "", target ? target : "",
                      provider ? " by provider " : "", provider ? provider : "", all);
    else if (c->count == 0)
        message_error("nothing is counted");
    else if (stat[strcspn(stat, "*?[")])
        message_error("no statistic matches '%s'%s", stat, all);
    else
        message_error("no statistic %s%s", stat, c->stat.found ? nearest_text(&c->stat, near, sizeof(near)) : all);
    return 1;
}

static int show(const struct arguments *a, const struct selection *selection)
{
    struct distinct c = { .provider.asked = a->provider, .target.asked = a->target, .stat.asked = a->stat };
    int status = 0;
    int r = collect(&c, a->common, selection, &status);

    if (r == 0 && c.stats > 0 && a->form == FORM_TEXT)
        print_text(&c);
    else if (r == 0 && c.stats > 0)
        r = print_encoded(&c, a->form);
    else if (r == 0 && (status == 0 || c.vms)) /* else it was said that none could be read */
        status = say_none(&c);
    if (r == -EFBIG)
        message_error("all of it takes more than %zu MiB to write down; name one VM", VMT_BUFFER_MAX >> 20);
    else if (r < 0)
        message_error("out of memory");
    distinct_free(&c);
    return status || r;
}

int cmd_schema(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { .common = common };
    struct selection selection = { 0 };
    int status = 1;

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    host_start(common, 0);
    sandbox_enter(common, &arguments.vm, arguments.vm != NULL, 0);
    if (selection_find(common, arguments.vm, &selection) == 0) {
        if (selection.count == 0)
            selection_say_none(common);
        else
            status = show(&arguments, &selection);
    }
    selection_say_trouble(common, arguments.vm, &selection);
    selection_free(&selection);
    host_stop(common);
    return status;
}
