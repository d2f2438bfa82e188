/* SPDX-License-Identifier: MIT */
/* vmtally list: every segment found. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <vmtally/reader.h>

#include "commands.h"
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
    "List every segment found: name, owner, pid, state, sources, restarts, age and file."
    "\vA file that can't be read is listed with the reason as its state. Of a file that is somebody else's the name "
    "proves nothing: it ends in the owner's uid.",
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

/* One segment. */
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
    int owned; /* the uid is known */
    int foreign;
    int readable; /* the numbers mean something */
};

/* Whose the files are, as far as that can be seen without opening them. */
static int fill_owners(struct row *rows, const struct selection *selection, struct users *users)
{
    for (size_t i = 0; i < selection->count; i++) {
        struct stat st;

        if (lstat(selection->files[i].path, &st) < 0)
            continue;
        rows[i].uid = st.st_uid;
        rows[i].owned = 1;
        if (add_user(users, st.st_uid))
            return -1;
    }
    return 0;
}

static void fill(struct row *row, const struct selected *file, struct vmt_snapshot *snapshot, int *error)
{
    int r = selection_take(file->path, snapshot);
    const struct vmt_segment_info *info;

    *error = r < 0 ? r : 0;
    row->path = file->path;
    if (r < 0) {
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
    row->sources = vmt_snapshot_count(snapshot);
    row->sources -= row->sources > 0; /* the segment itself is none that anybody added */
    row->uid = info->uid;
    row->pid = info->pid;
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
    int name = 4, user = 4, state = 5, losses = 0;
    char path[4096], owner[USER_TEXT], age[UNIT_TEXT];

    for (size_t i = 0; i < count; i++) {
        name = wider(name, rows[i].title);
        user = wider(user, user_text(owner, &rows[i], users));
        state = wider(state, rows[i].state);
        losses = wider(losses, rows[i].losses);
    }
    losses = losses && losses < 7 ? 7 : losses;
    printf("%-*s  %-*s  %7s  %-*s  %7s  %8s  %6s  %-*s%sFILE\n", name, "NAME", user, "USER", "PID", state, "STATE",
           "SOURCES", "RESTARTS", "AGE", losses, losses ? "DROPPED" : "", losses ? "  " : "");
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];

        message_printable(row->path, path, sizeof(path));
        printf("%-*s  %-*s  ", name, row->title, user, user_text(owner, row, users));
        if (row->readable)
            printf("%7" PRIu32 "  %-*s  %7zu  %8" PRIu64 "  %6s  ", row->pid, state, row->state, row->sources,
                   row->restarts, unit_format_age(age, sizeof(age), row->age_ns));
        else
            printf("%7s  %-*s  %7s  %8s  %6s  ", "-", state, row->state, "-", "-", "-");
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

static void print_json(const struct row *rows, size_t count)
{
    struct json_object *array = json_object_new_array();
    char path[4096];

    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct json_object *o = json_object_new_object();

        message_printable(row->path, path, sizeof(path));
        json_object_object_add(o, "name", json_object_new_string(row->name));
        put_number(o, "uid", row->owned, row->uid);
        json_object_object_add(o, "foreign", row->readable ? json_object_new_boolean(row->foreign) : NULL);
        put_number(o, "pid", row->readable, row->pid);
        json_object_object_add(o, "state", json_object_new_string(row->state));
        put_number(o, "sources", row->readable, row->sources);
        put_number(o, "restarts", row->readable, row->restarts);
        put_number(o, "dropped_sources", row->readable, row->lost.sources);
        put_number(o, "dropped_shards", row->readable, row->lost.shards);
        put_number(o, "shards_torn", row->readable, row->lost.torn);
        put_number(o, "age_ns", row->readable, row->age_ns);
        json_object_object_add(o, "path", json_object_new_string(path));
        json_object_array_add(array, o);
    }
    puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(array);
}

int cmd_list(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { common, 0 };
    struct selection selection = { 0 };
    struct vmt_snapshot *snapshot = NULL;
    struct users users = { NULL, 0 };
    struct row *rows = NULL;
    const char *denied = NULL; /* the first of those without permission: they are mentioned together */
    size_t denied_count = 0;
    int status = 0;
    int error;
    char reason[256];

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments) || selection_find(common->dir, NULL, &selection))
        return 1;
    rows = calloc(selection.count + 1, sizeof(*rows));
    if (!rows || fill_owners(rows, &selection, &users) || vmt_snapshot_new(&snapshot)) {
        message_error("out of memory");
        status = 1;
        goto out;
    }
    sandbox_enter(common, NULL, 0, 0);
    for (size_t i = 0; i < selection.count; i++) {
        fill(&rows[i], &selection.files[i], snapshot, &error);
        if (error == -EACCES && denied_count++ == 0)
            denied = selection.files[i].path;
    }
    if (arguments.json)
        print_json(rows, selection.count);
    else if (selection.count > 0)
        print_table(rows, selection.count, &users);
    status = message_finish(0); /* before what follows on stderr, where both are the terminal or one log */
    if (selection.count == 0)
        selection_say_none(common->dir);
    if (denied_count == 1)
        message_error("%s: %s", denied, message_reason(-EACCES, reason, sizeof(reason)));
    else if (denied_count > 1)
        message_error("%s and %zu more: %s", denied, denied_count - 1, message_reason(-EACCES, reason, sizeof(reason)));
out:
    vmt_snapshot_free(snapshot);
    free(rows);
    free(users.users);
    selection_free(&selection);
    return status;
}
