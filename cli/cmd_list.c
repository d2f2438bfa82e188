/* SPDX-License-Identifier: MIT */
/* vmtally list: every VM found, whether it has a segment or not. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <vmtally/host.h>

#include "commands.h"
#include "host.h"
#include "message.h"
#include "sandbox.h"
#include "segment.h"
#include "select.h"
#include "units.h"

enum { OPTION_JSON = 0x200 };

struct arguments {
    struct options *common;
    int json;
};

static const struct argp_option options[] = {
    { "json", OPTION_JSON, NULL, 0, "Print an array of objects, times in nanoseconds", 0 },
    { 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_JSON:
        a->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s': list shows all; 'vmtally show %s' shows one", arg, arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    NULL,
    "List every VM found: name, owner, pid, state, sources, where its counters come from, restarts, age and file."
    "\vCOUNTERS: 'segment' is what the VMM counts. What the kernel counts comes by 'fds', the statistics fds that the "
    "VMM's process holds; or by 'debugfs', which has no histograms, and of several vCPUs only the sum; or in 'copies' "
    "that the VMM puts into its segment. A VM whose VMM has no segment has its process for a file: /proc/PID.\n"
    "A file that can't be read is listed with the reason as its state. What is somebody else's may have any name: "
    "it ends in the owner's uid.",
    children,
    NULL,
    NULL,
};

/* ---- users ---- */

/* The names of those who own files. They are asked for before the sandbox, in which nobody can be asked. */
struct user {
    uid_t uid;
    char name[33]; /* "" where it has none */
};

struct users {
    struct user *users;
    size_t count;
};

static const struct user *find_user(const struct users *u, uid_t uid)
{
    for (size_t i = 0; i < u->count; i++) {
        if (u->users[i].uid == uid)
            return &u->users[i];
    }
    return NULL;
}

static int add_user(struct users *u, uid_t uid)
{
    const struct passwd *entry;
    struct user *grown;
    struct user *one;

    if (find_user(u, uid))
        return 0;
    grown = reallocarray(u->users, u->count + 1, sizeof(*grown));
    if (!grown)
        return -1;
    u->users = grown;
    one = &grown[u->count++];
    *one = (struct user){ .uid = uid };
    entry = getpwuid(uid);
    if (entry && strlen(entry->pw_name) < sizeof(one->name))
        message_printable(entry->pw_name, one->name, sizeof(one->name));
    return 0;
}

/* ---- rows ---- */

/* One VM. */
struct row {
    const char *path;
    char name[SEGMENT_NAME];
    char title[SEGMENT_NAME]; /* the name, with the owner of what is somebody else's */
    char state[256];          /* where it could not be read: the reason */
    char losses[SEGMENT_LOSSES];
    struct segment_losses lost;
    uint64_t age_ns;
    uint64_t restarts;
    size_t sources;
    uid_t uid;
    uint32_t pid;
    uint32_t from; /* VMT_FROM_ */
    int owned;     /* the uid is known */
    int foreign;
    int readable; /* the numbers mean something */
    int process;  /* there is no segment */
};

/* The names of those who own the files and processes that are found; no segment is opened. What comes later is shown
 * with the number of its owner. */
static int name_owners(const struct options *common, struct vmt_snapshot *snapshot, struct users *users)
{
    struct vmt_found *found = NULL;
    long count = vmt_discover(common->dir, &found);
    struct stat st;
    int r = 0;

    for (long i = 0; i < count && r == 0; i++) {
        if (lstat(found[i].path, &st) == 0)
            r = add_user(users, st.st_uid);
    }
    vmt_found_free(found, count);
    found = NULL;
    count = common->host ? vmt_host_discover(common->host, "", &found) : 0; /* where there are no files */
    for (long i = 0; i < count && r == 0; i++) {
        if (selection_take(common, found[i].path, snapshot) >= 0)
            r = add_user(users, vmt_snapshot_segment(snapshot)->uid);
    }
    vmt_found_free(found, count);
    return r;
}

/* Things that count: what the kernel counts of one beside the VMM is no other. The first, which stands for all of them,
 * is none that anybody added. */
static size_t count_sources(const struct vmt_snapshot *snapshot)
{
    size_t n = 0;

    for (size_t i = 1; i < vmt_snapshot_count(snapshot); i++)
        n += vmt_snapshot_subject(snapshot, i) == i;
    return n;
}

static void fill(const struct options *common, struct row *row, const struct vmt_found *file,
                 struct vmt_snapshot *snapshot, int *error)
{
    int r = selection_take(common, file->path, snapshot);
    const struct vmt_segment_info *info;
    struct stat st;

    *error = r < 0 ? r : 0;
    row->path = file->path;
    row->process = segment_process(file->path) != 0;
    if (r < 0) {
        row->owned = lstat(file->path, &st) == 0;
        row->uid = row->owned ? st.st_uid : 0;
        message_printable(file->name, row->name, sizeof(row->name));
        memcpy(row->title, row->name, sizeof(row->title));
        message_reason(r, row->state, sizeof(row->state));
        row->state[strcspn(row->state, ";")] = '\0'; /* what to do about it is no state */
        return;
    }
    info = vmt_snapshot_segment(snapshot);
    segment_name(row->name, sizeof(row->name), info);
    segment_title(row->title, sizeof(row->title), info);
    snprintf(row->state, sizeof(row->state), "%s", vmt_state_name(segment_state(info)));
    row->lost = segment_losses(snapshot);
    segment_losses_text(row->losses, sizeof(row->losses), &row->lost);
    row->age_ns = select_age_ns(info);
    row->restarts = segment_restarts(info);
    row->sources = count_sources(snapshot);
    row->from = info->from;
    row->uid = info->uid;
    row->pid = vmt_snapshot_pid(snapshot);
    row->owned = 1;
    row->foreign = segment_foreign(info);
    row->readable = 1;
}

/* ---- output ---- */

#define USER_TEXT 40
static const char *user_text(char *buf, const struct row *row, const struct users *users)
{
    const struct user *user = row->owned ? find_user(users, row->uid) : NULL;

    if (user && user->name[0])
        snprintf(buf, USER_TEXT, "%s", user->name);
    else if (row->owned)
        snprintf(buf, USER_TEXT, "%" PRIu32, (uint32_t)row->uid);
    else
        snprintf(buf, USER_TEXT, "-");
    return buf;
}

static int wider(int width, const char *text)
{
    int n = (int)strlen(text);

    return n > width ? n : width;
}

/* DROPPED is there only where something was dropped. */
static void print_table(const struct row *rows, size_t count, const struct users *users)
{
    int name = 4, user = 4, state = 5, from = 8, losses = 0;
    char path[4096], owner[USER_TEXT], age[UNIT_TEXT], places[SEGMENT_FROM_TEXT], restarts[24];

    for (size_t i = 0; i < count; i++) {
        name = wider(name, rows[i].title);
        user = wider(user, user_text(owner, &rows[i], users));
        state = wider(state, rows[i].state);
        from = wider(from, segment_from_text(places, rows[i].from));
        losses = wider(losses, rows[i].losses);
    }
    losses = losses && losses < 7 ? 7 : losses;
    printf("%-*s  %-*s  %7s  %-*s  %7s  %-*s  %8s  %6s  %-*s%sFILE\n", name, "NAME", user, "USER", "PID", state,
           "STATE", "SOURCES", from, "COUNTERS", "RESTARTS", "AGE", losses, losses ? "DROPPED" : "",
           losses ? "  " : "");
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];

        message_printable(row->path, path, sizeof(path));
        snprintf(restarts, sizeof(restarts), "%" PRIu64, row->restarts);
        if (row->process)
            snprintf(restarts, sizeof(restarts), "-");
        printf("%-*s  %-*s  ", name, row->title, user, user_text(owner, row, users));
        if (row->readable)
            printf("%7" PRIu32 "  %-*s  %7zu  %-*s  %8s  %6s  ", row->pid, state, row->state, row->sources, from,
                   segment_from_text(places, row->from), restarts, unit_format_age(age, sizeof(age), row->age_ns));
        else
            printf("%7s  %-*s  %7s  %-*s  %8s  %6s  ", "-", state, row->state, "-", from, "-", "-", "-");
        if (losses)
            printf("%-*s  ", losses, row->losses[0] ? row->losses : "-");
        printf("%s\n", path);
    }
}

/* null where it is not known. */
static void put_number(struct json_object *o, const char *key, int known, uint64_t value)
{
    json_object_object_add(o, key, known ? json_object_new_uint64(value) : NULL);
}

static struct json_object *counters(uint32_t from)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < SEGMENT_FROM; i++) {
        if (segment_from(from, i))
            json_object_array_add(array, json_object_new_string(segment_from(from, i)));
    }
    return array;
}

static void print_json(const struct row *rows, size_t count)
{
    struct json_object *array = json_object_new_array();
    char path[4096];

    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct json_object *o = json_object_new_object();
        const int of_segment = row->readable && !row->process;

        message_printable(row->path, path, sizeof(path));
        json_object_object_add(o, "name", json_object_new_string(row->name));
        put_number(o, "uid", row->owned, row->uid);
        json_object_object_add(o, "foreign", row->readable ? json_object_new_boolean(row->foreign) : NULL);
        put_number(o, "pid", row->readable, row->pid);
        json_object_object_add(o, "state", json_object_new_string(row->state));
        put_number(o, "sources", row->readable, row->sources);
        json_object_object_add(o, "counters", row->readable ? counters(row->from) : NULL);
        put_number(o, "restarts", of_segment, row->restarts);
        put_number(o, "dropped_sources", of_segment, row->lost.sources);
        put_number(o, "dropped_shards", of_segment, row->lost.shards);
        put_number(o, "shards_torn", of_segment, row->lost.torn);
        put_number(o, "age_ns", row->readable, row->age_ns);
        json_object_object_add(o, "path", json_object_new_string(path));
        json_object_array_add(array, o);
    }
    puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(array);
}

/* What is wrong with files is said together, where it is the same. */
struct denied {
    const char *first;
    size_t count;
};

static void say_denied(const struct denied *denied)
{
    char reason[256];

    message_reason(-EACCES, reason, sizeof(reason));
    if (denied->count == 1)
        message_error("%s: %s", denied->first, reason);
    else if (denied->count > 1)
        message_error("%s and %zu more: %s", denied->first, denied->count - 1, reason);
}

/* In the sandbox. */
static int list(const struct arguments *a, const struct selection *selection, const struct users *users,
                struct vmt_snapshot *snapshot)
{
    struct row *rows = calloc(selection->count + 1, sizeof(*rows));
    struct denied denied = { NULL, 0 };
    int status;
    int error;

    if (!rows) {
        message_error("out of memory");
        return 1;
    }
    for (size_t i = 0; i < selection->count; i++) {
        fill(a->common, &rows[i], &selection->files[i], snapshot, &error);
        if (error == -EACCES && denied.count++ == 0)
            denied.first = selection->files[i].path;
    }
    if (a->json)
        print_json(rows, selection->count);
    else if (selection->count > 0)
        print_table(rows, selection->count, users);
    free(rows);
    status = message_finish(0); /* before what follows on stderr, where both are the terminal or one log */
    if (selection->count == 0)
        selection_say_none(a->common);
    say_denied(&denied);
    host_say_trouble(a->common, NULL);
    return status;
}

int cmd_list(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { common, 0 };
    struct selection selection = { 0 };
    struct vmt_snapshot *snapshot = NULL;
    struct users users = { NULL, 0 };
    int status = 1;

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    host_start(common, 0);
    if (vmt_snapshot_new(&snapshot) || name_owners(common, snapshot, &users)) {
        message_error("out of memory");
    } else {
        sandbox_enter(common, NULL, 0, 0);
        if (selection_find(common, NULL, &selection) == 0)
            status = list(&arguments, &selection, &users, snapshot);
    }
    vmt_snapshot_free(snapshot);
    free(users.users);
    selection_free(&selection);
    host_stop(common);
    return status;
}
