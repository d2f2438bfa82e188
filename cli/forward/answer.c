/* SPDX-License-Identifier: MIT */
#include "cli/forward/answer.h"

#include <errno.h>
#include <string.h>

/* ---- any object ---- */

enum kind { KIND_OTHER, KIND_BOOLEAN, KIND_NIL, KIND_TEXT, KIND_ARRAY, KIND_MAP };

struct head {
    enum kind kind;
    uint32_t size;  /* bytes of it: this head alone for an array or map, or head and what it holds */
    uint32_t body;  /* bytes of text, at the end of it */
    uint32_t count; /* objects that follow as its own; of a map keys and values */
    bool value;     /* of a boolean */
};

static uint32_t big_endian(const unsigned char *at, unsigned bytes)
{
    uint32_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *at++;
    return value;
}

/* The types from 0xc0 to 0xdf: bytes that say a length, and bytes beside that and what is so long. */
static const struct {
    unsigned char kind;
    unsigned char length;
    unsigned char more;
} types[32] = {
    [0x00] = { KIND_NIL, 0, 0 },   [0x02] = { KIND_BOOLEAN, 0, 0 }, [0x03] = { KIND_BOOLEAN, 0, 0 },
    [0x04] = { KIND_TEXT, 1, 0 },  [0x05] = { KIND_TEXT, 2, 0 },    [0x06] = { KIND_TEXT, 4, 0 },
    [0x07] = { KIND_OTHER, 1, 1 }, [0x08] = { KIND_OTHER, 2, 1 },   [0x09] = { KIND_OTHER, 4, 1 },
    [0x0a] = { KIND_OTHER, 0, 4 }, [0x0b] = { KIND_OTHER, 0, 8 },   [0x0c] = { KIND_OTHER, 0, 1 },
    [0x0d] = { KIND_OTHER, 0, 2 }, [0x0e] = { KIND_OTHER, 0, 4 },   [0x0f] = { KIND_OTHER, 0, 8 },
    [0x10] = { KIND_OTHER, 0, 1 }, [0x11] = { KIND_OTHER, 0, 2 },   [0x12] = { KIND_OTHER, 0, 4 },
    [0x13] = { KIND_OTHER, 0, 8 }, [0x14] = { KIND_OTHER, 0, 2 },   [0x15] = { KIND_OTHER, 0, 3 },
    [0x16] = { KIND_OTHER, 0, 5 }, [0x17] = { KIND_OTHER, 0, 9 },   [0x18] = { KIND_OTHER, 0, 17 },
    [0x19] = { KIND_TEXT, 1, 0 },  [0x1a] = { KIND_TEXT, 2, 0 },    [0x1b] = { KIND_TEXT, 4, 0 },
    [0x1c] = { KIND_ARRAY, 2, 0 }, [0x1d] = { KIND_ARRAY, 4, 0 },   [0x1e] = { KIND_MAP, 2, 0 },
    [0x1f] = { KIND_MAP, 4, 0 },
};

/* 1; 0: more bytes are needed; -EBADMSG: none that is allowed, or larger than a message may be. */
static int head_read(const unsigned char *at, size_t size, struct head *ret)
{
    struct head h = { .kind = KIND_OTHER, .size = 1 };
    uint32_t length;
    unsigned char type;

    if (size == 0)
        return 0;
    type = *at;
    if (type >= 0x80 && type < 0xa0) {
        h.kind = type < 0x90 ? KIND_MAP : KIND_ARRAY;
        h.count = type & 15U;
    } else if (type >= 0xa0 && type < 0xc0) {
        h.kind = KIND_TEXT;
        h.body = type & 31U;
    } else if (type >= 0xc0 && type < 0xe0) {
        if (type == 0xc1)
            return -EBADMSG;
        h.kind = types[type - 0xc0].kind;
        h.size += types[type - 0xc0].length;
        if (size < h.size)
            return 0;
        length = big_endian(at + 1, types[type - 0xc0].length);
        if (length > ANSWER_MAX)
            return -EBADMSG;
        if (h.kind == KIND_ARRAY || h.kind == KIND_MAP)
            h.count = length;
        else
            h.body = length + types[type - 0xc0].more;
        h.value = type == 0xc3;
    }
    if (h.kind == KIND_MAP)
        h.count *= 2;
    h.size += h.body;
    if (size < h.size)
        return 0;
    *ret = h;
    return 1;
}

int extent_find(struct extent *extent, const unsigned char *bytes, size_t size)
{
    struct head h;
    int r;

    while (!extent->begun || extent->depth > 0) {
        r = head_read(bytes + extent->at, size - extent->at, &h);
        if (r <= 0)
            return r;
        extent->at += h.size;
        if (extent->begun)
            extent->left[extent->depth - 1]--;
        extent->begun = true;
        if (h.count > 0) {
            if (extent->depth == ANSWER_DEPTH)
                return -EBADMSG;
            extent->left[extent->depth++] = h.count;
        }
        while (extent->depth > 0 && extent->left[extent->depth - 1] == 0)
            extent->depth--;
    }
    return 1;
}

/* ---- what is in a message ---- */

struct cursor {
    const unsigned char *at;
    size_t size;
};

/* Past one object of that kind; of an array or map past its head. */
static bool next_is(struct cursor *c, enum kind kind, struct head *h)
{
    if (head_read(c->at, c->size, h) != 1 || h->kind != kind)
        return false;
    c->at += h->size;
    c->size -= h->size;
    return true;
}

static bool next_text(struct cursor *c, struct text *ret)
{
    struct head h;

    if (!next_is(c, KIND_TEXT, &h))
        return false;
    *ret = (struct text){ (const char *)c->at - h.body, h.body };
    return true;
}

static bool next_boolean(struct cursor *c, bool *ret)
{
    struct head h;

    if (!next_is(c, KIND_BOOLEAN, &h))
        return false;
    *ret = h.value;
    return true;
}

static bool skip(struct cursor *c)
{
    struct extent extent = { 0 };

    if (extent_find(&extent, c->at, c->size) != 1)
        return false;
    c->at += extent.at;
    c->size -= extent.at;
    return true;
}

bool text_is(struct text text, const char *other)
{
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

/* The start of an array of that many objects, with that word first. */
static bool next_message(struct cursor *c, uint32_t count, const char *word)
{
    struct head h;
    struct text first;

    return next_is(c, KIND_ARRAY, &h) && h.count == count && next_text(c, &first) && text_is(first, word);
}

static bool next_copy(struct cursor *c, char *copy, size_t *copy_size)
{
    struct text text;
    struct head nil;

    *copy_size = 0;
    if (next_is(c, KIND_NIL, &nil))
        return true;
    if (!next_text(c, &text) || text.size > NONCE_MAX)
        return false;
    memcpy(copy, text.data, text.size);
    *copy_size = text.size;
    return true;
}

static bool next_option(struct cursor *c, struct helo *helo)
{
    struct text key;

    if (!next_text(c, &key))
        return skip(c) && skip(c);
    if (text_is(key, "nonce"))
        return next_copy(c, helo->nonce, &helo->nonce_size);
    if (text_is(key, "auth"))
        return next_copy(c, helo->auth, &helo->auth_size);
    if (text_is(key, "keepalive"))
        return next_boolean(c, &helo->keepalive);
    return skip(c);
}

int helo_read(const unsigned char *bytes, size_t size, struct helo *ret)
{
    struct cursor c = { bytes, size };
    struct helo helo = { .keepalive = true };
    struct head h;

    if (!next_message(&c, 2, "HELO"))
        return -EBADMSG;
    if (!next_is(&c, KIND_NIL, &h)) {
        if (!next_is(&c, KIND_MAP, &h))
            return -EBADMSG;
        for (uint32_t i = 0; i < h.count; i += 2)
            if (!next_option(&c, &helo))
                return -EBADMSG;
    }
    *ret = helo;
    return 0;
}

/* Where a collector says no it may leave texts out. */
static bool next_text_or_nil(struct cursor *c, struct text *ret)
{
    struct head nil;

    *ret = (struct text){ "", 0 };
    return next_is(c, KIND_NIL, &nil) || next_text(c, ret);
}

int pong_read(const unsigned char *bytes, size_t size, struct pong *ret)
{
    struct cursor c = { bytes, size };
    struct pong pong;

    if (!next_message(&c, 5, "PONG") || !next_boolean(&c, &pong.ok) || !next_text_or_nil(&c, &pong.reason) ||
        !next_text_or_nil(&c, &pong.host) || !next_text_or_nil(&c, &pong.digest))
        return -EBADMSG;
    *ret = pong;
    return 0;
}

int ack_read(const unsigned char *bytes, size_t size, struct text *ret)
{
    struct cursor c = { bytes, size };
    struct text key, ack = { 0 };
    struct head h;

    if (!next_is(&c, KIND_MAP, &h))
        return -EBADMSG;
    for (uint32_t i = 0; i < h.count; i += 2) {
        if (!next_text(&c, &key)) {
            if (!skip(&c) || !skip(&c))
                return -EBADMSG;
        } else if (text_is(key, "ack")) {
            if (!next_text(&c, &ack))
                return -EBADMSG;
        } else if (!skip(&c)) {
            return -EBADMSG;
        }
    }
    if (!ack.data)
        return -EBADMSG;
    *ret = ack;
    return 0;
}
