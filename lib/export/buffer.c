/* SPDX-License-Identifier: MIT */
#include "buffer.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_BYTES 4096U

void vmt_buffer_clear(struct vmt_buffer *buffer) { buffer->size = 0; }

void vmt_buffer_free(struct vmt_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct vmt_buffer){ 0 };
}

int vmt_buffer_grow(struct vmt_buffer *buffer, size_t more)
{
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_BYTES;
    char *data;

    if (buffer->size > VMT_BUFFER_MAX || more > VMT_BUFFER_MAX - buffer->size)
        return -EFBIG;
    while (capacity < buffer->size + more)
        capacity *= 2;
    data = realloc(buffer->data, capacity);
    if (!data)
        return -ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}
