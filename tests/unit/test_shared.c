/* SPDX-License-Identifier: MIT */
/* What the readers of one process share: schemas that are the same, and the memory that is needed only while they read.
 * Neither makes them depend on each other. */
#include "parts.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>

#include "lib/parsed.h"
#include "lib/workspace.h"

static struct vmt_segment *segments[2];

static void setup(void)
{
    test_dir_init();
    segments[0] = new_segment("vm-0");
    segments[1] = new_segment("vm-1");
}

static void teardown(void)
{
    vmt_segment_close(segments[0]);
    vmt_segment_close(segments[1]);
    test_dir_fini();
}

TestSuite(shared, .init = setup, .fini = teardown);

/* ---- schemas ---- */

struct look {
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
};

static struct look look_at(const char *path, enum vmt_read_mode mode)
{
    struct look look = { attach(path, mode), new_snapshot() };

    take(look.snapshot, look.reader);
    return look;
}

static void look_away(struct look *look)
{
    vmt_reader_close(look->reader);
    vmt_snapshot_free(look->snapshot);
}

static const struct vmt_schema *schema_of(const struct look *look, const char *id)
{
    return sample_of(look->snapshot, id)->schema;
}

Test(shared, of_equal_schemas_in_two_segments_there_is_one)
{
    struct look looks[2];

    for (int i = 0; i < 2; i++) {
        /* In another order, so that they lie elsewhere and lead elsewhere. */
        add_source(segments[i], i ? &part_schema : &small_schema, NULL, i ? "part" : "small");
        add_source(segments[i], i ? &small_schema : &part_schema, NULL, i ? "small" : "part");
        looks[i] = look_at(vmt_segment_path(segments[i]), i ? VMT_READ_GUARDED : VMT_READ_COPY);
    }
    cr_assert_eq(schema_of(&looks[0], "part"), schema_of(&looks[1], "part"));
    cr_assert_eq(schema_of(&looks[0], "small"), schema_of(&looks[1], "small"));
    cr_assert_neq(schema_of(&looks[0], "small"), schema_of(&looks[0], "part"));
    look_away(&looks[0]);
    looks[0] = look_at(vmt_segment_path(segments[0]), VMT_READ_COPY);
    cr_assert_eq(schema_of(&looks[0], "part"), schema_of(&looks[1], "part"));
    look_away(&looks[0]);
    look_away(&looks[1]);
}

Test(shared, a_schema_stays_until_the_last_who_has_it_lets_go)
{
    struct look looks[2];
    const struct vmt_schema *schema;

    for (int i = 0; i < 2; i++) {
        add_source(segments[i], &part_schema, NULL, "a");
        looks[i] = look_at(vmt_segment_path(segments[i]), VMT_READ_COPY);
    }
    schema = schema_of(&looks[0], "a");
    look_away(&looks[0]);
    vmt_reader_close(looks[1].reader);
    looks[1].reader = NULL;
    cr_assert_eq(schema_of(&looks[1], "a"), schema);
    cr_assert_str_eq(schema->descriptors[P_EVENTS].help, "Events");
    cr_assert_not_null(vmt_schema_find(schema, "io_sum"));
    look_away(&looks[1]);
}

/* All the same but a word of help, or a name: each segment is shown its own. */
Test(shared, what_one_segment_says_is_not_seen_in_another)
{
    struct vmt_descriptor descriptors[2][2];
    struct vmt_schema schemas[2];
    static const char *const helps[] = { "What it is", "What it iz" };
    struct look looks[2];

    for (int i = 0; i < 2; i++) {
        memcpy(descriptors[i], small_schema.descriptors, sizeof(descriptors[i]));
        descriptors[i][1].help = helps[i];
        schemas[i] = small_schema;
        schemas[i].descriptors = descriptors[i];
        add_source(segments[i], &schemas[i], NULL, "a");
        looks[i] = look_at(vmt_segment_path(segments[i]), VMT_READ_COPY);
    }
    for (int i = 0; i < 2; i++)
        cr_assert_str_eq(schema_of(&looks[i], "a")->descriptors[1].help, helps[i]);
    look_away(&looks[0]);
    look_away(&looks[1]);
}

/* A file in which one schema stands twice: what departed with either is not lost. */
Test(shared, what_stands_twice_in_one_file_is_two_schemas)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "twins", .keep = 1 };
    struct vmt_segment *segment = NULL;
    struct vmt_schema schemas[2];
    uint64_t events[2] = { 0 };
    unsigned found = 0;
    struct look look;
    char *path;
    struct stat st;
    char *bytes;
    int fd;

    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct vmt_source *parent, *child;

        schemas[i] = small_schema;
        schemas[i].name = i ? "twin-1" : "twin-0";
        parent = i ? NULL : add_source(segment, &part_schema, NULL, "parent");
        if (i)
            cr_assert_eq(vmt_source_find(segment, "parent", &parent), 0);
        child = add_source(segment, &schemas[i], parent, "child");
        vmt_count(child, S_EVENTS, 5 + i);
        vmt_source_remove(child);
    }
    path = strdup(vmt_segment_path(segment));
    vmt_segment_close(segment);
    fd = open(path, O_RDWR);
    cr_assert_eq(fstat(fd, &st), 0);
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(bytes, MAP_FAILED);
    close(fd);
    for (off_t i = 0; i + 8 <= st.st_size; i += 8) {
        if (memcmp(bytes + i, "twin-1", 7) == 0) {
            bytes[i + 5] = '0';
            found++;
        }
    }
    munmap(bytes, (size_t)st.st_size);
    cr_assert_eq(found, 2, "its name, and the KVM header's: %u", found);
    look = look_at(path, VMT_READ_COPY);
    found = 0;
    for (uint32_t t = 0; t < sample_of(look.snapshot, "parent")->total_count; t++) {
        const struct vmt_total *total = &sample_of(look.snapshot, "parent")->totals[t];

        if (strcmp(total->schema->name, "twin-0") == 0) {
            cr_assert_lt(found, 2);
            cr_assert_eq(total->values[S_EVENTS], total->departed[S_EVENTS]);
            events[found++] = total->departed[S_EVENTS];
        }
    }
    cr_assert_eq(found, 2);
    cr_assert_eq(events[0] + events[1], 5 + 6);
    look_away(&look);
    unlink(path);
    free(path);
}

/* A good block of one statistic, of which n is all that differs. */
static struct shm_schema *block_of(unsigned n)
{
    const uint32_t bytes = sizeof(struct shm_schema) + 24 + VMT_NAME_SIZE + sizeof(struct vmt_kvm_desc) +
                           sizeof(struct shm_side) + 1; /* the rest up to 8 bytes is anything */
    struct shm_schema *s = malloc(shm_round(bytes, 8));
    struct vmt_kvm_header *kvm = (void *)(s + 1);

    cr_assert_not_null(s);
    memset(s, 0, bytes);
    s->next = n * 977; /* where the others are says nothing of this one */
    s->block_bytes = bytes;
    s->slots = s->descriptors = 1;
    s->kvm_offset = sizeof(*s);
    s->side_offset = s->kvm_offset + 24 + VMT_NAME_SIZE + (uint32_t)sizeof(struct vmt_kvm_desc);
    s->side_bytes = sizeof(struct shm_side);
    s->strings_offset = s->side_offset + s->side_bytes;
    s->strings_bytes = 1;
    snprintf(s->name, sizeof(s->name), "s-%u", n);
    *kvm = (struct vmt_kvm_header){ .name_size = VMT_NAME_SIZE, .num_desc = 1, .id_offset = 24, .desc_offset = 72 };
    ((struct vmt_kvm_desc *)(void *)((char *)kvm + 72))->size = 1;
    return s;
}

static size_t memory_in_use(void)
{
    struct mallinfo2 now = mallinfo2();

    return now.uordblks + now.hblkhd;
}

#define MANY 20000U

static void get_and_release_many(void)
{
    static struct parsed *all[MANY];

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            struct parsed *p = parsed_get(block_of(i), NULL, 0);

            cr_assert_not_null(p);
            cr_assert(round == 0 || p == all[i]);
            all[i] = p;
        }
    }
    for (unsigned i = 0; i < MANY; i++) {
        char name[24];

        snprintf(name, sizeof(name), "s-%u", i);
        cr_assert_str_eq(all[i]->schema.name, name);
        parsed_release(all[i]);
    }
    for (unsigned i = MANY; i-- > 0;) {
        struct parsed *twin = parsed_get(block_of(i), &all[i], 1);

        cr_assert_neq(twin, all[i], "it was to be none of those");
        parsed_release(all[i]);
        parsed_release(twin);
    }
}

Test(shared, of_very_many_schemas_each_is_found_and_none_is_left)
{
    size_t before;

    get_and_release_many(); /* what malloc keeps for itself it has from here on */
    before = memory_in_use();
    get_and_release_many();
    cr_assert(SANITIZED || memory_in_use() < before + MANY, "%zu bytes are left", memory_in_use() - before);
}

/* ---- memory that is needed only while reading ---- */

#define READERS 200U

/* How much that many readers of it hold, with a snapshot each. */
static size_t held_by_many(const char *path)
{
    static struct look looks[READERS];
    size_t before = memory_in_use();
    size_t after;

    for (unsigned i = 0; i < READERS; i++)
        looks[i] = look_at(path, VMT_READ_COPY);
    after = memory_in_use();
    for (unsigned i = 0; i < READERS; i++)
        look_away(&looks[i]);
    return after - before;
}

Test(shared, many_readers_hold_little_each_and_the_last_one_leaves_nothing)
{
    struct vmt_source *vcpu = NULL;
    size_t before, held;

    if (SANITIZED)
        cr_skip_test("their malloc is another one");
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(vmt_source_addf(segments[0], &vmt_schema_vcpu, NULL, &vcpu, "vcpu-%d", i), 0);
        vmt_add(vmt_shard_acquire(vcpu), 0, 1);
    }
    held_by_many(vmt_segment_path(segments[0])); /* what malloc keeps for itself it has from here on */
    before = memory_in_use();
    held = held_by_many(vmt_segment_path(segments[0]));
    cr_assert_lt(held, sizeof(struct workspace) + READERS * 28000, "%zu bytes each", held / READERS);
    /* A few small ones are malloc's own again. */
    cr_assert_lt(memory_in_use(), before + READERS * 200, "%zu bytes are left", memory_in_use() - before);
}

/* ---- threads ---- */

#define THREADS 8
#define SHARDS 3

static int stop;
static int rounds;

static void read_once(const char *path, enum vmt_read_mode mode, bool shards)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = mode };
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_reader *reader = NULL;
    const struct vmt_sample *a;
    uint64_t values[P_SLOTS];

    REQUIRE(vmt_reader_open(path, &options, &reader) == 0);
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    vmt_snapshot_want_shards(snapshot, shards);
    for (int k = 0; k < 3; k++) {
        REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
        a = vmt_snapshot_find(snapshot, "a");
        REQUIRE(a && a->values[P_EVENTS] == SHARDS * 7 && a->values[P_TIME] == SHARDS);
        REQUIRE(a->shard_count == (shards ? SHARDS + 1 : 0));
        for (int i = 0; i < 20; i++) {
            memset(values, 0, sizeof(values));
            REQUIRE(vmt_reader_sample(reader, a, values) == 0);
            REQUIRE(memcmp(values, a->values, sizeof(values)) == 0);
        }
        REQUIRE(strcmp(a->schema->descriptors[P_EVENTS].help, "Events") == 0);
    }
    vmt_reader_close(reader);
    vmt_snapshot_free(snapshot);
}

static void *keep_reading(void *arg)
{
    unsigned n = (unsigned)(uintptr_t)arg;

    for (unsigned i = n; !said(&stop); i++) {
        read_once(vmt_segment_path(segments[i % 2]), i & 2 ? VMT_READ_GUARDED : VMT_READ_COPY, i & 4);
        __atomic_fetch_add(&rounds, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void start_reading(pthread_t threads[THREADS], int n)
{
    for (int i = 0; i < 2; i++) {
        struct vmt_shard *shards[SHARDS];

        vmt_shards_acquire(add_source(segments[i], &part_schema, NULL, "a"), SHARDS, shards);
        for (int k = 0; k < SHARDS; k++) {
            vmt_add(shards[k], P_EVENTS, 7);
            vmt_latency(shards[k], P_TIME, P_TIME_BUCKETS, 1);
        }
        vmt_count(add_source(segments[i], &small_schema, NULL, "b"), 0, 1);
    }
    /* The shared shard, used, with nothing in it. */
    for (int i = 0; i < 2; i++) {
        struct vmt_source *a = NULL;

        cr_assert_eq(vmt_source_find(segments[i], "a", &a), 0);
        vmt_count(a, P_EVENTS, 0);
    }
    for (int i = 0; i < n; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, keep_reading, (void *)(uintptr_t)i), 0);
}

static void end_reading(const pthread_t threads[THREADS], int n)
{
    say(&stop, 1);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

Test(shared, readers_of_many_threads_come_go_and_read_at_once, .timeout = 60)
{
    pthread_t threads[THREADS];

    start_reading(threads, THREADS);
    cr_assert(reached(&rounds, SANITIZED ? 200 : 4000));
    end_reading(threads, THREADS);
}

static void read_in_child(void *arg)
{
    alarm(20); /* it waits for what a thread of its parent had: that thread is not here */
    read_once(arg, VMT_READ_COPY, false);
}

Test(shared, a_child_reads_whatever_its_parents_threads_were_about, .timeout = 60)
{
    pthread_t threads[THREADS];

    if (SANITIZED)
        cr_skip_test("their own locks may be held for good in a child of threads");
    start_reading(threads, 2);
    for (int i = 0; i < 200; i++)
        assert_child(read_in_child, (void *)(uintptr_t)vmt_segment_path(segments[i % 2]));
    end_reading(threads, 2);
}
