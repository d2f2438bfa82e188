/* SPDX-License-Identifier: MIT */
/* Each decoder of bytes from elsewhere by itself, with all that it may meet: the first byte chooses one. */
#include <errno.h>
#include <string.h>

#include "cli/message.h"
#include "cli/units.h"
#include "decode.h"
#include "file.h"
#include "judge.h"
#include "lib/export/names.h"
#include "lib/schema_set.h"
#include "lib/writer.h"
#include "shm/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- text ---- */

static void clean_text(const uint8_t *data, size_t size)
{
    bool ascii = data[0] & 1;
    char *text = malloc(size), *again = malloc(size); /* to the byte: a sanitizer sees one more */

    ENSURE(text && again, "no memory");
    memcpy(text, data, size);
    shm_clean_text(text, size, ascii);
    judge_text(text, ascii);
    ENSURE(memchr(text, 0, size), "no end");
    for (size_t i = 0; text[i]; i++)
        ENSURE(text[i] == (char)data[i] || text[i] == '?', "byte %zu was 0x%02x and is 0x%02x", i, data[i],
               (unsigned char)text[i]);
    memcpy(again, text, size);
    shm_clean_text(again, size, ascii);
    ENSURE(strcmp(text, again) == 0, "clean, and yet cleaned");
    free(text);
    free(again);
}

static void printable(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1), buf[40];

    ENSURE(text, "no memory");
    memcpy(text, data, size);
    judge_text(message_printable(text, buf, 1 + data[0] % sizeof(buf)), false);
    ENSURE(strlen(buf) <= size, "it grew");
    ENSURE(shm_name_check(text) < 0 || (strlen(text) < 64 && !strchr(text, '/') && text[0] != '.'), "'%s'", text);
    free(text);
}

/* Strings with NULs between them, cleaned as a reader's are. */
static void labels(const uint8_t *data, size_t size)
{
    const char *list[65] = { 0 };
    struct vmt_export_label label;
    char *text = calloc(1, size + 2);
    size_t n = 0, count, unique, given = 0;

    ENSURE(text, "no memory");
    memcpy(text, data, size);
    for (char *p = text; *p && n < 64; p += strlen(p) + 1) {
        shm_clean_text(p, strlen(p) + 1, false);
        list[n++] = p;
    }
    unique = vmt_export_labels(list, &count);
    ENSURE(count == n && unique <= n, "%zu of %zu", unique, n);
    for (size_t i = 0; i < n; i++) {
        if (!vmt_export_label(list, i, &label))
            continue;
        given++;
        ENSURE(label.key >= text && label.key_size <= strlen(label.key), "key of label %zu", i);
        judge_text(label.value, false);
    }
    ENSURE(given == unique, "%zu of %zu", given, unique);
    free(text);
}

/* ---- schemas ---- */

static void judge_set(const struct schema_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        judge_schema(&set->known[i]->schema);
}

/* The bytes are a chain of schema blocks from offset 8 on. */
static void schemas(const uint8_t *data, size_t size)
{
    static struct fuzz_file file;
    struct schema_set *sets[2];
    struct shm_view view;
    const char *why;
    int results[2];

    if (!file.bytes)
        fuzz_file_make(&file, FUZZ_FILE_MAX);
    fuzz_file_resize(&file, size);
    memcpy(file.bytes, data, size);
    fuzz_file_show(&file, 0);
    for (int mapped = 0; mapped < 2; mapped++) {
        ENSURE(shm_view_open(FUZZ_PATH, FUZZ_FILE_MAX, mapped, &view) == 0 && shm_view_begin(&view) == 0, "view");
        sets[mapped] = schema_set_new();
        ENSURE(sets[mapped], "no memory");
        results[mapped] = schema_set_follow(sets[mapped], &view, 8, &why);
        ENSURE(results[mapped] == 0 || (results[mapped] == -EBADMSG && *why), "%d: %s", results[mapped], why);
        judge_set(sets[mapped]);
        shm_view_close(&view);
    }
    ENSURE(results[0] == results[1] && sets[0]->count == sets[1]->count, "copied and mapped differ");
    schema_set_release(sets[0]);
    schema_set_release(sets[1]);
}

/* ---- numbers with their descriptors ---- */

static void numbers(const uint8_t *data, size_t size)
{
    struct vmt_kvm_desc raw = { 0 };
    struct vmt_descriptor d = { .name = "d", .help = "" };
    uint64_t values[8] = { 0 }, low, high, q = 0;
    char text[UNIT_TEXT];

    memcpy(&raw, data, size < sizeof(raw) ? size : sizeof(raw));
    memcpy(values, raw.name, sizeof(raw.name)); /* any */
    d.flags = raw.flags;
    d.exponent = raw.exponent;
    d.bucket_size = raw.bucket_size;
    raw.size = d.size = (uint16_t)(raw.size % 8 + 1);
    if (!shm_descriptor_known(&raw))
        return;
    for (int i = 0; i < 8; i++) {
        double real;

        memcpy(&real, &values[i], sizeof(real));
        judge_text(unit_format(text, sizeof(text), &d, values[i]), true);
        judge_text(unit_format_real(text, sizeof(text), &d, real), true);
        judge_text(unit_format_rate(text, sizeof(text), &d, real), true);
        judge_text(unit_format_share(text, sizeof(text), real), true);
        judge_text(unit_format_age(text, sizeof(text), values[i]), true);
    }
    for (uint32_t i = 0; i < d.size; i++) {
        vmt_bucket_bounds(&d, i, &low, &high);
        ENSURE(low <= high && (i == 0 || low >= q), "bucket %u from %llu to %llu", i, (unsigned long long)low,
               (unsigned long long)high);
        q = low;
    }
    if (vmt_quantile(&d, values, (double)(data[0] % 101) / 100, &low, &high) == 0)
        ENSURE(low <= high, "quantile");
}

/* ---- what the kernel says ---- */

static void processes(const uint8_t *data, size_t size)
{
    struct shm_header h = { .pid = 1, .pid_start = 22 };
    char boot_id[64] = { 0 };
    size_t n = size / 2 < sizeof(boot_id) - 1 ? size / 2 : sizeof(boot_id) - 1;

    memcpy(boot_id, data, n);
    fuzz_proc(boot_id, (const char *)data + n, size - n);
    header_writer_lives(&h);
    fuzz_proc(NULL, NULL, 0);
}

static void (*const decoders[])(const uint8_t *data, size_t size) = {
    clean_text,        printable,    labels,       schemas,       numbers,        processes,
    decode_statistics, decode_links, decode_names, decode_status, decode_debugfs,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    decoders[data[0] % (sizeof(decoders) / sizeof(decoders[0]))](data + 1, size - 1);
    return 0;
}
