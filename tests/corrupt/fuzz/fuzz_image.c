/* SPDX-License-Identifier: MIT */
/* A file, attached to and read in every way, while it changes. */
#include <errno.h>
#include <malloc.h>
#include <msgpack.h>
#include <string.h>
#include <unistd.h>

#include <vmtally/export.h>

#include "input.h"
#include "judge.h"
#include "tests/unit/kvm_assertions.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct input input;
static struct vmt_snapshot **sound; /* of each base, as it was made */
static struct vmt_delta *delta;
static bool still; /* nothing changes, and nothing fails: what is read twice is the same */

/* What the library may hold for a file of that size: four snapshots, each with the values of up to 6 passes over at
 * most 3 times the file, in memory that doubles as it grows; and a delta. */
static size_t memory_allowed(uint64_t bytes) { return (1U << 20) + 256 * (size_t)bytes; }

static int open_reader(int mode, struct vmt_reader **ret)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = (enum vmt_read_mode)mode };

    return vmt_reader_open(FUZZ_PATH, &options, ret);
}

static struct vmt_snapshot *new_snapshot(int shards)
{
    struct vmt_snapshot *snapshot = NULL;

    if (vmt_snapshot_new(&snapshot) < 0) /* the one allocation that was to fail */
        ENSURE(judge_no_memory && vmt_snapshot_new(&snapshot) == 0, "no memory");
    vmt_snapshot_want_shards(snapshot, shards);
    return snapshot;
}

/* One attachment: what came of it, last. */
struct reading {
    int result; /* of opening, else of the second snapshot */
    struct vmt_snapshot *first, *second;
};

static void encode(const struct vmt_snapshot *snapshot)
{
    static struct vmt_msgpack *stream;
    struct vmt_buffer out = { 0 };
    int r = stream ? 0 : vmt_msgpack_new(&stream);

    vmt_msgpack_reset(stream);
    ENSURE(r == 0 && vmt_msgpack_encode(stream, snapshot, &out) == 0, "no memory");
    ENSURE(vmt_msgpack_encode_full(snapshot, &out) == 0, "no memory");
    vmt_buffer_clear(&out);
    ENSURE(vmt_json_encode(snapshot, 0, &out) == 0, "no memory");
    ENSURE(out.size && out.data[out.size - 1] == '\n', "no line");
    out.data[out.size - 1] = '\0';
    ENSURE(strlen(out.data) == out.size - 1, "a NUL in JSON");
    judge_text(out.data, false); /* one line, whatever names hold */
    vmt_buffer_free(&out);
}

/* What is one line, whatever names hold, or nothing. */
static void judge_line(struct vmt_buffer *out)
{
    if (out->size) {
        ENSURE(out->data[out->size - 1] == '\n', "no line");
        out->data[out->size - 1] = '\0';
        ENSURE(strlen(out->data) == out->size - 1, "a NUL in JSON");
        judge_text(out->data, false);
    }
    vmt_buffer_clear(out);
}

static void encode_lines(const struct vmt_snapshot *snapshot)
{
    struct vmt_firecracker *lines = NULL;
    struct vmt_buffer out = { 0 };

    ENSURE(vmt_firecracker_new(&lines) == 0, "no memory");
    for (int i = 0; i < 2; i++) {
        ENSURE(vmt_firecracker_encode(lines, snapshot, NULL, &out) == 0 && out.size, "no memory");
        vmt_firecracker_keep(lines);
        judge_line(&out);
    }
    vmt_firecracker_free(lines);
    ENSURE(vmt_tinykvm_encode(snapshot, ".*[a-z].*", 0, &out) == 0, "no memory");
    judge_line(&out);
    vmt_buffer_free(&out);
}

static const char *behind(const char *at, const char *characters) { return at + strspn(at, characters); }

/* NAME{LABEL="VALUE",...} NUMBER */
static void judge_metric(const char *at)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    ENSURE(strncmp(at, "kvmtop_", 7) == 0, "a name");
    at = behind(at, name);
    for (char c = '{'; *at != ' '; c = ',') {
        ENSURE(*at == c && behind(at + 1, name) > at + 1, "a label");
        at = behind(at + 1, name);
        ENSURE(at[0] == '=' && at[1] == '"', "a label without a value");
        for (at += 2; *at != '"'; at++) {
            ENSURE(*at, "a value without an end");
            if (*at == '\\')
                ENSURE(strchr("\\\"n", *++at) && *at, "what stands for nothing");
        }
        if (*++at == '}')
            break;
    }
    at += *at == '}';
    ENSURE(*at == ' ' && at[1] && *behind(at + 1, "-.0123456789") == '\0', "a number");
}

/* Two VMs of one name, as both formats; metrics remembers the schemas of earlier inputs. */
static void encode_metrics(const struct vmt_snapshot *snapshot)
{
    static struct vmt_metrics *metrics;
    struct vmt_buffer out = { 0 };

    ENSURE(metrics || vmt_metrics_new(&metrics) == 0, "no memory");
    vmt_metrics_clear(metrics);
    for (int i = 0; i < 2; i++)
        ENSURE(vmt_metrics_add(metrics, snapshot, i ? NULL : "a \"b\"\\", NULL) == 0, "no memory");
    for (int format = VMT_OPENMETRICS; format <= VMT_PROMETHEUS; format++) {
        vmt_buffer_clear(&out);
        ENSURE(vmt_metrics_write(metrics, (enum vmt_metrics_format)format, &out) == 0, "no memory");
        for (char *at = out.data, *end; at < out.data + out.size; at = end + 1) {
            end = memchr(at, '\n', (size_t)(out.data + out.size - at));
            ENSURE(end, "no line");
            *end = '\0';
            ENSURE(strlen(at) == (size_t)(end - at), "a NUL");
            judge_text(at, false);
            if (*at != '#')
                judge_metric(at);
        }
    }
    vmt_buffer_free(&out);
}

/* Whatever the segment holds, an entry is one whole value: what follows it in a chunk is an entry, too. */
static int judge_entry(void *arg, const struct vmt_snapshot *snapshot, size_t i, const struct vmt_schema *schema,
                       const void *entry, size_t size)
{
    msgpack_unpacked unpacked;
    msgpack_object_array parts;
    size_t end = 0;

    (void)arg;
    ENSURE(i < vmt_snapshot_count(snapshot) && schema->count, "whose?");
    msgpack_unpacked_init(&unpacked);
    ENSURE(msgpack_unpack_next(&unpacked, entry, size, &end) == MSGPACK_UNPACK_SUCCESS && end == size, "not whole");
    ENSURE(unpacked.data.type == MSGPACK_OBJECT_ARRAY && unpacked.data.via.array.size == 2, "no entry");
    parts = unpacked.data.via.array;
    ENSURE(parts.ptr[0].type == MSGPACK_OBJECT_EXT && parts.ptr[0].via.ext.size == 8, "no time");
    ENSURE(parts.ptr[1].type == MSGPACK_OBJECT_MAP, "no record");
    for (uint32_t k = 0; k < parts.ptr[1].via.map.size; k++)
        ENSURE(parts.ptr[1].via.map.ptr[k].key.type == MSGPACK_OBJECT_STR, "a key");
    msgpack_unpacked_destroy(&unpacked);
    return 0;
}

/* They remember the schemas of earlier inputs. */
static void encode_records(const struct vmt_snapshot *older, const struct vmt_snapshot *newer)
{
    static struct vmt_records *records[2];

    ENSURE(vmt_delta_compute(delta, older, newer) == 0, "no memory");
    for (uint32_t i = 0; i < 2; i++) {
        const struct vmt_records_options options = {
            .struct_size = sizeof(options), .host = "host", .sender = "1", .strings = i, .deltas = i
        };

        ENSURE(records[i] || vmt_records_new(&options, &records[i]) == 0, "no memory");
        ENSURE(vmt_records_encode(records[i], newer, i ? delta : NULL, NULL, 1, NULL, judge_entry, NULL) == 0,
               "no memory");
    }
}

/* Readers of KVM's files trust them: whatever the segment says, they can. */
static void encode_kvm(const struct vmt_snapshot *snapshot)
{
    for (size_t i = 0; i < vmt_snapshot_count(snapshot) && i < 4; i++) {
        int fd = vmt_kvm_open(snapshot, i);
        char why[256];

        ENSURE(fd >= 0 || fd == -ENOENT || fd == -ENODATA, "no image");
        if (fd < 0)
            continue;
        ENSURE(kvm_assertions_hold(fd, why, sizeof(why)), "%s", why);
        close(fd);
    }
}

static void read_it(int mode, struct reading *reading)
{
    uint64_t bytes = input.base->file.size;
    struct vmt_reader *reader = NULL;
    int r = open_reader(mode, &reader);
    struct seen seen;

    reading->result = r;
    if (r < 0) {
        ENSURE(r == -EBADMSG || r == -EPROTONOSUPPORT || r == -ENODATA || r == -EMEDIUMTYPE ||
                   (r == -ENOMEM && judge_no_memory),
               "open: %s", strerror(-r));
        return;
    }
    ENSURE((unsigned)vmt_reader_state(reader) < VMT_STATE_COUNT, "state");
    seen.count = 0;
    reading->first = new_snapshot(0);
    reading->second = new_snapshot(1);
    r = vmt_snapshot_take(reading->first, reader);
    judge_snapshot(reading->first, r, input.timed ? FUZZ_FILE_MAX : bytes, &seen);
    judge_samples(reader, reading->first, still && r >= 0);
    input_between(&input);
    reading->result = vmt_snapshot_take(reading->second, reader);
    judge_snapshot(reading->second, reading->result, input.timed ? FUZZ_FILE_MAX : bytes, &seen);
    if (still)
        judge_equal(reading->first, r, reading->second, reading->result, "with shards");
    judge_samples(reader, reading->first, false);
    judge_delta(delta, reading->first, reading->second);
    vmt_reader_close(reader);
}

static void judge_check(int opened)
{
    char why[256];
    int r;

    memset(why, 'x', sizeof(why));
    r = vmt_check(FUZZ_PATH, why, sizeof(why));
    ENSURE(strnlen(why, sizeof(why)) < sizeof(why), "no end");
    judge_text(why, true);
    ENSURE(r < VMT_STATE_COUNT, "state %d", r);
    if (input.timed || r == -ENOMEM || opened == -ENOMEM)
        return;
    ENSURE((r == VMT_STATE_DAMAGED || r == VMT_STATE_OTHER_VERSION) ? *why : (r < 0 || !*why), "%d: %s", r, why);
    /* It looks at more than a snapshot does, so it may be stricter, but not milder. */
    ENSURE(opened == 0 || (r < 0 || r == VMT_STATE_DAMAGED || r == VMT_STATE_OTHER_VERSION), "opened %d, check says %d",
           opened, r);
}

static void read_twice(void)
{
    struct reading readings[2] = { { 0 } };
    int first = input.head.flags & INPUT_GUARDED_FIRST ? VMT_READ_GUARDED : VMT_READ_COPY;

    still = !input.timed && !input.head.no_memory;
    judge_no_memory = input.head.no_memory;
    fuzz_memory_start();
    fuzz_memory_fail(input.head.no_memory);
    for (int i = 0; i < 2; i++) {
        if (i == 0 || input.timed)
            input_begin(&input);
        read_it(i ? !first : first, &readings[i]);
        if (input.timed)
            input_undo(&input);
    }
    if (still && readings[0].first && readings[1].first)
        judge_equal(readings[0].second, readings[0].result, readings[1].second, readings[1].result, "the other mode");
    else if (!input.timed && readings[0].result != -ENOMEM && readings[1].result != -ENOMEM)
        ENSURE(readings[0].result == readings[1].result, "%d and %d", readings[0].result, readings[1].result);
    if (readings[0].second)
        judge_delta(delta, sound[input.base - fuzz_bases], readings[0].second);
    if (input.head.flags & INPUT_ENCODE && readings[1].second) {
        encode(readings[1].second);
        encode_lines(readings[1].second);
        encode_metrics(readings[1].second);
        encode_records(readings[1].first, readings[1].second);
        encode_kvm(readings[1].second);
    }
    if (input.head.flags & INPUT_CHECK) {
        if (input.timed)
            input_begin(&input);
        judge_check(readings[0].result);
    }
    ENSURE(fuzz_memory_peak() <= memory_allowed(input.largest), "%zu bytes held for a file of %llu", fuzz_memory_peak(),
           (unsigned long long)input.largest);
    fuzz_memory_fail(0);
    for (int i = 0; i < 2; i++) {
        vmt_snapshot_free(readings[i].first);
        vmt_snapshot_free(readings[i].second);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_parse(&input, data, size);
    read_twice();
    input_undo(&input);
    ENSURE(fuzz_handles() == 0, "%ld descriptors and mappings are left", fuzz_handles());
    return 0;
}

/* Bases are sound, and what is known of them is what deltas start from. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    /* Memory that is given back to the kernel is zeroed when it is had again. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    fuzz_bases_make();
    sound = calloc(fuzz_base_count, sizeof(struct vmt_snapshot *));
    ENSURE(sound && vmt_delta_new(&delta) == 0, "no memory");
    for (uint32_t i = 0; i < fuzz_base_count; i++) {
        struct vmt_reader *reader = NULL;
        int r;

        sound[i] = new_snapshot(1);
        if (i == fuzz_base_count - 1)
            break;
        fuzz_file_show(&fuzz_bases[i].file, FUZZ_LOCKED);
        fuzz_events_start(NULL, NULL, UINT32_MAX);
        ENSURE((r = open_reader(VMT_READ_GUARDED, &reader)) == 0, "%s: %s", fuzz_bases[i].name, strerror(-r));
        ENSURE(vmt_snapshot_take(sound[i], reader) == 0, "%s is not sound", fuzz_bases[i].name);
        vmt_reader_close(reader);
    }
    return 0;
}
