/* SPDX-License-Identifier: MIT */
#include "cli/query/check.h"

#include <stdlib.h>
#include <string.h>

#include <vmtally/host.h>

#include "cli/nearest.h"
#include "lib/kvm/handle.h"

#define TRIES 65536 /* to find what was meant, in a snapshot of a hostile file */

static const char *const known_targets[] = { "vm", "vcpu", NULL };
static const char *const known_providers[] = { KVM_PROVIDER, NULL };

static const char *target_of(const struct catalog_entry *entry) { return entry->target; }
static const char *provider_of(const struct catalog_entry *entry) { return entry->provider; }

/* Whether asked is known or in the catalog; if not, what is nearest to it. */
static bool is_known(const char *asked, const char *const *known, const struct catalog *c,
                     const char *(*name_of)(const struct catalog_entry *entry), struct nearest *near)
{
    const char *before = NULL;
    size_t tries = 0;

    for (size_t i = 0; known[i]; i++) {
        if (strcmp(known[i], asked) == 0)
            return true;
        nearest_try(near, known[i]);
    }
    for (size_t i = 0; i < c->count; i++) {
        const char *name = name_of(&c->entries[i]);

        if (before && strcmp(before, name) == 0)
            continue;
        if (strcmp(name, asked) == 0)
            return true;
        if (tries++ < TRIES)
            nearest_try(near, name);
        before = name;
    }
    return false;
}

static int check_target(const char *target, const struct catalog *c, bool words, struct qmp_error *e)
{
    struct nearest near = { .asked = target };
    char text[NEAREST_TEXT];

    if (is_known(target, known_targets, c, target_of, &near))
        return 0;
    nearest_text(&near, text, sizeof(text));
    return words ? qmp_error(e, QMP_GENERIC, "invalid stats target %s%s", target, text)
                 : qmp_error(e, QMP_GENERIC, "Parameter 'target' does not accept value '%s'%s", target, text);
}

int request_check_provider(const char *provider, const struct catalog *catalog, bool words, struct qmp_error *e)
{
    struct nearest near = { .asked = provider };
    char text[NEAREST_TEXT];

    if (is_known(provider, known_providers, catalog, provider_of, &near))
        return 0;
    nearest_text(&near, text, sizeof(text));
    return words ? qmp_error(e, QMP_GENERIC, "invalid stats provider %s%s", provider, text)
                 : qmp_error(e, QMP_GENERIC, "Parameter 'provider' does not accept value '%s'%s", provider, text);
}

/* ---- names ---- */

/* One provider's, or (NULL) those of all. */
static bool has_name(const struct catalog *c, const char *target, const char *provider, const char *name)
{
    const struct catalog_entry *entry, *same;
    size_t left = catalog_find(c, target, provider, NULL, &entry);

    while (left > 0) {
        size_t n = catalog_find(c, target, entry->provider, NULL, &entry);

        if (catalog_find(c, target, entry->provider, name, &same) > 0)
            return true;
        entry += n;
        left -= n;
    }
    return false;
}

/* Which target has it instead, or NULL. */
static const char *target_with(const struct catalog *c, const char *provider, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct catalog_entry *entry = &c->entries[i];

        if (strcmp(entry->descriptor->name, name) == 0 && (!provider || strcmp(entry->provider, provider) == 0))
            return entry->target;
    }
    return NULL;
}

static int no_name(const struct stats_request *r, const struct stats_filter *f, const struct catalog *c,
                   const char *name, struct qmp_error *e)
{
    struct nearest near = { .asked = name };
    const char *other = target_with(c, f->provider, name);
    const struct catalog_entry *entry;
    size_t n = catalog_find(c, r->target, f->provider, NULL, &entry);
    char text[NEAREST_TEXT];

    for (size_t i = 0; i < n && i < TRIES && !other; i++)
        nearest_try(&near, entry[i].descriptor->name);
    if (near.found)
        return qmp_error(e, QMP_GENERIC, "no statistic %s%s", name, nearest_text(&near, text, sizeof(text)));
    if (n == 0 && !other)
        return qmp_error(
            e, QMP_GENERIC,
            "no statistic %s: nothing%s%s is known of target %s; 'vmtally list' says where counters come from", name,
            f->provider ? " of " : "", f->provider ? f->provider : "", r->target);
    return qmp_error(e, QMP_GENERIC, "no statistic %s of %s%starget %s%s%s%s", name, f->provider ? f->provider : "",
                     f->provider ? " and " : "", r->target, other ? "; target " : "", other ? other : "",
                     other ? " has it" : "; query-stats-schemas says what there is");
}

static int check_names(const struct stats_request *r, const struct stats_filter *f, const struct catalog *c,
                       struct qmp_error *e)
{
    for (size_t i = 0; i < f->count; i++) {
        if (!has_name(c, r->target, f->provider, f->names[i]))
            return no_name(r, f, c, f->names[i], e);
    }
    return 0;
}

/* ---- paths ---- */

static const char *path_of(const struct vmt_snapshot *snapshot, size_t i)
{
    return vmt_snapshot_source(snapshot, vmt_snapshot_subject(snapshot, i))->id;
}

static bool is_of(const struct vmt_snapshot *snapshot, size_t i, const char *target)
{
    return strcmp(vmt_snapshot_source(snapshot, i)->schema->target, target) == 0;
}

static int no_path(const struct stats_request *r, const struct vmt_snapshot *snapshot, const char *path,
                   struct qmp_error *e)
{
    struct nearest near = { .asked = path };
    char text[NEAREST_TEXT];

    for (size_t i = 0; i < vmt_snapshot_count(snapshot) && i < TRIES; i++) {
        if (is_of(snapshot, i, r->target))
            nearest_try(&near, path_of(snapshot, i));
    }
    return qmp_error(e, QMP_GENERIC, "no %s %s%s", r->target, path, nearest_text(&near, text, sizeof(text)));
}

static int check_paths(const struct stats_request *r, const struct vmt_snapshot *snapshot, struct qmp_error *e)
{
    unsigned char *there = calloc(r->path_count + 1, 1);
    size_t place, first = 0;

    if (!there)
        return qmp_error(e, QMP_GENERIC, "out of memory");
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        if (is_of(snapshot, i, r->target) && request_has(r->paths, r->path_count, path_of(snapshot, i), &place))
            there[place] = 1;
    }
    while (first < r->path_count && there[first])
        first++;
    free(there);
    return first < r->path_count ? no_path(r, snapshot, r->paths[first], e) : 0;
}

int request_check(const struct stats_request *request, const struct vmt_snapshot *snapshot,
                  const struct catalog *catalog, struct qmp_error *e)
{
    if (check_target(request->target, catalog, request->words, e))
        return -1;
    for (size_t i = 0; i < request->filter_count; i++) {
        const struct stats_filter *f = &request->filters[i];

        if ((f->provider && request_check_provider(f->provider, catalog, request->words, e)) ||
            check_names(request, f, catalog, e))
            return -1;
    }
    return check_paths(request, snapshot, e);
}
