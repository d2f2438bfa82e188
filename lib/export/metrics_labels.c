/* SPDX-License-Identifier: MIT */
/* Labels: METRICS.md, section 3. No two VMs and no two sources of what may be in one family have the same. */
#include "metrics.h"

#include <errno.h>
#include <stdio.h>

#include <vmtally/host.h>

#include "decimal.h"

#define VM "vm"
#define VCPU "vcpu-"
#define SAME_MAX 8 /* sources with the same labels that are looked at one by one */

/* ---- text ---- */

static int put_text(struct vmt_buffer *text, const char *string)
{
    return vmt_buffer_append(text, string, strlen(string));
}

int metrics_put_escaped(struct vmt_buffer *text, const char *value, size_t size, bool quotes)
{
    size_t from = 0;

    for (size_t i = 0; i < size; i++) {
        char c = value[i];
        int r;

        if (c != '\\' && c != '\n' && (c != '"' || !quotes))
            continue;
        r = vmt_buffer_append(text, value + from, i - from);
        if (r == 0)
            r = put_text(text, c == '\\' ? "\\\\" : c == '"' ? "\\\"" : "\\n");
        if (r < 0)
            return r;
        from = i + 1;
    }
    return vmt_buffer_append(text, value + from, size - from);
}

int metrics_put_label(struct vmt_buffer *text, size_t start, const char *name, const char *value, size_t size)
{
    int r = text->size > start ? put_text(text, ",") : 0;

    if (r == 0)
        r = put_text(text, name);
    if (r == 0)
        r = put_text(text, "=\"");
    if (r == 0)
        r = metrics_put_escaped(text, value, size, true);
    if (r == 0)
        r = put_text(text, "\"");
    return r;
}

static int put_string(struct vmt_buffer *text, size_t start, const char *name, const char *value)
{
    return value && value[0] ? metrics_put_label(text, start, name, value, strlen(value)) : 0;
}

static int put_number(struct vmt_buffer *text, size_t start, const char *name, uint64_t value)
{
    char digits[VMT_DECIMAL_MAX];

    return metrics_put_label(text, start, name, digits, vmt_decimal(digits, value));
}

/* ---- VMs ---- */

/* A name that is had, and how many VMs wanted it. */
struct metrics_vm_name {
    size_t text; /* as in the label, quotes and all */
    size_t size;
    uint32_t wanted;
};

static struct metrics_vm_name *find_name(const struct vmt_metrics *m, const char *text, size_t size)
{
    uint64_t hash = metrics_hash(0, text, size);
    size_t place = 0;

    for (uint32_t i; (i = metrics_index_find(&m->name_index, hash, &place)) != METRICS_NONE;) {
        struct metrics_vm_name *name = &((struct metrics_vm_name *)(void *)m->names.data)[i];

        if (name->size == size && memcmp(m->text.data + name->text, text, size) == 0)
            return name;
    }
    return NULL;
}

static int keep_name(struct vmt_metrics *m, const struct metrics_vm *vm)
{
    struct metrics_vm_name name = { vm->name, vm->name_size, 1 };
    uint32_t number = (uint32_t)(m->names.size / sizeof(name));
    int r = vmt_buffer_append(&m->names, &name, sizeof(name));

    if (r == 0)
        r = metrics_index_add(&m->name_index, metrics_hash(0, m->text.data + vm->name, vm->name_size), number);
    return r;
}

int metrics_put_vm(struct vmt_metrics *m, const char *name, struct metrics_vm *vm)
{
    struct metrics_vm_name *first = NULL, *other;
    int r = 0;

    vm->name = m->text.size;
    for (;;) {
        char end[16] = "";

        if (first)
            snprintf(end, sizeof(end), "~%u", ++first->wanted);
        m->text.size = vm->name;
        r = metrics_put_label(&m->text, vm->name, VM, name, strlen(name));
        if (r < 0)
            return r;
        m->text.size--; /* the quote */
        r = put_text(&m->text, end);
        if (r == 0)
            r = put_text(&m->text, "\"");
        if (r < 0)
            return r;
        vm->name_size = m->text.size - vm->name;
        other = find_name(m, m->text.data + vm->name, vm->name_size);
        if (!other)
            return keep_name(m, vm);
        if (!first)
            first = other;
    }
}

/* The name of label i in the text from start on: "label_", its key, and a number if it has to be. */
static bool has_label(const struct vmt_buffer *text, size_t start, const char *name)
{
    char begin[METRICS_KEY_SIZE + 4];
    size_t size = (size_t)snprintf(begin, sizeof(begin), ",%s=\"", name);

    return memmem(text->data + start, text->size - start, begin, size) != NULL;
}

static int put_own_label(struct vmt_buffer *text, size_t start, const struct vmt_export_label *label, unsigned number)
{
    char name[METRICS_KEY_SIZE], key[METRICS_KEY_SIZE / 2];
    size_t size = label->key_size < sizeof(key) ? label->key_size : sizeof(key) - 1;

    metrics_sanitize(key, label->key, size);
    snprintf(name, sizeof(name), "label_%s", key);
    if (has_label(text, start, name))
        snprintf(name, sizeof(name), "label_%s_%u", key, number + 1);
    if (has_label(text, start, name))
        return 0;
    return metrics_put_label(text, start, name, label->value, strlen(label->value));
}

static int put_own_labels(struct vmt_buffer *text, size_t start, const char *const *labels)
{
    struct vmt_export_label label;
    int r = 0;

    for (unsigned i = 0; labels && i < METRICS_VM_LABELS && labels[i] && r == 0; i++) {
        if (strlen(labels[i]) > METRICS_VM_LABEL_TEXT || text->size - start > METRICS_VM_LABEL_TEXT)
            break;
        if (vmt_export_label(labels, i, &label))
            r = put_own_label(text, start, &label, i);
    }
    return r;
}

static void hexadecimal(const uint8_t *bytes, size_t size, char *to)
{
    for (size_t i = 0; i < size; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

int metrics_put_info(struct vmt_metrics *m, const struct vmt_segment_info *info, struct metrics_vm *vm)
{
    static const uint8_t nobody[sizeof(info->identity)];
    char identity[2 * sizeof(info->identity) + 1];
    struct vmt_buffer *text = &m->text;
    int r;

    /* The name again: labels of one line stand in one piece. */
    vm->info = text->size;
    r = vmt_buffer_reserve(text, vm->name_size);
    if (r == 0)
        r = vmt_buffer_append(text, text->data + vm->name, vm->name_size);
    if (r == 0)
        r = put_string(text, vm->info, "name", info->name);
    if (r == 0 && info->pid != 0)
        r = put_number(text, vm->info, "pid", info->pid);
    if (r == 0)
        r = put_number(text, vm->info, "uid", info->uid);
    if (r == 0)
        r = put_string(text, vm->info, "path", info->path);
    hexadecimal(info->identity, sizeof(info->identity), identity);
    if (r == 0 && memcmp(info->identity, nobody, sizeof(nobody)) != 0)
        r = put_string(text, vm->info, "identity", identity);
    if (r == 0 && info->incarnation != 0)
        r = put_number(text, vm->info, "incarnation", info->incarnation);
    if (r == 0)
        r = put_own_labels(text, vm->info, info->labels);
    vm->info_size = text->size - vm->info;
    return r;
}

/* ---- sources ---- */

/* The part of an id behind the VM itself: all of it where that has another name. */
static const char *below_vm(const char *id, const char *vm)
{
    size_t size = strlen(vm);

    if (size > 0 && strncmp(id, vm, size) == 0 && (id[size] == '/' || id[size] == '\0'))
        return id[size] == '/' ? id + size + 1 : id + size;
    return id;
}

static const char *path_of(const char *id, const struct vmt_segment_info *info)
{
    const char *path = below_vm(id, VM);

    return path != id || !info->name ? path : below_vm(id, info->name);
}

/* vcpu and device. */
static int put_place(struct vmt_buffer *text, size_t start, const struct vmt_sample *sample, const char *id,
                     const struct vmt_segment_info *info)
{
    const char *path = path_of(id, info), *last;
    size_t before;
    int r = 0;

    /* Another thing called as the VM is, is not the VM. */
    if (!path[0] && strcmp(sample->schema->target, "vm") != 0)
        path = id;
    last = strrchr(path, '/');
    before = last ? (size_t)(last - path) : 0;
    last = last ? last + 1 : path;
    if (strcmp(sample->schema->target, "vcpu") == 0) {
        if (strncmp(last, VCPU, strlen(VCPU)) == 0 && last[strlen(VCPU)])
            last += strlen(VCPU);
        r = put_string(text, start, "vcpu", last);
        if (r == 0 && before)
            r = metrics_put_label(text, start, "device", path, before);
        return r;
    }
    return put_string(text, start, "device", path);
}

/* What may have families of the same name: kvmtop_a_b is b of a, and begins what a_b has. */
static bool related(const char *a, const char *b)
{
    for (; *a && *a == *b; a++)
        b++;
    return (*a == '\0' || *a == '_') && (*b == '\0' || *b == '_');
}

uint64_t metrics_labels_hash(const struct vmt_metrics *m, const struct metrics_row *row)
{
    return metrics_hash(1, m->text.data + row->labels, row->labels_size);
}

static bool is_had(const struct vmt_metrics *m, const struct metrics_row *row)
{
    uint64_t hash = metrics_labels_hash(m, row);
    size_t place = 0;
    int same = 0;

    for (uint32_t i; (i = metrics_index_find(&m->row_index, hash, &place)) != METRICS_NONE;) {
        const struct metrics_row *other = metrics_row(m, i);

        if (other->labels_size != row->labels_size ||
            memcmp(m->text.data + other->labels, m->text.data + row->labels, row->labels_size) != 0)
            continue;
        if (++same > SAME_MAX || related(other->plan->target, row->plan->target))
            return true;
    }
    return false;
}

static int finish(struct vmt_metrics *m, struct metrics_row *row)
{
    int r = put_text(&m->text, "} ");

    row->labels_size = (uint32_t)(m->text.size - row->labels);
    return r;
}

int metrics_put_source(struct vmt_metrics *m, const struct vmt_snapshot *snapshot, size_t i,
                       const struct metrics_vm *vm, struct metrics_row *row)
{
    const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
    const char *id = vmt_snapshot_source(snapshot, vmt_snapshot_subject(snapshot, i))->id;
    struct vmt_buffer *text = &m->text;
    char generation[32];
    int r;

    row->labels = text->size;
    r = vmt_buffer_reserve(text, vm->name_size);
    if (r == 0)
        r = vmt_buffer_append(text, text->data + vm->name, vm->name_size);
    if (r == 0)
        r = put_string(text, row->labels, "provider", sample->schema->provider);
    if (r == 0 && i > 0)
        r = put_place(text, row->labels, sample, id, vmt_snapshot_segment(snapshot));
    if (r == 0)
        r = finish(m, row);
    if (r < 0 || !is_had(m, row))
        return r;
    text->size -= strlen("} ");
    snprintf(generation, sizeof(generation), "%u.%llu", sample->entry, (unsigned long long)sample->generation);
    r = put_string(text, row->labels, "generation", generation);
    if (r == 0)
        r = finish(m, row);
    return r < 0 ? r : is_had(m, row);
}
