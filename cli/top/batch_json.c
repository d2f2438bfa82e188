/* SPDX-License-Identifier: MIT */
/* Samples as JSON. While a VM is observed all of it is written into memory, a piece for each source, for its change is
 * known only then; at the end of the beat those pieces go out that the model shows. */
#include "cli/top/batch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "cli/segment.h"
#include "cli/top/batch_json_stats.h"
#include "lib/export/json_writer.h"
#include "lib/export/schema_index.h"
#include "lib/hash.h"

/* A small file can make a large document, and one VM shall not cost all others theirs. What is beyond is left out. */
#define VM_BYTES_MAX ((size_t)64 << 20)
#define BEAT_BYTES_MAX ((size_t)512 << 20) /* of sources; VMs always have room */

/* Schemas that are remembered: beyond that all are forgotten, and said again when they are needed. */
#define SCHEMAS_MAX 4096U
#define SCHEMA_BYTES_MAX ((size_t)16 << 20)

/* A part of a buffer. */
struct piece {
    size_t start;
    size_t size;
};

/* One that a sample may refer to by its id. Its text says all that it is: the same text is the same schema. */
struct known_schema {
    struct piece text; /* in batch_json.schema_text */
    uint64_t hash;
    uint64_t id;
    int said;
};

/* What was written of one VM, up to its sources and with the first one of these, which has no row of its own; or of one
 * of the others. Another provider's view of a source has that one's key, and comes after it. */
struct written {
    uint64_t key;      /* as the row's */
    size_t order;      /* 0: of the source itself; of a view where it is in the snapshot */
    struct piece text; /* in batch_json.text */
    struct piece own;  /* of a VM: its first source; of size 0: it has none */
    struct piece uses; /* of batch_json.uses, in bytes: schemas that it refers to */
};

struct batch_json {
    int schema_once;
    uint64_t schemas_made;

    /* of this beat */
    struct vmt_buffer text;
    struct vmt_buffer vms;     /* struct written */
    struct vmt_buffer sources; /* struct written */
    struct vmt_buffer uses;    /* size_t each: an index of schemas */

    /* of all beats */
    struct vmt_buffer schemas; /* struct known_schema */
    struct vmt_buffer schema_text;

    /* of the VM that is being written */
    struct vmt_schema_index index;
    struct vmt_buffer numbers; /* size_t each: which of schemas each one of the index is */
    struct vmt_json_writer writer;
    const struct sample_vm *vm;
};

/* ---- schemas ---- */

static struct known_schema *schema_at(const struct batch_json *json, size_t i)
{
    return (struct known_schema *)(void *)json->schemas.data + i;
}

static size_t schema_count(const struct batch_json *json) { return json->schemas.size / sizeof(struct known_schema); }

/* The members that say what a schema is. */
static int write_schema(struct batch_json *json, const struct vmt_schema *schema)
{
    struct vmt_json_writer writer;
    struct vmt_writer *w = &writer.base;

    vmt_json_writer_init(&writer, &json->schema_text, 0);
    vmt_put_string(w, "name", schema->name);
    vmt_put_string(w, "provider", schema->provider);
    vmt_put_string(w, "target", schema->target);
    vmt_put_key(w, "statistics");
    w->ops->open_array(w, schema->count);
    for (uint32_t i = 0; i < schema->count; i++)
        vmt_document_descriptor(w, schema, &schema->descriptors[i], true);
    w->ops->close_array(w);
    return w->error;
}

/* Which one of those that are known schema is, or one more. Called for each of the VM's, in the order of the index. */
static int know_schema(void *arg, const struct vmt_schema *schema)
{
    struct batch_json *json = arg;
    struct known_schema one = { .text.start = json->schema_text.size };
    size_t count = schema_count(json);
    const char *text;
    size_t i;
    int r = write_schema(json, schema);

    if (r < 0)
        return r;
    one.text.size = json->schema_text.size - one.text.start;
    text = json->schema_text.data + one.text.start;
    one.hash = hash_add(HASH_START, text, one.text.size);
    for (i = 0; i < count; i++) {
        const struct known_schema *other = schema_at(json, i);

        if (other->hash == one.hash && other->text.size == one.text.size &&
            memcmp(json->schema_text.data + other->text.start, text, one.text.size) == 0)
            break;
    }
    if (i < count) {
        json->schema_text.size = one.text.start;
    } else {
        one.id = ++json->schemas_made;
        r = vmt_buffer_append(&json->schemas, &one, sizeof(one));
    }
    return r < 0 ? r : vmt_buffer_append(&json->numbers, &i, sizeof(i));
}

/* Find out which schemas the VM has. What an error leaves half done is not there. */
static int know_schemas(struct batch_json *json, const struct vmt_snapshot *snapshot)
{
    size_t size = json->schema_text.size;
    size_t count = json->schemas.size;
    int r;

    vmt_buffer_clear(&json->numbers);
    r = vmt_schema_index_fill(&json->index, snapshot, know_schema, json);
    if (r < 0) {
        json->schema_text.size = size;
        json->schemas.size = count;
    }
    return r;
}

static void put_schema(struct batch_json *json, const struct vmt_schema *schema)
{
    struct vmt_writer *w = &json->writer.base;

    vmt_put_string(w, "schema", schema->name);
    vmt_put_string(w, "provider", schema->provider);
    vmt_put_string(w, "target", schema->target);
    if (json->schema_once) {
        size_t i = ((const size_t *)(const void *)json->numbers.data)[vmt_schema_index_find(&json->index, schema)];

        vmt_put_number(w, "schema_id", schema_at(json, i)->id);
        if (w->error == 0)
            w->error = vmt_buffer_append(&json->uses, &i, sizeof(i));
    }
}

/* ---- a source ---- */

static void put_stats(struct batch_json *json, struct batch_stats stats)
{
    stats.delta = json->vm->delta;
    stats.described = !json->schema_once;
    batch_json_stats(&json->writer, stats);
}

static void put_source(struct batch_json *json, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(json->vm->snapshot, i);
    const struct vmt_delta *delta = json->vm->delta;
    struct vmt_writer *w = &json->writer.base;

    w->ops->open_map(w, 0);
    vmt_put_string(w, "id", sample->id);
    put_schema(json, sample->schema);
    vmt_put_number(w, "generation", sample->generation);
    vmt_put_number(w, "created_ns", sample->created_ns);
    vmt_put_boolean(w, "leaving", sample->flags & VMT_SAMPLE_LEAVING);
    vmt_put_boolean(w, "unconfirmed", sample->flags & VMT_SAMPLE_UNCONFIRMED);
    vmt_put_boolean(w, "torn", sample->flags & VMT_SAMPLE_TORN);
    if (!(sample->flags & VMT_SAMPLE_ABSENT))
        put_stats(json, (struct batch_stats){ .schema = sample->schema,
                                              .values = sample->values,
                                              .change = delta ? vmt_delta_source(delta, i) : NULL });
    if (sample->total_count) {
        vmt_put_key(w, "totals");
        w->ops->open_array(w, 0);
    }
    for (uint32_t t = 0; t < sample->total_count && w->error == 0; t++) {
        const struct vmt_total *total = &sample->totals[t];

        if (kvm_is_handle(total->schema))
            continue;
        w->ops->open_map(w, 0);
        put_schema(json, total->schema);
        vmt_put_number(w, "sources", total->sources);
        if (!(total->flags & VMT_SAMPLE_ABSENT))
            put_stats(json, (struct batch_stats){ .schema = total->schema,
                                                  .values = total->values,
                                                  .change = delta ? vmt_delta_total(delta, i, t) : NULL,
                                                  .total = 1 });
        w->ops->close_map(w);
    }
    if (sample->total_count)
        w->ops->close_array(w);
    w->ops->close_map(w);
}

/* ---- a VM ---- */

/* Write source i as a piece of its own. 0, -ENOMEM, or -EFBIG: there is no room for it. */
static int write_source(struct batch_json *json, size_t i, size_t room_bytes, struct written *ret)
{
    size_t subject = track_subject(json->vm->snapshot, i);
    struct written one = {
        .key = track_key(json->vm->id, subject ? vmt_snapshot_source(json->vm->snapshot, subject) : NULL),
        .order = subject == i ? 0 : i,
        .text.start = json->text.size,
        .uses.start = json->uses.size,
    };

    vmt_json_writer_init(&json->writer, &json->text, 0);
    put_source(json, i);
    one.text.size = json->text.size - one.text.start;
    one.uses.size = json->uses.size - one.uses.start;
    if (json->writer.base.error == 0 && one.text.size > room_bytes)
        json->writer.base.error = -EFBIG;
    if (json->writer.base.error < 0) {
        json->text.size = one.text.start;
        json->uses.size = one.uses.start;
        return json->writer.base.error;
    }
    *ret = one;
    return 0;
}

/* As `vmtally list --json` has it: where the segment can't be read, why. */
static void put_state(struct vmt_writer *w, const struct sample_vm *vm)
{
    char reason[256];

    vmt_put_key(w, "state");
    if (vm->error) {
        message_reason(vm->error, reason, sizeof(reason));
        w->ops->string(w, reason, strcspn(reason, ";"));
    } else {
        w->ops->string(w, vmt_state_name(vm->state), strlen(vmt_state_name(vm->state)));
    }
}

/* Where they come from, as `vmtally list --json` has it. */
static void put_counters(struct vmt_writer *w, uint32_t from)
{
    vmt_put_key(w, "counters");
    w->ops->open_array(w, 0);
    for (size_t i = 0; i < SEGMENT_FROM; i++) {
        const char *place = segment_from(from, i);

        if (place)
            vmt_put_text(w, place);
    }
    w->ops->close_array(w);
}

/* The VM, whose first source is written already (NULL: it has none). */
static int write_vm(struct batch_json *json, int whole, const struct written *first)
{
    const struct sample_vm *vm = json->vm;
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    struct vmt_writer *w = &json->writer.base;
    struct written one = { .key = track_key(vm->id, NULL), .text.start = json->text.size };

    vmt_json_writer_init(&json->writer, &json->text, 0);
    w->ops->open_map(w, 0);
    vmt_put_string(w, "name", vm->name);
    vmt_put_string(w, "path", vm->path);
    put_state(w, vm);
    if (info && (info->created_ns || vm->process)) {
        vmt_put_number(w, "uid", info->uid);
        vmt_put_boolean(w, "foreign", segment_foreign(info));
        if (!vm->process) {
            vmt_put_key(w, "identity");
            w->ops->bytes(w, info->identity, sizeof(info->identity));
            vmt_put_number(w, "incarnation", info->incarnation);
        }
        vmt_put_number(w, "pid", vmt_snapshot_pid(vm->snapshot));
        vmt_put_number(w, "created_ns", vm->created_ns);
        vmt_put_number(w, "time_ns", info->realtime_ns);
        vmt_put_boolean(w, "partial", !whole || info->flags & VMT_SNAPSHOT_PARTIAL);
        put_counters(w, info->from);
    }
    vmt_put_key(w, "sources");
    w->ops->open_array(w, 0);
    one.text.size = json->text.size - one.text.start;
    if (first) {
        one.own = first->text;
        one.uses = first->uses;
    }
    return w->error < 0 ? w->error : vmt_buffer_append(&json->vms, &one, sizeof(one));
}

/* What there is still room for. */
static size_t room(const struct batch_json *json, size_t start)
{
    size_t left = json->text.size < BEAT_BYTES_MAX ? BEAT_BYTES_MAX - json->text.size : 0;
    size_t of_vm = json->text.size - start < VM_BYTES_MAX ? VM_BYTES_MAX - (json->text.size - start) : 0;

    return left < of_vm ? left : of_vm;
}

int batch_json_vm(struct batch_json *json, const struct sample_vm *vm)
{
    size_t count = vm->snapshot ? vmt_snapshot_count(vm->snapshot) : 0;
    size_t start = json->text.size;
    struct written first;
    size_t i = 0;
    int r = 0;

    json->vm = vm;
    if (count && json->schema_once)
        r = know_schemas(json, vm->snapshot);
    while (r == 0 && i < count) {
        struct written one;

        if (vmt_export_leaves_out(vm->snapshot, i)) {
            i++;
            continue;
        }
        r = write_source(json, i, room(json, start), &one);
        if (r == 0 && i == 0)
            first = one;
        else if (r == 0)
            r = vmt_buffer_append(&json->sources, &one, sizeof(one));
        if (r == 0)
            i++;
    }
    if (r == 0 || r == -EFBIG)
        r = write_vm(json, r == 0, i ? &first : NULL);
    return r < 0 ? -ENOMEM : 0;
}

/* ---- a beat ---- */

static void forget_beat(struct batch_json *json)
{
    vmt_buffer_clear(&json->text);
    vmt_buffer_clear(&json->vms);
    vmt_buffer_clear(&json->sources);
    vmt_buffer_clear(&json->uses);
    if (schema_count(json) > SCHEMAS_MAX || json->schema_text.size > SCHEMA_BYTES_MAX) {
        vmt_buffer_clear(&json->schemas);
        vmt_buffer_clear(&json->schema_text);
    }
}

static int compare_keys(const void *a, const void *b)
{
    const struct written *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void sort(struct vmt_buffer *all)
{
    if (all->size)
        qsort(all->data, all->size / sizeof(struct written), sizeof(struct written), compare_keys);
}

/* The first that was written with the row's key, and how many; all is sorted. */
static const struct written *find(const struct vmt_buffer *all, uint64_t row_key, size_t *count)
{
    const struct written *written = (const void *)all->data;
    size_t low = 0;
    size_t high = all->size / sizeof(*written);
    size_t end = high;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (written[middle].key < row_key)
            low = middle + 1;
        else
            high = middle;
    }
    for (*count = 0; low + *count < end && written[low + *count].key == row_key;)
        ++*count;
    return *count ? &written[low] : NULL;
}

/* What was written of the row's source and of the views of it. */
static const struct written *sources_of(const struct batch_json *json, const struct model_row *row, size_t *count)
{
    *count = 0;
    return row->facts.kind == TRACK_SHARD ? NULL : find(&json->sources, row->facts.key, count);
}

/* Of a VM's row, the VM; else NULL. */
static const struct written *vm_of(const struct batch_json *json, const struct model_row *row)
{
    size_t count;

    return row->facts.kind == TRACK_VM ? find(&json->vms, row->facts.key, &count) : NULL;
}

/* A line for each schema that the piece refers to and that was not said yet. */
static void say_schemas(struct batch_json *json, FILE *out, const struct written *one)
{
    size_t count = one->uses.size / sizeof(size_t);

    for (size_t i = 0; i < count; i++) {
        const size_t *uses = (const void *)(json->uses.data + one->uses.start);
        struct known_schema *schema = schema_at(json, uses[i]);

        if (schema->said)
            continue;
        schema->said = 1;
        fprintf(out, "{\"schema\":{\"id\":%" PRIu64 ",", schema->id);
        fwrite(json->schema_text.data + schema->text.start, 1, schema->text.size, out);
        fputs("}}\n", out);
    }
}

static void write_piece(const struct batch_json *json, FILE *out, const struct piece *piece)
{
    if (piece->size)
        fwrite(json->text.data + piece->start, 1, piece->size, out);
}

/* Sources follow their VM. */
static void write_rows(const struct batch_json *json, FILE *out, const struct model *model)
{
    size_t vms = 0;
    size_t sources = 0; /* of the VM */

    for (size_t i = 0; i < model->count; i++) {
        const struct written *vm = vm_of(json, &model->rows[i]);
        size_t count;
        const struct written *one = sources_of(json, &model->rows[i], &count);

        if (vm) {
            fputs(vms++ ? "]}," : "", out);
            write_piece(json, out, &vm->text);
            write_piece(json, out, &vm->own);
            sources = vm->own.size != 0;
        }
        for (size_t k = 0; k < count; k++) {
            if (k && !one[k].order) /* a damaged segment may have an id twice */
                continue;
            fputs(sources++ ? "," : "", out);
            write_piece(json, out, &one[k].text);
        }
    }
    fputs(vms ? "]}" : "", out);
}

int batch_json_end(struct batch_json *json, FILE *out, const struct sample_set *set, const struct model *model)
{
    sort(&json->vms);
    sort(&json->sources);
    for (size_t i = 0; i < model->count && json->schema_once; i++) {
        const struct written *vm = vm_of(json, &model->rows[i]);
        size_t count;
        const struct written *one = sources_of(json, &model->rows[i], &count);

        if (vm)
            say_schemas(json, out, vm);
        for (size_t k = 0; k < count; k++)
            say_schemas(json, out, &one[k]);
    }
    fprintf(out, "{\"time_ns\":%" PRIu64 ",\"interval_s\":%.9g,\"vms\":[", set->realtime_ns,
            (double)set->interval_ns / 1e9);
    write_rows(json, out, model);
    fputs("]}\n", out);
    forget_beat(json);
    return 0;
}

int batch_json_new(int schema_once, struct batch_json **ret)
{
    struct batch_json *json = calloc(1, sizeof(*json));

    if (!json)
        return -ENOMEM;
    json->schema_once = schema_once;
    *ret = json;
    return 0;
}

void batch_json_free(struct batch_json *json)
{
    if (!json)
        return;
    vmt_buffer_free(&json->text);
    vmt_buffer_free(&json->vms);
    vmt_buffer_free(&json->sources);
    vmt_buffer_free(&json->uses);
    vmt_buffer_free(&json->schemas);
    vmt_buffer_free(&json->schema_text);
    vmt_buffer_free(&json->numbers);
    free(json->index.schemas);
    free(json);
}
