/* SPDX-License-Identifier: MIT */
#include "json_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json_object.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "decimal.h"

static struct vmt_json_writer *json_of(struct vmt_writer *w) { return (struct vmt_json_writer *)w; }

static void put_char(struct vmt_writer *w, char c) { vmt_writer_put(w, &c, 1); }

static void new_line(const struct vmt_json_writer *json, struct vmt_writer *w)
{
    static const char spaces[] = "\n                        ";
    size_t size = 1 + 2 * (size_t)json->depth;

    vmt_writer_put(w, spaces, size < sizeof(spaces) ? size : sizeof(spaces) - 1);
}

/* What stands before a key or a value. */
static void separate(struct vmt_writer *w, enum vmt_json_place next)
{
    struct vmt_json_writer *json = json_of(w);

    if (json->place == VMT_JSON_AFTER_VALUE)
        put_char(w, ',');
    if (json->pretty && json->place != VMT_JSON_AFTER_KEY) {
        if (json->row == 0 && json->depth != 0)
            new_line(json, w);
        else if (json->place == VMT_JSON_AFTER_VALUE)
            put_char(w, ' ');
    }
    json->place = next;
}

static void open_container(struct vmt_writer *w, char bracket, bool row)
{
    struct vmt_json_writer *json = json_of(w);

    separate(w, VMT_JSON_AT_START);
    put_char(w, bracket);
    json->depth++;
    json->row += row || json->row != 0;
}

static void close_container(struct vmt_writer *w, char bracket)
{
    struct vmt_json_writer *json = json_of(w);

    json->depth--;
    if (json->row)
        json->row--;
    else if (json->pretty && json->place == VMT_JSON_AFTER_VALUE)
        new_line(json, w);
    put_char(w, bracket);
    json->place = VMT_JSON_AFTER_VALUE;
}

/* json-c does not tell when a piece of a string found no memory: count what came out. Between the quotes each byte
 * stands for itself, or behind a backslash, or as four digits behind \u. */
static bool is_whole(const char *json, size_t json_size, size_t size)
{
    size_t bytes = 0, i = 1;

    for (; i + 1 < json_size; bytes++)
        i += json[i] != '\\' ? 1 : json[i + 1] == 'u' ? 6 : 2;
    return bytes == size && i + 1 == json_size && json[i] == '"';
}

static void put_escaped(struct vmt_writer *w, const char *text, size_t size)
{
    struct json_object *object = size <= INT_MAX / 8 ? json_object_new_string_len(text, (int)size) : NULL;
    size_t json_size = 0;
    const char *json = NULL;

    if (object)
        json = json_object_to_json_string_length(object, JSON_C_TO_STRING_NOSLASHESCAPE, &json_size);
    if (json && is_whole(json, json_size, size))
        vmt_writer_put(w, json, json_size);
    else
        w->error = -ENOMEM;
    json_object_put(object);
}

static void put_text(struct vmt_writer *w, const char *text, size_t size)
{
    size_t i = 0;

    /* Almost all are of these characters: json-c would copy them as they are. */
    while (i < size && text[i] >= ' ' && text[i] <= '~' && text[i] != '"' && text[i] != '\\')
        i++;
    if (i < size) {
        put_escaped(w, text, size);
        return;
    }
    put_char(w, '"');
    vmt_writer_put(w, text, size);
    put_char(w, '"');
}

static void put_decimal(struct vmt_writer *w, uint64_t value)
{
    char digits[VMT_DECIMAL_MAX], *end = digits + sizeof(digits), *first = vmt_decimal_before(end, value);

    vmt_writer_put(w, first, (size_t)(end - first));
}

static void start(struct vmt_writer *w)
{
    struct vmt_json_writer *json = json_of(w);

    json->place = VMT_JSON_AT_START;
    json->depth = 0;
    json->row = 0;
}

static void open_map(struct vmt_writer *w, size_t count)
{
    (void)count;
    open_container(w, '{', false);
}

static void open_row(struct vmt_writer *w, size_t count)
{
    (void)count;
    open_container(w, '{', true);
}

static void open_array(struct vmt_writer *w, size_t count)
{
    (void)count;
    open_container(w, '[', false);
}

static void close_map(struct vmt_writer *w) { close_container(w, '}'); }
static void close_array(struct vmt_writer *w) { close_container(w, ']'); }

static void key(struct vmt_writer *w, const char *text, size_t size)
{
    separate(w, VMT_JSON_AFTER_KEY);
    put_text(w, text, size);
    vmt_writer_put(w, ": ", json_of(w)->pretty ? 2 : 1);
}

static void string(struct vmt_writer *w, const char *text, size_t size)
{
    separate(w, VMT_JSON_AFTER_VALUE);
    put_text(w, text, size);
}

static void unsigned_integer(struct vmt_writer *w, uint64_t value)
{
    separate(w, VMT_JSON_AFTER_VALUE);
    put_decimal(w, value);
}

static void signed_integer(struct vmt_writer *w, int64_t value)
{
    separate(w, VMT_JSON_AFTER_VALUE);
    if (value < 0)
        put_char(w, '-');
    put_decimal(w, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void boolean(struct vmt_writer *w, bool value)
{
    separate(w, VMT_JSON_AFTER_VALUE);
    vmt_writer_put(w, value ? "true" : "false", value ? 4 : 5);
}

static void nil(struct vmt_writer *w)
{
    separate(w, VMT_JSON_AFTER_VALUE);
    vmt_writer_put(w, "null", 4);
}

/* RFC 3339, with nanoseconds. */
static void time_of_day(struct vmt_writer *w, uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000U);
    char text[64];
    struct tm tm;
    int n;

    gmtime_r(&seconds, &tm); /* 64 bits of nanoseconds end in the year 2554 */
    n = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%09" PRIu64 "Z", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, realtime_ns % 1000000000U);
    string(w, text, (size_t)n);
}

static void bytes(struct vmt_writer *w, const uint8_t *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    separate(w, VMT_JSON_AFTER_VALUE);
    put_char(w, '"');
    for (size_t i = 0; i < size; i++) {
        put_char(w, digits[data[i] >> 4]);
        put_char(w, digits[data[i] & 15]);
    }
    put_char(w, '"');
}

static void splice_row(struct vmt_writer *w, const char *row, size_t size)
{
    struct vmt_json_writer *json = json_of(w);

    separate(w, VMT_JSON_AFTER_KEY);
    vmt_writer_put(w, row, size);
    json->depth++;
    json->row++;
}

static const struct vmt_writer_ops json_ops = {
    .start = start,
    .open_map = open_map,
    .open_row = open_row,
    .close_map = close_map,
    .open_array = open_array,
    .close_array = close_array,
    .key = key,
    .string = string,
    .unsigned_integer = unsigned_integer,
    .signed_integer = signed_integer,
    .boolean = boolean,
    .nil = nil,
    .time = time_of_day,
    .bytes = bytes,
    .splice_row = splice_row,
};

void vmt_json_writer_init(struct vmt_json_writer *json, struct vmt_buffer *out, int pretty)
{
    *json = (struct vmt_json_writer){ .base = { &json_ops, out, 0 }, .pretty = pretty };
}

void vmt_json_real(struct vmt_json_writer *json, double value)
{
    struct vmt_writer *w = &json->base;
    char text[32];
    int n = snprintf(text, sizeof(text), "%.9g", value);

    if (!isfinite(value)) {
        nil(w);
        return;
    }
    separate(w, VMT_JSON_AFTER_VALUE);
    vmt_writer_put(w, text, (size_t)n);
}

void vmt_json_number(struct vmt_json_writer *json, const char *text, size_t size)
{
    separate(&json->base, VMT_JSON_AFTER_VALUE);
    vmt_writer_put(&json->base, text, size);
}
