/* SPDX-License-Identifier: MIT */
/* msgpack: heads of values, whether a frame is whole, and its values one after the other. */
#include "decode.h"

#include <errno.h>

#include "shm/text.h"

const uint8_t stream_magic[MAGIC_BYTES] = { 0x9e, 0, 1, 0xa7, 'V', 'M', 'T', 'A', 'L', 'L', 'Y' };

/* ---- heads ---- */

static uint64_t big_endian(const uint8_t *p, size_t size)
{
    uint64_t n = 0;

    for (size_t i = 0; i < size; i++)
        n = n << 8 | p[i];
    return n;
}

static void signed_number(struct value *v, size_t size)
{
    uint32_t unused = 64 - 8 * (uint32_t)size;

    v->n = (uint64_t)((int64_t)(v->n << unused) >> unused);
    v->type = (int64_t)v->n < 0 ? VALUE_NEGATIVE : VALUE_UNSIGNED;
}

/* From 0xc0 to 0xdf: what it is, and how many bytes of a number follow. An extension's type comes behind its size. */
static const struct {
    uint8_t type;
    uint8_t size;
    uint8_t fixed; /* the size of an extension that has no number */
} long_heads[32] = {
    { VALUE_NIL, 0, 0 },        { 0xff, 0, 0 },
    { VALUE_BOOLEAN, 0, 0 },    { VALUE_BOOLEAN, 0, 0 },
    { VALUE_BYTES, 1, 0 },      { VALUE_BYTES, 2, 0 },
    { VALUE_BYTES, 4, 0 },      { VALUE_EXTENSION, 1, 0 },
    { VALUE_EXTENSION, 2, 0 },  { VALUE_EXTENSION, 4, 0 },
    { VALUE_REAL, 4, 0 },       { VALUE_REAL, 8, 0 },
    { VALUE_UNSIGNED, 1, 0 },   { VALUE_UNSIGNED, 2, 0 },
    { VALUE_UNSIGNED, 4, 0 },   { VALUE_UNSIGNED, 8, 0 },
    { VALUE_NEGATIVE, 1, 0 },   { VALUE_NEGATIVE, 2, 0 },
    { VALUE_NEGATIVE, 4, 0 },   { VALUE_NEGATIVE, 8, 0 },
    { VALUE_EXTENSION, 0, 1 },  { VALUE_EXTENSION, 0, 2 },
    { VALUE_EXTENSION, 0, 4 },  { VALUE_EXTENSION, 0, 8 },
    { VALUE_EXTENSION, 0, 16 }, { VALUE_STRING, 1, 0 },
    { VALUE_STRING, 2, 0 },     { VALUE_STRING, 4, 0 },
    { VALUE_ARRAY, 2, 0 },      { VALUE_ARRAY, 4, 0 },
    { VALUE_MAP, 2, 0 },        { VALUE_MAP, 4, 0 },
};

static int long_head(const uint8_t *p, size_t size, struct value *v)
{
    uint32_t i = p[0] - 0xc0U;
    size_t number = long_heads[i].size;
    size_t bytes = 1 + number + (long_heads[i].type == VALUE_EXTENSION);

    if (long_heads[i].type == 0xff)
        return -1;
    if (size < bytes)
        return 0;
    v->type = (enum value_type)long_heads[i].type;
    v->head_size = (uint8_t)bytes;
    v->n = number ? big_endian(p + 1, number) : long_heads[i].fixed;
    if (v->type == VALUE_BOOLEAN)
        v->n = p[0] & 1;
    if (v->type == VALUE_NEGATIVE)
        signed_number(v, number);
    if (v->type == VALUE_EXTENSION)
        v->extension = (int8_t)p[bytes - 1];
    return 1;
}

int value_head(const uint8_t *p, size_t size, struct value *v)
{
    if (size == 0)
        return 0;
    v->head_size = 1;
    if (p[0] < 0x80) {
        v->type = VALUE_UNSIGNED;
        v->n = p[0];
    } else if (p[0] < 0x90) {
        v->type = VALUE_MAP;
        v->n = p[0] & 0xfU;
    } else if (p[0] < 0xa0) {
        v->type = VALUE_ARRAY;
        v->n = p[0] & 0xfU;
    } else if (p[0] < 0xc0) {
        v->type = VALUE_STRING;
        v->n = p[0] & 0x1fU;
    } else if (p[0] < 0xe0) {
        return long_head(p, size, v);
    } else {
        v->type = VALUE_NEGATIVE;
        v->n = (uint64_t)(int8_t)p[0];
    }
    return 1;
}

static bool has_body(enum value_type type)
{
    return type == VALUE_STRING || type == VALUE_BYTES || type == VALUE_EXTENSION;
}

static bool has_elements(enum value_type type) { return type == VALUE_ARRAY || type == VALUE_MAP; }

/* A map's are its keys and their values. */
static uint64_t elements(const struct value *v) { return v->type == VALUE_MAP ? 2 * v->n : v->n; }

/* ---- whole frames ---- */

int begins_with(const uint8_t *p, size_t size, const void *word, size_t word_size)
{
    if (memcmp(p, word, size < word_size ? size : word_size) != 0)
        return NO;
    return size < word_size ? PERHAPS : YES;
}

/* The next value of the frame, as scan_frame(). Lengths are held against what a frame may have, so that nobody waits
 * for what can't come: each element takes a byte at least. */
static int scan_value(struct scan *scan, const uint8_t *p, size_t size)
{
    const size_t most = FRAME_BYTES_MAX - scan->at;
    struct value v;
    int r = value_head(p + scan->at, size - scan->at, &v);
    size_t bytes;

    if (r <= 0)
        return r < 0 || size - scan->at > most ? FRAME_BAD : 0;
    bytes = v.head_size + (has_body(v.type) ? v.n : 0);
    if (v.n > FRAME_BYTES_MAX && (has_body(v.type) || has_elements(v.type)))
        return FRAME_BAD;
    if (bytes > most || (has_elements(v.type) && elements(&v) > most - bytes))
        return FRAME_BAD;
    if (scan->at == 0 && !has_elements(v.type))
        return FRAME_BAD;
    if (bytes > size - scan->at)
        return 0;
    if (scan->at != 0) {
        /* An array in a frame that begins as a header does is one: the frame around it was cut off. */
        r = begins_with(p + scan->at, size - scan->at, stream_magic, MAGIC_BYTES);
        if (r != NO)
            return r == PERHAPS ? 0 : FRAME_BAD;
    }
    scan->at += bytes;
    scan->values++;
    if (scan->depth)
        scan->left[scan->depth - 1]--;
    if (has_elements(v.type) && v.n) {
        if (scan->depth == FRAME_DEPTH_MAX)
            return FRAME_BAD;
        scan->left[scan->depth++] = elements(&v);
    }
    while (scan->depth && scan->left[scan->depth - 1] == 0)
        scan->depth--;
    return 1;
}

int scan_frame(struct scan *scan, const uint8_t *p, size_t size)
{
    int r;

    if (scan->at && !scan->depth)
        return 1; /* it was whole before */
    do
        r = scan_value(scan, p, size);
    while (r == 1 && scan->depth);
    return r;
}

/* ---- values of a whole frame ---- */

bool take_value(struct cursor *c, struct value *ret)
{
    if (value_head(c->at, (size_t)(c->end - c->at), ret) != 1)
        return false;
    c->at += ret->head_size;
    return true;
}

static bool take(struct cursor *c, enum value_type type, struct value *ret)
{
    struct cursor next = *c;

    if (!take_value(&next, ret) || ret->type != type)
        return false;
    *c = next;
    return true;
}

static bool take_elements(struct cursor *c, enum value_type type, size_t *count)
{
    struct value v;

    if (!take(c, type, &v))
        return false;
    *count = v.n;
    return true;
}

bool take_array(struct cursor *c, size_t *count) { return take_elements(c, VALUE_ARRAY, count); }

bool take_map(struct cursor *c, size_t *count) { return take_elements(c, VALUE_MAP, count); }

bool take_unsigned(struct cursor *c, uint64_t most, uint64_t *ret)
{
    struct value v;

    if (!take(c, VALUE_UNSIGNED, &v) || v.n > most)
        return false;
    *ret = v.n;
    return true;
}

bool take_u32(struct cursor *c, uint32_t *ret)
{
    uint64_t n;

    if (!take_unsigned(c, UINT32_MAX, &n))
        return false;
    *ret = (uint32_t)n;
    return true;
}

bool take_boolean(struct cursor *c, bool *ret)
{
    struct value v;

    if (!take(c, VALUE_BOOLEAN, &v))
        return false;
    *ret = v.n != 0;
    return true;
}

/* The body of what has one. */
static bool take_body(struct cursor *c, enum value_type type, struct value *v, const uint8_t **ret)
{
    struct cursor next = *c;

    if (!take(&next, type, v) || v->n > (size_t)(next.end - next.at))
        return false;
    *ret = next.at;
    c->at = next.at + v->n;
    return true;
}

/* Whatever is not fit to show is none: it was cut off, and what stands there is of another frame. */
bool take_string(struct cursor *c, const char **ret, size_t *size)
{
    const uint8_t *body;
    struct value v;

    if (!take_body(c, VALUE_STRING, &v, &body))
        return false;
    for (size_t i = 0, step; i < v.n; i += step) {
        step = shm_shown(body + i, v.n - i);
        if (step == 0)
            return false;
    }
    *ret = (const char *)body;
    *size = v.n;
    return true;
}

bool take_bytes16(struct cursor *c, uint8_t ret[16])
{
    const uint8_t *body;
    struct value v;

    if (!take_body(c, VALUE_BYTES, &v, &body) || v.n != 16)
        return false;
    memcpy(ret, body, 16);
    return true;
}

#define SECOND_NS UINT64_C(1000000000)

bool take_time(struct cursor *c, uint64_t *realtime_ns)
{
    uint64_t seconds, ns = 0;
    const uint8_t *body;
    struct value v;

    if (!take_body(c, VALUE_EXTENSION, &v, &body) || v.extension != -1)
        return false;
    if (v.n == 4) {
        seconds = big_endian(body, 4);
    } else if (v.n == 8) {
        ns = big_endian(body, 8) >> 34;
        seconds = big_endian(body, 8) & ((UINT64_C(1) << 34) - 1);
    } else if (v.n == 12) {
        ns = big_endian(body, 4);
        seconds = big_endian(body + 4, 8); /* one before 1970 is too large */
    } else {
        return false;
    }
    if (ns >= SECOND_NS || seconds > (UINT64_MAX - ns) / SECOND_NS)
        return false;
    *realtime_ns = seconds * SECOND_NS + ns;
    return true;
}

bool take_nil(struct cursor *c)
{
    struct value v;

    return take(c, VALUE_NIL, &v);
}

void take_any(struct cursor *c)
{
    uint64_t left = 1;

    for (struct value v; left && take_value(c, &v); left--) {
        if (has_body(v.type))
            c->at += v.n <= (size_t)(c->end - c->at) ? v.n : (size_t)(c->end - c->at);
        else if (has_elements(v.type))
            left += elements(&v);
    }
}

bool is_word(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

const char *put_text(struct vmt_buffer *text, const char *string, size_t size)
{
    char *put = text->data + text->size;

    memcpy(put, string, size);
    put[size] = '\0';
    text->size += size + 1;
    return put;
}

bool take_text(struct cursor *c, struct vmt_buffer *text, const char **ret)
{
    const char *string;
    size_t size;

    if (!take_string(c, &string, &size))
        return false;
    *ret = put_text(text, string, size);
    return true;
}

bool take_id(struct cursor *c, struct vmt_buffer *text, const char **ret)
{
    struct cursor next = *c;
    struct value v;

    return take_value(&next, &v) && v.n < ID_BYTES_MAX && take_text(c, text, ret);
}

bool take_labels(struct cursor *c, struct vmt_buffer *text, const char **labels, size_t *count)
{
    if (!take_map(c, count) || *count > LABELS_MAX)
        return false;
    for (size_t i = 0; i < *count; i++) {
        const char *value;

        if (!take_text(c, text, &labels[i]))
            return false;
        text->data[text->size - 1] = '='; /* in place of its end */
        if (!take_text(c, text, &value))
            return false;
    }
    return true;
}

bool take_keys(struct cursor *c, const char *const *keys, size_t count, struct cursor *found)
{
    size_t left;

    memset(found, 0, count * sizeof(*found));
    if (!take_map(c, &left))
        return false;
    for (; left; left--) {
        const char *text;
        size_t size, i = 0;

        if (!take_string(c, &text, &size))
            return false;
        while (i < count && !is_word(text, size, keys[i]))
            i++;
        if (i < count)
            found[i] = *c;
        take_any(c);
    }
    return true;
}
