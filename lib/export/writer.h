/* SPDX-License-Identifier: MIT */
/* One way to write a document, whatever its format: document.c says what is written, a format says how. */
#ifndef LIB_EXPORT_WRITER_H
#define LIB_EXPORT_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buffer.h"

struct vmt_writer;

struct vmt_writer_ops {
    void (*start)(struct vmt_writer *w); /* nothing is open, nothing was written before */
    void (*open_map)(struct vmt_writer *w, size_t count);
    void (*open_row)(struct vmt_writer *w, size_t count); /* a map that stays on one line; closed by close_map */
    void (*close_map)(struct vmt_writer *w);
    void (*open_array)(struct vmt_writer *w, size_t count);
    void (*close_array)(struct vmt_writer *w);
    void (*key)(struct vmt_writer *w, const char *text, size_t size);
    void (*string)(struct vmt_writer *w, const char *text, size_t size);
    void (*unsigned_integer)(struct vmt_writer *w, uint64_t value);
    void (*signed_integer)(struct vmt_writer *w, int64_t value);
    void (*boolean)(struct vmt_writer *w, bool value);
    void (*nil)(struct vmt_writer *w);
    void (*time)(struct vmt_writer *w, uint64_t realtime_ns);
    void (*bytes)(struct vmt_writer *w, const uint8_t *bytes, size_t size);
    /* What was written after start(): a row that is open, with a key that waits for its value. */
    void (*splice_row)(struct vmt_writer *w, const char *row, size_t size);
};

struct vmt_writer {
    const struct vmt_writer_ops *ops;
    struct vmt_buffer *out;
    int error; /* 0, -ENOMEM or -EFBIG; nothing more is written then */
};

static inline void vmt_writer_put(struct vmt_writer *w, const void *data, size_t size)
{
    if (w->error == 0)
        w->error = vmt_buffer_append(w->out, data, size);
}

/* What is lost when a document ends in an error: nothing that was in the buffer before. Returns the error. */
static inline int vmt_writer_finish(struct vmt_writer *w, size_t size_before)
{
    if (w->error < 0)
        w->out->size = size_before;
    return w->error;
}

static inline void vmt_put_key(struct vmt_writer *w, const char *text) { w->ops->key(w, text, strlen(text)); }

/* NULL is "": a snapshot that was never taken has no name. */
static inline void vmt_put_text(struct vmt_writer *w, const char *text)
{
    w->ops->string(w, text ? text : "", text ? strlen(text) : 0);
}

/* A key with its value. */
static inline void vmt_put_string(struct vmt_writer *w, const char *key, const char *text)
{
    vmt_put_key(w, key);
    vmt_put_text(w, text);
}

static inline void vmt_put_number(struct vmt_writer *w, const char *key, uint64_t value)
{
    vmt_put_key(w, key);
    w->ops->unsigned_integer(w, value);
}

static inline void vmt_put_boolean(struct vmt_writer *w, const char *key, bool value)
{
    vmt_put_key(w, key);
    w->ops->boolean(w, value);
}

/* The whole snapshot as one map. */
void vmt_document_write(struct vmt_writer *w, const struct vmt_snapshot *snapshot);

/* One descriptor of schema as a row. With key "value" last, which the caller gives its value and closes, or (bare) as it
 * is, closed. */
void vmt_document_descriptor(struct vmt_writer *w, const struct vmt_schema *schema, const struct vmt_descriptor *d,
                             bool bare);

/* What all forms of a descriptor end with: bucket-size, signed, aggregation, group, minuend, level, help; those of them that
 * it has. How many keys that are, and they. */
size_t vmt_document_detail_count(const struct vmt_schema *schema, const struct vmt_descriptor *d);
void vmt_document_details(struct vmt_writer *w, const struct vmt_schema *schema, const struct vmt_descriptor *d);

/* Labels as one map. */
void vmt_document_labels(struct vmt_writer *w, const char *const *labels);

#endif
