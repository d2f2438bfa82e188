/* SPDX-License-Identifier: MIT */
/* json_beat.h: beats of a host as kvmtop writes them in JSON, and what is in a line of it. */
#ifndef TESTS_UNIT_JSON_BEAT_H
#define TESTS_UNIT_JSON_BEAT_H

#include "cli/top/batch.h"
#include "json_parts.h"
#include "top.h"

struct json_observer {
    struct history *history;
    struct batch_json *json;
};

static inline int json_observe(void *arg, const struct sample_set *set, const struct sample_vm *vm)
{
    struct json_observer *o = arg;
    int r = history_observe(o->history, set, vm);

    return r == 0 ? batch_json_vm(o->json, vm) : r;
}

/* A beat, written to out. */
static inline void json_beat(struct host *h, struct batch_json *json, FILE *out)
{
    struct json_observer o = { h->history, json };

    host_beat(h, json_observe, &o);
    host_build(h);
    cr_assert_eq(batch_json_end(json, out, sampler_set(h->sampler), &h->model), 0);
    cr_assert_eq(batch_flush(out), 0);
}

/* The first beat that is written of it; *text is the caller's. */
static inline void json_text(struct host *h, int schema_once, char **text)
{
    struct batch_json *json = NULL;
    size_t size = 0;
    FILE *f = open_memstream(text, &size);

    cr_assert_not_null(f);
    cr_assert_eq(batch_json_new(schema_once, &json), 0);
    json_beat(h, json, f);
    fclose(f);
    batch_json_free(json);
}

static inline struct json_object *at(struct json_object *array, size_t i)
{
    return json_object_array_get_idx(array, i);
}

/* "name: id id, name: ...": VMs and their sources, in order. Lines of schemas may be before theirs. */
static inline const char *json_shown(const char *lines)
{
    static char shown[512];
    const char *line = strstr(lines, "{\"time_ns\"");
    struct json_object *beat = line ? json_tokener_parse(line) : NULL;
    struct json_object *vms;
    size_t n = 0;

    cr_assert_not_null(beat, "%.200s", lines);
    vms = get(beat, "vms");
    shown[0] = '\0';
    for (size_t i = 0; i < json_object_array_length(vms); i++) {
        struct json_object *sources = get(at(vms, i), "sources");

        n += (size_t)snprintf(shown + n, sizeof(shown) - n, "%s%s:", i ? ", " : "", text(at(vms, i), "name"));
        for (size_t k = 0; k < json_object_array_length(sources); k++)
            n += (size_t)snprintf(shown + n, sizeof(shown) - n, " %s", text(at(sources, k), "id"));
    }
    json_object_put(beat);
    return shown;
}

#endif
