/* SPDX-License-Identifier: MIT */
/* What hostile files cost: 1,000 of them no more than so many times what 1,000 good ones of the same size do, in time of
 * the CPU, in bytes read and in memory. Made of a good one that is full to the brim: a row is what was done to it. */
#include "tests/unit/parts.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shm/layout.h"

#define FILE_BYTES (256U << 10)
#define SOURCES 400U
#define FILES (SANITIZED ? 100 : 1000)
#define TIMES 16U /* as dear as a good one, the worst of them, which has a writer that helps */
#define ON_AVERAGE 3U

static _Alignas(8) uint8_t sound[FILE_BYTES];
static _Alignas(8) uint8_t image[FILE_BYTES]; /* what is done to it */
static char *path;
static uint32_t used; /* entries */

static struct shm_header *header(void) { return (void *)image; }
static struct shm_entry *entry(uint32_t i) { return (void *)(image + header()->source_offset + (uint64_t)i * 128); }
static struct shm_shard *shard(uint64_t offset) { return (void *)(image + offset); }
static struct shm_departed *departed(uint64_t offset) { return (void *)(image + offset); }
static struct shm_schema *schema(uint64_t offset) { return (void *)(image + offset); }

static void setup(void)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "vm", .keep = 1, .fixed_bytes = FILE_BYTES, .max_sources = SOURCES
    };
    struct vmt_segment *segment = NULL;
    struct vmt_source *parent, *more;
    int fd;

    test_dir_init();
    path = strdup(test_path("vm.vmt"));
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    parent = add_source(segment, &small_schema, NULL, "vm");
    for (int i = 0; vmt_source_addf(segment, i % 8 ? &small_schema : &part_schema, parent, &more, "s-%d", i) == 0;
         i++) {
        struct vmt_shard *s = vmt_shard_acquire(more);

        vmt_add(s, 0, 1);
        if (i % 4 == 0)
            vmt_count(more, 0, 1);
        if (i % 8 == 0)
            vmt_latency(s, P_TIME, P_TIME_BUCKETS, 100);
    }
    vmt_segment_close(segment);
    fd = open(path, O_RDONLY);
    cr_assert_eq(read(fd, sound, sizeof(sound)), FILE_BYTES);
    close(fd);
    memcpy(image, sound, sizeof(image));
    used = header()->source_used;
    cr_assert_gt(used, 200, "%u sources: this is not full", used);
}

static void teardown(void)
{
    free(path);
    test_dir_fini();
}

TestSuite(cost, .init = setup, .fini = teardown);

/* ---- what is done ---- */

static void nothing(void) {}

static void shards_in_a_circle(void)
{
    for (uint32_t i = 0; i < used; i++)
        if (entry(i)->shards)
            shard(entry(i)->shards)->next = entry(i)->shards;
}

static void groups_open(void)
{
    for (uint32_t i = 0; i < used; i++)
        if (entry(i)->shards)
            shard(entry(i)->shards)->begun++;
}

static void circles_with_groups_open(void)
{
    shards_in_a_circle();
    groups_open();
}

static void departed_in_a_circle(void)
{
    for (uint32_t i = 0; i < used; i++)
        if (entry(i)->departed)
            departed(entry(i)->departed)->next = entry(i)->departed;
}

/* Every source says that it is a parent, with the same blocks. */
static void departed_of_all(void)
{
    for (uint32_t i = 2; i < used; i++)
        entry(i)->departed = entry(1)->departed;
}

static void schemas_in_a_circle(void) { schema(header()->schemas)->next = header()->schemas; }

static void unknown_schemas(void)
{
    for (uint32_t i = 1; i < used; i++)
        entry(i)->schema = header()->schemas + 8 * i;
}

/* One behind the other, each with all that follows as its strings. */
static void overlapping_schemas(void)
{
    const uint64_t from = FILE_BYTES / 2;

    for (uint32_t i = 0; i < 200; i++) {
        uint64_t at = from + i * 256;
        struct shm_schema *s = schema(at);

        memcpy(s, sound + ((const struct shm_header *)(const void *)sound)->schemas, 128);
        s->block_bytes = (uint32_t)(FILE_BYTES - at);
        s->next = at + 256;
    }
    header()->schemas = from;
    unknown_schemas();
}

/* A thousand help texts that never end. */
static void endless_help(void)
{
    const uint64_t at = FILE_BYTES / 2;
    struct shm_schema *s = schema(at);
    struct vmt_kvm_header *kvm = (void *)(image + at + 128);
    struct vmt_kvm_desc *d = (void *)(image + at + 128 + 24 + 48);
    struct shm_side *side = (void *)(d + 1024);

    memset(s, 0, FILE_BYTES - at);
    s->slots = s->descriptors = 1024;
    s->block_bytes = FILE_BYTES - (uint32_t)at;
    s->kvm_offset = 128;
    s->side_offset = 128 + 24 + 48 + 1024 * 64;
    s->side_bytes = 32;
    s->strings_offset = s->side_offset + 1024 * 32;
    s->strings_bytes = s->block_bytes - s->strings_offset;
    *kvm = (struct vmt_kvm_header){ .name_size = 48, .num_desc = 1024, .id_offset = 24, .desc_offset = 24 + 48 };
    for (uint32_t i = 0; i < 1024; i++) {
        d[i] = (struct vmt_kvm_desc){ .size = 1, .offset = i * 8, .name = "n" };
        side[i].help_offset = i % 7;
    }
    memset((char *)s + s->strings_offset, 'x', s->strings_bytes);
    header()->schemas = at;
    unknown_schemas();
    for (uint32_t i = 1; i < used; i += 2)
        entry(i)->schema = at;
}

/* Each one below the one before it. */
static void deep(void)
{
    for (uint32_t i = 1; i < used; i++) {
        entry(i)->parent = i - 1;
        entry(i)->parent_generation = entry(i - 1)->generation;
    }
}

static void parents_in_a_circle(void)
{
    deep();
    entry(1)->parent = used - 1;
    entry(1)->parent_generation = entry(used - 1)->generation;
}

static void orphans(void)
{
    for (uint32_t i = 2; i < used; i++)
        entry(i)->parent_generation ^= 2;
}

static void outside(void)
{
    for (uint32_t i = 2; i < used; i++) {
        entry(i)->shards = FILE_BYTES + 128 * i;
        entry(i)->departed = FILE_BYTES + 4096;
    }
}

/* All of them are a million, as large as can be, and most of that is a hole. */
static void huge_and_hollow(void)
{
    header()->source_limit = header()->source_used = VMT_SOURCES_MAX;
    header()->source_bytes = SHM_ENTRY_BYTES_MAX;
}

/* As many as the file has bytes for. */
static void all_is_table(void)
{
    header()->source_limit = VMT_SOURCES_MAX;
    header()->source_used = (FILE_BYTES - (uint32_t)header()->source_offset) / 128;
}

static void all_is_table_of_one(void)
{
    all_is_table();
    for (uint32_t i = used; i < header()->source_used; i++)
        *entry(i) = *entry(2);
}

static void in_the_middle_of_a_change(void)
{
    header()->structure |= 1;
    orphans();
}

static const struct row {
    const char *what;
    void (*make)(void);
    bool hollow; /* 8 EiB, of which this is the front */
    bool busy;   /* and a writer that is changing something all the time */
} rows[] = {
    { "shards in a circle", shards_in_a_circle, false, false },
    { "groups open", groups_open, false, false },
    { "circles with groups open", circles_with_groups_open, false, false },
    { "departed blocks in a circle", departed_in_a_circle, false, false },
    { "departed blocks of all", departed_of_all, false, false },
    { "schemas in a circle", schemas_in_a_circle, false, false },
    { "unknown schemas", unknown_schemas, false, false },
    { "overlapping schemas", overlapping_schemas, false, false },
    { "endless help", endless_help, false, false },
    { "deep", deep, false, false },
    { "parents in a circle", parents_in_a_circle, false, false },
    { "orphans", orphans, false, false },
    { "outside", outside, false, false },
    { "in the middle of a change", in_the_middle_of_a_change, false, false },
    { "all is table", all_is_table, false, false },
    { "all is table, of one source", all_is_table_of_one, false, false },
    { "hollow", nothing, true, false },
    { "huge and hollow", huge_and_hollow, true, false },
    { "hollow, all is table", all_is_table, true, false },
    { "hollow, outside", outside, true, false },
    { "busy", nothing, false, true },
    { "busy, shards in a circle", circles_with_groups_open, false, true },
    { "busy, orphans", orphans, false, true },
    { "busy, departed blocks of all", departed_of_all, false, true },
    { "busy, outside", outside, true, true },
};

/* ---- what it costs ---- */

static bool armed;
static uint64_t bytes_read;
static uint64_t calls;

ssize_t pread(int fd, void *to, size_t n, off_t offset)
{
    bytes_read += armed ? n : 0;
    calls += armed;
    return syscall(SYS_pread64, fd, to, n, offset);
}

struct cost {
    double ns;
    double bytes;  /* read, by copying */
    double memory; /* held by a reader and two snapshots */
};

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static size_t memory_in_use(void)
{
    struct mallinfo2 now = mallinfo2();

    return now.uordblks + now.hblkhd;
}

/* As a view does it: attach, two snapshots, the second one with all shards; sometimes also the verdict. */
static void look_at(enum vmt_read_mode mode, bool check, struct cost *cost)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = mode };
    struct vmt_snapshot *first = new_snapshot(), *second = new_snapshot();
    struct vmt_reader *reader = NULL;
    size_t before = memory_in_use();
    uint64_t start = cpu_ns();
    size_t after;

    armed = true;
    bytes_read = calls = 0;
    if (vmt_reader_open(path, &options, &reader) == 0) {
        vmt_snapshot_take(first, reader);
        vmt_snapshot_want_shards(second, 1);
        vmt_snapshot_take(second, reader);
    }
    armed = false;
    after = memory_in_use();
    /* What reader.h says of one snapshot, twice, and of a reader. */
    cr_assert_leq(bytes_read, 2 * 32 * FILE_BYTES, "%llu bytes read", (unsigned long long)bytes_read);
    cr_assert_leq(calls, 2 * FILE_BYTES / 8, "%llu calls", (unsigned long long)calls);
    cr_assert(SANITIZED || after < before + (2 * 32 + 4) * FILE_BYTES + (200U << 10), "%zu bytes held", after - before);
    if (check)
        vmt_check(path, NULL, 0);
    cost->ns += (double)(cpu_ns() - start);
    cost->bytes += (double)bytes_read;
    cost->memory += after > before ? (double)(after - before) : 0;
    vmt_snapshot_free(first);
    vmt_snapshot_free(second);
    vmt_reader_close(reader);
}

static void make_file(const struct row *row)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

    memcpy(image, sound, sizeof(image));
    row->make();
    cr_assert_eq(write(fd, image, sizeof(image)), FILE_BYTES);
    for (off_t n = INT64_MAX; row->hollow && n > FILE_BYTES && ftruncate(fd, n) < 0; n /= 2) {
    }
    close(fd);
}

static int stop;

static void *change_it_all_the_time(void *arg)
{
    int fd = open(arg, O_RDWR);
    struct shm_header *h = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    REQUIRE(h != MAP_FAILED);
    while (!said(&stop)) {
        struct shm_entry *e = (void *)((char *)h + h->source_offset % FILE_BYTES / 128 * 128);

        __atomic_fetch_add(&h->structure, 2, __ATOMIC_RELAXED);
        __atomic_fetch_add(&e[0].version, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&e[1].version, 1, __ATOMIC_RELAXED);
        if (SANITIZED) /* valgrind runs one thread at a time: let the reader have its turn at once */
            usleep(1);
    }
    munmap(h, FILE_BYTES);
    close(fd);
    return NULL;
}

static struct cost cost_of(const struct row *row, enum vmt_read_mode mode, int files)
{
    struct cost cost = { 0 };
    pthread_t writer;

    make_file(row);
    say(&stop, 0);
    if (row->busy)
        cr_assert_eq(pthread_create(&writer, NULL, change_it_all_the_time, path), 0);
    for (int i = 0; i < files; i++)
        look_at(mode, i % 8 == 0 && !row->busy, &cost); /* of what is busy it takes its time, asleep */
    say(&stop, 1);
    if (row->busy)
        pthread_join(writer, NULL);
    cost.ns /= files;
    cost.bytes /= files;
    cost.memory /= files;
    return cost;
}

static void assert_cheap(enum vmt_read_mode mode)
{
    const int files = FILES / (int)LENGTH(rows);
    struct cost good = cost_of(&(struct row){ .make = nothing }, mode, files);
    double ns = 0;

    fprintf(stderr, "# %-30s %8.0f us %8.0f KiB read %6.0f KiB held\n", "good", good.ns / 1e3, good.bytes / 1024,
            good.memory / 1024);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct cost cost = cost_of(&rows[i], mode, files);

        fprintf(stderr, "# %-30s %8.0f us %8.0f KiB read %6.0f KiB held\n", rows[i].what, cost.ns / 1e3,
                cost.bytes / 1024, cost.memory / 1024);
        ns += cost.ns;
        cr_expect(mode == VMT_READ_GUARDED || cost.bytes <= TIMES * good.bytes, "%s: %.1f times the bytes",
                  rows[i].what, cost.bytes / good.bytes);
        if (SANITIZED)
            continue;
        cr_expect_leq(cost.ns, TIMES * good.ns, "%s: %.1f times the time", rows[i].what, cost.ns / good.ns);
        cr_expect_leq(cost.memory, TIMES * good.memory, "%s: %.1f times the memory", rows[i].what,
                      cost.memory / good.memory);
    }
    ns /= (double)LENGTH(rows);
    fprintf(stderr, "# all hostile ones on average %.2f times the time of a good one\n", ns / good.ns);
    cr_expect(SANITIZED || ns <= ON_AVERAGE * good.ns, "on average %.1f times the time", ns / good.ns);
}

Test(cost, of_hostile_files_read_by_copying, .timeout = 300) { assert_cheap(VMT_READ_COPY); }

Test(cost, of_hostile_files_read_through_a_mapping, .timeout = 300) { assert_cheap(VMT_READ_GUARDED); }
