/* SPDX-License-Identifier: MIT */
/* The mutator that knows the format: it changes fields to what is likely to be taken for good. */
#include <string.h>

#include "input.h"
#include "shm/layout.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
                                 size_t max_size, unsigned seed);

/* ---- chance ---- */

static uint64_t state;

static uint64_t any(void) /* splitmix64 */
{
    uint64_t z = (state += 0x9e3779b97f4a7c15U);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

static uint32_t below(uint32_t n) { return (uint32_t)(any() >> 33) % n; }

/* ---- fields ---- */

enum class {
    OFFSET,     /* leads to a block */
    GRANULES,   /* the same, in 128 bytes */
    COUNT,      /* how many, how large */
    INDEX,      /* of an entry */
    GENERATION, /* or a version, a fold: numbers that are compared */
    FLAGS,
    NUMBER, /* anything */
    STRING,
    FEW, /* left alone mostly: else it ends at the first look */
};

struct field {
    enum part_kind part;
    uint16_t offset, bytes;
    enum class class;
};
#define FIELD(part, type, field, class)                                                                                \
    {                                                                                                                  \
        part, offsetof(struct type, field), sizeof(((struct type *)0)->field), class                                   \
    }
static const struct field fields[] = {
    FIELD(HEADER, shm_header, magic, FEW),
    FIELD(HEADER, shm_header, byte_order, FEW),
    FIELD(HEADER, shm_header, major, FEW),
    FIELD(HEADER, shm_header, minor, NUMBER),
    FIELD(HEADER, shm_header, compatible, FLAGS),
    FIELD(HEADER, shm_header, incompatible, FEW),
    FIELD(HEADER, shm_header, identity, NUMBER),
    FIELD(HEADER, shm_header, created_ns, NUMBER),
    FIELD(HEADER, shm_header, pid, NUMBER),
    FIELD(HEADER, shm_header, header_bytes, FEW),
    FIELD(HEADER, shm_header, max_bytes, COUNT),
    FIELD(HEADER, shm_header, source_offset, OFFSET),
    FIELD(HEADER, shm_header, source_bytes, COUNT),
    FIELD(HEADER, shm_header, source_limit, COUNT),
    FIELD(HEADER, shm_header, heartbeat_interval_ns, NUMBER),
    FIELD(HEADER, shm_header, name, STRING),
    FIELD(HEADER, shm_header, structure, GENERATION),
    FIELD(HEADER, shm_header, file_bytes, COUNT),
    FIELD(HEADER, shm_header, source_used, COUNT),
    FIELD(HEADER, shm_header, lifecycle, FLAGS),
    FIELD(HEADER, shm_header, schemas, OFFSET),
    FIELD(HEADER, shm_header, incarnation, GENERATION),
    FIELD(HEADER, shm_header, closed_ns, NUMBER),
    FIELD(HEADER, shm_header, handed_ns, NUMBER),
    FIELD(HEADER, shm_header, heartbeat_ns, NUMBER),
    FIELD(HEADER, shm_header, labels, STRING),
    FIELD(ENTRY, shm_entry, generation, GENERATION),
    FIELD(ENTRY, shm_entry, fold, GENERATION),
    FIELD(ENTRY, shm_entry, version, GENERATION),
    FIELD(ENTRY, shm_entry, state, FLAGS),
    FIELD(ENTRY, shm_entry, parent, INDEX),
    FIELD(ENTRY, shm_entry, schema, OFFSET),
    FIELD(ENTRY, shm_entry, shards, OFFSET),
    FIELD(ENTRY, shm_entry, departed, OFFSET),
    FIELD(ENTRY, shm_entry, parent_generation, GENERATION),
    FIELD(ENTRY, shm_entry, created_ns, NUMBER),
    FIELD(ENTRY, shm_entry, flags, FLAGS),
    FIELD(ENTRY, shm_entry, shared, GRANULES),
    FIELD(ENTRY, shm_entry, name, STRING),
    FIELD(SHARD, shm_shard, next, OFFSET),
    FIELD(SHARD, shm_shard, generation, GENERATION),
    FIELD(SHARD, shm_shard, source, INDEX),
    FIELD(SHARD, shm_shard, slots, COUNT),
    FIELD(SHARD, shm_shard, kind, FLAGS),
    FIELD(SHARD, shm_shard, owner, NUMBER),
    FIELD(SHARD, shm_shard, torn, NUMBER),
    FIELD(SHARD, shm_shard, begun, GENERATION),
    FIELD(SHARD, shm_shard, ended, GENERATION),
    FIELD(DEPARTED, shm_departed, next, OFFSET),
    FIELD(DEPARTED, shm_departed, schema, OFFSET),
    FIELD(DEPARTED, shm_departed, generation, GENERATION),
    FIELD(DEPARTED, shm_departed, source, INDEX),
    FIELD(DEPARTED, shm_departed, slots, COUNT),
    FIELD(SCHEMA, shm_schema, next, OFFSET),
    FIELD(SCHEMA, shm_schema, block_bytes, COUNT),
    FIELD(SCHEMA, shm_schema, slots, COUNT),
    FIELD(SCHEMA, shm_schema, descriptors, COUNT),
    FIELD(SCHEMA, shm_schema, kvm_offset, COUNT),
    FIELD(SCHEMA, shm_schema, side_offset, COUNT),
    FIELD(SCHEMA, shm_schema, side_bytes, COUNT),
    FIELD(SCHEMA, shm_schema, strings_offset, COUNT),
    FIELD(SCHEMA, shm_schema, strings_bytes, COUNT),
    FIELD(SCHEMA, shm_schema, name, STRING),
    FIELD(SCHEMA, shm_schema, provider, STRING),
    FIELD(SCHEMA, shm_schema, target, STRING),
    FIELD(KVM, vmt_kvm_header, flags, FLAGS),
    FIELD(KVM, vmt_kvm_header, name_size, COUNT),
    FIELD(KVM, vmt_kvm_header, num_desc, COUNT),
    FIELD(KVM, vmt_kvm_header, id_offset, COUNT),
    FIELD(KVM, vmt_kvm_header, desc_offset, COUNT),
    FIELD(KVM, vmt_kvm_header, data_offset, COUNT),
    FIELD(DESCRIPTOR, vmt_kvm_desc, flags, FLAGS),
    FIELD(DESCRIPTOR, vmt_kvm_desc, exponent, COUNT),
    FIELD(DESCRIPTOR, vmt_kvm_desc, size, COUNT),
    FIELD(DESCRIPTOR, vmt_kvm_desc, offset, COUNT),
    FIELD(DESCRIPTOR, vmt_kvm_desc, bucket_size, COUNT),
    FIELD(DESCRIPTOR, vmt_kvm_desc, name, STRING),
    FIELD(SIDE, shm_side, help_offset, COUNT),
    FIELD(SIDE, shm_side, label_offset, COUNT),
    FIELD(SIDE, shm_side, group, NUMBER),
    FIELD(SIDE, shm_side, minuend, COUNT),
    FIELD(SIDE, shm_side, level, NUMBER),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* ---- values ---- */

static const uint64_t edges[] = { 0,
                                  1,
                                  2,
                                  7,
                                  127,
                                  128,
                                  VMT_NAME_SIZE,
                                  VMT_SCHEMAS_MAX,
                                  VMT_DESCRIPTORS_MAX,
                                  VMT_SLOTS_MAX,
                                  VMT_SOURCES_MAX,
                                  4U << 20,
                                  INT32_MAX,
                                  UINT32_MAX,
                                  UINT64_C(1) << 32,
                                  UINT64_C(1) << 40,
                                  INT64_MAX,
                                  UINT64_MAX };

static const int64_t steps[] = { 1, -1, 2, -2, 4, 8, -8, 64, 128, -128, 4096, -4096 };

static uint64_t edge(void)
{
    uint64_t v = edges[below(sizeof(edges) / sizeof(edges[0]))];

    return below(4) ? v : v + (uint64_t)steps[below(4)];
}

static uint64_t near(uint64_t value) { return value + (uint64_t)steps[below(sizeof(steps) / sizeof(steps[0]))]; }

static uint64_t sound_value(const struct base *base, uint64_t offset, uint32_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, base->sound + offset, bytes > 8 ? 8 : bytes);
    return value;
}

static const struct part *part_of_kind(const struct base *base, enum part_kind kind)
{
    for (int i = 0; i < 64; i++) {
        const struct part *part = &base->parts[below(base->count)];

        if (part->kind == kind)
            return part;
    }
    return &base->parts[below(base->count)];
}

static uint64_t block(const struct base *base, enum part_kind alike)
{
    switch (below(8)) {
    case 0:
        return base->size - (base->size > 128 ? 128 * below(3) : 0);
    case 1:
        return base->size + 128 * below(3);
    case 2:
        return below((uint32_t)(base->size / 128)) * 128;
    case 3:
        return base->parts[below(base->count)].offset;
    default:
        return part_of_kind(base, alike)->offset;
    }
}

static uint64_t new_value(const struct base *base, const struct field *field, const struct part *part)
{
    uint64_t value = sound_value(base, part->offset + field->offset, field->bytes), other;

    switch (below(8)) {
    case 0:
        return edge();
    case 1:
        return near(value);
    case 2:
        return value ^ UINT64_C(1) << below(field->bytes >= 8 ? 64 : field->bytes * 8);
    }
    switch (field->class) {
    case OFFSET:
    case GRANULES:
        other = below(4) ? block(base, value ? part->kind : SHARD) : part->offset;
        other = below(8) ? other : near(other);
        return field->class == GRANULES ? other / SHM_GRANULE : other;
    case INDEX:
        return below(8) ? below(64) : value;
    case GENERATION:
        other = sound_value(base, part_of_kind(base, part->kind)->offset + field->offset, 8);
        return below(2) ? other : value + below(4);
    case FLAGS:
        return below(2) ? below(8) : any();
    case COUNT:
        return below(2) ? below((uint32_t)value * 2 + 2) : below(1U << below(17));
    default:
        return any();
    }
}

static const char *const strings[] = {
    "\x1b[2J\x1b]0;gone\a",
    "a/../b c",
    "\xff\xfe\x80",
    "\xc3",
    "\xe2\x80\xae"
    "abc",
    "\xf0\x9f\x98\x80",
    "\xed\xa0\x80",
    "\r\n\t",
    "\"\\\"}],",
    "</script>",
    "=,=,\x7f",
    "\xc2\x9b"
    "31m",
    "%s%n%x",
    "",
    "a=b=c",
    "\xe2\x80\xa8x",
    "-rf *",
    "\xf4\x90\x80\x80",
};

/* ---- patches ---- */

static uint16_t some_time(void)
{
    if (below(3))
        return 0;
    return below(4) ? (uint16_t)(1 + below(1U << below(10))) : WHEN_BETWEEN;
}

/* A piece of a string, or all of its field without an end. */
static void string_patch(struct patch *patch, uint32_t offset, uint32_t bytes)
{
    const char *text = strings[below(sizeof(strings) / sizeof(strings[0]))];

    patch->offset = offset + (below(2) && bytes ? below(bytes) : 0);
    if (below(3) == 0 && bytes >= 8) {
        patch->kind = PATCH_FILL;
        patch->offset = offset & ~7U;
        patch->width = (uint8_t)(bytes / 8 > 255 ? 255 : bytes / 8);
        patch->value = any() | (below(2) ? 0x4141414141414141U : 0);
        return;
    }
    patch->kind = PATCH_STORE;
    patch->width = (uint8_t)below(8);
    memcpy(&patch->value, text, strlen(text) < 8 ? strlen(text) : 8);
}

/* One block over another one: of its kind, mostly. */
static void copy_patch(const struct base *base, struct patch *patch)
{
    const struct part *to = &base->parts[below(base->count)];
    const struct part *from = below(4) ? part_of_kind(base, to->kind) : &base->parts[below(base->count)];
    static const uint8_t words[PART_KINDS] = { 255, 16, 64, 64, 128, 32, 8, 4, 32, 32 };

    patch->kind = PATCH_COPY;
    patch->offset = below(4) ? to->offset : below((uint32_t)base->size / 128) * 128;
    patch->width = words[from->kind];
    patch->value = from->offset;
}

static void field_patch(const struct base *base, struct patch *patch)
{
    const struct field *field;
    const struct part *part;

    do {
        field = &fields[below(FIELDS)];
    } while (field->class == FEW && below(64));
    part = part_of_kind(base, field->part);
    if (part->kind != field->part) { /* it has none of that */
        field = &fields[below(FIELDS)];
        part = &base->parts[0];
    }
    patch->offset = part->offset + field->offset;
    patch->kind = PATCH_STORE;
    patch->width = (uint8_t)((field->bytes > 8 ? 8 : field->bytes) - 1);
    if (field->class == STRING)
        string_patch(patch, patch->offset, field->bytes);
    else
        patch->value = new_value(base, field, part);
}

static struct patch new_patch(const struct base *base)
{
    struct patch patch = { .when = some_time() };
    const struct part *part;

    if (base->count == 0) { /* the empty file */
        patch.kind = below(2) ? PATCH_SIZE : PATCH_COPY;
        base = &fuzz_bases[below(fuzz_base_count - 1)];
        if (patch.kind == PATCH_COPY)
            copy_patch(base, &patch);
        else
            patch.value = below(FUZZ_FILE_MAX);
        return patch;
    }
    switch (below(24)) {
    case 0:
        part = part_of_kind(base, below(2) ? STRINGS : VALUES);
        string_patch(&patch, part->offset, part->bytes);
        break;
    case 1:
        patch.kind = PATCH_SIZE;
        patch.value = below(3) ? below((uint32_t)base->size + 4096) : below(FUZZ_FILE_MAX + 1) & ~4095U;
        break;
    case 2:
        copy_patch(base, &patch);
        break;
    case 3:
        patch.kind = PATCH_STORE;
        patch.width = 7;
        patch.offset = below((uint32_t)base->size / 8) * 8;
        patch.value = below(2) ? edge() : block(base, SHARD);
        break;
    default:
        field_patch(base, &patch);
    }
    return patch;
}

/* ---- inputs ---- */

/* Where patch number n starts, and how many there are. */
static size_t find(const uint8_t *data, size_t size, uint32_t n, uint32_t *count)
{
    size_t at = sizeof(struct head), found = at, step;
    struct patch patch;

    for (*count = 0; at <= size && (step = input_step(data + at, size - at, &patch)) != 0; at += step) {
        if (*count <= n)
            found = at;
        ++*count;
    }
    return n < *count ? found : at < size ? at : size;
}

static const struct base *base_of(const uint8_t *data) { return &fuzz_bases[data[0] % fuzz_base_count]; }

static size_t add_patches(uint8_t *data, size_t size, size_t max_size)
{
    for (uint32_t n = 1 + below(3); n > 0 && size + sizeof(struct patch) <= max_size; n--) {
        struct patch patch = new_patch(base_of(data));

        memcpy(data + size, &patch, sizeof(patch));
        size += sizeof(patch);
    }
    return size;
}

static void change_patch(uint8_t *data, size_t at)
{
    struct patch patch;

    memcpy(&patch, data + at, sizeof(patch));
    switch (below(6)) {
    case 0:
        patch.when = some_time();
        break;
    case 1:
        patch.when = (uint16_t)(patch.when + (uint16_t)steps[below(6)]);
        break;
    case 2:
        patch.value = near(patch.value);
        break;
    case 3:
        patch.value = base_of(data)->count ? block(base_of(data), SHARD) : edge();
        break;
    case 4:
        if (patch.kind != PATCH_BYTES)
            patch = new_patch(base_of(data));
        break;
    default:
        patch.offset = base_of(data)->count ? base_of(data)->parts[below(base_of(data)->count)].offset : 0;
    }
    memcpy(data + at, &patch, sizeof(patch));
}

static size_t remove_patch(uint8_t *data, size_t size, size_t at)
{
    struct patch patch;
    size_t step = input_step(data + at, size - at, &patch);

    memmove(data + at, data + at + step, size - at - step);
    return size - step;
}

/* What costs most is done least. */
static uint8_t some_flags(uint8_t flags)
{
    flags = (uint8_t)((below(4) ? flags & 3U : below(4)) | (below(16) ? 0 : INPUT_CHECK));
    return (uint8_t)(flags | (below(32) ? 0 : INPUT_ENCODE) | (below(32) ? 0 : INPUT_TAKEN) |
                     (below(32) ? 0 : INPUT_ODD) | (below(32) ? 0 : INPUT_SPARSE) | (below(8) ? 0 : INPUT_REAL_CUT));
}

static void new_head(uint8_t *data)
{
    struct head head;

    do {
        head = (struct head){ .base = (uint8_t)below(fuzz_base_count), .how = (uint8_t)below(32) };
    } while (fuzz_bases[head.base].slow && below(16));
    memcpy(data, &head, sizeof(head));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint32_t count;
    size_t at;

    state = seed * UINT64_C(0x2545f4914f6cdd1d);
    if (max_size < sizeof(struct head) + sizeof(struct patch))
        return size;
    if (size >= 8 && memcmp(data, SHM_MAGIC, 8) == 0 && below(8)) {
        if (below(2) || size < 4096)
            return LLVMFuzzerMutate(data, size, max_size);
        at = 8 + below((uint32_t)size / 8 - 2) * 8;
        memcpy(data + at, &(uint64_t){ below(2) ? edge() : below((uint32_t)size / 128) * 128 }, 8);
        return size;
    }
    if (size < sizeof(struct head) || below(64) == 0 || (base_of(data)->slow && below(4))) {
        size = size < sizeof(struct head) ? sizeof(struct head) : size;
        new_head(data);
    }
    if (below(64) == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    data[1] = some_flags(data[1]);
    memcpy(data + offsetof(struct head, no_memory), &(uint16_t){ (uint16_t)(below(32) ? 0 : below(256)) }, 2);
    if (below(8) == 0)
        data[2] = (uint8_t)(below(8) | (below(16) ? 0 : 8U) | (below(2) ? 0 : 16U));
    find(data, size, 0, &count);
    at = find(data, size, count ? below(count) : 0, &count);
    if (count == 0 || (count < PATCHES_MAX && below(8) < 4))
        return add_patches(data, at > size ? size : find(data, size, count, &count), max_size);
    if (count > 1 && (count >= 24 || below(4) == 0))
        return remove_patch(data, size, at);
    change_patch(data, at);
    return size;
}

/* The patches of both, or the front of one's and the back of the other's. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
                                 size_t max_size, unsigned seed)
{
    uint32_t a_count, b_count;
    size_t front, back;

    state = seed * UINT64_C(0x9e3779b97f4a7c15);
    if (a_size < sizeof(struct head) || b_size < sizeof(struct head))
        return 0;
    find(a, a_size, 0, &a_count);
    find(b, b_size, 0, &b_count);
    front = find(a, a_size, below(a_count + 1), &a_count);
    back = find(b, b_size, below(b_count + 1), &b_count);
    if (front + b_size - back > max_size)
        return 0;
    memcpy(out, a, front);
    memcpy(out + front, b + back, b_size - back);
    return front + b_size - back;
}
