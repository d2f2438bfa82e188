/* SPDX-License-Identifier: MIT */
/* A file, joined with what the kernel counts of its writer: whatever stands in it, that is shown once, below one parent,
 * and the rest is as without it. */
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "input.h"
#include "judge.h"
#include "lib/kvm/handle.h"
#include "lib/kvm/host.h"
#include "lib/parsed.h"
#include "lib/schema_block.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* input.head.how: what the kernel has. */
#define HOW_VCPUS 3U  /* so many vCPUs */
#define HOW_SUM 4U    /* of which only the sum is known, as in debugfs */
#define HOW_SECOND 8U /* another VM */
#define HOW_ODD                                                                                                        \
    16U /* a vCPU of which it is not known whose, a spare item, one of which nothing is known; the process
                         goes between two snapshots */

#define ITEMS_MAX 16U
#define VALUES_MAX 8U /* of an item */

static struct input input;
static struct vmt_delta *delta;
static bool still; /* nothing changes: what is read twice is the same */

/* ---- the host, instead of lib/kvm/host.c ---- */

static struct {
    struct bulletin head;
    struct bulletin_process process;
    struct bulletin_item items[ITEMS_MAX];
    uint64_t values[ITEMS_MAX][VALUES_MAX];
} board;

struct vmt_host {
    struct parsed *schemas[2];
    bool gone;
};
static struct vmt_host host;

const struct bulletin *host_bulletin(const struct vmt_host *h)
{
    (void)h;
    return &board.head;
}

struct parsed *host_schema(struct vmt_host *h, uint32_t n)
{
    ENSURE(n < 2 && h->schemas[n], "schema %u", n);
    return h->schemas[n];
}

const struct bulletin_process *host_process(const struct vmt_host *h, uint32_t pid, uint64_t start)
{
    return h->gone || pid != board.process.pid || (start && start != board.process.start) ? NULL : &board.process;
}

const struct bulletin_process *host_process_of(const struct vmt_host *h, const struct shm_header *header, uint32_t uid,
                                               bool foreign)
{
    (void)header;
    (void)uid;
    (void)foreign;
    return host_process(h, board.process.pid, 0);
}

int host_unread(struct vmt_host *h, const char *path, const struct shm_header *header, uint64_t since_ns)
{
    (void)h;
    (void)path;
    (void)header;
    (void)since_ns;
    return 0;
}

uint32_t host_pid_of_path(const char *path) { return strcmp(path, "/proc/7") == 0 ? 7 : 0; }

static void has(int vm, int vcpu, int fd, uint32_t flags)
{
    uint32_t i = board.process.item_count++;
    uint64_t place = (uint64_t)((char *)board.values[i] - (char *)&board);

    ENSURE(i < ITEMS_MAX, "too many");
    board.items[i] = (struct bulletin_item){ .generation = 1000 + 2 * i,
                                             .values = place,
                                             .index = i,
                                             .schema = vcpu == BULLETIN_VM && !(flags & BULLETIN_TOTAL) ? 0 : 1,
                                             .vm = vm,
                                             .vcpu = vcpu,
                                             .fd = fd,
                                             .flags = flags };
    for (uint32_t k = 0; k < VALUES_MAX; k++)
        board.values[i][k] = flags & BULLETIN_NO_VALUES ? 0 : 1 + i + k;
}

static void has_vm(int vm, int fd, uint32_t vcpus, bool sum)
{
    uint32_t flags = sum ? BULLETIN_FROM_DEBUGFS : 0;

    has(vm, BULLETIN_VM, sum ? -1 : fd, flags);
    if (sum)
        has(vm, BULLETIN_VM, -1, flags | BULLETIN_TOTAL);
    for (uint32_t i = 0; i < vcpus; i++)
        has(vm, (int)i, sum ? -1 : fd + 1 + (int)i, flags | (sum ? BULLETIN_NO_VALUES : 0));
}

static void look(uint8_t how)
{
    board.process = (struct bulletin_process){ .pid = 7, .inner_pid = 7, .start = 4711, .name = "guest" };
    has_vm(5, FUZZ_KERNEL_FD, how & HOW_VCPUS, how & HOW_SUM);
    if (how & HOW_SECOND)
        has_vm(6, 20, 1, false);
    if (how & HOW_ODD) {
        has(BULLETIN_UNKNOWN_VM, 2, 13, 0);
        has(BULLETIN_UNKNOWN_VM, 0, 14, BULLETIN_NO_VALUES);
        board.items[board.process.item_count - 1].schema = BULLETIN_NO_SCHEMA;
        has(BULLETIN_UNKNOWN_VM, 0, 12, BULLETIN_SPARE);
    }
    board.head = (struct bulletin){ .bytes = sizeof(board), .serial = 1, .process_count = 1, .schema_count = 2 };
    board.head.processes = offsetof(typeof(board), process);
    board.process.items = offsetof(typeof(board), items);
    host.gone = false;
}

/* ---- what is shown ---- */

/* Each thing at most once, with the kernel's values. How many. */
static uint32_t judge_joined(const struct vmt_snapshot *snapshot)
{
    uint32_t seen = 0, count = 0;

    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
        uint32_t index = sample->entry & ~VMT_ENTRY_KERNEL;

        ENSURE(vmt_snapshot_subject(snapshot, i) <= i, "the subject of %zu", i);
        if (!(sample->entry & VMT_ENTRY_KERNEL) || i == 0)
            continue;
        ENSURE(index < board.process.item_count && !(seen >> index & 1), "'%s': item %u", sample->id, index);
        ENSURE(sample->generation == board.items[index].generation, "'%s': generation", sample->id);
        ENSURE(strcmp(sample->schema->provider, KVM_PROVIDER) == 0, "'%s' of %s", sample->id, sample->schema->provider);
        ENSURE(memcmp(sample->values, board.values[index], 8 * sample->schema->slots) == 0, "'%s': values", sample->id);
        ENSURE(vmt_snapshot_find(snapshot, sample->id) == sample, "another one is called '%s'", sample->id);
        seen |= 1U << index;
        count++;
    }
    return count;
}

static int take(struct vmt_reader *reader, struct vmt_snapshot *snapshot, struct seen *seen)
{
    uint64_t bytes = (input.timed ? FUZZ_FILE_MAX : input.base->file.size) + 128 * ITEMS_MAX;
    int r = vmt_snapshot_take(snapshot, reader);

    judge_snapshot(snapshot, r, bytes, seen);
    ENSURE(judge_joined(snapshot) == 0 || !host.gone, "of a process that has gone");
    judge_samples(reader, snapshot, still && r >= 0);
    return r;
}

static void read_it(int mode)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = (enum vmt_read_mode)mode };
    struct vmt_snapshot *snapshots[2] = { NULL, NULL };
    struct vmt_reader *reader = NULL;
    struct seen seen = { .count = 0 };
    int results[2];

    if (vmt_reader_open_host(&host, FUZZ_PATH, &options, &reader) < 0)
        return;
    for (int i = 0; i < 2; i++) {
        ENSURE(vmt_snapshot_new(&snapshots[i]) == 0, "no memory");
        if (i)
            input_between(&input);
        host.gone = i && input.head.how & HOW_ODD;
        results[i] = take(reader, snapshots[i], &seen);
    }
    if (still && !host.gone)
        judge_equal(snapshots[0], results[0], snapshots[1], results[1], "again");
    judge_delta(delta, snapshots[0], snapshots[1]);
    vmt_snapshot_free(snapshots[0]);
    vmt_snapshot_free(snapshots[1]);
    vmt_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_parse(&input, data, size);
    input.head.no_memory = 0;
    look(input.head.how);
    still = !input.timed;
    input_begin(&input);
    read_it(input.head.flags & INPUT_GUARDED_FIRST ? VMT_READ_GUARDED : VMT_READ_COPY);
    input_undo(&input);
    ENSURE(fuzz_handles() == 0, "%ld descriptors and mappings are left", fuzz_handles());
    return 0;
}

/* With each sound base, and without a segment, all that the kernel has is shown. */
static void judge_sound(uint32_t base, uint8_t how)
{
    const uint8_t data[sizeof(struct head)] = { (uint8_t)base, INPUT_LOCKED, how };
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_reader *reader = NULL;
    bool copied = strcmp(fuzz_bases[base].name, "kernel") == 0 && how & HOW_SUM; /* copies have more than debugfs */
    uint32_t shown;

    input_parse(&input, data, sizeof(data));
    look(how);
    input_begin(&input);
    ENSURE(vmt_snapshot_new(&snapshot) == 0, "no memory");
    ENSURE(vmt_reader_open_host(&host, base ? FUZZ_PATH : "/proc/7", NULL, &reader) == 0, "open");
    ENSURE(vmt_snapshot_take(snapshot, reader) == 0, "base %u is not sound", base);
    shown = judge_joined(snapshot);
    ENSURE(shown || copied, "base %u, how %u: nothing of the kernel's is shown", base, how);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    input_undo(&input);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct vmt_schema *const schemas[2] = { &fuzz_kernel_vm, &fuzz_kernel_vcpu };

    (void)argc;
    (void)argv;
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    fuzz_bases_make();
    ENSURE(vmt_delta_new(&delta) == 0, "no memory");
    for (int i = 0; i < 2; i++) {
        void *block = calloc(1, schema_block_bytes(schemas[i]) + 8U);

        ENSURE(block && schemas[i]->slots <= VALUES_MAX, "schema %d", i);
        schema_block_fill(block, schemas[i]);
        host.schemas[i] = parsed_get(block, NULL, 0);
        ENSURE(host.schemas[i], "no memory");
    }
    for (uint32_t base = 0; base < fuzz_base_count - 1; base++)
        for (uint8_t how = 0; how < 32; how++)
            judge_sound(base, how);
    return 0;
}
