/* SPDX-License-Identifier: MIT */
#include "cli/query/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Returns how many are left. */
static size_t sort_once(const char **texts, size_t count)
{
    size_t n = 0;

    if (count)
        qsort(texts, count, sizeof(*texts), by_text);
    for (size_t i = 0; i < count; i++) {
        if (n == 0 || strcmp(texts[n - 1], texts[i]) != 0)
            texts[n++] = texts[i];
    }
    return n;
}

bool request_has(const char *const *texts, size_t count, const char *text, size_t *place)
{
    const char *const *found = count ? bsearch(&text, texts, count, sizeof(*texts), by_text) : NULL;

    if (found && place)
        *place = (size_t)(found - texts);
    return found != NULL;
}

static int no_memory(struct qmp_error *e) { return qmp_error(e, QMP_GENERIC, "out of memory"); }

/* ---- from JSON ---- */

static int take_filter(struct json_object *object, const char *where, struct stats_filter *f, struct qmp_error *e)
{
    static const char *const known[] = { "provider", "names", NULL };
    struct json_object *names;

    if (argument_string(object, where, "provider", true, &f->provider, e) ||
        argument_array(object, where, "names", &names, e) ||
        argument_strings(names, where, "names", &f->names, &f->count, e))
        return -1;
    f->all = !names;
    f->count = sort_once(f->names, f->count);
    return arguments_known(object, where, known, e);
}

static int take_filters(struct json_object *providers, struct stats_request *r, struct qmp_error *e)
{
    size_t n = json_object_array_length(providers);

    if (n > REQUEST_FILTERS)
        return qmp_error(e, QMP_GENERIC, "Parameter 'providers' has %zu elements; at most %d are answered at a time", n,
                         REQUEST_FILTERS);
    r->filters = calloc(n + 1, sizeof(*r->filters));
    if (!r->filters)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        struct json_object *object = json_object_array_get_idx(providers, i);
        char where[32];

        snprintf(where, sizeof(where), "providers[%zu]", i);
        if (!json_object_is_type(object, json_type_object))
            return qmp_error(e, QMP_GENERIC, "Invalid parameter type for '%s', expected: object", where);
        strcat(where, ".");
        r->filter_count++;
        if (take_filter(object, where, &r->filters[i], e))
            return -1;
    }
    return 0;
}

/* One that lets all pass. */
static int take_any(struct stats_request *r, struct qmp_error *e)
{
    r->filters = calloc(1, sizeof(*r->filters));
    if (!r->filters)
        return no_memory(e);
    r->filters[0].all = true;
    r->filter_count = 1;
    return 0;
}

static int take_all(struct json_object *arguments, struct stats_request *r, struct qmp_error *e)
{
    static const char *const known[] = { "target", "providers", NULL };
    static const char *const known_of_vcpu[] = { "target", "providers", "vcpus", NULL };
    struct json_object *providers, *paths = NULL;
    bool vcpu;

    if (argument_string(arguments, "", "target", true, &r->target, e) ||
        argument_array(arguments, "", "providers", &providers, e) ||
        (providers ? take_filters(providers, r, e) : take_any(r, e)))
        return -1;
    vcpu = strcmp(r->target, "vcpu") == 0;
    if (vcpu && (argument_array(arguments, "", "vcpus", &paths, e) ||
                 argument_strings(paths, "", "vcpus", &r->paths, &r->path_count, e)))
        return -1;
    r->all_paths = !paths;
    r->path_count = sort_once(r->paths, r->path_count);
    return arguments_known(arguments, "", vcpu ? known_of_vcpu : known, e);
}

int request_from_json(struct json_object *arguments, struct stats_request *ret, struct qmp_error *e)
{
    struct stats_request r = { 0 };

    if (take_all(arguments, &r, e)) {
        request_free(&r);
        return -1;
    }
    *ret = r;
    return 0;
}

/* ---- from words ---- */

static int take_names(char *list, struct stats_filter *f, struct qmp_error *e)
{
    size_t n = 1;
    char *rest = NULL;

    f->all = !list || strcmp(list, "*") == 0;
    if (f->all)
        return 0;
    for (const char *c = list; *c; c++)
        n += *c == ',';
    f->names = calloc(n, sizeof(*f->names));
    if (!f->names)
        return no_memory(e);
    for (char *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        f->names[f->count++] = name;
    f->count = sort_once(f->names, f->count);
    return 0;
}

int request_from_words(char *line, struct stats_request *ret, struct qmp_error *e)
{
    static const char blank[] = " \t\n";
    struct stats_request r = { .all_paths = true, .words = true };
    char *rest = NULL, *names;

    r.target = strtok_r(line, blank, &rest);
    if (!r.target)
        return qmp_error(e, QMP_GENERIC, "stats: string expected; TARGET [NAMES [PROVIDER]], such as 'vcpu exits kvm'");
    if (take_any(&r, e))
        return -1;
    names = strtok_r(NULL, blank, &rest);
    r.filters[0].provider = names ? strtok_r(NULL, blank, &rest) : NULL;
    if (take_names(names, &r.filters[0], e) ||
        (strtok_r(NULL, blank, &rest) &&
         qmp_error(e, QMP_GENERIC, "stats: extraneous characters at the end of line; TARGET [NAMES [PROVIDER]]"))) {
        request_free(&r);
        return -1;
    }
    *ret = r;
    return 0;
}

void request_free(struct stats_request *request)
{
    for (size_t i = 0; i < request->filter_count; i++)
        free(request->filters[i].names);
    free(request->filters);
    free(request->paths);
    *request = (struct stats_request){ 0 };
}
