/* SPDX-License-Identifier: MIT */
/* The models (tests/model) are sequentially consistent; machines and compilers are not. Here each pair of a release and
 * an acquire in shm/ and lib/ is run between two threads, with the same orders as there, and the outcome that it
 * forbids must not come. Each is run once more with the writer's steps in a wrong order: then it must come, else the
 * test could not fail. (That threads do see each other's steps out of order: test_reorder.c.)
 */
#include "tests/race/race.h"

#include <sched.h>

#include "lib/grace.h"
#include "lib/writer.h"
#include "shm/view.h"

#define PATIENCE_S 60 /* for what must come; it mostly does in less than a millisecond */
#define FENCE(order) __atomic_thread_fence(__ATOMIC_##order)
#define GET_ACQUIRE(lvalue) __atomic_load_n(&(lvalue), __ATOMIC_ACQUIRE)
#define RING 64U

enum outcome { NOTHING, GOOD, FORBIDDEN }; /* NOTHING: a reader would try again */

/* As in a segment; each run begins with zeros. */
static struct memory_of_both {
    struct shm_header header;
    struct shm_entry parent;
    struct shm_entry entry;
    struct shm_shard ring[RING];
    struct vmt_shard shard;
    uint64_t more_slots[15];
    _Alignas(128) uint64_t copies[2][8]; /* of a departed block */
    _Alignas(128) uint64_t base;         /* of a guard */
    uint64_t bytes;
} m __attribute__((aligned(4096)));

struct pair {
    void (*write)(uint64_t n, bool wrong); /* n: 1, 2, 3 ... */
    enum outcome (*read)(void);
    bool wrong; /* the steps of write() */
    int stop;
};

static double pair_seconds(void)
{
    const char *given = getenv("VMT_LITMUS_SECONDS");

    return given && atof(given) > 0 ? atof(given) : 0.3;
}

static void *write_on(void *arg)
{
    struct pair *pair = arg;

    for (uint64_t n = 1; !GET(pair->stop); n++)
        pair->write(n, pair->wrong);
    return NULL;
}

/* Between steps in the wrong order: time for the reader, also where both have one CPU. */
static void window(bool wrong)
{
    static uint32_t times;

    if (wrong && ++times % 256 == 0)
        sched_yield();
}

/* How often each outcome came, in seconds, or until what is waited for did; where a busy machine gave the writer no time in
 * which something could be read, for longer. */
static void run(struct pair *pair, double seconds, bool until_forbidden, uint64_t outcomes[3])
{
    double end = seconds_now() + seconds;
    pthread_t writer;

    memset(&m, 0, sizeof(m));
    m.header.file_bytes = sizeof(m);
    memset(outcomes, 0, 3 * sizeof(*outcomes));
    PUT(pair->stop, 0);
    cr_assert(pthread_create(&writer, NULL, write_on, pair) == 0);
    do {
        for (int i = 0; i < 1000; i++)
            outcomes[pair->read()]++;
    } while (!(until_forbidden && outcomes[FORBIDDEN]) && seconds_now() < end + (outcomes[GOOD] ? 0 : PATIENCE_S));
    PUT(pair->stop, 1);
    pthread_join(writer, NULL);
}

static void check(void (*write)(uint64_t, bool), enum outcome (*read)(void))
{
    struct pair pair = { .write = write, .read = read };
    uint64_t outcomes[3];

    run(&pair, pair_seconds(), false, outcomes);
    cr_expect(outcomes[FORBIDDEN] == 0, "forbidden: %llu of %llu", (unsigned long long)outcomes[FORBIDDEN],
              (unsigned long long)outcomes[GOOD]);
    cr_expect(outcomes[GOOD] > 0, "nothing was read in all that time");
    pair.wrong = true;
    run(&pair, PATIENCE_S, true, outcomes);
    cr_expect(outcomes[FORBIDDEN] > 0, "the wrong order was not noticed in %llu reads",
              (unsigned long long)outcomes[GOOD]);
}

#define PAIR(name)                                                                                                     \
    Test(litmus, name) { check(name##_write, name##_read); }

static enum outcome good_if(bool good) { return good ? GOOD : FORBIDDEN; }

/* ---- sources ---- */

/* publish() - look(), read_values(), look(): an entry whose generation stayed even is of one life. */
static void birth_write(uint64_t n, bool wrong)
{
    struct shm_entry *e = &m.entry;

    if (!wrong) {
        PUT(e->generation, 2 * n - 1);
        FENCE(RELEASE);
    }
    PUT(e->schema, n);
    window(wrong);
    PUT(e->created_ns, n);
    PUT_RELEASE(e->generation, 2 * n);
}

static enum outcome birth_read(void)
{
    uint64_t generation = GET_ACQUIRE(m.entry.generation);
    uint64_t created = GET(m.entry.created_ns);
    uint64_t schema = GET(m.entry.schema);

    FENCE(ACQUIRE);
    if ((generation & 1) || GET(m.entry.generation) != generation)
        return NOTHING;
    return good_if(schema == generation / 2 && created == generation / 2);
}
PAIR(birth)

/* fold_into_parent() - look(), read_departed(), look(): who has seen a version sees its copies, and the folds in it. */
static void commit_write(uint64_t n, bool wrong)
{
    if (wrong)
        PUT_RELEASE(m.parent.version, n);
    window(wrong);
    PUT(m.entry.fold, n);
    PUT(m.copies[n & 1][0], n);
    PUT(m.copies[n & 1][1], n);
    PUT_RELEASE(m.parent.version, n);
    FENCE(RELEASE);
}

static enum outcome commit_read(void)
{
    uint64_t version = GET_ACQUIRE(m.parent.version);
    uint64_t one = GET(m.copies[version & 1][0]);
    uint64_t two = GET(m.copies[version & 1][1]);

    if (GET(m.entry.fold) < version)
        return FORBIDDEN;
    FENCE(ACQUIRE);
    if (GET(m.parent.version) != version)
        return NOTHING;
    return good_if(one == version && two == version);
}
PAIR(commit)

/* fold_into_parent(), source_bury() - the second look(): who has read memory that was used anew sees that version and
 * generation have moved. */
static void burial_write(uint64_t n, bool wrong)
{
    if (wrong)
        PUT(m.copies[0][0], n);
    window(wrong);
    PUT_RELEASE(m.parent.version, n);
    FENCE(RELEASE);
    PUT(m.entry.generation, 2 * n - 1);
    FENCE(RELEASE);
    PUT(m.entry.state, SHM_FREE);
    PUT_RELEASE(m.entry.fold, 0);
    PUT_RELEASE(m.entry.generation, 2 * n);
    PUT(m.copies[0][0], n); /* the next one's: its memory */
}

static enum outcome burial_read(void)
{
    uint64_t generation = GET_ACQUIRE(m.entry.generation);
    uint64_t value = GET(m.copies[0][0]);

    FENCE(ACQUIRE);
    if (value > GET(m.parent.version))
        return FORBIDDEN;
    if ((generation & 1) || GET(m.entry.generation) != generation)
        return NOTHING;
    return good_if(value <= generation / 2);
}
PAIR(burial)

/* structure_begin(), structure_end() - nothing_changed(). */
static void structure_write(uint64_t n, bool wrong)
{
    if (!wrong) {
        PUT(m.header.structure, GET(m.header.structure) + 1);
        FENCE(RELEASE);
    }
    PUT(m.entry.shards, n);
    window(wrong);
    PUT(m.entry.departed, n);
    PUT_RELEASE(m.header.structure, 2 * n);
}

static enum outcome structure_read(void)
{
    uint64_t structure = GET_ACQUIRE(m.header.structure);
    uint64_t shards = GET(m.entry.shards);
    uint64_t departed = GET(m.entry.departed);

    FENCE(ACQUIRE);
    if ((structure & 1) || GET_ACQUIRE(m.header.structure) != structure)
        return NOTHING;
    return good_if(shards == departed);
}
PAIR(structure)

/* ---- links ---- */

static void fill(uint64_t n)
{
    PUT(m.ring[n % RING].generation, n);
    PUT(m.ring[n % RING].slots, (uint32_t)n);
}

static enum outcome filled(uint64_t n)
{
    if (!n)
        return NOTHING;
    return good_if(GET(m.ring[n % RING].slots) >= (uint32_t)n && GET(m.ring[n % RING].generation) >= n);
}

/* shard_new(), departed_make() - head_mapped(), visit_some(). */
static void link_write(uint64_t n, bool wrong)
{
    if (!wrong)
        fill(n);
    PUT_RELEASE(m.ring[0].next, n);
    window(wrong);
    if (wrong)
        fill(n);
}

static enum outcome link_read(void) { return filled(GET_ACQUIRE(m.ring[0].next)); }
PAIR(link)

/* schema_intern() - shm_view_link(), as a reader in the same process does it. */
static void schema_link_write(uint64_t n, bool wrong)
{
    if (!wrong)
        fill(n);
    PUT_RELEASE(m.header.schemas, n);
    window(wrong);
    if (wrong)
        fill(n);
}

static enum outcome schema_link_read(void)
{
    static struct shm_view view;
    uint64_t n;

    if (!view.base) {
        shm_view_own(&view, &m);
        REQUIRE(shm_view_begin(&view) == 0);
    }
    REQUIRE(shm_view_link(&view, offsetof(struct shm_header, schemas), &n) == 0);
    return filled(n);
}
PAIR(schema_link)

/* space_grow(), and the link that comes after it - measure(): who has followed a link sees that the file is as long. */
static void file_bytes_write(uint64_t n, bool wrong)
{
    if (!wrong)
        PUT(m.header.file_bytes, n);
    PUT_RELEASE(m.entry.shards, n);
    window(wrong);
    if (wrong)
        PUT(m.header.file_bytes, n);
}

static enum outcome file_bytes_read(void)
{
    uint64_t offset = GET_ACQUIRE(m.entry.shards);

    return offset ? good_if(GET_ACQUIRE(m.header.file_bytes) >= offset) : NOTHING;
}
PAIR(file_bytes)

/* acquire_locked() - the walk's second fence: what was counted in a shard is not seen before its link. */
static void counted_write(uint64_t n, bool wrong)
{
    if (wrong)
        PUT(m.shard.value_[0], n);
    window(wrong);
    PUT_RELEASE(m.entry.shards, n);
    FENCE(RELEASE);
    PUT(m.shard.value_[0], n);
}

static enum outcome counted_read(void)
{
    uint64_t value = GET(m.shard.value_[0]);

    FENCE(ACQUIRE);
    return value ? good_if(GET(m.entry.shards) >= value) : NOTHING;
}
PAIR(counted)

/* vmt_count() - read_values(): who looks after the count finds the flag. */
static void shared_flag_write(uint64_t n, bool wrong)
{
    if (!wrong)
        PUT(m.entry.flags, (uint32_t)n);
    __atomic_fetch_add(&m.shard.value_[0], 1, __ATOMIC_RELEASE);
    window(wrong);
    if (wrong)
        PUT(m.entry.flags, (uint32_t)n);
}

static enum outcome shared_flag_read(void)
{
    uint64_t value = GET_ACQUIRE(m.shard.value_[0]);

    return value ? good_if(GET(m.entry.flags) >= (uint32_t)value) : NOTHING;
}
PAIR(shared_flag)

/* ---- groups ---- */

/* vmt_begin(), vmt_end() - add_mapped(). */
static void group_write(uint64_t n, bool wrong)
{
    (void)n;
    if (wrong)
        vmt_add(&m.shard, 0, 1);
    window(wrong);
    vmt_begin(&m.shard);
    if (!wrong)
        vmt_add(&m.shard, 0, 1);
    vmt_add(&m.shard, 1, 1);
    vmt_end(&m.shard);
}

static enum outcome group_read(void)
{
    uint64_t ended = GET_ACQUIRE(m.shard.header_[VMT_ENDED_]);
    uint64_t count = GET(*vmt_at_(&m.shard, 0));
    uint64_t sum = GET(*vmt_at_(&m.shard, 1));

    FENCE(ACQUIRE);
    return GET(m.shard.header_[VMT_BEGUN_]) == ended ? good_if(count == sum) : NOTHING;
}
PAIR(group)

/* mend_group() - add_mapped(): who takes a torn group for ended sees that it was torn. */
static void torn_write(uint64_t n, bool wrong)
{
    if (!wrong)
        PUT(m.ring[0].torn, n);
    PUT_RELEASE(m.ring[0].ended, n);
    window(wrong);
    if (wrong)
        PUT(m.ring[0].torn, n);
}

static enum outcome torn_read(void)
{
    uint64_t ended = GET_ACQUIRE(m.ring[0].ended);

    return ended ? good_if(GET(m.ring[0].torn) >= ended) : NOTHING;
}
PAIR(torn)

/* ---- the header ---- */

/* lay_out() - shm_read_header(): who has seen the magic sees all of the header. A new header each time. */
#define HEADERS 200000U
static struct {
    uint64_t magic;
    uint64_t max_bytes;
} headers[HEADERS];
static uint32_t next_header;

static void magic_write(uint64_t n, bool wrong)
{
    uint8_t *magic;

    if (n > HEADERS)
        return;
    if (!wrong)
        PUT(headers[n - 1].max_bytes, n);
    FENCE(RELEASE);
    magic = (uint8_t *)&headers[n - 1].magic;
    for (size_t i = 8; i-- > 0;)
        PUT(magic[i], (uint8_t)SHM_MAGIC[i]);
    window(wrong);
    if (wrong)
        PUT(headers[n - 1].max_bytes, n);
}

static enum outcome magic_read(void)
{
    uint64_t magic;

    if (next_header == HEADERS)
        return NOTHING;
    magic = GET_ACQUIRE(headers[next_header].magic);
    if (memcmp(&magic, SHM_MAGIC, sizeof(magic)) != 0)
        return NOTHING;
    next_header++;
    return good_if(GET(headers[next_header - 1].max_bytes) == next_header);
}

Test(litmus, magic)
{
    struct pair pair = { .write = magic_write, .read = magic_read };
    double end = seconds_now() + PATIENCE_S;
    uint64_t outcomes[3];

    run(&pair, pair_seconds(), false, outcomes);
    cr_expect(outcomes[FORBIDDEN] == 0 && outcomes[GOOD] > 0);
    for (pair.wrong = true, outcomes[FORBIDDEN] = 0; !outcomes[FORBIDDEN] && seconds_now() < end;) {
        memset(headers, 0, sizeof(headers));
        next_header = 0;
        run(&pair, 0.05, true, outcomes);
    }
    cr_expect(outcomes[FORBIDDEN] > 0, "the wrong order was not noticed");
}

/* mend() - set_labels(): who has seen an incarnation sees what came with it. */
static void incarnation_write(uint64_t n, bool wrong)
{
    if (!wrong)
        PUT(m.header.heartbeat_interval_ns, n);
    PUT_RELEASE(m.header.incarnation, n);
    window(wrong);
    if (wrong)
        PUT(m.header.heartbeat_interval_ns, n);
}

static enum outcome incarnation_read(void)
{
    uint64_t incarnation = GET(m.header.incarnation);

    FENCE(ACQUIRE);
    return incarnation ? good_if(GET(m.header.heartbeat_interval_ns) >= incarnation) : NOTHING;
}
PAIR(incarnation)

/* ---- inside one process ---- */

/* shm_guard_add(), shm_guard_remove() - on_sigbus(): base and bytes are of one mapping. */
static void guard_write(uint64_t n, bool wrong)
{
    if (!wrong)
        PUT_RELEASE(m.base, 0);
    PUT_RELEASE(m.bytes, n);
    window(wrong);
    PUT_RELEASE(m.base, n);
}

static enum outcome guard_read(void)
{
    uint64_t base = GET_ACQUIRE(m.base);
    uint64_t bytes = GET_ACQUIRE(m.bytes);

    return !base || GET(m.base) != base ? NOTHING : good_if(bytes == base);
}
PAIR(guard)

/* source_put_name(), grace_wait() - source_named() in a read section: a name is whole, and not used anew meanwhile. */
static struct {
    uint64_t name[2];
} names[2], *bucket;

static void name_write(uint64_t n, bool wrong)
{
    names[n & 1].name[0] = n;
    if (wrong)
        PUT_RELEASE(bucket, &names[n & 1]);
    window(wrong);
    names[n & 1].name[1] = n;
    PUT_RELEASE(bucket, &names[n & 1]);
    if (!wrong)
        grace_wait(); /* for who is still in the other one */
}

static enum outcome name_read(void)
{
    struct grace g = grace_read_lock();
    uint64_t *name = (uint64_t *)GET_ACQUIRE(bucket);
    enum outcome outcome = name ? good_if(name[0] == name[1]) : NOTHING;

    grace_read_unlock(g);
    return outcome;
}

Test(litmus, name)
{
#ifdef VMT_TSAN_
    struct pair pair = { .write = name_write, .read = name_read };
    uint64_t outcomes[3];

    run(&pair, pair_seconds(), false, outcomes); /* the wrong order is a data race, and would be reported as one */
    cr_expect(outcomes[FORBIDDEN] == 0 && outcomes[GOOD] > 0);
#else
    check(name_write, name_read);
#endif
}
