/* SPDX-License-Identifier: MIT */
/* course.h: the lives of one segment, each of which may end, or stop, at a named point of the library; and who was
 * attached all the while. */
#ifndef TESTS_RACE_COURSE_H
#define TESTS_RACE_COURSE_H

#include "tests/race/race.h"

#define POINTS_MAX 64
#define NAME_MAX_BYTES 48
#define SNAPSHOT_SECONDS (SANITIZED ? 10 : 2)
#define ONES 8 /* children of one parent, one after the other, so that memory is used anew */

/* How far a life has come. */
enum { NAMED = 1, COUNTED, REMOVED, CLOSED };

/* What the next life does with what it finds. */
enum way { ADOPT, LET_GO, OTHER_SCHEMA, WAYS };

struct visited {
    unsigned count;
    struct {
        char name[NAME_MAX_BYTES];
        unsigned visits;
    } point[POINTS_MAX];
};

/* The lives of one segment. In memory that all share. */
struct course {
    char name[24]; /* the segment's */
    uint64_t jail; /* not 0: a file made before, in place, of that many bytes */
    char story[160];
    char point[NAME_MAX_BYTES]; /* where this life ends */
    unsigned nth;               /* visit of it that is the last; 0: none */
    int signal;
    enum way way;
    unsigned visits;
    struct visited passed; /* in this life */
    int stage;             /* reached */
    int allowed;           /* to be left */
    uint64_t part;         /* events counted: exact, as nothing but cold calls is ever cut short here */
    uint64_t others;
    uint64_t incarnation;
};

static struct visited *visited; /* all points that were ever passed, by any process */
static struct course *course;   /* this process is in; NULL: none */

static inline unsigned *visits_of(struct visited *v, const char *name)
{
    unsigned i = 0;

    while (i < v->count && strcmp(v->point[i].name, name) != 0)
        i++;
    REQUIRE(i < POINTS_MAX && strlen(name) < NAME_MAX_BYTES);
    if (i == v->count) {
        strcpy(v->point[i].name, name);
        v->count++;
    }
    return &v->point[i].visits;
}

/* What vmt_point() does. */
static inline void course_point(const char *name)
{
    if (!course)
        return;
    ++*visits_of(visited, name);
    ++*visits_of(&course->passed, name);
    if (strcmp(name, course->point) == 0 && ++course->visits == course->nth)
        raise(course->signal);
}

/* ---- the writer ---- */

static inline void count_part(struct vmt_shard *shard, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        vmt_latency(shard, P_TIME, P_TIME_BUCKETS, LATENCY_NS);
    vmt_add(shard, P_EVENTS, n);
    course->part += n;
}

static inline void count_other(struct vmt_shard *shard, uint64_t n)
{
    vmt_add(shard, S_EVENTS, n);
    course->others += n;
}

static inline void count_shared(struct vmt_source *source, bool part, uint64_t n)
{
    vmt_count(source, part ? P_EVENTS : S_EVENTS, n);
    *(part ? &course->part : &course->others) += n;
}

static inline struct vmt_source *put(struct vmt_segment *segment, const struct vmt_schema *schema,
                                     struct vmt_source *parent, const char *id)
{
    struct vmt_source *source = NULL;

    REQUIRE(vmt_source_add(segment, schema, parent, id, &source) == 0);
    return source;
}

static inline void *die_in_a_group(void *source)
{
    struct vmt_shard *shard = vmt_shard_acquire_thread(source);

    count_part(shard, 3);
    vmt_begin(shard);
    vmt_add(shard, P_TIME, 1);
    if (course->jail)
        vmt_shard_release(shard); /* there nothing else tells that it is nobody's */
    return NULL;
}

/* A source with a source below it, both removed while the inner one's shard is held: both go with its release. */
static inline void one_pair(struct vmt_segment *segment, struct vmt_source *vm)
{
    struct vmt_source *outer = put(segment, &part_schema, vm, "outer");
    struct vmt_source *inner = put(segment, &small_schema, outer, "inner");
    struct vmt_shard *held = vmt_shard_acquire(inner);
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, die_in_a_group, outer) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    count_shared(outer, true, 5);
    count_other(held, 7);
    vmt_source_remove(outer);
    vmt_source_remove(inner);
    count_other(held, 11);
    vmt_shard_release(held);
}

/* Like small_schema, and not in the segment from its beginning. */
static inline const struct vmt_schema *late_schema(void)
{
    static struct vmt_schema late;

    late = small_schema;
    late.name = "late";
    return &late;
}

static inline void all_changes(struct vmt_segment *segment)
{
    struct vmt_source *vm = put(segment, &part_schema, NULL, "vm");
    struct vmt_source *b = put(segment, &small_schema, vm, "b");
    static const char *const leaving[] = { "leaving-a", "leaving-b", "leaving-c" };
    struct vmt_source *deep;
    struct vmt_shard *kept[5];

    vmt_shards_acquire(vm, 2, kept);
    count_part(kept[0], 13);
    count_part(kept[1], 17);
    count_shared(b, false, 19);
    one_pair(segment, vm);
    for (unsigned i = 0; i < ONES; i++) {
        struct vmt_source *one = put(segment, i % 2 ? late_schema() : &small_schema, b, "one");
        struct vmt_shard *shard = vmt_shard_acquire(one);

        count_other(shard, 23);
        vmt_shard_release(shard);
        vmt_source_remove(one);
    }
    one_pair(segment, vm);
    for (int i = 0; i < 3; i++) {
        struct vmt_source *one = put(segment, &part_schema, vm, leaving[i]);

        kept[2 + i] = vmt_shard_acquire(one);
        count_part(kept[2 + i], 29);
        vmt_source_remove(one);
    }
    vmt_shard_release(kept[3]); /* this one goes; those before and behind it in the table don't, in this life */
    vmt_begin(kept[0]);         /* and never ends */
    vmt_begin(kept[1]);
    vmt_shard_release(kept[1]);
    deep = put(segment, late_schema(), b, "deep");
    count_shared(put(segment, &part_schema, deep, "deeper"), true, 37);
}

/* What is left of it is found again, or goes. */
static inline void go_on(struct vmt_segment *segment, struct vmt_source *sources[4], struct vmt_shard *shards[2])
{
    bool other = course->way == OTHER_SCHEMA;

    if (course->way == LET_GO)
        vmt_segment_ready(segment);
    sources[0] = put(segment, &part_schema, NULL, "vm");
    sources[1] = put(segment, other ? &part_schema : &small_schema, sources[0], "b");
    sources[2] = put(segment, late_schema(), sources[1], "deep");
    sources[3] = put(segment, &part_schema, sources[2], "deeper");
    shards[0] = vmt_shard_acquire(sources[0]);
    shards[1] = vmt_shard_acquire(sources[2]);
    count_part(shards[0], 41);
    count_shared(sources[1], other, 43);
    count_other(shards[1], 47);
    count_shared(sources[3], true, 53);
    if (course->way == ADOPT)
        one_pair(segment, sources[0]);
    vmt_segment_ready(segment);
    one_pair(segment, sources[0]);
}

static inline const char *path_of(const struct course *c)
{
    char file[64];

    snprintf(file, sizeof(file), "%s.vmt", c->name);
    return test_path(file);
}

static inline void come_to(int stage)
{
    say(&course->stage, stage);
    REQUIRE(reached(&course->allowed, stage));
}

static inline struct vmt_segment *begin_life(struct course *c, bool resume)
{
    char why[256] = "";
    struct vmt_segment_options options = { .struct_size = sizeof(options),
                                           .name = c->name,
                                           .keep = 1,
                                           .resume = resume,
                                           .why = why,
                                           .why_size = sizeof(why) };
    struct vmt_segment *segment = NULL;
    int r;

    if (c->jail) {
        options.path = path_of(c);
        options.fixed_bytes = c->jail;
    }
    course = c;
    r = vmt_segment_create(&options, &segment);
    if (r < 0 || *why) {
        fprintf(stderr, "%s: %s %s\n", c->story, strerror(-r), why);
        _exit(1);
    }
    come_to(NAMED);
    return segment;
}

static inline void end_life(struct vmt_segment *segment)
{
    come_to(REMOVED);
    vmt_segment_close(segment);
    come_to(CLOSED);
}

static inline void first_life(void *arg)
{
    struct vmt_segment *segment = begin_life(arg, false);

    all_changes(segment);
    come_to(COUNTED);
    end_life(segment);
}

static inline void next_life(void *arg)
{
    struct vmt_segment *segment = begin_life(arg, true);
    struct vmt_source *sources[4];
    struct vmt_shard *shards[2];

    go_on(segment, sources, shards);
    come_to(COUNTED);
    vmt_shard_release(shards[0]);
    for (int i = 0; i < 4; i++)
        vmt_source_remove(sources[i]); /* parents first: none goes before the last release */
    count_other(shards[1], 59);
    vmt_shard_release(shards[1]);
    end_life(segment);
}

/* ---- the world around it ---- */

struct watcher {
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    struct memory memory[MEMORIES];
};

static inline struct watcher *watcher_new(const struct course *c, enum vmt_read_mode mode)
{
    struct watcher *w = calloc(1, sizeof(*w));

    cr_assert_not_null(w);
    w->reader = attach(path_of(c), mode);
    w->snapshot = new_snapshot();
    return w;
}

static inline void watcher_free(struct watcher *w)
{
    if (!w)
        return;
    vmt_snapshot_free(w->snapshot);
    vmt_reader_close(w->reader);
    free(w);
}

static inline struct shm_header header_of(const struct course *c)
{
    struct shm_header h = { 0 };
    FILE *f = fopen(path_of(c), "r");

    cr_assert(f && fread(&h, sizeof(h), 1, f) == 1, "%s: %m", path_of(c));
    fclose(f);
    return h;
}

/* The writer does nothing: all that it counted is there, once, and nothing fell. */
static inline void look(struct watcher *w, const struct course *c, enum vmt_state state)
{
    double begin = seconds_now();
    int r = vmt_snapshot_take(w->snapshot, w->reader);
    double took = seconds_now() - begin;
    const struct vmt_segment_info *info = vmt_snapshot_segment(w->snapshot);
    struct events e;

    cr_assert_eq(r, 0, "%s: %s", c->story, r < 0 ? strerror(-r) : "partial");
    cr_assert_lt(took, SNAPSHOT_SECONDS);
    cr_assert_eq(info->state, state, "%s: '%s', not '%s'", c->story, vmt_state_name(info->state),
                 vmt_state_name(state));
    cr_assert_eq(info->incarnation, c->incarnation, "%s: it has had %llu writers, not %llu", c->story,
                 (unsigned long long)info->incarnation, (unsigned long long)c->incarnation);
    for (size_t i = 0; i < vmt_snapshot_count(w->snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(w->snapshot, i);

        cr_assert_not(sample->flags & VMT_SAMPLE_ABSENT, "%s: no values of '%s'", c->story, sample->id);
        remember(w->memory, sample);
    }
    e = events_below(vmt_snapshot_source(w->snapshot, 0));
    cr_assert_not(e.absent, "%s: the total is withheld", c->story);
    cr_assert(e.part == c->part && e.all - e.part == c->others, "%s: %llu and %llu, but %llu and %llu were counted",
              c->story, (unsigned long long)e.part, (unsigned long long)(e.all - e.part), (unsigned long long)c->part,
              (unsigned long long)c->others);
}

static inline void assert_sound(const struct course *c, enum vmt_state state)
{
    char why[256] = "";
    int r = vmt_check(path_of(c), why, sizeof(why));

    cr_assert_eq(r, (int)state, "%s: '%s' (%s), not '%s'", c->story,
                 r < 0 ? strerror(-r) : vmt_state_name((enum vmt_state)r), why, vmt_state_name(state));
    cr_assert_str_eq(why, "");
}

static inline void new_course(struct course *c, const char *name, uint64_t jail)
{
    FILE *f;

    memset(c, 0, sizeof(*c));
    snprintf(c->name, sizeof(c->name), "%s", name);
    c->jail = jail;
    if (!jail)
        return;
    f = fopen(path_of(c), "w");
    cr_assert(f && fclose(f) == 0, "%s: %m", path_of(c));
}

static inline void new_life(struct course *c, const char *point, unsigned nth, int signal, enum way way)
{
    size_t n = strlen(c->story);

    snprintf(c->story + n, sizeof(c->story) - n, "%s%s %u", n ? ", then " : "", *point ? point : "to the end", nth);
    snprintf(c->point, sizeof(c->point), "%s", point);
    c->nth = nth;
    c->signal = signal;
    c->way = way;
    c->visits = 0;
    memset(&c->passed, 0, sizeof(c->passed));
    c->stage = c->allowed = 0;
}

/* The process comes to that stage, or ends before (false; *status is how). */
static inline bool await(pid_t pid, const struct course *c, int stage, int *status)
{
    for (int i = 0; i < 600000 && __atomic_load_n(&c->stage, __ATOMIC_ACQUIRE) < stage; i++) {
        pid_t ended = waitpid(pid, status, WNOHANG);

        cr_assert_geq(ended, 0);
        if (ended)
            return false;
        nap_us(50);
    }
    cr_assert_geq(c->stage, stage, "%s: it neither came nor died", c->story);
    return true;
}

/* From the moment the segment has a name on. */
static inline void attach_both(const struct course *c, struct watcher *attached[2])
{
    for (int i = 0; i < 2; i++)
        if (!attached[i])
            attached[i] = watcher_new(c, i ? VMT_READ_GUARDED : VMT_READ_COPY);
}

static inline void detach_both(struct watcher *attached[2])
{
    for (int i = 0; i < 2; i++)
        watcher_free(attached[i]);
}

/* Nobody is in a group: those that an earlier writer left open are shown as cut short. */
static inline void assert_groups_closed(const struct watcher *w, const struct course *c)
{
    for (size_t i = 0; i < vmt_snapshot_count(w->snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(w->snapshot, i);

        cr_assert_not(sample->flags & VMT_SAMPLE_UNCONFIRMED, "%s: a group of '%s' is open", c->story, sample->id);
        cr_assert(strcmp(sample->schema->name, "part") != 0 || sample->flags & VMT_SAMPLE_TORN ||
                      group_agrees(sample->values),
                  "%s: the group of '%s' disagrees", c->story, sample->id);
    }
}

/* Only source 0 is left; in source 0 is all that was counted. */
static inline void assert_all_removed(const struct watcher *w, const struct course *c)
{
    cr_assert_eq(vmt_snapshot_count(w->snapshot), 1, "%s: '%s' is there still", c->story,
                 vmt_snapshot_source(w->snapshot, 1)->id);
    assert_sound(c, VMT_STATE_LIVE);
}

/* A life, looked at wherever it pauses, that ends where the course says. Returns whether it was to its very end. */
static inline bool live(struct course *c, child_fn *life, struct watcher *attached[2])
{
    pid_t pid = start_child(life, c);
    int status = 0;
    bool alive = true;

    for (int stage = NAMED; stage <= CLOSED; stage++) {
        alive = await(pid, c, stage, &status);
        if (!alive)
            break;
        if (stage == NAMED)
            c->incarnation++;
        attach_both(c, attached);
        for (int i = 0; i < 2; i++)
            look(attached[i], c, stage == CLOSED ? VMT_STATE_CLOSED : VMT_STATE_LIVE);
        if (stage == NAMED && life == next_life)
            assert_groups_closed(attached[0], c);
        if (stage == REMOVED && life == next_life)
            assert_all_removed(attached[0], c);
        say(&c->allowed, stage);
    }
    if (alive)
        cr_assert_eq(end_of(pid), 0, "%s: it failed", c->story);
    else
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: it failed", c->story);
    return alive;
}

/* What all see of a writer that died. */
static inline void look_at_the_dead(struct course *c, struct watcher *attached[2])
{
    struct vmt_reader *reader = NULL;
    struct shm_header h;
    enum vmt_state state;
    int r = vmt_reader_open(path_of(c), NULL, &reader);

    if (r == (c->jail ? -ENODATA : -ENOENT) && !attached[0])
        return; /* before it was a segment */
    cr_assert_eq(r, 0, "%s: %s", c->story, strerror(-r));
    vmt_reader_close(reader);
    h = header_of(c);
    cr_assert(h.incarnation - c->incarnation <= 1, "%s: incarnation %llu after %llu", c->story,
              (unsigned long long)h.incarnation, (unsigned long long)c->incarnation);
    c->incarnation = h.incarnation;
    state = h.lifecycle == SHM_CLOSED ? VMT_STATE_CLOSED : h.structure & 1 ? VMT_STATE_DIED_MID_CHANGE : VMT_STATE_DIED;
    for (int i = 0; i < 2; i++) {
        struct watcher *late = watcher_new(c, i ? VMT_READ_COPY : VMT_READ_GUARDED);

        if (attached[i])
            look(attached[i], c, state);
        look(late, c, state);
        watcher_free(late);
    }
    assert_sound(c, state);
}

#endif
