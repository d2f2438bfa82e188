/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "file.h"
#include "judge.h"
#include "lib/kvm/debugfs.h"
#include "lib/kvm/names.h"
#include "lib/kvm/proc.h"

/* To the byte, so that a sanitizer sees one more; with a NUL behind them. */
static char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    ENSURE(text, "no memory");
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* ---- statistics files ---- */

/* Each statistic that was taken has the values that stand in the file where its descriptor says. */
static void judge_values(const struct kvm_schema *schema, const struct fuzz_file *file, const uint64_t *values)
{
    const struct vmt_schema *s = &schema->schema;

    for (uint32_t i = 0; i < s->count; i++) {
        const struct vmt_descriptor *d = &s->descriptors[i];
        uint64_t place = schema->data_offset + (schema->places ? schema->places[i] : d->slot * 8);

        ENSURE(place + d->size * 8ULL <= file->size, "%s ends behind the file", d->name);
        ENSURE(memcmp(file->bytes + place, values + d->slot, d->size * sizeof(*values)) == 0, "values of %s", d->name);
    }
}

static void use_schema(const struct kvm_schema *schema, const struct fuzz_file *file)
{
    uint64_t *values = malloc(schema->schema.slots * sizeof(*values));
    int r;

    ENSURE(values, "no memory");
    judge_schema(&schema->schema);
    ENSURE(strcmp(schema->schema.provider, "kvm") == 0, "provider %s", schema->schema.provider);
    r = kvm_values_read(schema, file->fd, values);
    ENSURE(r == 0 || r == -EIO, "values: %s", strerror(-r));
    if (r == 0)
        judge_values(schema, file, values);
    free(values);
}

static void use_part(const struct kvm_schema *schema, const struct fuzz_file *file, uint8_t seed)
{
    uint8_t keep[VMT_DESCRIPTORS_MAX];
    const struct kvm_schema *part = NULL;
    int r;

    for (uint32_t i = 0; i < schema->schema.count; i++)
        keep[i] = seed >> (i % 8) & 1;
    r = kvm_schema_part(schema, keep, &part);
    ENSURE(r == 0 || r == -ENODATA, "a part of it: %s", strerror(-r));
    if (r == 0)
        use_schema(part, file);
    kvm_schema_release(part);
}

void decode_statistics(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    const struct kvm_schema *schema = NULL, *again = NULL;
    const size_t held = fuzz_memory_held();
    char id[VMT_NAME_SIZE];
    int r;

    if (!file.bytes)
        fuzz_file_make(&file, 0);
    fuzz_file_resize(&file, size - 1);
    memcpy(file.bytes, data + 1, size - 1);
    r = kvm_schema_read(file.fd, data[0] & 1, id, &schema);
    ENSURE(r == 0 || r == -EBADMSG, "%s", strerror(-r));
    if (r == 0) {
        judge_text(id, true);
        ENSURE(kvm_schema_read(file.fd, data[0] & 1, NULL, &again) == 0 && again == schema, "read twice, two schemas");
        use_schema(schema, &file);
        use_part(schema, &file, data[0]);
    }
    kvm_schema_release(again);
    kvm_schema_release(schema);
    ENSURE(fuzz_memory_held() == held, "%zu bytes are left", fuzz_memory_held() - held);
}

/* ---- text of the proc file system ---- */

void decode_links(const uint8_t *data, size_t size)
{
    static const char *const texts[] = { [PROC_VM] = "anon_inode:kvm-vm",
                                         [PROC_VCPU] = "anon_inode:kvm-vcpu:",
                                         [PROC_VM_STATS] = "anon_inode:kvm-vm-stats",
                                         [PROC_VCPU_STATS] = "anon_inode:kvm-vcpu-stats:" };
    char *text = text_of(data, size), *bracket = strchr(text, '['), again[80];
    int32_t vcpu = -2;
    enum proc_kind kind = proc_kind_of(text, &vcpu);

    ENSURE(kind == PROC_OTHER || (vcpu == -1) == (kind == PROC_VM || kind == PROC_VM_STATS), "vCPU %d", vcpu);
    if (kind != PROC_OTHER) {
        if (vcpu < 0)
            snprintf(again, sizeof(again), "%s", texts[kind]);
        else
            snprintf(again, sizeof(again), "%s%d", texts[kind], vcpu);
        if (bracket) {
            memmove(bracket, bracket + 1, strlen(bracket));
            text[strlen(text) - 1] = '\0';
        }
        ENSURE(strcmp(text, again) == 0, "'%s' was taken for '%s'", text, again);
    }
    free(text);
}

void decode_names(const uint8_t *data, size_t size)
{
    size_t n = strnlen((const char *)data, size);
    size_t bytes = n < size ? size - n - 1 : 0;
    char comm[PROC_COMM_SIZE] = { 0 }, name[VM_NAME_SIZE];
    char *arguments = malloc(bytes); /* its last one may have no end */

    ENSURE(arguments || !bytes, "no memory");
    memcpy(comm, data, n < sizeof(comm) ? n : sizeof(comm) - 1);
    if (bytes)
        memcpy(arguments, data + n + 1, bytes);
    memset(name, 'x', sizeof(name));
    vmm_name(comm, arguments, bytes, name);
    ENSURE(memchr(name, 0, sizeof(name)) && name[0] && !strchr(name, '/'), "'%.64s'", name);
    judge_text(name, false);
    free(arguments);
}

void decode_status(const uint8_t *data, size_t size)
{
    struct proc_who who = { 0 };
    char comm[PROC_COMM_SIZE];
    char *arguments = malloc(size);
    int r;

    ENSURE(arguments, "no memory");
    fuzz_proc("", (const char *)data, size);
    r = proc_who(FUZZ_PROC, 1, &who);
    ENSURE(r == 0 || r == -EBADMSG, "%s", strerror(-r));
    ENSURE(proc_comm(FUZZ_PROC, 1, comm) == 0 && memchr(comm, 0, sizeof(comm)), "no end");
    r = (int)proc_cmdline(FUZZ_PROC, 1, arguments, size);
    ENSURE(r >= 0 && (size_t)r < size && memcmp(arguments, data, (size_t)r) == 0, "%d bytes", r);
    fuzz_proc(NULL, NULL, 0);
    free(arguments);
}

/* ---- numbers ---- */

/* All of the text, but for spaces behind it, is how that number is written. */
static void judge_number(const char *text, uint64_t value)
{
    char again[2][32];
    size_t n = strlen(text);

    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    snprintf(again[0], sizeof(again[0]), "%" PRIu64, value);
    snprintf(again[1], sizeof(again[1]), "%s%" PRId64, value ? "" : "-", (int64_t)value);
    ENSURE((strlen(again[0]) == n && memcmp(text, again[0], n) == 0) ||
               (strlen(again[1]) == n && memcmp(text, again[1], n) == 0),
           "'%s' was read as %s", text, again[0]);
}

void decode_debugfs(const uint8_t *data, size_t size)
{
    const struct vmt_descriptor d = { .name = "exits", .flags = VMT_TYPE_CUMULATIVE, .size = 1 };
    const struct debugfs_vm vm = { .pid = 2, .fd = 3 };
    const struct kvm_schema *schema = NULL;
    const size_t held = fuzz_memory_held();
    struct debugfs debugfs;
    uint64_t value = 0, sum = 0;
    uint32_t *vcpus = NULL;
    char *text = text_of(data, size);

    ENSURE(kvm_schema_make(1, &d, 1, &schema) == 0, "no memory");
    fuzz_proc("", text, size);
    ENSURE(debugfs_open_as("/proc/debug", schema, schema, &debugfs) == 0, "no memory");
    ENSURE(debugfs_read(&debugfs, &vm, &value, &sum, &vcpus) == 0 && value == sum, "what could be read can't be read");
    if (debugfs.vm)
        judge_number(text, value);
    fuzz_proc(NULL, NULL, 0);
    debugfs_close(&debugfs);
    kvm_schema_release(schema);
    ENSURE(fuzz_memory_held() == held, "%zu bytes are left", fuzz_memory_held() - held);
    free(text);
}
