/* SPDX-License-Identifier: MIT */
/* Schemas without values: names, kinds and scales in the form that was discussed for the kernel's interface, and what
 * descriptors have beside that here. */
#include "json_writer.h"
#include "names.h"
#include "pack.h"

static void put_scale(struct vmt_writer *w, const struct vmt_descriptor *d)
{
    vmt_put_key(w, "scale");
    w->ops->open_row(w, 2);
    vmt_put_string(w, "base", vmt_export_base(d) == 2 ? "pow2" : "pow10");
    vmt_put_key(w, "exponent");
    w->ops->signed_integer(w, d->exponent);
    w->ops->close_map(w);
}

static void put_descriptor(struct vmt_writer *w, const struct vmt_schema *schema, const struct vmt_descriptor *d)
{
    const char *unit = vmt_export_unit(d);

    w->ops->open_row(w, 3U + (unit != NULL) + (d->exponent != 0) + vmt_document_detail_count(schema, d));
    vmt_put_string(w, "name", d->name);
    vmt_put_string(w, "kind", vmt_export_type(d));
    if (unit)
        vmt_put_string(w, "unit", unit);
    if (d->exponent != 0)
        put_scale(w, d);
    vmt_put_number(w, "count", d->size);
    vmt_document_details(w, schema, d);
    w->ops->close_map(w);
}

static void put_names(struct vmt_writer *w, const char *const *names)
{
    size_t count = 0;

    while (names[count])
        count++;
    w->ops->open_array(w, count);
    for (size_t i = 0; i < count; i++)
        vmt_put_text(w, names[i]);
    w->ops->close_array(w);
}

static void put_schema(struct vmt_writer *w, const struct vmt_schema *schema, const char *const *vms)
{
    w->ops->open_map(w, 4U + (vms != NULL));
    vmt_put_string(w, "name", schema->name);
    vmt_put_string(w, "provider", schema->provider);
    vmt_put_string(w, "target", schema->target);
    if (vms) {
        vmt_put_key(w, "vms");
        put_names(w, vms);
    }
    vmt_put_key(w, "stats");
    w->ops->open_array(w, schema->count);
    for (uint32_t i = 0; i < schema->count; i++)
        put_descriptor(w, schema, &schema->descriptors[i]);
    w->ops->close_array(w);
    w->ops->close_map(w);
}

static void put_schemas(struct vmt_writer *w, const struct vmt_schema *const *schemas, const char *const *const *vms,
                        size_t count)
{
    w->ops->start(w);
    w->ops->open_array(w, count);
    for (size_t i = 0; i < count && w->error == 0; i++)
        put_schema(w, schemas[i], vms ? vms[i] : NULL);
    w->ops->close_array(w);
}

int vmt_schema_json_encode(const struct vmt_schema *const *schemas, const char *const *const *vms, size_t count,
                           int pretty, struct vmt_buffer *out)
{
    struct vmt_json_writer json;
    size_t size = out->size;

    vmt_json_writer_init(&json, out, pretty);
    put_schemas(&json.base, schemas, vms, count);
    vmt_writer_put(&json.base, "\n", 1);
    return vmt_writer_finish(&json.base, size);
}

int vmt_schema_msgpack_encode(const struct vmt_schema *const *schemas, const char *const *const *vms, size_t count,
                              struct vmt_buffer *out)
{
    struct vmt_pack pack;
    size_t size = out->size;

    vmt_pack_init(&pack, out);
    put_schemas(&pack.base, schemas, vms, count);
    return vmt_writer_finish(&pack.base, size);
}
