/* SPDX-License-Identifier: MIT */
/* What happens to a file while a reader is attached to it: cut off at every page and at every read, grown, replaced,
 * unlinked, closed to us, given holes. The verdict is on that segment only; all others of the process go on. */
#include "tests/unit/parts.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "tests/race/between_reads.h"

#define PAGE 4096U
#define FILE_BYTES (16 * PAGE)

static _Alignas(8) uint8_t sound[FILE_BYTES];
static char *path;  /* what things happen to */
static char *other; /* its twin, to which nothing does */
static struct vmt_reader *others[2];
static struct vmt_snapshot *snapshot;

static void write_sound(const char *to)
{
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    cr_assert_eq(write(fd, sound, sizeof(sound)), FILE_BYTES);
    close(fd);
}

/* Not the file that it was, but a new one of that name. */
static void renew(void)
{
    unlink(path);
    write_sound(path);
}

static void setup(void)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "vm", .keep = 1, .fixed_bytes = FILE_BYTES, .max_sources = 30
    };
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *gone;
    int fd;

    test_dir_init();
    path = strdup(test_path("vm.vmt"));
    other = strdup(test_path("other.vmt"));
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vm = add_source(segment, &small_schema, NULL, "vm");
    vmt_add(vmt_shard_acquire(add_source(segment, &part_schema, vm, "a")), P_EVENTS, 5);
    for (int i = 0; i < 25; i++) { /* so that all pages are in use */
        struct vmt_source *more = NULL;

        if (vmt_source_addf(segment, &part_schema, vm, &more, "s-%d", i) == 0)
            vmt_latency(vmt_shard_acquire(more), P_TIME, P_TIME_BUCKETS, 100);
    }
    gone = add_source(segment, &part_schema, vm, "gone");
    vmt_count(gone, P_EVENTS, 1000);
    vmt_source_remove(gone);
    vmt_segment_close(segment);
    fd = open(path, O_RDONLY);
    cr_assert_eq(read(fd, sound, sizeof(sound)), FILE_BYTES);
    close(fd);
    write_sound(other);
    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++)
        others[mode] = attach(other, (enum vmt_read_mode)mode);
    snapshot = new_snapshot();
}

static void teardown(void)
{
    vmt_snapshot_free(snapshot);
    for (int i = 0; i < 2; i++)
        vmt_reader_close(others[i]);
    free(path);
    free(other);
    test_dir_fini();
}

TestSuite(changes, .init = setup, .fini = teardown);

/* To no other segment of this process has anything happened. */
static void assert_others_go_on(void)
{
    for (int i = 0; i < 2; i++) {
        take(snapshot, others[i]);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, i == VMT_READ_GUARDED ? VMT_SNAPSHOT_MAPPED : 0);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_CLOSED);
        cr_assert_eq(value_of(snapshot, "vm/a", P_EVENTS), 5);
    }
}

static void assert_damaged(struct vmt_reader *reader)
{
    cr_assert_eq(vmt_snapshot_take(snapshot, reader), -EBADMSG);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_DAMAGED);
    cr_assert_eq(vmt_snapshot_count(snapshot), 0);
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_DAMAGED);
}

/* ---- cut off ---- */

Test(changes, cut_off_at_every_page_it_is_damaged, .timeout = 60)
{
    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++)
        for (off_t n = 0; n < FILE_BYTES; n += n % PAGE ? PAGE - 1 : n % (2 * PAGE) ? PAGE : 1) {
            struct vmt_reader *reader = attach(path, (enum vmt_read_mode)mode);

            take(snapshot, reader);
            cr_assert_eq(value_of(snapshot, "vm/a", P_EVENTS), 5);
            cr_assert_eq(truncate(path, n), 0);
            assert_damaged(reader);
            assert_others_go_on();
            cr_assert_eq(truncate(path, FILE_BYTES), 0); /* as large as before, but who did that may do anything */
            assert_damaged(reader);
            vmt_reader_close(reader);
            renew();
        }
}

/* ---- at every read: those of the reader under test come here first ---- */

static bool armed;
static unsigned reads; /* of this snapshot */
static unsigned due;
static off_t cut_to;

static void between_reads(void)
{
    if (!armed || reads++ != due)
        return;
    cr_assert_eq(truncate(path, cut_to), 0);
}

Test(changes, cut_off_at_every_read_it_is_damaged, .timeout = 120)
{
    static const off_t sizes[] = { 0, 1, PAGE - 8, PAGE, 2 * PAGE, 5 * PAGE + 8, FILE_BYTES - PAGE };

    for (int way = 0; way < 4; way++) {
        unsigned damaged = 0;

        for (due = 0;; due++) {
            struct vmt_reader *reader = attach(path, way & 1 ? VMT_READ_GUARDED : VMT_READ_COPY);
            int r;

            vmt_snapshot_want_shards(snapshot, way & 2);
            take(snapshot, reader);
            reads = 0;
            cut_to = sizes[due % LENGTH(sizes)];
            armed = true;
            r = vmt_snapshot_take(snapshot, reader);
            armed = false;
            if (reads <= due) { /* it does not read that often */
                cr_assert_eq(r, 0);
                vmt_reader_close(reader);
                break;
            }
            damaged += r == -EBADMSG;
            cr_assert(r == -EBADMSG || r == 0, "%d: read %u, cut to %ld: %d", way, due, (long)cut_to, r);
            if (r == 0) /* all that it wanted was still there */
                cr_assert_eq(value_of(snapshot, "vm/a", P_EVENTS), 5);
            assert_damaged(reader);
            assert_others_go_on();
            vmt_reader_close(reader);
            renew();
        }
        cr_assert_gt(damaged, 10, "way %d: damaged %u times only", way, damaged);
        fprintf(stderr, "# way %d: cut off at %u reads, seen %u times by the same snapshot\n", way, due, damaged);
    }
    vmt_snapshot_want_shards(snapshot, 0);
}

/* ---- by many threads ---- */

#define THREADS 8

struct watch {
    pthread_t thread;
    char path[256];
    bool is_cut;
    int mode;
    unsigned whole, damaged, odd;
};

static int stop;

static void count_one(unsigned *n) { __atomic_store_n(n, *n + 1, __ATOMIC_RELAXED); }

static void *watch_it(void *arg)
{
    struct watch *w = arg;
    struct vmt_snapshot *s = NULL;

    REQUIRE(vmt_snapshot_new(&s) == 0);
    while (!said(&stop)) {
        struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = (enum vmt_read_mode)w->mode };
        struct vmt_reader *reader = NULL;
        int r = vmt_reader_open(w->path, &options, &reader);

        for (int i = 0; r == 0 && i < 50; i++) {
            r = vmt_snapshot_take(s, reader);
            if (r == 0)
                count_one(&w->whole);
        }
        if (r == 1 || r == -EBADMSG || r == -ENODATA || r == -EMEDIUMTYPE) /* 1: it was cut off before it was opened */
            count_one(&w->damaged);
        else if (r != 0 && r != -ENOENT)
            count_one(&w->odd);
        if (reader)
            vmt_reader_close(reader);
    }
    vmt_snapshot_free(s);
    return NULL;
}

/* What there is to be seen: on a slow machine it takes its time. */
static bool all_have_seen(const struct watch *watches)
{
    for (int i = 0; i < THREADS; i++)
        if (!__atomic_load_n(&watches[i].whole, __ATOMIC_RELAXED) ||
            (watches[i].is_cut && !__atomic_load_n(&watches[i].damaged, __ATOMIC_RELAXED)))
            return false;
    return true;
}

/* Every second file is cut off all the time, and only those who read it notice. */
Test(changes, cut_off_under_many_threads_is_seen_by_those_who_read_it, .timeout = 120)
{
    struct watch watches[THREADS] = { 0 };
    uint64_t start = vmt_clock_ns();
    unsigned seed = 1;

    for (int i = 0; i < THREADS; i++) {
        struct watch *w = &watches[i];
        char name[16];

        snprintf(name, sizeof(name), "t-%d.vmt", i);
        snprintf(w->path, sizeof(w->path), "%s", test_path(name));
        w->is_cut = i & 1;
        w->mode = i & 2 ? VMT_READ_COPY : VMT_READ_GUARDED;
        write_sound(w->path);
        cr_assert_eq(pthread_create(&w->thread, NULL, watch_it, w), 0);
    }
    while (vmt_clock_ns() - start < 1500000000U || (!all_have_seen(watches) && vmt_clock_ns() - start < 60000000000U)) {
        struct watch *w = &watches[1 + 2 * ((unsigned)rand_r(&seed) % (THREADS / 2))];
        char new_one[300];

        nap_us(rand_r(&seed) % 300);
        cr_assert_eq(truncate(w->path, rand_r(&seed) % (int)FILE_BYTES), 0);
        nap_us(rand_r(&seed) % 300);
        snprintf(new_one, sizeof(new_one), "%s.new", w->path);
        write_sound(new_one);
        cr_assert_eq(rename(new_one, w->path), 0);
    }
    say(&stop, 1);
    for (int i = 0; i < THREADS; i++) {
        struct watch *w = &watches[i];

        pthread_join(w->thread, NULL);
        cr_expect_gt(w->whole, 0, "thread %d read nothing", i);
        cr_expect_eq(w->damaged != 0, w->is_cut, "thread %d: damaged %u times", i, w->damaged);
        cr_expect_eq(w->odd, 0, "thread %d: other answers", i);
    }
    assert_others_go_on();
}

/* ---- and the rest ---- */

struct change {
    const char *what;
    void (*make)(void);
    uint32_t flags; /* of the snapshot after it */
};

static void grow(void) { cr_assert_eq(truncate(path, 3 * FILE_BYTES), 0); }

static void append(void)
{
    int fd = open(path, O_WRONLY | O_APPEND);

    cr_assert_eq(write(fd, sound, sizeof(sound)), FILE_BYTES);
    close(fd);
}

static void replace(void)
{
    write_sound(test_path("new"));
    cr_assert_eq(truncate(test_path("new"), 100), 0);
    cr_assert_eq(rename(test_path("new"), path), 0);
}

static void unlink_it(void) { cr_assert_eq(unlink(path), 0); }
static void rename_it(void) { cr_assert_eq(rename(path, test_path("elsewhere")), 0); }
static void take_rights(void) { cr_assert_eq(chmod(path, 0), 0); }
static void take_directory_rights(void) { cr_assert_eq(chmod(test_path(""), 0), 0); }

static void link_it(void)
{
    unlink_it();
    cr_assert_eq(symlink("other.vmt", path), 0);
}

static const struct change changes[] = {
    { "grown, sparse", grow, 0 },
    { "grown", append, 0 },
    { "replaced by rename", replace, VMT_SNAPSHOT_UNLINKED },
    { "unlinked", unlink_it, VMT_SNAPSHOT_UNLINKED },
    { "renamed", rename_it, 0 },
    { "a link in its place", link_it, VMT_SNAPSHOT_UNLINKED },
    { "without permission", take_rights, 0 },
    { "in a directory without permission", take_directory_rights, 0 },
};

static void try_change(void *arg)
{
    const struct change *change = arg;

    for (int mode = VMT_READ_COPY; mode <= VMT_READ_GUARDED; mode++) {
        struct vmt_reader *reader = attach(path, (enum vmt_read_mode)mode);
        uint32_t flags;

        change->make();
        cr_assert_eq(vmt_snapshot_take(snapshot, reader), 0, "%s", change->what);
        flags = vmt_snapshot_segment(snapshot)->flags;
        cr_assert_eq(value_of(snapshot, "vm/a", P_EVENTS), 5, "%s", change->what);
        cr_assert_eq(total_of(snapshot, "vm", P_EVENTS), 1005, "%s", change->what);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_CLOSED, "%s", change->what);
        cr_assert_eq(flags & ~VMT_SNAPSHOT_MAPPED, change->flags, "%s: %u", change->what, flags);
        vmt_reader_close(reader);
        chmod(test_path(""), 0700);
        renew();
    }
}

Test(changes, of_other_kinds_leave_what_is_attached_readable)
{
    for (size_t i = 0; i < LENGTH(changes); i++) {
        try_change((void *)(uintptr_t)&changes[i]);
        assert_others_go_on();
    }
}

static blkcnt_t blocks(void)
{
    struct stat st;

    cr_assert_eq(stat(path, &st), 0);
    return st.st_blocks;
}

/* Zeros in the middle: an answer, and no page of the file system's is allocated by reading. */
Test(changes, holes_have_an_answer_and_cost_nothing)
{
    unsigned damaged = 0;

    for (int way = 0; way < 4; way++)
        for (uint32_t page = 0; page < FILE_BYTES / PAGE; page++) {
            struct vmt_reader *reader = attach(path, way & 1 ? VMT_READ_GUARDED : VMT_READ_COPY);
            int fd = open(path, O_RDWR);
            blkcnt_t before;
            int r;

            vmt_snapshot_want_shards(snapshot, way & 2);
            take(snapshot, reader);
            cr_assert_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * PAGE, PAGE), 0);
            before = blocks();
            r = vmt_snapshot_take(snapshot, reader);
            cr_expect(r == 0 || r == 1 || r == -EBADMSG, "page %u: %s", page, strerror(-r));
            cr_expect(page > 1 || r == -EBADMSG, "page %u: %d", page, r);
            damaged += r != 0;
            /* The header is looked at before it is known where holes may be. */
            cr_expect_leq(blocks() - before, page ? 0 : 8, "page %u, way %d: reading allocated", page, way);
            close(fd);
            vmt_reader_close(reader);
            renew();
        }
    cr_assert_gt(damaged, 16);
    vmt_snapshot_want_shards(snapshot, 0);
    assert_others_go_on();
}
