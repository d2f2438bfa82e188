/* SPDX-License-Identifier: MIT */
/* TinyKVM's JSON document, as its VMOD's tinykvm.stats() gives it: the keys of a map are sorted, times are seconds.
 *
 *     { "VMOD_KVM": { GLOBALS },
 *       PROGRAM: { "program": {...}, "request": { "machines": [ {...}, ... ], "totals": {...} }, "storage": {...} } }
 *
 * GLOBALS are VMOD_KVM.cpu_time and so on, which varnishstat shows of the VMOD: the sums over all programs there ever were,
 * whatever the pattern. All else is of programs that there are. A program is called by its name, or where there are two of
 * one name by its whole id; one called VMOD_KVM has a "/" before it. One that is leaving is not shown beside its successor.
 * A machine is a shard of a request source. Totals are the sums of the machines shown, and of exceptions those over memory
 * are some there, as TinyKVM has it. Its binary_type, entry_points and, where there is no storage, storage are not there.
 * What could not be read is null. */
#include <vmtally/export.h>

#include "decimal.h"
#include "json_writer.h"
#include "tinykvm.h"
#include "whole.h"

#define NANOSECONDS 1000000000U

/* ---- keys ---- */

struct field {
    const char *name;
    bool total; /* also of all machines */
};

/* Of a machine, in order of their names. */
static const struct field machine_fields[] = {
    { "exception_cpu_time", true },
    { "exception_mem", false },
    { "exception_oom", false },
    { "exceptions", true },
    { "input_bytes", true },
    { "invocations", true },
    { "output_bytes", true },
    { "request_cpu_time", true },
    { "reservation_time", true },
    { "reset_time", true },
    { "resets", true },
    { "resets_full", true },
    { "status_2xx", true },
    { "status_3xx", true },
    { "status_4xx", true },
    { "status_5xx", true },
    { "tasks_inschedule", false }, /* storage's only */
    { "tasks_queued", false },
    { "timeouts", true },
    { "vm_address_space", false },
    { "vm_bank_capacity", false },
    { "vm_bank_current", false },
    { "vm_bank_highest", false },
    { "vm_main_memory", false },
};
#define FIELDS (sizeof(machine_fields) / sizeof(machine_fields[0]))
#define IN_SCHEDULE "tasks_inschedule"
#define RESERVATION "reservation_time"

static const char *const program_fields[] = { "binary_size", "live_update_transfer_bytes", "live_updates",
                                              "reservation_time", "reservation_timeouts" };
static const char *const global_fields[] = { "cpu_time",         "fetch_time",         "program_exception",
                                             "program_notfound", "program_status_4xx", "program_status_5xx",
                                             "program_timeout",  "self_requests",      "self_requests_failed" };
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_time(const char *name)
{
    size_t n = strlen(name);

    return n > 5 && strcmp(name + n - 5, "_time") == 0;
}

/* In nanoseconds, bytes, or as it is; 0 where the schema has it not. */
static uint64_t value_of(const struct vmt_schema *schema, const char *name, const uint64_t *values)
{
    const struct vmt_descriptor *d = vmt_schema_find(schema, name);

    return d && d->size == 1 ? vmt_export_whole(d, values[d->slot], NANOSECONDS) : 0;
}

static void put_field(struct vmt_json_writer *json, const char *name, uint64_t value)
{
    static const struct vmt_descriptor nanosecond = { .flags = VMT_FLAGS_NANOSECONDS,
                                                      .exponent = VMT_EXPONENT_NANOSECONDS };
    char text[VMT_SCALED_MAX];

    vmt_put_key(&json->base, name);
    if (is_time(name))
        vmt_json_number(json, text, vmt_scaled(text, &nanosecond, value, false, true));
    else
        json->base.ops->unsigned_integer(&json->base, value);
}

static void put_unknown(struct vmt_writer *w, const char *name)
{
    vmt_put_key(w, name);
    w->ops->nil(w);
}

struct document {
    struct vmt_json_writer json;
    const struct vmt_snapshot *snapshot;
    struct pool programs;
    struct pool parts;
};

/* ---- machines ---- */

static bool is_of(const struct vmt_sample *sample, const char *target)
{
    return strcmp(sample->schema->target, target) == 0;
}

/* values NULL: they could not be read. */
typedef void machine_fn(void *arg, const struct vmt_schema *schema, const uint64_t *values);

static void put_machine(void *arg, const struct vmt_schema *schema, const uint64_t *values)
{
    struct vmt_json_writer *json = arg;
    struct vmt_writer *w = &json->base;
    bool storage = strcmp(schema->target, "storage") == 0;

    w->ops->open_map(w, 0);
    for (size_t i = 0; i < FIELDS; i++) {
        const char *name = machine_fields[i].name;

        if (!storage && strcmp(name, IN_SCHEDULE) == 0)
            continue;
        if (values)
            put_field(json, name, value_of(schema, name, values));
        else
            put_unknown(w, name);
    }
    w->ops->close_map(w);
}

struct totals {
    uint64_t values[FIELDS];
    bool unknown;
};

static void add_machine(void *arg, const struct vmt_schema *schema, const uint64_t *values)
{
    struct totals *totals = arg;

    if (!values)
        totals->unknown = true;
    for (size_t i = 0; values && i < FIELDS; i++) {
        const char *name = machine_fields[i].name;

        totals->values[i] += value_of(schema, name, values);
        if (strcmp(name, "exceptions") == 0)
            totals->values[i] += value_of(schema, "exception_mem", values) + value_of(schema, "exception_oom", values);
    }
}

/* Nothing of what machines say. */
static bool is_idle(const struct vmt_schema *schema, const uint64_t *values)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (value_of(schema, machine_fields[i].name, values) != 0)
            return false;
    }
    return true;
}

/* Its shards, or, where there are none to be seen, all of them as one. What is counted by everybody is no machine, and
 * shown only if there is any. */
static void each_machine(const struct vmt_sample *request, machine_fn *machine, void *arg)
{
    const struct vmt_schema *schema = request->schema;

    if (request->flags & VMT_SAMPLE_ABSENT) {
        machine(arg, schema, NULL);
        return;
    }
    if (!request->shard_count && !is_idle(schema, request->values))
        machine(arg, schema, request->values);
    for (uint32_t i = 0; i < request->shard_count; i++) {
        if (request->shards[i].held != 2 || !is_idle(schema, request->shards[i].values))
            machine(arg, schema, request->shards[i].values);
    }
}

static void put_totals(struct vmt_json_writer *json, const struct totals *totals)
{
    struct vmt_writer *w = &json->base;

    vmt_put_key(w, "totals");
    w->ops->open_map(w, 0);
    for (size_t i = 0; i < FIELDS; i++) {
        if (machine_fields[i].total && totals->unknown)
            put_unknown(w, machine_fields[i].name);
        else if (machine_fields[i].total)
            put_field(json, machine_fields[i].name, totals->values[i]);
    }
    w->ops->close_map(w);
}

/* ---- programs ---- */

/* The time that requests have waited: TinyKVM adds up what its machines say. Who counts it of the program as well knows
 * better: it has those who gave up. */
static uint64_t program_value(const struct program *program, const char *name, const struct totals *totals)
{
    uint64_t value = value_of(program->sample->schema, name, program->sample->values);

    for (size_t i = 0; value == 0 && strcmp(name, RESERVATION) == 0 && i < FIELDS; i++) {
        if (strcmp(name, machine_fields[i].name) == 0)
            return totals->values[i];
    }
    return value;
}

static void put_program_itself(struct document *doc, const struct program *program, const struct totals *totals)
{
    struct vmt_writer *w = &doc->json.base;

    vmt_put_key(w, "program");
    w->ops->open_map(w, 0);
    for (size_t i = 0; i < COUNT(program_fields); i++) {
        if (program->sample->flags & VMT_SAMPLE_ABSENT)
            put_unknown(w, program_fields[i]);
        else
            put_field(&doc->json, program_fields[i], program_value(program, program_fields[i], totals));
    }
    w->ops->close_map(w);
}

static const struct part *part_at(const struct document *doc, uint32_t at)
{
    return at ? &((const struct part *)doc->parts.data)[at - 1] : NULL;
}

/* Machines before their sum, which the program's own part, written first, needs: so they are added up before. */
static struct totals add_up(const struct document *doc, const struct program *program)
{
    struct totals totals = { 0 };

    for (const struct part *p = part_at(doc, program->parts); p; p = part_at(doc, p->next)) {
        if (is_of(p->sample, "request"))
            each_machine(p->sample, add_machine, &totals);
    }
    return totals;
}

static void put_request(struct document *doc, const struct program *program, const struct totals *totals)
{
    struct vmt_writer *w = &doc->json.base;

    vmt_put_key(w, "request");
    w->ops->open_map(w, 2);
    vmt_put_key(w, "machines");
    w->ops->open_array(w, 0);
    for (const struct part *p = part_at(doc, program->parts); p; p = part_at(doc, p->next)) {
        if (is_of(p->sample, "request"))
            each_machine(p->sample, put_machine, &doc->json);
    }
    w->ops->close_array(w);
    put_totals(&doc->json, totals);
    w->ops->close_map(w);
}

/* The one that stays, where one is leaving; of several the last. */
static void put_storage(struct document *doc, const struct program *program)
{
    const struct vmt_sample *storage = NULL;

    for (const struct part *p = part_at(doc, program->parts); p; p = part_at(doc, p->next)) {
        if (is_of(p->sample, "storage") && (!storage || !(p->sample->flags & VMT_SAMPLE_LEAVING)))
            storage = p->sample;
    }
    if (!storage)
        return;
    vmt_put_key(&doc->json.base, "storage");
    put_machine(&doc->json, storage->schema, storage->flags & VMT_SAMPLE_ABSENT ? NULL : storage->values);
}

static void put_program(struct document *doc, const struct program *program)
{
    struct vmt_writer *w = &doc->json.base;
    struct totals totals = add_up(doc, program);

    w->ops->key(w, program->key, strlen(program->key));
    w->ops->open_map(w, 0);
    put_program_itself(doc, program, &totals);
    put_request(doc, program, &totals);
    put_storage(doc, program);
    w->ops->close_map(w);
}

/* Over all schemas that programs have or had. */
static void put_globals(struct document *doc)
{
    const struct vmt_sample *top = vmt_snapshot_source(doc->snapshot, 0);
    struct vmt_writer *w = &doc->json.base;

    vmt_put_key(w, VMT_TINYKVM_GLOBALS);
    w->ops->open_map(w, 0);
    for (size_t i = 0; i < COUNT(global_fields); i++) {
        uint64_t value = 0;
        bool unknown = false;

        for (uint32_t t = 0; t < top->total_count; t++) {
            const struct vmt_total *total = &top->totals[t];

            if (strcmp(total->schema->target, "program") != 0)
                continue;
            unknown |= total->flags & VMT_SAMPLE_ABSENT;
            value += value_of(total->schema, global_fields[i], total->values);
        }
        if (unknown)
            put_unknown(w, global_fields[i]);
        else
            put_field(&doc->json, global_fields[i], value);
    }
    w->ops->close_map(w);
}

/* The globals are a key among those of the programs: "VMOD_KVM" has its place by name, too. */
static void put_document(struct document *doc)
{
    const struct program *programs = doc->programs.data;
    struct vmt_writer *w = &doc->json.base;
    bool globals = false;

    w->ops->start(w);
    w->ops->open_map(w, 0);
    for (size_t i = 0; i < doc->programs.used && w->error == 0; i++) {
        if (!globals && strcmp(programs[i].key, VMT_TINYKVM_GLOBALS) > 0) {
            put_globals(doc);
            globals = true;
        }
        put_program(doc, &programs[i]);
    }
    if (!globals)
        put_globals(doc);
    w->ops->close_map(w);
    vmt_writer_put(w, "\n", 1);
}

int vmt_tinykvm_encode(const struct vmt_snapshot *snapshot, const char *pattern, int pretty, struct vmt_buffer *out)
{
    struct document doc = { .snapshot = snapshot };
    size_t size = out->size;
    int r = vmt_tinykvm_programs(snapshot, pattern, &doc.programs, &doc.parts);

    if (r == 0 && doc.programs.used) {
        vmt_json_writer_init(&doc.json, out, pretty);
        put_document(&doc);
        r = vmt_writer_finish(&doc.json.base, size);
    }
    vmt_tinykvm_programs_free(&doc.programs, &doc.parts);
    return r;
}
