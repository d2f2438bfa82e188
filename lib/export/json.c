/* SPDX-License-Identifier: MIT */
/* Documents as JSON. */
#include "json_writer.h"

int vmt_json_encode(const struct vmt_snapshot *snapshot, int pretty, struct vmt_buffer *out)
{
    struct vmt_json_writer json;
    size_t size = out->size;

    vmt_json_writer_init(&json, out, pretty);
    vmt_document_write(&json.base, snapshot);
    vmt_writer_put(&json.base, "\n", 1);
    return vmt_writer_finish(&json.base, size);
}
