/* SPDX-License-Identifier: MIT */
/* Schemas out of descriptors as STREAM.md, section 3, has them. What they hold that is not known here stays without a
 * name: whoever checks the schema leaves it out. */
#include <errno.h>
#include <stdlib.h>

#include "decode.h"
#include "names.h"

int room_for(struct vmt_buffer *buffer, size_t count, size_t size)
{
    vmt_buffer_clear(buffer);
    if (size && count > VMT_BUFFER_MAX / size)
        return -ENOMEM;
    return vmt_buffer_reserve(buffer, count * size + 1) < 0 ? -ENOMEM : 0; /* of nothing, too, there is an address */
}

int exact_room_for(struct vmt_buffer *buffer, size_t count, size_t size)
{
    if (size && count > VMT_BUFFER_MAX / size)
        return -ENOMEM;
    buffer->data = malloc(count * size + 1);
    if (!buffer->data)
        return -ENOMEM;
    buffer->capacity = count * size + 1;
    return 0;
}

int schema_begin(struct schema_reader *reader, size_t frame_size)
{
    reader->schema =
        (struct vmt_schema){ .name = "", .provider = "", .target = "", .descriptors = reader->descriptors };
    reader->has_minuends = false;
    return room_for(&reader->text, frame_size, 1);
}

/* ---- one descriptor ---- */

enum {
    KEY_NAME,
    KEY_TYPE,
    KEY_UNIT,
    KEY_BASE,
    KEY_EXPONENT,
    KEY_SIZE,
    KEY_BUCKET_SIZE,
    KEY_SIGNED,
    KEY_AGGREGATION,
    KEY_GROUP,
    KEY_MINUEND,
    KEY_LEVEL,
    KEY_HELP,
    KEY_VALUE,
    KEYS
};

static const char *const keys[KEYS] = {
    [KEY_NAME] = "name",
    [KEY_TYPE] = "type",
    [KEY_UNIT] = "unit",
    [KEY_BASE] = "base",
    [KEY_EXPONENT] = "exponent",
    [KEY_SIZE] = "size",
    [KEY_BUCKET_SIZE] = "bucket-size",
    [KEY_SIGNED] = "signed",
    [KEY_AGGREGATION] = "aggregation",
    [KEY_GROUP] = "group",
    [KEY_MINUEND] = "minuend",
    [KEY_LEVEL] = "level",
    [KEY_HELP] = "help",
    [KEY_VALUE] = "value",
};

/* The word's number among those that name gives for each flag up to mask, or mask: one that nobody knows. */
static bool take_flag(struct cursor *c, uint32_t mask, uint32_t step,
                      const char *(*name)(const struct vmt_descriptor *d), uint32_t *flags)
{
    const char *text;
    size_t size;

    if (!take_string(c, &text, &size))
        return false;
    *flags |= mask;
    for (uint32_t flag = 0; flag < mask; flag += step) {
        const struct vmt_descriptor d = { .flags = flag };
        const char *word = name(&d);

        if (word && is_word(text, size, word)) {
            *flags = (*flags & ~mask) | flag;
            return true;
        }
    }
    return true;
}

static bool take_level(struct cursor *c, uint8_t *ret)
{
    const char *text;
    size_t size;

    if (!take_string(c, &text, &size))
        return false;
    *ret = VMT_LEVEL_DEBUG;
    for (uint8_t level = 0; level < VMT_LEVEL_DEBUG; level++) {
        const struct vmt_descriptor d = { .level = level };
        const char *word = vmt_export_level(&d);

        if (word && is_word(text, size, word))
            *ret = level;
    }
    return true;
}

static bool take_exponent(struct cursor *c, int16_t *ret)
{
    struct value v;

    if (!take_value(c, &v) || (v.type != VALUE_UNSIGNED && v.type != VALUE_NEGATIVE))
        return false;
    if ((int64_t)v.n < INT16_MIN || (int64_t)v.n > INT16_MAX)
        return false;
    *ret = (int16_t)(int64_t)v.n;
    return true;
}

static bool take_u16(struct cursor *c, uint16_t *ret)
{
    uint64_t n;

    if (!take_unsigned(c, UINT16_MAX, &n))
        return false;
    *ret = (uint16_t)n;
    return true;
}

static bool take_base(struct cursor *c, uint32_t *flags)
{
    uint64_t base;

    if (!take_unsigned(c, UINT64_MAX, &base))
        return false;
    *flags |= base == 10 ? VMT_BASE_POW10 : base == 2 ? VMT_BASE_POW2 : VMT_BASE_MASK;
    return true;
}

static bool take_signed(struct cursor *c, uint32_t *flags)
{
    bool is_signed;

    if (!take_boolean(c, &is_signed))
        return false;
    *flags |= is_signed ? VMT_SIGNED : 0;
    return true;
}

static bool take_key(struct schema_reader *reader, struct cursor *c, int key, struct vmt_descriptor *d)
{
    uint32_t i = (uint32_t)(d - reader->descriptors);

    switch (key) {
    case KEY_NAME:
        return take_text(c, &reader->text, &d->name);
    case KEY_TYPE:
        return take_flag(c, VMT_TYPE_MASK, 1, vmt_export_type, &d->flags);
    case KEY_UNIT:
        return take_flag(c, VMT_UNIT_MASK, 0x10, vmt_export_unit, &d->flags);
    case KEY_BASE:
        return take_base(c, &d->flags);
    case KEY_EXPONENT:
        return take_exponent(c, &d->exponent);
    case KEY_SIZE:
        return take_u16(c, &d->size);
    case KEY_BUCKET_SIZE:
        return take_u32(c, &d->bucket_size);
    case KEY_SIGNED:
        return take_signed(c, &d->flags);
    case KEY_AGGREGATION:
        return take_flag(c, VMT_AGGREGATION_MASK, 0x01000000U, vmt_export_aggregation, &d->flags);
    case KEY_GROUP:
        return take_u16(c, &d->group);
    case KEY_MINUEND:
        reader->has_minuends = true;
        return take_string(c, &reader->minuends[i].name, &reader->minuends[i].size);
    case KEY_LEVEL:
        return take_level(c, &d->level);
    case KEY_HELP:
        return take_text(c, &reader->text, &d->help);
    default:
        take_any(c);
        return true;
    }
}

static int key_of(const char *text, size_t size)
{
    int key = 0;

    while (key < KEYS && !is_word(text, size, keys[key]))
        key++;
    return key;
}

bool schema_descriptor(struct schema_reader *reader, struct cursor *c, struct cursor *value)
{
    uint32_t i = reader->schema.count;
    struct vmt_descriptor *d = &reader->descriptors[i];
    const uint32_t always = 1U << KEY_NAME | 1U << KEY_TYPE | 1U << KEY_EXPONENT | (value ? 1U << KEY_VALUE : 0);
    uint32_t seen = 0;
    size_t count;

    if (i == VMT_DESCRIPTORS_MAX || !take_map(c, &count))
        return false;
    *d = (struct vmt_descriptor){ .name = "", .help = "", .slot = reader->schema.slots, .size = 1 };
    reader->minuends[i].name = NULL;
    for (; count; count--) {
        const char *text;
        size_t size;
        int key;

        if (!take_string(c, &text, &size))
            return false;
        key = key_of(text, size);
        if (key < KEYS && seen & 1U << key)
            return false;
        seen |= key < KEYS ? 1U << key : 0;
        if (key == KEY_VALUE && value)
            *value = *c;
        if (!take_key(reader, c, key, d))
            return false;
    }
    if ((seen & always) != always || d->size == 0 || d->size > VMT_SLOTS_MAX - reader->schema.slots)
        return false;
    if (!(seen & 1U << KEY_BASE) && (d->flags & VMT_UNIT_MASK) == VMT_UNIT_BYTES)
        d->flags |= VMT_BASE_POW2; /* of no consequence without an exponent: as schema.h's lists have it */
    reader->schema.count++;
    reader->schema.slots += d->size;
    return true;
}

/* ---- the whole ---- */

static int by_name(const void *a, const void *b, void *arg)
{
    const struct vmt_descriptor *descriptors = arg;
    uint16_t i = *(const uint16_t *)a, k = *(const uint16_t *)b;
    int order = strcmp(descriptors[i].name, descriptors[k].name);

    return order ? order : (int)i - (int)k;
}

/* 1 + index of the first descriptor of that name, or 0. */
static uint16_t number_of(const struct schema_reader *reader, const char *name, size_t size)
{
    uint32_t low = 0, high = reader->schema.count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const char *other = reader->descriptors[reader->sorted[middle]].name;
        int order = strncmp(other, name, size);

        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    /* Or there is a longer one: the word itself would stand before it. */
    if (low < reader->schema.count && is_word(name, size, reader->descriptors[reader->sorted[low]].name))
        return (uint16_t)(reader->sorted[low] + 1U);
    return 0;
}

static void resolve_minuends(struct schema_reader *reader)
{
    for (uint16_t i = 0; i < reader->schema.count; i++)
        reader->sorted[i] = i;
    qsort_r(reader->sorted, reader->schema.count, sizeof(reader->sorted[0]), by_name, reader->descriptors);
    for (uint32_t i = 0; i < reader->schema.count; i++) {
        if (reader->minuends[i].name)
            reader->descriptors[i].minuend = number_of(reader, reader->minuends[i].name, reader->minuends[i].size);
    }
}

int schema_end(struct schema_reader *reader, struct vmt_recorded *recorded, struct known *ret)
{
    int r;

    if (reader->has_minuends)
        resolve_minuends(reader);
    r = vmt_recorded_schema(recorded, &reader->schema, &ret->schema);
    if (r == 0)
        ret->width = reader->schema.slots;
    return r;
}
