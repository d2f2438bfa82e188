/* SPDX-License-Identifier: MIT */
/* A writer whose threads, shards and sources come and go, three levels deep, and readers in other processes. Each total
 * lies between what was true before its snapshot and after it, and never falls. */
#include "tests/race/race.h"

TestSuite(churn, .init = test_dir_init, .fini = test_dir_fini);

#define VMS 3
#define QUEUES 3

struct shared {
    char path[4096];
    int ready;
    int readers; /* attached */
    int stop;
    int pause_us; /* between changes */
    double seconds;
    struct truth part[VMS]; /* events below vm-N of sources of part_schema, and of small_schema */
    struct truth small[VMS];
    uint64_t changes;
};

static struct shared *shared;
static struct vmt_segment *segment;
static bool in_process; /* a reader, too */

/* ---- the writer ---- */

struct vm {
    pthread_t thread;
    unsigned number;
    struct vmt_source *source;
    uint64_t random;
};

static void count_some(struct vm *vm, struct vmt_source *source, bool part, struct vmt_shard *shard)
{
    struct truth *t = part ? &shared->part[vm->number] : &shared->small[vm->number];

    for (uint32_t n = roll(&vm->random, 40); n; n--) {
        if (part && roll(&vm->random, 8)) {
            count_one(shard, t);
            continue;
        }
        truth_begin(t, 1);
        if (roll(&vm->random, 4))
            vmt_add(shard, part ? P_EVENTS : S_EVENTS, 1);
        else
            vmt_count(source, part ? P_EVENTS : S_EVENTS, 1);
        truth_end(t, 1);
    }
}

struct job {
    struct vm *vm;
    struct vmt_source *source;
    bool part;
};

/* Leaves without a word: only the kernel tells that the shard is nobody's. */
static void *count_and_die(void *arg)
{
    struct job *job = arg;
    struct vmt_shard *shard = vmt_shard_acquire_thread(job->source);

    count_some(job->vm, job->source, job->part, shard);
    return NULL;
}

static void one_queue(struct vm *vm, struct vmt_source *unit, uint32_t number)
{
    struct job job = { .vm = vm, .part = roll(&vm->random, 2) };
    struct vmt_shard *shard = VMT_SCRATCH;

    if (vmt_source_addf(segment, job.part ? &part_schema : &small_schema, unit, &job.source, "queue-%u", number) < 0)
        return; /* the one before is there still */
    if (roll(&vm->random, 8) == 0) {
        pthread_t thread;

        REQUIRE(pthread_create(&thread, NULL, count_and_die, &job) == 0);
        REQUIRE(pthread_join(thread, NULL) == 0);
    }
    for (uint32_t n = 1 + roll(&vm->random, 3); n; n--) {
        shard = vmt_shard_acquire(job.source);
        count_some(vm, job.source, job.part, shard);
        if (n > 1)
            vmt_shard_release(shard);
    }
    if (roll(&vm->random, 2)) {
        vmt_shard_release(shard);
        vmt_source_remove(job.source);
    } else {
        vmt_source_remove(job.source); /* it is leaving, and counts on */
        while (roll(&vm->random, 4) && job.part)
            count_one(shard, &shared->part[vm->number]);
        vmt_shard_release(shard);
    }
    __atomic_fetch_add(&shared->changes, 1, __ATOMIC_RELAXED);
}

/* A unit with its queues; removed before they are or after, always before its id comes again. */
static void one_unit(struct vm *vm)
{
    struct vmt_source *unit = NULL;
    bool part = roll(&vm->random, 2);
    struct vmt_shard *shard;

    REQUIRE(vmt_source_addf(segment, part ? &part_schema : &small_schema, vm->source, &unit, "unit-%u",
                            roll(&vm->random, 2)) == 0);
    shard = vmt_shard_acquire(unit);
    for (uint32_t i = roll(&vm->random, 2 * QUEUES); i; i--) {
        one_queue(vm, unit, roll(&vm->random, QUEUES));
        count_some(vm, unit, part, shard);
        if (shared->pause_us)
            nap_us((long)roll(&vm->random, (uint32_t)shared->pause_us));
    }
    vmt_shard_release(shard);
    vmt_source_remove(unit);
    __atomic_fetch_add(&shared->changes, 1, __ATOMIC_RELAXED);
    if (shared->pause_us)
        nap_us((long)roll(&vm->random, (uint32_t)shared->pause_us));
}

static void *run_vm(void *arg)
{
    while (!said(&shared->stop))
        one_unit(arg);
    return NULL;
}

/* ---- the readers ---- */

struct seen {
    uint64_t part[VMS + 1]; /* the last is the root's */
    uint64_t small[VMS + 1];
    unsigned taken, partial, absent, unconfirmed;
    struct memory memory[MEMORIES];
};

static void check_total(struct seen *seen, const struct vmt_total *total, uint64_t least, uint64_t most, uint64_t *last)
{
    bool part = total && strcmp(total->schema->name, "part") == 0;
    uint64_t value = total ? total->values[part ? P_EVENTS : S_EVENTS] : 0;

    if (total && total->flags & VMT_SAMPLE_ABSENT) {
        seen->absent++;
        return;
    }
    if (value < least || value > most || value < *last) {
        fprintf(stderr, "total %llu, least %llu, most %llu, before %llu\n", (unsigned long long)value,
                (unsigned long long)least, (unsigned long long)most, (unsigned long long)*last);
        REQUIRE(value >= least && value <= most && value >= *last);
    }
    *last = value;
}

static void look(struct seen *seen, struct vmt_snapshot *s, struct vmt_reader *reader)
{
    struct truth part[VMS + 1] = { 0 };
    struct truth small[VMS + 1] = { 0 };
    bool confirmed = true;
    int r;

    for (int k = 0; k < VMS; k++) {
        part[VMS].ended += part[k].ended = truth_least(&shared->part[k]);
        small[VMS].ended += small[k].ended = truth_least(&shared->small[k]);
    }
    r = vmt_snapshot_take(s, reader);
    for (int k = 0; k < VMS; k++) {
        part[VMS].begun += part[k].begun = truth_most(&shared->part[k]);
        small[VMS].begun += small[k].begun = truth_most(&shared->small[k]);
    }
    REQUIRE(r >= 0);
    seen->taken++;
    seen->partial += r == 1;
    for (size_t i = 0; i < vmt_snapshot_count(s); i++)
        confirmed = confirmed && !(vmt_snapshot_source(s, i)->flags & VMT_SAMPLE_UNCONFIRMED);
    seen->unconfirmed += !confirmed;
    for (size_t i = 0; i < vmt_snapshot_count(s); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(s, i);
        const struct vmt_total *total = race_total(sample, "part");
        unsigned k = sample->depth == 0 ? VMS : (unsigned)strtoul(sample->name + 3, NULL, 10);

        if (sample->depth > 0)
            remember(seen->memory, sample);
        if (strcmp(sample->schema->name, "part") == 0)
            REQUIRE(sample->flags & VMT_SAMPLE_UNCONFIRMED || group_agrees(sample->values));
        REQUIRE(!(sample->flags & VMT_SAMPLE_TORN));
        if (total && !(total->flags & VMT_SAMPLE_ABSENT) && confirmed)
            REQUIRE(group_agrees(total->values));
        if (sample->depth > 1)
            continue;
        REQUIRE(k <= VMS);
        check_total(seen, total, part[k].ended, part[k].begun, &seen->part[k]);
        check_total(seen, race_total(sample, "small"), small[k].ended, small[k].begun, &seen->small[k]);
    }
}

/* Totals of all three VMs must be in each complete snapshot, so that the above has been checked. */
static void read_until_stopped(struct vmt_reader *reader, const char *name)
{
    struct vmt_snapshot *s = NULL;
    struct seen *seen = calloc(1, sizeof(*seen));

    REQUIRE(seen && vmt_snapshot_new(&s) == 0);
    __atomic_fetch_add(&shared->readers, 1, __ATOMIC_RELEASE);
    while (!said(&shared->stop)) {
        look(seen, s, reader);
        for (int k = 0; k < VMS; k++) {
            char id[16];

            snprintf(id, sizeof(id), "vm-%d", k);
            REQUIRE(vmt_snapshot_find(s, id));
        }
    }
    fprintf(stderr, "# churn, pause %d us, %s: %u snapshots, %u partial, %u absent totals, %u unconfirmed\n",
            shared->pause_us, name, seen->taken, seen->partial, seen->absent, seen->unconfirmed);
    REQUIRE(seen->taken > 10);
    /* With pauses as a VMM has them, hardly anything is missed. */
    REQUIRE(!shared->pause_us || SANITIZED || seen->partial <= seen->taken / 20);
    vmt_snapshot_free(s);
    free(seen);
}

static void *read_in_process(void *arg)
{
    struct vmt_reader *reader = NULL;

    (void)arg;
    REQUIRE(vmt_reader_open_segment(segment, &reader) == 0);
    read_until_stopped(reader, "in process");
    vmt_reader_close(reader);
    return NULL;
}

static void read_process(enum vmt_read_mode mode, const char *name)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = mode };
    struct vmt_reader *reader = NULL;

    REQUIRE(reached(&shared->ready, 1));
    REQUIRE(vmt_reader_open(shared->path, &options, &reader) == 0);
    read_until_stopped(reader, name);
    vmt_reader_close(reader);
}

static void copying_reader(void *arg)
{
    (void)arg;
    read_process(VMT_READ_COPY, "copied");
}

static void mapping_reader(void *arg)
{
    (void)arg;
    read_process(VMT_READ_GUARDED, "mapped");
}

static void writer(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "churn" };
    struct vm vms[VMS];
    pthread_t reader;

    (void)arg;
    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    for (unsigned k = 0; k < VMS; k++) {
        vms[k] = (struct vm){ .number = k, .random = k + 1 };
        REQUIRE(vmt_source_addf(segment, &part_schema, NULL, &vms[k].source, "vm-%u", k) == 0);
    }
    snprintf(shared->path, sizeof(shared->path), "%s", vmt_segment_path(segment));
    say(&shared->ready, 1);
    REQUIRE(in_process || reached(&shared->readers, 2));
    for (int k = 0; k < VMS; k++)
        REQUIRE(pthread_create(&vms[k].thread, NULL, run_vm, &vms[k]) == 0);
    REQUIRE(!in_process || pthread_create(&reader, NULL, read_in_process, NULL) == 0);
    nap_us((long)(shared->seconds * 1e6));
    say(&shared->stop, 1);
    for (int k = 0; k < VMS; k++)
        REQUIRE(pthread_join(vms[k].thread, NULL) == 0);
    REQUIRE(!in_process || pthread_join(reader, NULL) == 0);
    vmt_segment_close(segment);
}

static void run(int pause_us)
{
    pid_t readers[2] = { 0 };
    pid_t writing;

    shared = shared_memory(sizeof(*shared));
    shared->pause_us = pause_us;
    shared->seconds = race_seconds();
    writing = start_child(writer, NULL);
    if (!in_process) {
        readers[0] = start_child(copying_reader, NULL);
        readers[1] = start_child(mapping_reader, NULL);
    }
    cr_assert_eq(end_of(writing), 0, "the writer failed");
    for (int i = 0; i < 2 && !in_process; i++)
        cr_assert_eq(end_of(readers[i]), 0, "a reader failed");
    fprintf(stderr, "# churn, pause %d us: %llu changes of sources\n", pause_us, (unsigned long long)shared->changes);
    cr_assert_gt(shared->changes, 0);
}

Test(churn, totals_stay_between_begin_and_end_for_other_processes) { run(1000); }

Test(churn, totals_are_absent_but_never_wrong_where_nothing_rests) { run(0); }

Test(churn, totals_stay_between_begin_and_end_in_process)
{
    in_process = true;
    run(200);
}
