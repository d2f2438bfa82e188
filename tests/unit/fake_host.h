/* SPDX-License-Identifier: MIT */
/* fake_host.h: a host whose looks find what a test says, instead of lib/kvm/host.c. */
#ifndef TESTS_UNIT_FAKE_HOST_H
#define TESTS_UNIT_FAKE_HOST_H

#include "parts.h"

#include "lib/kvm/handle.h"
#include "lib/kvm/host.h"
#include "lib/schema_block.h"
#include "shm/clock.h"

#define KERNEL_VM_STATISTICS(X)                                                                                        \
    X(CUMULATIVE, KV_FLUSHES, "remote_tlb_flush", NONE, 1, 0, "Flushes")                                               \
    X(INSTANT, KV_PAGES, "pages_4k", NONE, 1, 0, "Pages")
VMT_SCHEMA_ENUM(KV, KERNEL_VM_STATISTICS)
VMT_SCHEMA_DEFINE(kernel_vm, KVM_SCHEMA_VM, KVM_PROVIDER, "vm", KV, KERNEL_VM_STATISTICS)

#define KERNEL_VCPU_STATISTICS(X)                                                                                      \
    X(CUMULATIVE, KC_EXITS, "exits", NONE, 1, 0, "Exits")                                                              \
    X(BOOLEAN, KC_GUEST, "guest_mode", BOOL, 1, 0, "In the guest")                                                     \
    X(LOG, KC_WAIT, "halt_wait_hist", NANOSECONDS, 4, 0, "Waits")
VMT_SCHEMA_ENUM(KC, KERNEL_VCPU_STATISTICS)
VMT_SCHEMA_DEFINE(kernel_vcpu, KVM_SCHEMA_VCPU, KVM_PROVIDER, "vcpu", KC, KERNEL_VCPU_STATISTICS)

/* What debugfs has of it. */
#define PARTIAL_VCPU_STATISTICS(X) X(CUMULATIVE, KP_EXITS, "exits", NONE, 1, 0, "Exits")
VMT_SCHEMA_ENUM(KP, PARTIAL_VCPU_STATISTICS)
VMT_SCHEMA_DEFINE(partial_vcpu, KVM_SCHEMA_VCPU, KVM_PROVIDER, "vcpu", KP, PARTIAL_VCPU_STATISTICS)

enum { SCHEMA_VM, SCHEMA_VCPU, SCHEMA_PARTIAL, SCHEMAS };
static const struct vmt_schema *const kernel_schemas[SCHEMAS] = { &kernel_vm, &kernel_vcpu, &partial_vcpu };

#define THINGS_MAX 8192
struct vmt_host {
    struct board board;
    struct parsed *schemas[SCHEMAS];
    struct bulletin_process process;
    struct bulletin_item things[THINGS_MAX];
    uint64_t values[THINGS_MAX]; /* of the first slot */
    uint32_t count;
    bool gone;          /* the process */
    bool refused;       /* it is not the segment's */
    bool inner;         /* it is, though it has another pid there */
    uint64_t unread_ns; /* of handles that led nowhere: since when */
};
static struct vmt_host host = { .board = { .fd = -1 } };

const struct bulletin *host_bulletin(const struct vmt_host *h) { return (const void *)h->board.data; }

struct parsed *host_schema(struct vmt_host *h, uint32_t n)
{
    uint32_t bytes = schema_block_bytes(kernel_schemas[n]);

    if (!h->schemas[n]) {
        void *block = malloc(shm_round(bytes, 8));

        if (!block)
            return NULL;
        schema_block_fill(block, kernel_schemas[n]);
        h->schemas[n] = parsed_get(block, NULL, 0);
    }
    return h->schemas[n];
}

const struct bulletin_process *host_process(const struct vmt_host *h, uint32_t pid, uint64_t start)
{
    const struct bulletin *b = host_bulletin(h);
    const struct bulletin_process *p = b && !h->gone ? bulletin_at(b, b->processes) : NULL;

    return p && p->pid == pid && (start == 0 || p->start == start) ? p : NULL;
}

const struct bulletin_process *host_process_of(const struct vmt_host *h, const struct shm_header *header, uint32_t uid,
                                               bool foreign)
{
    (void)uid;
    (void)foreign;
    return h->refused ? NULL : host_process(h, h->inner ? h->process.pid : header->pid, 0);
}

int host_unread(struct vmt_host *h, const char *path, const struct shm_header *header, uint64_t since_ns)
{
    cr_assert_not_null(strstr(path, ".vmt"));
    cr_assert_eq(header->pid, (uint32_t)getpid());
    h->unread_ns = since_ns;
    return 0;
}

uint32_t host_pid_of_path(const char *path)
{
    return strncmp(path, "/proc/", 6) == 0 ? (uint32_t)strtoul(path + 6, NULL, 10) : 0;
}

/* Say what there is. Returns its number, from 0. */
static inline uint32_t kernel_has(int vm, int vcpu, int fd, uint32_t schema, uint32_t flags, uint64_t value)
{
    cr_assert_lt(host.count, THINGS_MAX);
    host.things[host.count] = (struct bulletin_item){ .generation = 1000 + 2 * host.count,
                                                      .index = host.count,
                                                      .schema = schema,
                                                      .vm = vm,
                                                      .vcpu = vcpu,
                                                      .fd = fd,
                                                      .flags = flags };
    host.values[host.count] = value;
    return host.count++;
}

static inline uint32_t kernel_vm_at(int vm, int fd, uint64_t flushes)
{
    return kernel_has(vm, BULLETIN_VM, fd, SCHEMA_VM, 0, flushes);
}

static inline uint32_t kernel_vcpu_at(int vm, int vcpu, int fd, uint64_t exits)
{
    return kernel_has(vm, vcpu, fd, SCHEMA_VCPU, 0, exits);
}

/* A look finds it. */
static inline void look(void)
{
    struct bulletin *b = (void *)host.board.data;
    uint64_t serial = b ? b->serial : 0;
    uint64_t place, items;
    uint64_t begin = shm_clock_ns(CLOCK_MONOTONIC);

    board_clear(&host.board);
    place = board_add(&host.board, sizeof(struct bulletin_process));
    items = board_add(&host.board, host.count * sizeof(struct bulletin_item));
    for (uint32_t i = 0; i < host.count; i++) {
        struct bulletin_item *item = &host.things[i];

        if (item->schema != BULLETIN_NO_SCHEMA)
            item->values = board_add(&host.board, kernel_schemas[item->schema]->slots * sizeof(uint64_t));
        if (!(item->flags & BULLETIN_NO_VALUES))
            *(uint64_t *)bulletin_at((void *)host.board.data, item->values) = host.values[i];
    }
    cr_assert(!host.board.failed);
    b = (void *)host.board.data;
    b->serial = serial + 1;
    b->processes = place;
    b->process_count = 1;
    b->schema_count = SCHEMAS;
    memcpy(b->boot_id, "0123456789abcdef", 16);
    host.process.items = items;
    host.process.item_count = host.count;
    host.process.begin_ns = begin;
    host.process.end_ns = shm_clock_ns(CLOCK_MONOTONIC);
    memcpy(bulletin_at(b, place), &host.process, sizeof(host.process));
    memcpy(bulletin_at(b, items), host.things, host.count * sizeof(host.things[0]));
}

static inline void host_init(void)
{
    host.count = 0;
    host.gone = host.refused = host.inner = false;
    host.unread_ns = 0;
    host.process = (struct bulletin_process){
        .pid = (uint32_t)getpid(), .inner_pid = (uint32_t)getpid(), .start = 4711, .uid = geteuid(), .name = "guest"
    };
}

/* The schemas that it has made. */
static inline void host_forget(void)
{
    for (uint32_t i = 0; i < SCHEMAS; i++) {
        if (host.schemas[i])
            parsed_release(host.schemas[i]);
        host.schemas[i] = NULL;
    }
}

static inline void host_fini(void)
{
    host_forget();
    board_free(&host.board);
}

/* ---- a segment of a VM, and what snapshots of it say ---- */

static struct vmt_segment *segment;
static struct vmt_source *vm, *vcpu0, *vcpu1;
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;

static inline void attach_with_host(void)
{
    vmt_reader_close(reader);
    reader = NULL;
    cr_assert_eq(vmt_reader_open_host(&host, vmt_segment_path(segment), NULL, &reader), 0);
}

/* A VM of two vCPUs, as VMMs have it. */
static inline void setup(void)
{
    test_dir_init();
    host_init();
    segment = new_segment("web");
    vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    vcpu0 = add_source(segment, &vmt_schema_vcpu, vm, "vcpu-0");
    vcpu1 = add_source(segment, &vmt_schema_vcpu, vm, "vcpu-1");
    snapshot = new_snapshot();
    attach_with_host();
}

static inline void teardown(void)
{
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    host_fini();
    test_dir_fini();
}

static inline void look_and_take(void)
{
    look();
    take(snapshot, reader);
}

static inline void handle(struct vmt_source *of, const struct vmt_schema *schema, uint64_t fd)
{
    vmt_set(vmt_shard_acquire(add_source(segment, schema, of, KVM_HANDLE_NAME)), 0, fd);
}

static inline struct vmt_source *copy(struct vmt_source *of, const struct vmt_schema *schema, uint64_t value)
{
    struct vmt_source *source = add_source(segment, schema, of, KVM_COPY_NAME);

    vmt_count(source, 0, value);
    return source;
}

static inline bool there_is(const char *id) { return vmt_snapshot_find(snapshot, id) != NULL; }

/* All ids in order, each with a space before it. */
static inline const char *ids(void)
{
    static char text[4096];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 1; i < vmt_snapshot_count(snapshot); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", vmt_snapshot_source(snapshot, i)->id);
    return text;
}

static inline const struct vmt_total *total_at(const char *id, const struct vmt_schema *schema)
{
    const struct vmt_sample *sample = sample_of(snapshot, id);
    const struct vmt_total *found = NULL;

    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_schema *s = sample->totals[t].schema;

        if (strcmp(s->name, schema->name) == 0 && s->count == schema->count) {
            cr_assert_null(found, "two totals of one schema");
            found = &sample->totals[t];
        }
    }
    cr_assert_not_null(found, "'%s' has no total of %s", id, schema->name);
    return found;
}

#define assert_total(id, schema, value, live)                                                                          \
    do {                                                                                                               \
        const struct vmt_total *total_ = total_at(id, schema);                                                         \
        cr_assert_eq(total_->flags, 0);                                                                                \
        cr_assert_eq(total_->values[0], value, "%s: %lu", id, total_->values[0]);                                      \
        cr_assert_eq(total_->sources, live, "%s: of %u", id, total_->sources);                                         \
    } while (0)

#endif
