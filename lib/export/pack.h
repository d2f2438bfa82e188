/* SPDX-License-Identifier: MIT */
/* msgpack-c's packer on a vmt_buffer, and the writer of documents on that. */
#ifndef LIB_EXPORT_PACK_H
#define LIB_EXPORT_PACK_H

#include <msgpack.h>

#include "writer.h"

struct vmt_pack {
    struct vmt_writer base;
    msgpack_packer packer; /* errors stay in base.error: what its functions return need not be looked at */
};

/* The pack must not be moved afterwards. */
void vmt_pack_init(struct vmt_pack *pack, struct vmt_buffer *out);

static inline void vmt_pack_string(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str_with_body(packer, text ? text : "", text ? strlen(text) : 0);
}

/* A time of day, as msgpack's own timestamp: the shortest of its three forms. */
static inline void vmt_pack_time(msgpack_packer *packer, uint64_t realtime_ns)
{
    msgpack_timestamp time = { (int64_t)(realtime_ns / 1000000000U), (uint32_t)(realtime_ns % 1000000000U) };

    msgpack_pack_timestamp(packer, &time);
}

#endif
