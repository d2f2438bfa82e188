/* SPDX-License-Identifier: MIT */
/* Facts: what there is to say of a VM, a source or a shard beside its numbers. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/message.h"
#include "cli/segment.h"
#include "cli/top/columns.h"
#include "cli/top/detail_build.h"

static void add_fact(const struct build *b, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add_fact(const struct build *b, const char *name, const char *format, ...)
{
    struct detail *d = b->detail;
    struct detail_line *line;
    uint64_t seed = 0;
    va_list ap;

    if (b->options->filter && !filter_matches(b->options->filter, name))
        return;
    line = detail_lines_new(d, 1);
    if (!line)
        return;
    if (d->count && !strcmp(line[-1].name, name)) /* labels */
        seed = line[-1].key;
    line->kind = DETAIL_FACT;
    line->key = detail_key_of(DETAIL_FACT, name, seed);
    snprintf(line->name, sizeof(line->name), "%s", name);
    va_start(ap, format);
    vsnprintf(line->value, sizeof(line->value), format, ap);
    va_end(ap);
    d->count++;
}

static void add_age(const struct build *b)
{
    char text[UNIT_TEXT];

    if (b->there && b->facts.age_ns != UINT64_MAX)
        add_fact(b, "age", "%s", unit_format_age(text, sizeof(text), b->facts.age_ns));
}

/* Where its counters come from. */
static void add_from(const struct build *b, uint32_t from)
{
    static const struct {
        uint32_t flag;
        const char *text;
    } places[] = { { VMT_FROM_SEGMENT, "the VMM" },
                   { VMT_FROM_FDS, "the kernel, by the process's statistics fds" },
                   { VMT_FROM_DEBUGFS, "the kernel, by debugfs: no histograms, of several vCPUs only their sum" },
                   { VMT_FROM_COPIES, "the kernel, as the VMM has copied them" } };
    char text[256] = "";

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (from & places[i].flag)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[0] ? "; " : "", places[i].text);
    }
    if (text[0])
        add_fact(b, "counters from", "%s", text);
}

/* What has no segment has none of its facts. */
static void add_process(const struct build *b, const struct sample_vm *vm)
{
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    char reason[256];

    add_fact(b, "process", "%s, without a segment: its VMM counts nothing here", vm->path);
    if (vm->error)
        add_fact(b, "reason", "%s", message_reason(vm->error, reason, sizeof(reason)));
    if (!info)
        return;
    add_fact(b, "user", "uid %" PRIu32, info->uid);
    add_age(b);
    add_from(b, info->from);
}

static void add_segment(const struct build *b, const struct sample_vm *vm)
{
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    const struct segment_losses lost = info ? segment_losses(vm->snapshot) : (struct segment_losses){ 0, 0, 0 };
    char losses[SEGMENT_LOSSES];
    char reason[256];

    add_fact(b, "file", "%s", vm->path);
    if (vm->error)
        add_fact(b, "reason", "%s", message_reason(vm->error, reason, sizeof(reason)));
    if (vm->owner[0] && info)
        add_fact(b, "owner", "uid %" PRIu32 ", nobody to trust: this may pose as any VM", info->uid);
    if (!info || !info->created_ns) /* what is not known need not be true */
        return;
    add_fact(b, "pid", "%" PRIu32, vmt_snapshot_pid(vm->snapshot));
    add_age(b);
    add_from(b, info->from);
    add_fact(b, "format", "%u.%u", (unsigned)info->major, (unsigned)info->minor);
    add_fact(b, "writers so far", "%" PRIu64, info->incarnation);
    if (segment_losses_text(losses, sizeof(losses), &lost)[0])
        add_fact(b, "dropped", "%s: see dropped_sources, dropped_shards and shards_torn below", losses);
    for (const char *const *label = info->labels; label && *label; label++)
        add_fact(b, "label", "%s", *label);
    if (info->flags & VMT_SNAPSHOT_PARTIAL)
        add_fact(b, "partial", "something in the file could not be read; what is shown is right");
}

static void add_shard(const struct build *b)
{
    const struct vmt_shard_sample *shard = b->shard;

    if (shard->held == 2)
        add_fact(b, "thread", "all that count into the shared shard");
    else if (shard->held && shard->owner)
        add_fact(b, "thread", "%" PRIu32 ", in the VMM's PID namespace", shard->owner);
    else
        add_fact(b, "thread", shard->held ? "not known" : "none at the moment: the next one goes on with it");
}

/* What the overview has of it: where there is nothing better. */
static void add_measures(const struct build *b)
{
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        char text[CELL_TEXT];

        if (!kvmtop_columns[c].measure || !kvmtop_columns[c].show)
            continue;
        kvmtop_columns[c].show(text, &b->facts);
        if (text[0])
            add_fact(b, kvmtop_columns[c].title, "%s", text);
    }
}

void detail_add_facts(const struct build *b)
{
    const struct detail *d = b->detail;
    const struct track_facts *f = &b->facts;

    add_fact(b, "VM", "%s", f->vm);
    if (f->kind != TRACK_VM)
        add_fact(b, "source", "%s", f->id);
    if (!b->there)
        add_fact(b, "state", "it was not there at that time");
    else if (f->state[0])
        add_fact(b, "state", "%s%s%s", f->state, f->note[0] ? ", " : "", f->note);
    if (!d->vm) {
        add_age(b);
        add_fact(b, "now", "it is not there any more; of what it counted only this is kept");
        add_measures(b);
        return;
    }
    if (f->kind == TRACK_VM && d->vm->process)
        add_process(b, d->vm);
    else if (f->kind == TRACK_VM)
        add_segment(b, d->vm);
    else if (b->shard)
        add_shard(b);
    else
        add_age(b);
    if (b->sample)
        add_fact(b, "schema", "%s: a %s, counted by %s", b->sample->schema->name, b->sample->schema->target,
                 b->sample->schema->provider);
    if (b->shard && !d->newest && b->there)
        add_measures(b);
}
