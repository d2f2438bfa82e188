/* SPDX-License-Identifier: MIT */
/* The one place where bytes of a segment become trusted. Everything here looks at a private copy: what was checked is
 * what is used. Bounds are by division or subtraction of checked numbers, never by a sum or product that may wrap. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/text.h"
#include "shm/view.h"

#define BLOCK_BYTES_MAX (4U << 20)

const char *shm_check_header(const struct shm_header *h, uint64_t bytes, int *error)
{
    static const uint8_t zeros[8];

    *error = -ENODATA;
    if (memcmp(h->magic, zeros, 8) == 0)
        return "not a segment, or not published yet: no magic";
    *error = -EBADMSG;
    if (memcmp(h->magic, SHM_MAGIC, 8) != 0)
        return "not a segment: wrong magic";
    *error = -EPROTONOSUPPORT;
    if (h->byte_order != SHM_BYTE_ORDER)
        return "written by a machine of another byte order";
    if (h->major != SHM_MAJOR)
        return "another major version of the format";
    if (h->incompatible)
        return "needs a feature that this version does not know";
    *error = -EBADMSG;
    if (h->header_bytes < sizeof(*h) || h->header_bytes > bytes)
        return "header_bytes is out of range";
    if (h->source_bytes < SHM_ENTRY_BYTES || h->source_bytes > SHM_ENTRY_BYTES_MAX || h->source_bytes % 8)
        return "source_bytes is out of range";
    if (h->source_limit == 0 || h->source_limit > VMT_SOURCES_MAX)
        return "source_limit is out of range";
    if (h->source_used == 0 || h->source_used > h->source_limit)
        return "source_used is out of range";
    if (h->source_offset % 8 || h->source_offset < sizeof(*h) || h->source_offset > bytes ||
        h->source_used > (bytes - h->source_offset) / h->source_bytes)
        return "the source table lies outside of the file";
    if (h->lifecycle > SHM_CLOSED)
        return "lifecycle is out of range";
    *error = 0;
    return NULL;
}

int shm_read_header(struct shm_view *view, struct shm_header *h, const char **why)
{
    uint64_t magic;
    int r = shm_view_begin(view);

    *why = "the file was truncated";
    if (r < 0)
        return r;
    *why = "empty: not a segment, or not published yet";
    if (view->bytes == 0)
        return -ENODATA;
    *why = "not a segment: too short for a magic";
    if (view->bytes < sizeof(magic))
        return -EMEDIUMTYPE;
    *why = "the file was truncated";
    /* Acquire: pairs with the release before the magic is written; what it promises is there. */
    if (shm_view_link(view, 0, &magic) < 0 || !shm_view_good(view))
        return -EBADMSG;
    *why = "not a segment: wrong magic";
    if (memcmp(&magic, SHM_MAGIC, sizeof(magic)) != 0 && magic != 0)
        return -EMEDIUMTYPE;
    *why = "shorter than a header";
    if (magic != 0 && view->bytes < sizeof(*h))
        return -EBADMSG;
    *why = "the file was truncated";
    memset(h, 0, sizeof(*h));
    if (magic != 0 && (shm_view_copy(view, 0, h, sizeof(*h)) < 0 || !shm_view_good(view)))
        return -EBADMSG;
    *why = shm_check_header_of(view, h, &r);
    return r;
}

const char *shm_check_header_of(const struct shm_view *view, const struct shm_header *h, int *error)
{
    const char *why = shm_check_header(h, view->file_bytes, error);

    if (why || h->source_used <= view->occupied / h->source_bytes)
        return why;
    *error = -EBADMSG;
    return "the source table is larger than what the file has written";
}

void shm_clean_text(char *text, size_t size, bool ascii)
{
    unsigned char *p = (unsigned char *)text;
    size_t n = strnlen(text, size - 1);

    text[n] = '\0';
    for (size_t i = 0; i < n;) {
        size_t step = shm_shown(p + i, n - i);

        if (ascii && (p[i] <= ' ' || p[i] > '~'))
            step = 0;
        if (step == 0)
            p[i] = '?';
        i += step ? step : 1;
    }
}

const char *shm_check_entry(struct shm_entry *e, uint32_t index, uint32_t limit, struct shm_view *view)
{
    if (e->state > SHM_DRAINING)
        return "a source's state is out of range";
    if (e->parent >= limit || (index != 0 && e->parent == index))
        return "a source's parent is out of range";
    if (!e->shared || !shm_within(view, (uint64_t)e->shared * SHM_GRANULE, sizeof(struct shm_shard), SHM_GRANULE) ||
        (e->shards && !shm_within(view, e->shards, sizeof(struct shm_shard), SHM_GRANULE)))
        return "a source's shards lie outside of the file";
    if (e->departed && !shm_within(view, e->departed, sizeof(struct shm_departed), SHM_GRANULE))
        return "a source's departed blocks lie outside of the file";
    shm_clean_text(e->name, sizeof(e->name), true);
    for (char *p = e->name; *p; p++) {
        if (*p == '/')
            *p = '?';
    }
    if (index != 0 && !e->name[0])
        memcpy(e->name, "?", 2); /* what stands behind its NUL was not looked at */
    return NULL;
}

bool shm_descriptor_known(const struct vmt_kvm_desc *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;
    bool histogram = type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST;

    return type <= VMT_TYPE_MAX && (d->flags & VMT_UNIT_MASK) <= VMT_UNIT_MAX &&
           (d->flags & VMT_BASE_MASK) <= VMT_BASE_MAX && (d->flags & VMT_AGGREGATION_MASK) <= VMT_AGGREGATION_LAST &&
           (d->bucket_size != 0) == (type == VMT_TYPE_LINEAR_HIST) && (histogram || d->size == 1) &&
           d->exponent >= -30 && d->exponent <= 60;
}

/* Offsets and counts of the block, all of whose bytes are in memory. */
static const char *check_block(const struct shm_schema *s)
{
    const struct vmt_kvm_header *kvm;
    uint32_t next = 0; /* slot */
    uint32_t room;

    if (s->descriptors == 0 || s->descriptors > VMT_DESCRIPTORS_MAX || s->slots == 0 || s->slots > VMT_SLOTS_MAX)
        return "a schema's counts are out of range";
    if (s->kvm_offset % 8 || s->kvm_offset < sizeof(*s) || s->kvm_offset > s->block_bytes ||
        s->block_bytes - s->kvm_offset < sizeof(*kvm))
        return "a schema's KVM header lies outside of its block";
    kvm = (const void *)((const char *)s + s->kvm_offset);
    room = s->block_bytes - s->kvm_offset;
    if (kvm->name_size != VMT_NAME_SIZE || kvm->num_desc != s->descriptors)
        return "a schema's KVM header contradicts it";
    if (kvm->desc_offset % 8 || kvm->desc_offset < sizeof(*kvm) || kvm->desc_offset > room ||
        s->descriptors > (room - kvm->desc_offset) / sizeof(struct vmt_kvm_desc))
        return "a schema's descriptors lie outside of its block";
    if (s->side_bytes < sizeof(struct shm_side) || s->side_bytes % 8 || s->side_offset % 8 ||
        s->side_offset > s->block_bytes || s->descriptors > (s->block_bytes - s->side_offset) / s->side_bytes)
        return "a schema's side table lies outside of its block";
    if (s->strings_bytes == 0 || s->strings_offset > s->block_bytes ||
        s->strings_bytes > s->block_bytes - s->strings_offset)
        return "a schema's strings lie outside of its block";
    /* One after the other: cleaning the strings must not change what was checked here. */
    if (s->side_offset < s->kvm_offset + kvm->desc_offset + s->descriptors * sizeof(struct vmt_kvm_desc) ||
        s->strings_offset < s->side_offset + (uint64_t)s->descriptors * s->side_bytes)
        return "the parts of a schema overlap";
    for (uint32_t i = 0; i < s->descriptors; i++) {
        const struct vmt_kvm_desc *d = &shm_descriptors(s)[i];

        if (d->offset % 8 || d->size == 0 || d->size > s->slots || d->offset / 8 > s->slots - d->size)
            return "a descriptor's values lie outside of the data";
        if (d->offset / 8 < next) /* else each value could be read a thousand times */
            return "the values of two descriptors overlap";
        next = d->offset / 8 + d->size;
        if (shm_side_of(s, i)->help_offset >= s->strings_bytes || shm_side_of(s, i)->label_offset >= s->strings_bytes)
            return "a help text lies outside of the strings";
    }
    return NULL;
}

static void clean_block(struct shm_schema *s)
{
    struct vmt_kvm_desc *d = (struct vmt_kvm_desc *)(uintptr_t)shm_descriptors(s);
    char *strings = (char *)s + s->strings_offset;
    char *end = strings + s->strings_bytes - 1;

    shm_clean_text(s->name, sizeof(s->name), true);
    shm_clean_text(s->provider, sizeof(s->provider), true);
    shm_clean_text(s->target, sizeof(s->target), true);
    for (uint32_t i = 0; i < s->descriptors; i++) {
        shm_clean_text(d[i].name, sizeof(d[i].name), true);
        if (!d[i].name[0])
            memcpy(d[i].name, "?", 2);
    }
    *end = '\0';
    for (char *p = strings; p < end; p += strlen(p) + 1)
        shm_clean_text(p, strlen(p) + 1, false);
    /* A help text that starts in the middle of another one's character, or never ends. */
    for (uint32_t i = 0; i < s->descriptors; i++) {
        const struct shm_side *side = shm_side_of(s, i);

        if (strnlen(strings + side->help_offset, VMT_HELP_MAX) == VMT_HELP_MAX ||
            ((unsigned char)strings[side->help_offset] & 0xc0) == 0x80)
            ((struct shm_side *)(uintptr_t)side)->help_offset = s->strings_bytes - 1;
    }
}

int shm_check_schema(struct shm_view *view, uint64_t offset, struct shm_schema **ret, const char **why)
{
    struct shm_schema head;
    struct shm_schema *s;
    uint64_t bytes;

    *why = "a schema lies outside of the file";
    if (!shm_within(view, offset, sizeof(head), 8) || shm_view_copy(view, offset, &head, sizeof(head)) < 0)
        return -EBADMSG;
    bytes = shm_round(head.block_bytes, 8);
    *why = "a schema's size is out of range";
    if (head.block_bytes < sizeof(head) || head.block_bytes > BLOCK_BYTES_MAX || !shm_within(view, offset, bytes, 8))
        return -EBADMSG;
    s = malloc(bytes);
    if (!s)
        return -ENOMEM;
    if (shm_view_copy(view, offset, s, bytes) == 0) {
        s->block_bytes = head.block_bytes; /* the one that was checked, whatever stands there now */
        *why = check_block(s);
        if (!*why) {
            clean_block(s);
            *ret = s;
            return 0;
        }
    }
    free(s);
    return -EBADMSG;
}
