/* SPDX-License-Identifier: MIT */
/* Whatever the layout of the file, slots of our schema are dense. As long as the file's are too, as KVM's are today, reading
 * values is one pread to where they belong; else they are sorted out of a copy. So a statistic of a kind that only a later
 * kernel knows costs that statistic, not the others. What is out of bounds, or contradicts itself, is no such file. */
#include "lib/kvm/statistics.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/kvm/handle.h"
#include "lib/schema_block.h"

#define FIRST_READ 4096U    /* header, id and descriptors of today's kernels */
#define NAME_SIZE_MAX 1024U /* of the file's names; 48 so far */
#define DATA_MAX (VMT_SLOTS_MAX * 8)

/* One statistic of those that a schema is made of. */
struct part {
    struct vmt_descriptor d; /* but for slot and help */
    uint32_t place;          /* in the file's data */
};

struct made {
    struct kvm_schema public; /* first */
    struct made *next;        /* of those read from files */
    int vcpu;
    char *head; /* what it was made of: header and descriptors; NULL: it is not listed */
    size_t head_bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list and all references; held for a bounded time */
static struct made *list;

void kvm_schemas_hold(void) { pthread_mutex_lock(&lock); }

void kvm_schemas_let_go(void) { pthread_mutex_unlock(&lock); }

/* ---- made of its parts ---- */

static struct made *made_of(const struct kvm_schema *schema) { return (struct made *)(uintptr_t)schema; }

static void made_free(struct made *m)
{
    if (m)
        free(m->head);
    free(m);
}

/* The schema, its descriptors, places and names, in one piece of memory. */
static struct made *room_for(uint32_t count, struct vmt_descriptor **descriptors, uint32_t **places, char **names)
{
    struct made *m = calloc(1, sizeof(*m) + count * (sizeof(struct vmt_descriptor) + sizeof(uint32_t) + VMT_NAME_SIZE));

    if (!m)
        return NULL;
    *descriptors = (void *)(m + 1);
    *places = (void *)(*descriptors + count);
    *names = (void *)(*places + count);
    return m;
}

/* Its slots are in the order of the parts. 0, -EINVAL (schema_check()), -ENOMEM. */
static int make(int vcpu, const struct part *parts, uint32_t count, struct made **ret)
{
    struct vmt_descriptor *descriptors;
    uint32_t *places;
    char *names;
    struct made *m = room_for(count, &descriptors, &places, &names);
    struct vmt_schema *schema;
    bool dense = true;

    if (!m)
        return -ENOMEM;
    schema = &m->public.schema;
    *schema = (struct vmt_schema){ .name = vcpu ? KVM_SCHEMA_VCPU : KVM_SCHEMA_VM,
                                   .provider = KVM_PROVIDER,
                                   .target = vcpu ? "vcpu" : "vm",
                                   .descriptors = descriptors,
                                   .count = count };
    for (uint32_t i = 0; i < count; i++) {
        struct vmt_descriptor *d = &descriptors[i];
        char *name = names + (size_t)i * VMT_NAME_SIZE;
        uint32_t end = parts[i].place + parts[i].d.size * 8U;

        *d = parts[i].d;
        strncpy(name, d->name, VMT_NAME_SIZE - 1);
        d->name = name;
        d->help = kvm_help(name);
        d->slot = schema->slots;
        places[i] = parts[i].place;
        dense &= places[i] == d->slot * 8;
        schema->slots += d->size;
        if (m->public.data_bytes < end)
            m->public.data_bytes = end;
    }
    m->public.places = dense ? NULL : places;
    m->public.references = 1;
    m->vcpu = vcpu;
    if (schema_check(schema) < 0) {
        made_free(m);
        return -EINVAL;
    }
    *ret = m;
    return 0;
}

int kvm_schema_make(int vcpu, const struct vmt_descriptor *descriptors, uint32_t count, const struct kvm_schema **ret)
{
    struct part *parts = calloc(count ? count : 1, sizeof(*parts));
    struct made *m = NULL;
    uint32_t place = 0;
    int r = -ENOMEM;

    for (uint32_t i = 0; parts && i < count; i++) {
        const struct vmt_descriptor *d = &descriptors[i];

        parts[i].d = (struct vmt_descriptor){
            .name = d->name, .flags = d->flags, .bucket_size = d->bucket_size, .exponent = d->exponent, .size = d->size
        };
        parts[i].place = place;
        place += d->size * 8U;
    }
    if (parts)
        r = make(vcpu, parts, count, &m);
    free(parts);
    if (r == 0)
        *ret = &m->public;
    return r;
}

int kvm_schema_part(const struct kvm_schema *whole, const uint8_t *keep, const struct kvm_schema **ret)
{
    struct part *parts = calloc(whole->schema.count, sizeof(*parts));
    struct made *m = NULL;
    uint32_t count = 0;
    int r;

    if (!parts)
        return -ENOMEM;
    for (uint32_t i = 0; i < whole->schema.count; i++) {
        const struct vmt_descriptor *d = &whole->schema.descriptors[i];

        if (keep[i])
            parts[count++] = (struct part){ *d, whole->places ? whole->places[i] : d->slot * 8 };
    }
    r = count ? make(made_of(whole)->vcpu, parts, count, &m) : -ENODATA;
    free(parts);
    if (r < 0)
        return r;
    m->public.data_offset = whole->data_offset;
    *ret = &m->public;
    return 0;
}

void kvm_schema_release(const struct kvm_schema *schema)
{
    struct made *m = made_of(schema);
    bool last;

    if (!m)
        return;
    pthread_mutex_lock(&lock);
    last = --m->public.references == 0;
    if (last && m->head) {
        struct made **at = &list;

        while (*at != m)
            at = &(*at)->next;
        *at = m->next;
    }
    pthread_mutex_unlock(&lock);
    if (last)
        made_free(m);
}

/* ---- read from a file ---- */

static size_t stride(const struct vmt_kvm_header *h) { return offsetof(struct vmt_kvm_desc, name) + h->name_size; }

static uint64_t table_end(const struct vmt_kvm_header *h) { return h->desc_offset + (uint64_t)h->num_desc * stride(h); }

static uint64_t id_end(const struct vmt_kvm_header *h) { return (uint64_t)h->id_offset + h->name_size; }

/* Its flags are 0 today. A kernel that sets one must keep the programs of today going, so they are not looked at. */
static bool header_good(const struct vmt_kvm_header *h)
{
    return h->name_size > 0 && h->name_size <= NAME_SIZE_MAX && h->num_desc > 0 && h->num_desc <= VMT_DESCRIPTORS_MAX &&
           h->id_offset >= sizeof(*h) && h->desc_offset >= sizeof(*h) && h->data_offset >= sizeof(*h) &&
           (id_end(h) <= h->desc_offset || h->id_offset >= table_end(h));
}

/* Names are of one line, and begin as the kernel's own selftest wants it. */
static bool id_good(const char *id, size_t bytes)
{
    size_t n = strnlen(id, bytes);

    if (n == bytes || n >= VMT_NAME_SIZE || strncmp(id, "kvm", 3) != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0x21 || id[i] > 0x7e)
            return false;
    }
    return true;
}

/* One descriptor of the table. 0, -EBADMSG. */
static int part_of(const struct vmt_kvm_header *h, const char *entry, struct part *part)
{
    const char *name = entry + offsetof(struct vmt_kvm_desc, name);
    const size_t length = strnlen(name, h->name_size);
    struct vmt_kvm_desc d = { 0 };

    memcpy(&d, entry, offsetof(struct vmt_kvm_desc, name));
    if (d.size == 0 || d.offset % 8 || d.offset >= DATA_MAX || d.size > (DATA_MAX - d.offset) / 8)
        return -EBADMSG;
    if (length == 0 || length == h->name_size)
        return -EBADMSG;
    part->d = (struct vmt_descriptor){ .name = name,
                                       .flags = d.flags & (VMT_TYPE_MASK | VMT_UNIT_MASK | VMT_BASE_MASK),
                                       .bucket_size = d.bucket_size,
                                       .exponent = d.exponent,
                                       .size = d.size };
    part->place = d.offset;
    return 0;
}

/* Is it one that we know how to show? */
static bool understood(const struct part *part)
{
    return schema_check(&(struct vmt_schema){ KVM_SCHEMA_VM, KVM_PROVIDER, "vm", &part->d, 1, part->d.size }) == 0;
}

static int by_place(const void *a, const void *b)
{
    const struct part *x = a, *y = b;

    return (x->place > y->place) - (x->place < y->place);
}

/* Do the parts, sorted, lie beside each other, and their data beside all else? */
static bool apart(const struct vmt_kvm_header *h, const struct part *parts, uint32_t count)
{
    uint64_t data_end = h->data_offset + parts[count - 1].place + parts[count - 1].d.size * 8ULL;

    for (uint32_t i = 1; i < count; i++) {
        if (parts[i].place < parts[i - 1].place + parts[i - 1].d.size * 8U)
            return false;
    }
    return (table_end(h) <= h->data_offset || h->desc_offset >= data_end) &&
           (id_end(h) <= h->data_offset || h->id_offset >= data_end);
}

/* The parts, h->num_desc at first, *count in the end. 0, -EBADMSG. */
static int parts_of(const struct vmt_kvm_header *h, const char *table, struct part *parts, uint32_t *count)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < h->num_desc; i++) {
        if (part_of(h, table + i * stride(h), &parts[i]) < 0)
            return -EBADMSG;
    }
    qsort(parts, h->num_desc, sizeof(*parts), by_place);
    if (!apart(h, parts, h->num_desc))
        return -EBADMSG;
    for (uint32_t i = 0; i < h->num_desc; i++) {
        if (understood(&parts[i]))
            parts[n++] = parts[i];
    }
    *count = n;
    return n ? 0 : -EBADMSG;
}

static int make_of_table(int vcpu, const struct vmt_kvm_header *h, const char *table, struct made **ret)
{
    struct part *parts = calloc(h->num_desc, sizeof(*parts));
    uint32_t count = 0;
    int r;

    if (!parts)
        return -ENOMEM;
    r = parts_of(h, table, parts, &count);
    if (r == 0)
        r = make(vcpu, parts, count, ret);
    free(parts);
    return r;
}

/* Of all kernels that a process meets, which is one or two. Inside of the lock. */
static struct made *listed(int vcpu, const struct vmt_kvm_header *h, const char *table, size_t bytes)
{
    struct made *m = list;

    while (m && (m->vcpu != vcpu || m->head_bytes != sizeof(*h) + bytes || memcmp(m->head, h, sizeof(*h)) != 0 ||
                 memcmp(m->head + sizeof(*h), table, bytes) != 0))
        m = m->next;
    return m;
}

/* Inside of the lock. */
static int add(int vcpu, const struct vmt_kvm_header *h, const char *table, size_t bytes, struct made **ret)
{
    struct made *m;
    int r = make_of_table(vcpu, h, table, &m);

    if (r < 0)
        return r;
    m->head_bytes = sizeof(*h) + bytes;
    m->head = malloc(m->head_bytes);
    if (!m->head) {
        made_free(m);
        return -ENOMEM;
    }
    memcpy(m->head, h, sizeof(*h));
    memcpy(m->head + sizeof(*h), table, bytes);
    m->public.data_offset = h->data_offset;
    m->next = list;
    list = m;
    *ret = m;
    return 0;
}

static int intern(int vcpu, const struct vmt_kvm_header *h, const char *table, const struct kvm_schema **ret)
{
    const size_t bytes = h->num_desc * stride(h);
    struct made *m;
    int r = 0;

    pthread_mutex_lock(&lock);
    m = listed(vcpu, h, table, bytes);
    if (m)
        m->public.references++;
    else
        r = add(vcpu, h, table, bytes, &m);
    pthread_mutex_unlock(&lock);
    if (r == 0)
        *ret = &m->public;
    return r;
}

/* What was read so far, from the start of the file. */
struct start {
    int fd;
    size_t bytes;
    char data[FIRST_READ];
};

/* bytes at offset, into to. */
static int more(const struct start *s, uint64_t offset, size_t bytes, char *to)
{
    ssize_t n;

    if (offset <= s->bytes && bytes <= s->bytes - offset) {
        memcpy(to, s->data + offset, bytes);
        return 0;
    }
    n = pread(s->fd, to, bytes, (off_t)offset);
    if (n < 0)
        return -errno;
    return (size_t)n == bytes ? 0 : -EBADMSG;
}

static int read_table(const struct start *s, const struct vmt_kvm_header *h, int vcpu, const struct kvm_schema **ret)
{
    const size_t bytes = h->num_desc * stride(h);
    char *table;
    int r;

    if (h->desc_offset <= s->bytes && bytes <= s->bytes - h->desc_offset)
        return intern(vcpu, h, s->data + h->desc_offset, ret);
    table = malloc(bytes);
    if (!table)
        return -ENOMEM;
    r = more(s, h->desc_offset, bytes, table);
    if (r == 0)
        r = intern(vcpu, h, table, ret);
    free(table);
    return r;
}

int kvm_schema_read(int fd, int vcpu, char *id, const struct kvm_schema **ret)
{
    struct start start;
    struct vmt_kvm_header h;
    char name[NAME_SIZE_MAX];
    ssize_t n = pread(fd, start.data, sizeof(start.data), 0);
    int r;

    if (n < 0)
        return -errno;
    if ((size_t)n < sizeof(h))
        return -EBADMSG;
    start.fd = fd;
    start.bytes = (size_t)n;
    memcpy(&h, start.data, sizeof(h));
    if (!header_good(&h))
        return -EBADMSG;
    r = more(&start, h.id_offset, h.name_size, name);
    if (r == 0 && !id_good(name, h.name_size))
        r = -EBADMSG;
    if (r == 0)
        r = read_table(&start, &h, vcpu != 0, ret);
    if (r == 0 && id)
        strcpy(id, name);
    return r;
}

static int read_data(const struct kvm_schema *schema, int fd, void *to)
{
    ssize_t n = pread(fd, to, schema->data_bytes, schema->data_offset);

    if (n < 0)
        return -errno;
    return (size_t)n == schema->data_bytes ? 0 : -EIO;
}

static int read_and_sort(const struct kvm_schema *schema, int fd, uint64_t *values)
{
    const struct vmt_schema *s = &schema->schema;
    uint64_t data[VMT_SLOTS_MAX];
    int r = read_data(schema, fd, data);

    for (uint32_t i = 0; r == 0 && i < s->count; i++)
        memcpy(values + s->descriptors[i].slot, data + schema->places[i] / 8, s->descriptors[i].size * sizeof(*data));
    return r;
}

int kvm_values_read(const struct kvm_schema *schema, int fd, uint64_t *values)
{
    return schema->places ? read_and_sort(schema, fd, values) : read_data(schema, fd, values);
}
