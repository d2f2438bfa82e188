/* SPDX-License-Identifier: MIT */
/* A real file, a thread that scribbles over it, cuts it off and lets it grow, and readers who attach and take
 * snapshots meanwhile. What is scribbled is the input's: its patches, again and again, each mostly undone at once, so
 * that readers come far. All stores are atomic, as a writer's are: ThreadSanitizer may look on.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "input.h"
#include "judge.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* input.head.how */
#define RANDOM 1U /* anywhere, anything */
#define RESIZE 2U
#define ROUNDS 6
#define BOUND_NS 5000000000U /* for one snapshot */

/* Of each base a file. */
struct place {
    int fd;
    uint64_t *words; /* mapped, the scribbler's */
    char path[96];
};

static char dir[] = "/dev/shm/vmtally-test.XXXXXX";
static struct place *places;
static struct input input;
static const struct place *place; /* the input's */
static sem_t start[2], done[2];   /* of the scribbler, of the second reader */
static int stop;

/* What came of reading, for libFuzzer: under ThreadSanitizer nothing else is counted, as its counters are raced for. */
__attribute__((used, section("__libfuzzer_extra_counters"))) static uint8_t outcomes[4 * 256];

/* ---- the scribbler ---- */

static uint64_t chance;

static uint32_t below(uint32_t n)
{
    chance = chance * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(chance >> 33) % n;
}

static void store(uint64_t word, uint64_t value) { __atomic_store_n(&place->words[word], value, __ATOMIC_RELAXED); }

static uint64_t sound_word(uint64_t word)
{
    uint64_t value;

    memcpy(&value, input.base->sound + word * 8, 8);
    return value;
}

static void restore(uint64_t first, uint64_t words)
{
    for (uint64_t w = first; w < first + words && w < input.base->size / 8; w++)
        store(w, sound_word(w));
}

static void hesitate(uint32_t most)
{
    for (uint32_t n = below(most); n > 0; n--)
        __asm__ __volatile__("");
}

/* The size as it was, and all that was cut off. */
static void resize(uint64_t size)
{
    uint64_t was = input.base->size;

    ENSURE(ftruncate(place->fd, (off_t)size) == 0, "%m");
    hesitate(20000);
    if (size != was) {
        ENSURE(ftruncate(place->fd, (off_t)was) == 0, "%m");
        restore(size / 8, was / 8);
    }
}

static void scribble_patch(const struct patch *p)
{
    uint64_t word = p->offset / 8, words = p->kind == PATCH_STORE ? 1 : p->width, mask = UINT64_MAX;

    if (p->kind == PATCH_SIZE && input.head.how & RESIZE)
        resize(p->value % (2 * input.base->size));
    if (p->kind == PATCH_SIZE || p->kind == PATCH_BYTES || word + words > input.base->size / 8)
        return;
    if (p->kind == PATCH_STORE && p->width % 8 < 7)
        mask = ((UINT64_C(1) << (p->width % 8 + 1) * 8) - 1) << p->offset % 8 * 8;
    for (uint64_t i = 0; i < words; i++) {
        uint64_t value = p->value << (p->kind == PATCH_STORE ? p->offset % 8 * 8 : 0);

        if (p->kind == PATCH_COPY && p->value / 8 + i < input.base->size / 8)
            value = sound_word(p->value / 8 + i);
        store(word + i, (sound_word(word + i) & ~mask) | (value & mask));
    }
    hesitate(2000);
    if (below(8))
        restore(word, words);
}

static void *scribble(void *arg)
{
    (void)arg;
    for (;;) {
        while (sem_wait(&start[0]) < 0) {
        }
        for (uint32_t i = 0; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); i++) {
            if (input.count)
                scribble_patch(&input.patches[below(input.count)]);
            if (input.head.how & RANDOM)
                store(below((uint32_t)input.base->size / 8), below(2) ? chance : below((uint32_t)input.base->size));
            if (i % 64 == 63)
                restore(0, input.base->size / 8);
        }
        restore(0, input.base->size / 8);
        sem_post(&done[0]);
    }
    return NULL;
}

/* ---- readers ---- */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

struct hands {
    struct vmt_snapshot *snapshots[2];
    struct vmt_delta *delta;
};

static void make_hands(struct hands *h)
{
    ENSURE(vmt_snapshot_new(&h->snapshots[0]) == 0 && vmt_snapshot_new(&h->snapshots[1]) == 0 &&
               vmt_delta_new(&h->delta) == 0,
           "no memory");
}

static int read_once(struct hands *h, int mode, bool check)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = (enum vmt_read_mode)mode };
    struct vmt_reader *reader = NULL;
    struct seen seen = { .count = 0 };
    char why[256];
    int r = vmt_reader_open(place->path, &options, &reader);

    if (r < 0) {
        ENSURE(r == -EBADMSG || r == -EPROTONOSUPPORT || r == -ENODATA || r == -EMEDIUMTYPE, "open: %s", strerror(-r));
        return r;
    }
    for (int i = 0; i < 4; i++) {
        uint64_t begin = now_ns();

        vmt_snapshot_want_shards(h->snapshots[i % 2], i & 2);
        r = vmt_snapshot_take(h->snapshots[i % 2], reader);
        ENSURE(now_ns() - begin < BOUND_NS, "it took too long");
        judge_snapshot(h->snapshots[i % 2], r, FUZZ_FILE_MAX, &seen);
        judge_samples(reader, h->snapshots[i % 2], false);
        judge_delta(h->delta, h->snapshots[(i + 1) % 2], h->snapshots[i % 2]);
    }
    vmt_reader_close(reader);
    if (check) {
        ENSURE(vmt_check(place->path, why, sizeof(why)) < VMT_STATE_COUNT, "state");
        judge_text(why, true);
    }
    return r;
}

static void *read_too(void *arg)
{
    struct hands h;

    (void)arg;
    make_hands(&h);
    for (;;) {
        while (sem_wait(&start[1]) < 0) {
        }
        for (int i = 0; i < ROUNDS; i++)
            read_once(&h, i & 1, false);
        sem_post(&done[1]);
    }
    return NULL;
}

static void wait_for(int who)
{
    while (sem_wait(&done[who]) < 0) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hands h;

    if (!h.delta)
        make_hands(&h);
    input_parse(&input, data, size);
    if (input.base->size == 0) /* nothing to scribble over */
        input.base = &fuzz_bases[0];
    place = &places[input.base - fuzz_bases];
    chance = size + (size > 8 ? data[8] : 0);
    __atomic_store_n(&stop, 0, __ATOMIC_RELEASE);
    sem_post(&start[0]);
    sem_post(&start[1]);
    for (int i = 0; i < ROUNDS; i++)
        outcomes[(unsigned)(i & 3) * 256 + (read_once(&h, !(i & 1), input.head.flags & INPUT_CHECK) & 255)] = 1;
    wait_for(1);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    wait_for(0);
    /* Nothing of it stays: not in the guard, not in the file. */
    for (int mode = 0; mode < 2; mode++) {
        int r = read_once(&h, mode, false);

        ENSURE(r == 0, "%s is sound again, but %s", input.base->name, r < 0 ? strerror(-r) : "partial");
    }
    return 0;
}

/* ---- places ---- */

static void remove_dir(void)
{
    for (uint32_t i = 0; i < fuzz_base_count; i++)
        unlink(places[i].path);
    rmdir(dir);
}

static void make_place(struct place *p, const struct base *base)
{
    snprintf(p->path, sizeof(p->path), "%s/%s.vmt", dir, base->name);
    p->fd = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    ENSURE(p->fd >= 0 && pwrite(p->fd, base->sound, base->size, 0) == (ssize_t)base->size, "%s: %m", p->path);
    p->words = mmap(NULL, FUZZ_FILE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    ENSURE(p->words != MAP_FAILED, "%m");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    pthread_t thread;

    (void)argc;
    (void)argv;
    fuzz_bases_make();
    places = calloc(fuzz_base_count, sizeof(*places));
    ENSURE(places && mkdtemp(dir), "%s: %m", dir);
    for (uint32_t i = 0; i < fuzz_base_count; i++)
        make_place(&places[i], &fuzz_bases[i]);
    atexit(remove_dir);
    for (int i = 0; i < 2; i++)
        ENSURE(sem_init(&start[i], 0, 0) == 0 && sem_init(&done[i], 0, 0) == 0, "%m");
    ENSURE(pthread_create(&thread, NULL, scribble, NULL) == 0 && pthread_create(&thread, NULL, read_too, NULL) == 0,
           "%m");
    return 0;
}
