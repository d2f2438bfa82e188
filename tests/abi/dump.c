/* SPDX-License-Identifier: MIT */
/* dump FILE: one snapshot of a segment as one JSON object; dump.cpp, dump.py, plain.py and the program of tests/rust
 * print the same, so that same.py can compare them. What there is in it: fixed.json.
 * dump -: reads the names of files from standard input, one a line, and answers each with one line: the object, or
 * {"error": why} where vmt_check() does not find the file sound. */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/reader.h>

/* Everything that the reader hands out is UTF-8 without control characters. */
static void string(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            putchar('\\');
        putchar(*s);
    }
    putchar('"');
}

static void member(const char *name, uint64_t value) { printf("\"%s\": %" PRIu64 ", ", name, value); }

static void bytes(const char *name, const uint8_t id[16])
{
    printf("\"%s\": \"", name);
    for (int i = 0; i < 16; i++)
        printf("%02x", id[i]);
    printf("\", ");
}

static void schema_name(const struct vmt_schema *schema)
{
    char name[3 * 24];

    snprintf(name, sizeof(name), "%s/%s/%s", schema->name, schema->provider, schema->target);
    string(name);
}

static void slots(const char *name, const struct vmt_schema *schema, const uint64_t *values)
{
    printf("\"%s\": {", name);
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        printf("%s", i ? ", " : "");
        string(d->name);
        for (uint32_t slot = 0; slot < d->size; slot++)
            printf("%s%" PRIu64, slot ? ", " : ": [", values[d->slot + slot]);
        putchar(']');
    }
    putchar('}');
}

static void dump_total(const struct vmt_total *total)
{
    printf("{\"schema\": ");
    schema_name(total->schema);
    printf(", ");
    member("sources", total->sources);
    member("flags", total->flags);
    slots("values", total->schema, total->values);
    printf(", ");
    slots("departed", total->schema, total->departed);
    putchar('}');
}

static void dump_source(const struct vmt_snapshot *snapshot, const struct vmt_sample *sample)
{
    printf("{\"id\": ");
    string(sample->id);
    printf(", \"name\": ");
    string(sample->name);
    printf(", ");
    member("entry", sample->entry);
    member("generation", sample->generation);
    member("created_ns", sample->created_ns);
    printf("\"parent\": ");
    if (sample->parent == UINT32_MAX)
        printf("null");
    else
        string(vmt_snapshot_source(snapshot, sample->parent)->id);
    printf(", ");
    member("depth", sample->depth);
    member("flags", sample->flags);
    printf("\"schema\": ");
    schema_name(sample->schema);
    printf(", ");
    slots("values", sample->schema, sample->values);
    printf(", \"totals\": [");
    for (uint32_t i = 0; i < sample->total_count; i++) {
        printf("%s", i ? ", " : "");
        dump_total(&sample->totals[i]);
    }
    printf("]}");
}

static void dump_schema(const struct vmt_schema *schema)
{
    schema_name(schema);
    printf(": [");
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        printf("%s{\"name\": ", i ? ", " : "");
        string(d->name);
        printf(", \"help\": ");
        string(d->help);
        printf(", ");
        member("flags", d->flags);
        printf("\"exponent\": %d, ", d->exponent);
        member("slot", d->slot);
        member("size", d->size);
        member("bucket_size", d->bucket_size);
        member("group", d->group);
        member("minuend", d->minuend);
        printf("\"level\": %d}", d->level);
    }
    putchar(']');
}

/* Each once: a source's own, and those of the totals, of which the departed have no source any more. */
static void dump_schemas(const struct vmt_snapshot *snapshot)
{
    const struct vmt_schema *seen[VMT_SCHEMAS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);

        for (uint32_t t = 0; t <= sample->total_count; t++) {
            const struct vmt_schema *schema = t < sample->total_count ? sample->totals[t].schema : sample->schema;
            size_t k = 0;

            while (k < count && seen[k] != schema)
                k++;
            if (k < count || count == VMT_SCHEMAS_MAX)
                continue;
            printf("%s", count ? ", " : "");
            dump_schema(schema);
            seen[count++] = schema;
        }
    }
}

static void dump_info(const struct vmt_segment_info *info)
{
    printf("{\"name\": ");
    string(info->name);
    printf(", \"labels\": [");
    for (const char *const *label = info->labels; *label; label++) {
        printf("%s", label == info->labels ? "" : ", ");
        string(*label);
    }
    printf("], ");
    bytes("identity", info->identity);
    bytes("boot_id", info->boot_id);
    member("incarnation", info->incarnation);
    member("created_ns", info->created_ns);
    member("closed_ns", info->closed_ns);
    member("heartbeat_ns", info->heartbeat_ns);
    member("pid", info->pid);
    member("pid_start", info->pid_start);
    member("major", info->major);
    member("minor", info->minor);
    printf("\"state\": \"%s\", ", vmt_state_name(info->state));
    member("flags", info->flags);
}

static int dump(const char *path)
{
    struct vmt_reader *reader = NULL;
    struct vmt_snapshot *snapshot = NULL;
    int r = vmt_reader_open(path, NULL, &reader);

    if (r == 0)
        r = vmt_snapshot_new(&snapshot);
    if (r == 0)
        r = vmt_snapshot_take(snapshot, reader);
    if (r >= 0) {
        dump_info(vmt_snapshot_segment(snapshot));
        printf("\"sources\": [");
        for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++) {
            printf("%s", i ? ", " : "");
            dump_source(snapshot, vmt_snapshot_source(snapshot, i));
        }
        printf("], \"schemas\": {");
        dump_schemas(snapshot);
        printf("}}\n");
    }
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    return r;
}

static void dump_many(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    while ((length = getline(&line, &size, stdin)) > 0) {
        char why[256] = "";
        int r;

        line[length - 1] = 0;
        r = vmt_check(line, why, sizeof(why));
        if (r >= 0)
            r = why[0] || r == VMT_STATE_DAMAGED || r == VMT_STATE_OTHER_VERSION ? -EBADMSG : dump(line);
        if (r < 0)
            printf("{\"error\": \"%s\"}\n", why[0] ? why : strerror(-r));
        fflush(stdout);
    }
    free(line);
}

int main(int argc, char **argv)
{
    int r = 0;

    if (argc != 2)
        errx(2, "usage: dump FILE, or dump - < NAMES");
    if (strcmp(argv[1], "-") == 0)
        dump_many();
    else if ((r = dump(argv[1])) < 0)
        errx(1, "%s: %s", argv[1], strerror(-r));
    return 0;
}
