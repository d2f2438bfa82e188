/* SPDX-License-Identifier: MIT */
/* The text of a scrape: METRICS.md, sections 1 and 4. */
#include "metrics.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "decimal.h"

struct text {
    const struct vmt_metrics *m;
    struct vmt_buffer *out;
    enum vmt_metrics_format format;
    int error;
};

static void put(struct text *t, const char *text, size_t size)
{
    if (t->error == 0)
        t->error = vmt_buffer_append(t->out, text, size);
}

static void put_text(struct text *t, const char *text) { put(t, text, strlen(text)); }

static bool is_open(const struct text *t) { return t->format == VMT_OPENMETRICS; }

/* "# WORD FAMILY " */
static void put_head_word(struct text *t, const char *word, const char *family, const char *end)
{
    put_text(t, "# ");
    put_text(t, word);
    put_text(t, " ");
    put_text(t, family);
    put_text(t, end);
    put_text(t, " ");
}

/* end: what the family's name has behind it. */
static void put_head(struct text *t, const char *family, const char *end, const char *type, const char *unit,
                     const char *help)
{
    if (help[0]) {
        put_head_word(t, "HELP", family, end);
        if (t->error == 0)
            t->error = metrics_put_escaped(t->out, help, strlen(help), is_open(t));
        put_text(t, "\n");
    }
    put_head_word(t, "TYPE", family, end);
    put_text(t, type);
    put_text(t, "\n");
    if (unit && unit[0] && is_open(t)) {
        put_head_word(t, "UNIT", family, end);
        put_text(t, unit);
        put_text(t, "\n");
    }
}

/* ---- families of statistics ---- */

/* One family of a group; nothing where nothing is in it. */
static void put_family(struct text *t, const struct metrics_group *group, const char *end, const char *type,
                       enum metrics_lines lines)
{
    size_t before = t->out->size, head;

    put_head(t, group->family, end, type, end[0] && is_open(t) ? NULL : group->unit, group->help);
    head = t->out->size;
    if (t->error == 0)
        t->error = metrics_put_lines(t->m, group, lines, t->format, t->out);
    if (t->out->size == head)
        t->out->size = before;
}

/* Each kind of sample is a family of its own, of which nothing is said: names of series stay what they are. */
static void put_contradicted(struct text *t, const struct metrics_group *group)
{
    const char *unknown = is_open(t) ? "unknown" : "untyped";

    put_family(t, group, "", "gauge", METRICS_LINES_VALUE);
    put_family(t, group, "_total", is_open(t) ? unknown : "counter", METRICS_LINES_TOTAL);
    put_family(t, group, "_bucket", unknown, METRICS_LINES_BUCKET);
    put_family(t, group, "_count", unknown, METRICS_LINES_COUNT);
    put_family(t, group, "_sum", unknown, METRICS_LINES_SUM);
}

static void put_group(struct text *t, const struct metrics_group *group)
{
    if (group->contradicted) {
        put_contradicted(t, group);
        return;
    }
    switch (group->members[0].class) {
    case METRICS_COUNTER:
        put_family(t, group, is_open(t) ? "" : "_total", "counter", METRICS_LINES_TOTAL);
        break;
    case METRICS_GAUGE:
        put_family(t, group, "", "gauge", METRICS_LINES_VALUE);
        break;
    case METRICS_HISTOGRAM:
        put_family(t, group, "", "histogram", METRICS_LINES_HISTOGRAM);
        break;
    case METRICS_SUMMARY:
        put_family(t, group, "", "summary", METRICS_LINES_SUMMARY);
        break;
    }
}

/* ---- what is said of VMs ---- */

static void put_vm_line(struct text *t, const char *name, const struct metrics_vm *vm, const char *value, size_t size)
{
    put_text(t, name);
    put_text(t, "{");
    put(t, t->m->text.data + vm->name, vm->name_size);
    put_text(t, "} ");
    put(t, value, size);
    put_text(t, "\n");
}

static void put_infos(struct text *t)
{
    put_head(t, "kvmtop_vm", is_open(t) ? "" : "_info", is_open(t) ? "info" : "gauge", NULL,
             "A VM: its process, file and labels");
    for (size_t i = 0; i < metrics_vm_count(t->m); i++) {
        const struct metrics_vm *vm = metrics_vm(t->m, i);

        put_text(t, "kvmtop_vm_info{");
        put(t, t->m->text.data + vm->info, vm->info_size);
        put_text(t, "} 1\n");
    }
}

static void put_states(struct text *t)
{
    put_head(t, "kvmtop_vm_state", "", is_open(t) ? "stateset" : "gauge", NULL,
             "What the VM's writer is doing: 1 for the state it is in");
    for (size_t i = 0; i < metrics_vm_count(t->m); i++) {
        const struct metrics_vm *vm = metrics_vm(t->m, i);

        for (int state = 0; state < VMT_STATE_COUNT; state++) {
            put_text(t, "kvmtop_vm_state{");
            put(t, t->m->text.data + vm->name, vm->name_size);
            put_text(t, ",kvmtop_vm_state=\"");
            put_text(t, vmt_state_name((enum vmt_state)state));
            put_text(t, (int)vm->state == state ? "\"} 1\n" : "\"} 0\n");
        }
    }
}

static void put_flag(struct text *t, const char *name, const char *help, bool (*is)(const struct metrics_vm *vm),
                     bool running)
{
    put_head(t, name, "", "gauge", NULL, help);
    for (size_t i = 0; i < metrics_vm_count(t->m); i++) {
        const struct metrics_vm *vm = metrics_vm(t->m, i);

        if (!running || vm->running)
            put_vm_line(t, name, vm, is(vm) ? "1" : "0", 1);
    }
}

static void put_starts(struct text *t)
{
    static const struct vmt_descriptor nanoseconds = { .flags = VMT_UNIT_SECONDS, .exponent = -9 };
    const char *name = "kvmtop_vm_start_time_seconds";
    size_t before = t->out->size, head;

    put_head(t, name, "", "gauge", "seconds", "When what the VM counts into was made, since 1970");
    head = t->out->size;
    for (size_t i = 0; i < metrics_vm_count(t->m); i++) {
        const struct metrics_vm *vm = metrics_vm(t->m, i);
        char value[VMT_SCALED_MAX];

        if (vm->running && vm->created_ns != 0)
            put_vm_line(t, name, vm, value, vmt_scaled(value, &nanoseconds, vm->created_ns, false, false));
    }
    if (t->out->size == head)
        t->out->size = before;
}

static bool is_running(const struct metrics_vm *vm) { return vm->running; }
static bool is_partial(const struct metrics_vm *vm) { return vm->partial; }

static void put_vms(struct text *t)
{
    if (metrics_vm_count(t->m) == 0)
        return;
    put_infos(t);
    put_states(t);
    put_flag(t, "kvmtop_vm_up", "1: somebody counts; 0: that one has gone, and so have its series", is_running, false);
    put_flag(t, "kvmtop_vm_partial", "1: something could not be read; what is there is right", is_partial, true);
    put_starts(t);
}

/* ---- what the exporter says of itself ---- */

/* The shortest that is read as the same number. */
static void put_double(struct text *t, double value)
{
    char text[40];
    int size = 0;

    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    for (int i = 0; i < size; i++)
        if (text[i] == localeconv()->decimal_point[0])
            text[i] = '.';
    put(t, text, (size_t)size);
}

/* before: of the same name, whose head is theirs both. */
static void put_own(struct text *t, const struct vmt_metric *own, const struct vmt_metric *before)
{
    char family[METRICS_NAME_SIZE];
    const char *end = own->counter ? "_total" : "";

    snprintf(family, sizeof(family), "kvmtop_exporter_%s", own->name);
    if (!before || strcmp(before->name, own->name) != 0)
        put_head(t, family, is_open(t) ? "" : end, own->counter ? "counter" : "gauge", own->unit,
                 own->help ? own->help : "");
    put_text(t, family);
    put_text(t, end);
    if (own->label) {
        put_text(t, "{");
        if (t->error == 0)
            t->error = metrics_put_label(t->out, t->out->size, own->label, own->label_value, strlen(own->label_value));
        put_text(t, "}");
    }
    put_text(t, " ");
    put_double(t, own->value);
    put_text(t, "\n");
}

int vmt_metrics_write(const struct vmt_metrics *m, enum vmt_metrics_format format, struct vmt_buffer *out)
{
    struct text t = { .m = m, .out = out, .format = format };
    const struct vmt_metric left_out = { .name = "sources_left_out",
                                         .help = "Sources that are not in this scrape: it would be too large",
                                         .value = (double)m->left_out };
    struct metrics_groups groups = { 0 };
    size_t before = out->size;

    t.error = metrics_groups_make(m, &groups);
    if (t.error == 0)
        put_vms(&t);
    for (size_t i = 0; i < groups.count && t.error == 0; i++)
        put_group(&t, &groups.groups[i]);
    metrics_groups_free(&groups);
    for (size_t i = 0; i < metrics_own_count(m); i++)
        put_own(&t, &metrics_own(m, i)->metric, i ? &metrics_own(m, i - 1)->metric : NULL);
    put_own(&t, &left_out, NULL);
    if (format == VMT_OPENMETRICS)
        put_text(&t, "# EOF\n");
    if (t.error < 0)
        out->size = before;
    return t.error;
}
