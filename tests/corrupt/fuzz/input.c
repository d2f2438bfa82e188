/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <string.h>

#include "shm/layout.h"

static size_t padded(uint64_t bytes) { return (size_t)shm_round(bytes, sizeof(struct patch)); }

size_t input_step(const uint8_t *data, size_t left, struct patch *patch)
{
    size_t bytes = sizeof(*patch);

    if (left < bytes)
        return 0;
    memcpy(patch, data, bytes);
    patch->kind %= PATCH_KINDS;
    if (patch->kind == PATCH_BYTES) {
        if (patch->value > FUZZ_FILE_MAX || padded(patch->value) > left - bytes)
            return 0;
        bytes += padded(patch->value);
    }
    return bytes;
}

/* Behind all others of the same time. */
static void insert(struct input *input, const struct patch *patch, const uint8_t *bytes)
{
    uint32_t i = input->count++;

    for (; i > 0 && input->patches[i - 1].when > patch->when; i--) {
        input->patches[i] = input->patches[i - 1];
        input->bytes[i] = input->bytes[i - 1];
    }
    input->patches[i] = *patch;
    input->bytes[i] = bytes;
    input->timed |= patch->when != 0;
}

void input_parse(struct input *input, const uint8_t *data, size_t size)
{
    struct patch patch;

    input->head = (struct head){ .flags = INPUT_CHECK | INPUT_ENCODE };
    input->whole = NULL;
    input->count = 0;
    input->timed = false;
    input->dirty_count = 0;
    if (size >= 8 && memcmp(data, SHM_MAGIC, 8) == 0) {
        input->whole = data;
        input->whole_size = size < FUZZ_FILE_MAX ? size : FUZZ_FILE_MAX;
        input->base = &fuzz_bases[fuzz_base_count - 1];
        input->largest = 0;
        return;
    }
    if (size >= sizeof(input->head))
        memcpy(&input->head, data, sizeof(input->head));
    input->base = &fuzz_bases[input->head.base % fuzz_base_count];
    input->largest = input->base->size;
    for (size_t at = sizeof(input->head), step; at < size && input->count < PATCHES_MAX; at += step) {
        step = input_step(data + at, size - at, &patch);
        if (step == 0)
            break;
        insert(input, &patch, data + at + sizeof(patch));
    }
}

static void put(struct input *input, uint32_t offset, const void *bytes, uint64_t n)
{
    struct fuzz_file *file = &input->base->file;

    if (offset >= file->size)
        return;
    if (n > file->size - offset)
        n = file->size - offset;
    memcpy(file->bytes + offset, bytes, n);
    input->dirty[input->dirty_count].offset = offset;
    input->dirty[input->dirty_count++].bytes = (uint32_t)n;
}

static void resize(struct input *input, uint64_t size)
{
    struct fuzz_file *file = &input->base->file;

    if (size > input->largest)
        input->largest = size;
    if (!(input->head.flags & INPUT_REAL_CUT) && size <= input->base->size) {
        fuzz_file_say_size(file, size);
        return;
    }
    fuzz_file_say_size(file, input->real_size);
    input->cut |= input->timed && size < input->real_size;
    if (size < input->kept)
        input->kept = size;
    fuzz_file_resize(file, size);
    input->real_size = size;
}

static void make(struct input *input, uint32_t i)
{
    const struct patch *p = &input->patches[i];
    uint64_t fill[256];

    switch (p->kind) {
    case PATCH_STORE:
        put(input, p->offset, &p->value, p->width % 8 + 1);
        break;
    case PATCH_FILL:
        for (uint32_t k = 0; k < p->width; k++)
            fill[k] = p->value;
        put(input, p->offset, fill, (uint64_t)p->width * 8);
        break;
    case PATCH_COPY:
        put(input, p->offset, input->base->sound + p->value % (FUZZ_FILE_MAX - 256 * 8), (uint64_t)p->width * 8);
        break;
    case PATCH_SIZE:
        resize(input, p->value % (FUZZ_FILE_MAX + 1));
        break;
    case PATCH_BYTES:
        put(input, p->offset, input->bytes[i], p->value);
        break;
    }
}

static uint32_t due(const struct input *input)
{
    return input->next < input->count && input->patches[input->next].when != WHEN_BETWEEN
             ? input->patches[input->next].when
             : UINT32_MAX;
}

static uint32_t make_due(void *arg, uint32_t event)
{
    struct input *input = arg;

    while (due(input) <= event)
        make(input, input->next++);
    return due(input);
}

static unsigned show_flags(const struct input *input)
{
    unsigned f = input->head.flags;

    return (f & INPUT_LOCKED ? FUZZ_LOCKED : 0U) | (f & INPUT_TAKEN ? FUZZ_TAKEN : 0U) |
           (f & INPUT_SPARSE ? FUZZ_SPARSE : 0U) | (f & INPUT_ODD ? FUZZ_ODD : 0U);
}

void input_begin(struct input *input)
{
    struct fuzz_file *file = &input->base->file;

    input->next = 0;
    input->kept = input->base->size;
    input->real_size = input->base->size;
    if (input->whole) {
        resize(input, input->whole_size);
        memcpy(file->bytes, input->whole, input->whole_size);
    }
    fuzz_file_show(file, show_flags(input));
    fuzz_events_start(make_due, input, make_due(input, 0));
}

void input_between(struct input *input)
{
    for (; input->next < input->count; input->next++)
        make(input, input->next);
    fuzz_events_start(make_due, input, UINT32_MAX);
}

void input_undo(struct input *input)
{
    struct base *base = input->base;

    fuzz_file_say_size(&base->file, input->real_size);
    fuzz_file_resize(&base->file, base->size);
    if (input->kept < base->size)
        memcpy(base->file.bytes + input->kept, base->sound + input->kept, base->size - input->kept);
    if (input->cut)
        fuzz_file_mend(&base->file);
    input->cut = false;
    for (uint32_t i = 0; i < input->dirty_count; i++) {
        uint64_t offset = input->dirty[i].offset, bytes = input->dirty[i].bytes;

        if (offset >= base->size)
            continue;
        memcpy(base->file.bytes + offset, base->sound + offset,
               bytes < base->size - offset ? bytes : base->size - offset);
    }
    input->dirty_count = 0;
    input->kept = base->size;
}
