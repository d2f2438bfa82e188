/* SPDX-License-Identifier: MIT */
/* A declared schema, checked and written into the segment: KVM's header and descriptors, then what KVM has no place
 * for. shm/FORMAT.md has the bytes. */
#include "lib/schema_block.h"

#include <errno.h>
#include <string.h>

#include "lib/writer.h"

#include "lib/point.h"

static bool printable(const char *s, size_t max, bool spaces)
{
    size_t n = strnlen(s, max);

    if (n == 0 || n >= max)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c < (spaces ? 0x20 : 0x21) || c == 0x7f || (!spaces && c > 0x7e))
            return false;
    }
    return true;
}

/* What the kernel's selftest asserts of a statistics file, and what readers here rely on. */
static bool descriptor_good(const struct vmt_schema *schema, const struct vmt_descriptor *d, uint32_t slot)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;
    uint32_t unit = d->flags & VMT_UNIT_MASK;
    bool histogram = type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST;

    if (!printable(d->name, VMT_NAME_SIZE, false))
        return false;
    if (d->help && *d->help && !printable(d->help, VMT_HELP_MAX, true))
        return false;
    if (type > VMT_TYPE_MAX || unit > VMT_UNIT_MAX || (d->flags & VMT_BASE_MASK) > VMT_BASE_MAX)
        return false;
    if ((d->flags & VMT_AGGREGATION_MASK) > VMT_AGGREGATION_LAST)
        return false;
    if (unit == VMT_UNIT_SECONDS ? d->exponent > 0 : d->exponent < 0)
        return false;
    if (d->exponent < -30 || d->exponent > 60) /* what readers show: shm_descriptor_known() */
        return false;
    if (unit == VMT_UNIT_BOOLEAN && d->exponent != 0)
        return false;
    if ((d->bucket_size != 0) != (type == VMT_TYPE_LINEAR_HIST))
        return false;
    if (d->size == 0 || (!histogram && d->size != 1) || d->slot != slot)
        return false;
    /* A cumulative value that may fall is none; a histogram counts. */
    if ((d->flags & VMT_SIGNED) && type != VMT_TYPE_INSTANT && type != VMT_TYPE_PEAK)
        return false;
    return d->minuend <= schema->count && d->level <= VMT_LEVEL_DEBUG;
}

int schema_check(const struct vmt_schema *schema)
{
    uint32_t slot = 0;

    if (!schema || !schema->descriptors || schema->count == 0 || schema->count > VMT_DESCRIPTORS_MAX)
        return -EINVAL;
    if (!printable(schema->name, 24, false) || !printable(schema->provider, 24, false) ||
        !printable(schema->target, 24, false))
        return -EINVAL;
    for (uint32_t i = 0; i < schema->count; i++) {
        if (!descriptor_good(schema, &schema->descriptors[i], slot))
            return -EINVAL;
        slot += schema->descriptors[i].size;
        if (slot > VMT_SLOTS_MAX)
            return -EINVAL;
    }
    return slot == schema->slots ? 0 : -EINVAL;
}

static uint32_t strings_bytes(const struct vmt_schema *schema)
{
    uint32_t bytes = 1; /* offset 0 is the empty string */

    for (uint32_t i = 0; i < schema->count; i++)
        bytes += (uint32_t)(schema->descriptors[i].help ? strlen(schema->descriptors[i].help) : 0) + 1;
    return bytes;
}

uint32_t schema_block_bytes(const struct vmt_schema *schema)
{
    return (uint32_t)(sizeof(struct shm_schema) + sizeof(struct vmt_kvm_header) + VMT_NAME_SIZE +
                      schema->count * (sizeof(struct vmt_kvm_desc) + sizeof(struct shm_side)) + strings_bytes(schema));
}

/* Nobody sees the block before it is linked, so plain stores do. */
void schema_block_fill(void *block, const struct vmt_schema *schema)
{
    uint32_t block_bytes = schema_block_bytes(schema);
    struct shm_schema *head = block;
    struct vmt_kvm_header *kvm;
    struct vmt_kvm_desc *descs;
    struct shm_side *side;
    char *strings;
    uint32_t used = 1;

    memset(block, 0, block_bytes);
    head->block_bytes = block_bytes;
    head->slots = schema->slots;
    head->descriptors = schema->count;
    head->kvm_offset = sizeof(*head);
    head->side_offset = head->kvm_offset + (uint32_t)(sizeof(*kvm) + VMT_NAME_SIZE + schema->count * sizeof(*descs));
    head->side_bytes = sizeof(*side);
    head->strings_offset = head->side_offset + schema->count * (uint32_t)sizeof(*side);
    head->strings_bytes = strings_bytes(schema);
    memcpy(head->name, schema->name, strlen(schema->name));
    memcpy(head->provider, schema->provider, strlen(schema->provider));
    memcpy(head->target, schema->target, strlen(schema->target));
    kvm = (void *)((char *)block + head->kvm_offset);
    kvm->name_size = VMT_NAME_SIZE;
    kvm->num_desc = schema->count;
    kvm->id_offset = sizeof(*kvm);
    kvm->desc_offset = kvm->id_offset + VMT_NAME_SIZE;
    kvm->data_offset = kvm->desc_offset + schema->count * (uint32_t)sizeof(*descs);
    memcpy((char *)kvm + kvm->id_offset, schema->name, strlen(schema->name));
    descs = (void *)((char *)kvm + kvm->desc_offset);
    side = (void *)((char *)block + head->side_offset);
    strings = (char *)block + head->strings_offset;
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        descs[i].flags = d->flags;
        descs[i].exponent = d->exponent;
        descs[i].size = d->size;
        descs[i].offset = d->slot * 8;
        descs[i].bucket_size = d->bucket_size;
        memcpy(descs[i].name, d->name, strlen(d->name));
        side[i].group = d->group;
        side[i].minuend = d->minuend;
        side[i].level = d->level;
        if (d->help && *d->help) {
            side[i].help_offset = used;
            memcpy(strings + used, d->help, strlen(d->help));
            used += (uint32_t)strlen(d->help) + 1;
        }
    }
}

/* Not the help: who mends a word in it counts the same thing. */
static bool descriptor_equal(const struct vmt_descriptor *a, const struct vmt_descriptor *b)
{
    return a->flags == b->flags && a->slot == b->slot && a->bucket_size == b->bucket_size &&
           a->exponent == b->exponent && a->size == b->size && a->group == b->group && a->minuend == b->minuend &&
           a->level == b->level && strcmp(a->name, b->name) == 0;
}

bool schema_equal(const struct vmt_schema *a, const struct vmt_schema *b)
{
    if (a == b)
        return true;
    if (a->count != b->count || a->slots != b->slots || strcmp(a->name, b->name) != 0 ||
        strcmp(a->provider, b->provider) != 0 || strcmp(a->target, b->target) != 0)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (!descriptor_equal(&a->descriptors[i], &b->descriptors[i]))
            return false;
    }
    return true;
}

struct schema *schema_add(struct vmt_segment *segment, const struct vmt_schema *declared, uint64_t offset)
{
    struct schema *schema = &segment->schemas[segment->schema_count++];

    schema->declared = declared;
    schema->offset = offset;
    schema->instant_count = 0;
    for (uint32_t i = 0; i < declared->count; i++) {
        const struct vmt_descriptor *d = &declared->descriptors[i];

        if ((d->flags & VMT_TYPE_MASK) == VMT_TYPE_INSTANT &&
            (d->flags & VMT_AGGREGATION_MASK) != VMT_AGGREGATION_MIN &&
            (d->flags & VMT_AGGREGATION_MASK) != VMT_AGGREGATION_MAX)
            schema->instants[schema->instant_count++] = (uint16_t)d->slot;
    }
    return schema;
}

static struct schema *known(struct vmt_segment *segment, const struct vmt_schema *declared)
{
    for (uint32_t i = 0; i < segment->schema_count; i++) {
        if (segment->schemas[i].declared == declared)
            return &segment->schemas[i];
    }
    /* One that an earlier writer, or another part of this one, has declared. */
    for (uint32_t i = 0; i < segment->schema_count; i++) {
        if (schema_equal(segment->schemas[i].declared, declared)) {
            PUT(segment->schemas[i].declared, declared);
            return &segment->schemas[i];
        }
    }
    return NULL;
}

struct schema *schema_intern(struct vmt_segment *segment, const struct vmt_schema *declared, int *error)
{
    struct schema *schema = known(segment, declared);
    uint64_t offset;

    if (schema)
        return schema;
    *error = schema_check(declared);
    if (*error < 0)
        return NULL;
    if (segment->schema_count == VMT_SCHEMAS_MAX) {
        *error = -ENOSPC;
        return NULL;
    }
    offset = space_alloc(segment, schema_block_bytes(declared), false, error);
    if (!offset)
        return NULL;
    schema_block_fill(space_at(segment, offset), declared);
    POINT("schema_intern: filled");
    structure_begin(segment);
    /* Release: pairs with the reader's acquire load of the link; the block is whole before it can be found. */
    if (segment->schema_count)
        PUT_RELEASE(((struct shm_schema *)space_at(segment, segment->schemas[segment->schema_count - 1].offset))->next,
                    offset);
    else
        PUT_RELEASE(segment->header->schemas, offset);
    POINT("schema_intern: linked");
    structure_end(segment);
    return schema_add(segment, declared, offset);
}
