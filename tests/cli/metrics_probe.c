/* SPDX-License-Identifier: MIT */
/* metrics_probe DIR fixed|SEED: VMs as JSON, a document each in DIR/vms.json, and one scrape of all of them as
 * DIR/scrape.openmetrics and DIR/scrape.prom. fixed: that of the golden files. SEED: such as nobody would make who means well:
 * any type, unit, exponent and aggregation, any values, names that differ only in what names of metrics may not have, that
 * end as samples do, schemas that contradict each other, sources and VMs of the same name. */
#include "tests/unit/fixed_snapshot.h"

#include <errno.h>
#include <vmtally/export.h>

#define VMS 6
#define SCHEMAS 8
#define SOURCES 30
#define STATISTICS 24
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t state;

static uint64_t random_below(uint64_t below)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (state >> 33) % below;
}

#define PICK(array) (array)[random_below(LENGTH(array))]

static void stop(const char *what, int r)
{
    fprintf(stderr, "metrics_probe: %s: %s\n", what, strerror(-r));
    exit(1);
}

static void must(int r, const char *what)
{
    if (r < 0)
        stop(what, r);
}

/* ---- schemas ---- */

static const char *const words[] = { "read", "a-b",   "a.b",     "a_b",  "rx",    "bytes",   "up", "info",  "4xx",
                                     "time", "count", "seconds", "wait", "exits", "x\"y\\z", "A",  "state", "v{m}=" };
static const char *const ends[] = {
    "",      "",       "",         "_count", "_total", "_sum", "_bucket", "_created",
    "_info", "_bytes", "_seconds", "_ns",    "_us",    "_kib", "_hist",   "_bytes_count"
};
static const char *const targets[] = { "vm",     "vcpu",     "block",          "block_crypto", "a",
                                       "a_read", "exporter", "other_exporter", "b.lock",       "b_lock" };
static const char *const helps[] = { "", "Helps", "Quotes \" and \\ and ünïcode", "# EOF", "\\n" };
static const uint32_t types[] = { VMT_TYPE_CUMULATIVE, VMT_TYPE_CUMULATIVE,  VMT_TYPE_INSTANT,
                                  VMT_TYPE_PEAK,       VMT_TYPE_LINEAR_HIST, VMT_TYPE_LOG_HIST };
static const uint32_t units[] = { VMT_UNIT_NONE,    VMT_UNIT_BYTES,  VMT_UNIT_SECONDS,
                                  VMT_UNIT_SECONDS, VMT_UNIT_CYCLES, VMT_UNIT_BOOLEAN };
static const int16_t exponents[] = { 0, 0, 0, -3, -6, -9, -30, 10, 60 };

struct made {
    struct vmt_schema schema;
    struct vmt_descriptor d[STATISTICS + 4];
    char names[STATISTICS + 4][VMT_NAME_SIZE];
    char name[16];
};

static void add_descriptor(struct made *made, const char *name, uint32_t flags, int16_t exponent, uint16_t size)
{
    struct vmt_descriptor *d = &made->d[made->schema.count];

    for (uint32_t i = 0; i < made->schema.count; i++)
        if (strcmp(made->names[i], name) == 0)
            return;
    *d = (struct vmt_descriptor){ .name = made->names[made->schema.count],
                                  .help = PICK(helps),
                                  .flags = flags,
                                  .slot = made->schema.slots,
                                  .exponent = exponent,
                                  .size = size };
    strcpy(made->names[made->schema.count++], name);
    if ((flags & VMT_TYPE_MASK) == VMT_TYPE_LINEAR_HIST)
        d->bucket_size = 1 + (uint32_t)random_below(UINT32_MAX - 1);
    made->schema.slots += size;
}

static void add_random(struct made *made)
{
    char name[VMT_NAME_SIZE];
    uint32_t type = PICK(types), flags = type | PICK(units);
    bool histogram = type >= VMT_TYPE_LINEAR_HIST;
    uint16_t size = 1;

    snprintf(name, sizeof(name), "%s%s", PICK(words), PICK(ends));
    if (random_below(4) == 0)
        flags |= (uint32_t)random_below(6) << 24;
    if (random_below(4) == 0)
        flags |= VMT_BASE_POW2;
    if (random_below(3) == 0 && (type == VMT_TYPE_INSTANT || type == VMT_TYPE_PEAK))
        flags |= VMT_SIGNED;
    if (histogram)
        size = random_below(8) == 0 ? 70 : (uint16_t)(1 + random_below(12));
    add_descriptor(made, name, flags, PICK(exponents), size);
}

static void add_latency(struct made *made)
{
    static const char *const parts[] = { "_count", "_sum", "_min", "_max", "_hist" };
    static const uint32_t flags[] = { VMT_TYPE_CUMULATIVE, VMT_TYPE_CUMULATIVE | VMT_UNIT_SECONDS,
                                      VMT_TYPE_INSTANT | VMT_AGGREGATION_MIN | VMT_UNIT_SECONDS,
                                      VMT_TYPE_PEAK | VMT_UNIT_SECONDS, VMT_TYPE_LOG_HIST | VMT_UNIT_SECONDS };
    const char *word = PICK(words);
    uint32_t first = made->schema.count;

    for (int i = 0; i < 5; i++) {
        char name[VMT_NAME_SIZE];

        snprintf(name, sizeof(name), "%s%s", word, parts[i]);
        add_descriptor(made, name, flags[i], i == 0 ? 0 : -9, i == 4 ? 20 : 1);
    }
    for (uint32_t i = first; i < made->schema.count; i++)
        made->d[i].group = 7;
}

static void make_schema(struct made *made, unsigned number)
{
    static const char *const providers[] = { "vmm", "kvm", "o\"t\\her" };
    uint64_t count = 1 + random_below(STATISTICS - 6);

    *made = (struct made){ 0 };
    snprintf(made->name, sizeof(made->name), "s-%u", number);
    made->schema.name = made->name;
    made->schema.provider = PICK(providers);
    made->schema.target = PICK(targets);
    made->schema.descriptors = made->d;
    if (random_below(2) == 0)
        add_latency(made);
    while (made->schema.count < count)
        add_random(made);
    add_descriptor(made, "steady", VMT_TYPE_CUMULATIVE, 0, 1); /* one that is never absent */
}

/* ---- VMs ---- */

struct vm {
    struct vmt_sample samples[SOURCES + 1];
    char ids[SOURCES + 1][400];
    uint64_t values[SOURCES + 1][2048];
};

static uint64_t random_value(void)
{
    switch (random_below(6)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return UINT64_C(1) << random_below(64);
    case 3:
        return (UINT64_C(1) << 53) + 1;
    default:
        return random_below(1000000);
    }
}

static int ids_like(const struct vm *vm, uint32_t count, const char *id)
{
    int like = 0;

    for (uint32_t i = 0; i < count; i++)
        like += strcmp(vm->ids[i], id) == 0;
    return like;
}

static bool has_children(const struct vm *vm, uint32_t count, const char *id)
{
    for (uint32_t i = 1; i < count; i++)
        if (strcmp(vm->ids[vm->samples[i].parent], id) == 0)
            return true;
    return false;
}

static void make_source(struct vm *vm, uint32_t i, const struct vmt_schema *schema)
{
    static const char *const names[] = { "vm", "vcpu-0", "vcpu-1", "disk", "disk-2", "kvm", "web", "o\"d\\d", "a=b,c" };
    static const uint32_t flags[] = { 0, 0, 0, 0, VMT_SAMPLE_LEAVING, VMT_SAMPLE_ABSENT, VMT_SAMPLE_TORN };
    struct vmt_sample *sample = &vm->samples[i];
    uint32_t parent = (uint32_t)random_below(i);
    char id[400];

    /* A document names a source's parent by its id: no other has that one. */
    while (parent && (vm->samples[parent].depth >= 6 || ids_like(vm, i, vm->ids[parent]) > 1))
        parent--;
    snprintf(id, sizeof(id), "%.300s%s%s", vm->ids[parent], parent ? "/" : "", PICK(names));
    if (has_children(vm, i, id))
        snprintf(id + strlen(id), 16, "-%u", i);
    strcpy(vm->ids[i], id);
    *sample = (struct vmt_sample){ .id = vm->ids[i],
                                   .schema = schema,
                                   .values = vm->values[i],
                                   .generation = 2 + 2 * random_below(2),
                                   .entry = (uint32_t)random_below(SOURCES),
                                   .parent = parent,
                                   .depth = vm->samples[parent].depth + 1,
                                   .flags = PICK(flags) };
    if (sample->flags & VMT_SAMPLE_ABSENT)
        sample->values = NULL;
    for (uint32_t k = 0; k < schema->slots; k++)
        vm->values[i][k] = random_value();
}

static struct vmt_snapshot *make_vm(const struct made *made)
{
    static const char *const names[] = { "web", "web", "web~2", "d\"b\\", "x=1,y=\"2\"" };
    static const char *const labels[] = { "rack=7", "a-b=1", "a.b=2", "a_b=ü \"q\" \\", "none", "=x", NULL };
    static struct vm vm;
    struct vmt_segment_info info = { .path = "/run/vm \"1\"\\.vmt",
                                     .name = PICK(names),
                                     .labels = labels + random_below(LENGTH(labels)),
                                     .created_ns = random_value(),
                                     .pid = (uint32_t)random_value(),
                                     .state = random_below(3) ? VMT_STATE_LIVE : (enum vmt_state)random_below(7),
                                     .flags = (uint32_t)random_below(2) };
    const struct vmt_schema *schemas[SCHEMAS];
    struct vmt_recorded *recorded;
    struct vmt_snapshot *snapshot;

    must(vmt_recorded_new(&recorded), "vmt_recorded_new");
    must(vmt_snapshot_new(&snapshot), "vmt_snapshot_new");
    for (int i = 0; i < SCHEMAS; i++)
        must(vmt_recorded_schema(recorded, &made[i].schema, &schemas[i]), "vmt_recorded_schema");
    memset(&vm, 0, sizeof(vm));
    make_source(&vm, 1, schemas[0]); /* for its values */
    vm.samples[0] = vm.samples[1];
    vm.samples[0].id = "";
    vm.samples[0].parent = UINT32_MAX;
    vm.samples[0].depth = 0;
    for (uint32_t i = 1; i <= SOURCES; i++)
        make_source(&vm, i, PICK(schemas));
    must(vmt_snapshot_rebuild(snapshot, recorded, &info, vm.samples, SOURCES + 1), "vmt_snapshot_rebuild");
    vmt_recorded_free(recorded);
    return snapshot;
}

/* ---- files ---- */

static void write_file(const char *dir, const char *name, const struct vmt_buffer *out)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "we");
    if (!f || fwrite(out->data, 1, out->size, f) != out->size || fclose(f) != 0)
        stop(path, -errno);
}

int main(int argc, char **argv)
{
    static struct made made[2 * SCHEMAS];
    bool fixed = argc == 3 && strcmp(argv[2], "fixed") == 0;
    struct vmt_metrics *metrics;
    struct vmt_buffer json = { 0 }, out = { 0 };

    if (argc != 3) {
        fprintf(stderr, "usage: metrics_probe DIR fixed|SEED\n");
        return 2;
    }
    state = strtoull(argv[2], NULL, 10);
    must(vmt_metrics_new(&metrics), "vmt_metrics_new");
    for (unsigned i = 0; i < LENGTH(made); i++)
        make_schema(&made[i], i);
    for (int i = 0; i < (fixed ? 1 : VMS); i++) {
        struct vmt_snapshot *snapshot = fixed ? fixed_snapshot() : make_vm(&made[random_below(SCHEMAS)]);

        must(vmt_json_encode(snapshot, 0, &json), "vmt_json_encode");
        must(vmt_metrics_add(metrics, snapshot, NULL, NULL), "vmt_metrics_add");
        vmt_snapshot_free(snapshot);
    }
    write_file(argv[1], "vms.json", &json);
    must(vmt_metrics_write(metrics, VMT_OPENMETRICS, &out), "vmt_metrics_write");
    write_file(argv[1], "scrape.openmetrics", &out);
    vmt_buffer_clear(&out);
    must(vmt_metrics_write(metrics, VMT_PROMETHEUS, &out), "vmt_metrics_write");
    write_file(argv[1], "scrape.prom", &out);
    vmt_buffer_free(&out);
    vmt_buffer_free(&json);
    vmt_metrics_free(metrics);
    fixed_forget();
    return 0;
}
