/* SPDX-License-Identifier: MIT */
#include "tag.h"

#include <stdio.h>
#include <string.h>

#include "../nearest.h"

enum placeholder { VM, TARGET, PROVIDER, SOURCE, LABEL, UNKNOWN };

static const char *const names[UNKNOWN] = {
    [VM] = "vm", [TARGET] = "target", [PROVIDER] = "provider", [SOURCE] = "source", [LABEL] = "label:",
};

/* The placeholder between the braces; of a label, where its key begins. */
static enum placeholder find(const char *text, size_t size, size_t *key)
{
    for (size_t i = 0; i < UNKNOWN; i++) {
        size_t n = strlen(names[i]);

        *key = n;
        if (i == LABEL ? size > n && memcmp(text, names[i], n) == 0 : size == n && memcmp(text, names[i], n) == 0)
            return (enum placeholder)i;
    }
    return UNKNOWN;
}

static int is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static int check_placeholder(const char *text, size_t size, char *why, size_t why_size)
{
    char asked[64], near[NEAREST_TEXT];
    struct nearest nearest = { .asked = asked };
    size_t key;

    if (find(text, size, &key) != UNKNOWN)
        return 0;
    snprintf(asked, sizeof(asked), "%.*s", (int)size, text);
    for (size_t i = 0; i < UNKNOWN; i++)
        nearest_try(&nearest, names[i]);
    snprintf(why, why_size, "there is no {%s}%s", asked,
             nearest.found ? nearest_text(&nearest, near, sizeof(near))
                           : "; there are {vm}, {target}, {provider}, {source} and {label:KEY}");
    return -1;
}

int tag_check(const char *template, char *why, size_t size)
{
    const char *at = template;

    if (!*template) {
        snprintf(why, size, "a tag is not empty");
        return -1;
    }
    for (; *at; at++) {
        size_t inside = strcspn(at, "}");

        if (*at == '{' && !at[inside]) {
            snprintf(why, size, "a '{' without its '}'");
            return -1;
        }
        if (*at == '{') {
            if (check_placeholder(at + 1, inside - 1, why, size) < 0)
                return -1;
            at += inside;
        } else if (!is_plain(*at) && *at != '.') {
            snprintf(why, size, "tags are of letters, digits, '.', '_' and '-', not '%s'", at);
            return -1;
        }
    }
    return 0;
}

struct tag {
    char *buf;
    size_t size;
    size_t used;
};

static void put(struct tag *tag, char c)
{
    if (tag->used + 1 < tag->size)
        tag->buf[tag->used++] = c;
}

static void put_value(struct tag *tag, const char *text, int is_path, const char *empty)
{
    for (text = text && *text ? text : empty; *text; text++) {
        if (is_path && *text == '/')
            put(tag, '.');
        else if (((unsigned char)*text & 0xc0) != 0x80) /* a character of UTF-8 is one '_' */
            put(tag, is_plain(*text) ? *text : '_');
    }
}

/* The first label of that key; as elsewhere it is the one that counts. */
static const char *label_of(const struct vmt_segment_info *info, const char *key, size_t size)
{
    for (const char *const *label = info->labels; label && *label; label++) {
        if (strcspn(*label, "=") == size && memcmp(*label, key, size) == 0)
            return (*label)[size] ? *label + size + 1 : "";
    }
    return "";
}

size_t tag_make(const char *template, const char *vm, const struct vmt_snapshot *snapshot, size_t i,
                const struct vmt_schema *schema, char *buf, size_t size)
{
    const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
    struct tag tag = { buf, size, 0 };

    for (const char *at = template; *at; at++) {
        size_t inside = strcspn(at, "}"), key;

        if (*at != '{') {
            put(&tag, *at);
            continue;
        }
        switch (find(at + 1, inside - 1, &key)) {
        case VM:
            put_value(&tag, vm, 0, "none");
            break;
        case TARGET:
            put_value(&tag, schema->target, 0, "none");
            break;
        case PROVIDER:
            put_value(&tag, schema->provider, 0, "none");
            break;
        case SOURCE:
            put_value(&tag, sample->id, 1, "segment");
            break;
        case LABEL:
            put_value(&tag, label_of(vmt_snapshot_segment(snapshot), at + 1 + key, inside - 1 - key), 0, "none");
            break;
        case UNKNOWN:
            break;
        }
        at += inside;
    }
    if (tag.used == strlen(STATUS_TAG) && memcmp(buf, STATUS_TAG, tag.used) == 0)
        put(&tag, '_');
    buf[tag.used] = '\0';
    return tag.used;
}
