/* SPDX-License-Identifier: MIT */
/* The inside of struct vmt_buffer: what encoders append with. */
#ifndef LIB_EXPORT_BUFFER_H
#define LIB_EXPORT_BUFFER_H

#include <string.h>

#include <vmtally/export.h>

/* Make room for that many bytes more. 0, -ENOMEM or -EFBIG, the buffer then is as it was. */
int vmt_buffer_grow(struct vmt_buffer *buffer, size_t more);

static inline int vmt_buffer_reserve(struct vmt_buffer *buffer, size_t more)
{
    return more <= buffer->capacity - buffer->size ? 0 : vmt_buffer_grow(buffer, more);
}

/* Append. 0, -ENOMEM or -EFBIG, nothing is appended then. */
static inline int vmt_buffer_append(struct vmt_buffer *buffer, const void *data, size_t size)
{
    int r = vmt_buffer_reserve(buffer, size);

    if (r < 0)
        return r;
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return 0;
}

#endif
