/* SPDX-License-Identifier: MIT */
/* A writer that dies, or stops, between any two steps of any structural change, and the next one that goes on in its
 * segment, and dies in that: what was counted is there, once, for who was attached and for who comes then; and the
 * verdict is exact. The library is built for this with its named points (lib/point.h); a point in its sources that
 * nothing here passes is a failure. */
#include "tests/race/course.h"

#include <glob.h>

#define VMT_POINTS
#include "lib/point.h"

#define STALL_US 600000
#define JAIL_BYTES (1U << 20)

TestSuite(points, .init = test_dir_init, .fini = test_dir_fini);

void vmt_point(const char *name) { course_point(name); }

/* One life without an accident: how often it passes each point. */
static void survey(struct course *c, uint64_t jail, struct visited *once)
{
    struct watcher *attached[2] = { NULL };

    new_course(c, "survey", jail);
    new_life(c, "", 0, SIGKILL, ADOPT);
    cr_assert(live(c, first_life, attached));
    detach_both(attached);
    *once = c->passed;
    cr_assert_gt(once->count, 0);
}

/* Each name in POINT("name") in the library's sources has been passed. */
static void assert_all_points_passed(void)
{
    const char *root = getenv("VMT_SOURCE_ROOT");
    unsigned names = 0;
    char pattern[4096];
    glob_t files;

    cr_assert_not_null(root, "VMT_SOURCE_ROOT is not set");
    snprintf(pattern, sizeof(pattern), "%s/lib/*.c", root);
    cr_assert_eq(glob(pattern, 0, NULL, &files), 0, "%s", pattern);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        FILE *f = fopen(files.gl_pathv[i], "r");
        char line[512];

        cr_assert_not_null(f, "%s: %m", files.gl_pathv[i]);
        while (fgets(line, sizeof(line), f)) {
            const char *p = strstr(line, "POINT(\"");
            char name[NAME_MAX_BYTES] = "";

            if (!p || sscanf(p, "POINT(\"%47[^\"]", name) != 1)
                continue;
            names++;
            cr_assert_gt(*visits_of(visited, name), 0, "no test passes '%s' of %s", name, files.gl_pathv[i]);
        }
        fclose(f);
    }
    globfree(&files);
    cr_assert_gt(names, 0, "no points in %s", pattern);
}

/* Where and how a life ends. */
struct death {
    const char *point; /* NULL: it does not die */
    unsigned nth;
};

/* The first life dies; so does, where it is to, the next one, which goes on in that way; then one goes on to its end.
 * What the second life passed is put into *passed. */
static void die_and_go_on(struct course *c, uint64_t jail, struct death first, enum way way, struct death second,
                          struct visited *passed)
{
    struct watcher *attached[2] = { NULL };

    new_course(c, "course", jail);
    new_life(c, first.point, first.nth, SIGKILL, ADOPT);
    cr_assert_not(live(c, first_life, attached), "%s: it did not pass there", c->story);
    look_at_the_dead(c, attached);
    new_life(c, second.point ? second.point : "", second.nth, SIGKILL, way);
    cr_assert_eq(live(c, next_life, attached), !second.point, "%s: it did not pass there", c->story);
    *passed = c->passed;
    if (second.point) {
        look_at_the_dead(c, attached);
        new_life(c, "", 0, SIGKILL, (way + 1) % WAYS);
        cr_assert(live(c, next_life, attached));
    }
    detach_both(attached);
    cr_assert_eq(unlink(path_of(c)), 0);
}

static bool first_or_last(unsigned nth, unsigned visits) { return nth == 1 || nth == visits; }

Test(points, death_at_each_loses_nothing_and_counts_nothing_twice)
{
    struct visited once, again, ignored;
    struct course *c = shared_memory(sizeof(*c));
    unsigned deaths = 0;
    unsigned second_deaths = 0;

    visited = shared_memory(sizeof(*visited));
    survey(c, 0, &once);
    for (unsigned p = 0; p < once.count; p++) {
        unsigned visits = once.point[p].visits;

        for (unsigned nth = 1; nth <= visits; nth++) {
            struct death first = { once.point[p].name, nth };
            enum way way = (p + nth) % WAYS;

            die_and_go_on(c, 0, first, way, (struct death){ NULL, 0 }, &again);
            deaths++;
            for (unsigned q = 0; q < again.count && first_or_last(nth, visits); q++) {
                if (SANITIZED && (p + nth + q) % 5) /* slow, and about memory, not protocol */
                    continue;
                die_and_go_on(c, 0, first, way, (struct death){ again.point[q].name, 1 }, &ignored);
                second_deaths++;
            }
        }
    }
    assert_all_points_passed();
    fprintf(stderr, "# points: %u deaths at %u points, %u of them once more while the next one went on\n", deaths,
            once.count, second_deaths);
}

/* In place, in a file that is neither renamed nor grows. */
Test(points, death_at_each_in_a_jail_too)
{
    struct visited once, again;
    struct course *c = shared_memory(sizeof(*c));

    visited = shared_memory(sizeof(*visited));
    survey(c, JAIL_BYTES, &once);
    for (unsigned p = 0; p < once.count; p++) {
        for (unsigned nth = 1; nth <= once.point[p].visits; nth++) {
            if (first_or_last(nth, once.point[p].visits))
                die_and_go_on(c, JAIL_BYTES, (struct death){ once.point[p].name, nth }, (p + nth) % WAYS,
                              (struct death){ NULL, 0 }, &again);
        }
    }
}

/* ---- stopped there ---- */

struct stopped {
    struct course *course;
    struct watcher *attached[2];
    pid_t pid;
};

/* A life that goes on to where it stops: the first one or, after a death, the next. */
static void stop_at(struct stopped *s, const struct death *first, const char *point, unsigned nth)
{
    static unsigned number;
    struct course *c = shared_memory(sizeof(*c));
    char name[24];
    int status = 0;

    snprintf(name, sizeof(name), "stop-%u", number++);
    new_course(c, name, 0);
    s->course = c;
    if (first) {
        new_life(c, first->point, first->nth, SIGKILL, ADOPT);
        cr_assert_not(live(c, first_life, s->attached));
    }
    new_life(c, point, nth, SIGSTOP, ADOPT);
    s->pid = start_child(first ? next_life : first_life, c);
    for (int stage = NAMED; stage <= CLOSED; stage++) {
        while (__atomic_load_n(&c->stage, __ATOMIC_ACQUIRE) < stage && !status) {
            cr_assert_geq(waitpid(s->pid, &status, WUNTRACED | WNOHANG), 0);
            nap_us(20);
        }
        if (status)
            break;
        attach_both(c, s->attached);
        say(&c->allowed, stage);
    }
    cr_assert(WIFSTOPPED(status), "%s: it failed", c->story);
    cr_assert(s->attached[0] || access(path_of(c), F_OK) < 0, "%s: it has a name and is not whole", c->story);
}

static void look_at_the_stopped(struct stopped *s, bool long_since)
{
    struct shm_header h;

    if (!s->attached[0])
        return;
    h = header_of(s->course);
    s->course->incarnation = h.incarnation;
    for (int i = 0; i < 2; i++)
        look(s->attached[i], s->course,
             h.lifecycle == SHM_CLOSED       ? VMT_STATE_CLOSED
             : h.structure & 1 && long_since ? VMT_STATE_STALLED
                                             : VMT_STATE_LIVE);
}

static void go_on_to_the_end(struct stopped *s)
{
    struct course *c = s->course;
    int status = 0;

    cr_assert_eq(kill(s->pid, SIGCONT), 0);
    for (int stage = c->allowed + 1; stage <= CLOSED; stage++) {
        cr_assert(await(s->pid, c, stage, &status), "%s: it failed", c->story);
        attach_both(c, s->attached);
        look_at_the_stopped(s, false);
        say(&c->allowed, stage);
    }
    cr_assert_eq(end_of(s->pid), 0, "%s: it failed", c->story);
    detach_both(s->attached);
}

static bool passes(const struct visited *v, const char *name)
{
    for (unsigned i = 0; i < v->count; i++)
        if (strcmp(v->point[i].name, name) == 0)
            return true;
    return false;
}

Test(points, a_stop_at_each_withholds_nothing_and_is_a_stall_in_a_change_only)
{
    static const struct death in_a_change = { "fold_into_parent: added", 1 };
    struct stopped stopped[2 * POINTS_MAX] = { 0 };
    struct visited once, again;
    struct course *c = shared_memory(sizeof(*c));
    unsigned count = 0;

    visited = shared_memory(sizeof(*visited));
    survey(c, 0, &once);
    for (unsigned p = 0; p < once.count; p++) {
        for (unsigned nth = 1; nth <= once.point[p].visits; nth++)
            if (first_or_last(nth, once.point[p].visits))
                stop_at(&stopped[count++], NULL, once.point[p].name, nth);
    }
    die_and_go_on(c, 0, in_a_change, ADOPT, (struct death){ NULL, 0 }, &again);
    for (unsigned p = 0; p < again.count; p++)
        if (!passes(&once, again.point[p].name))
            stop_at(&stopped[count++], &in_a_change, again.point[p].name, 1);
    for (unsigned i = 0; i < count; i++)
        look_at_the_stopped(&stopped[i], false);
    nap_us(STALL_US);
    for (unsigned i = 0; i < count; i++)
        look_at_the_stopped(&stopped[i], true);
    for (unsigned i = 0; i < count; i++)
        go_on_to_the_end(&stopped[i]);
    fprintf(stderr, "# points: %u stops\n", count);
}
