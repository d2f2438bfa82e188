/* SPDX-License-Identifier: MIT */
/* The inside of struct vmt_decoder. Bytes go through these files:
 *   decode.c         what was fed, frame by frame; behind damage, the search for the next one
 *   decode_value.c   msgpack: whether a frame is whole, then its values one after the other
 *   decode_stream.c  the streams that are remembered
 *   decode_frame.c   headers, schemas, sets of sources
 *   decode_sample.c  samples
 *   decode_map.c     self-contained maps
 *   decode_schema.c  schemas of both
 *
 * Values are taken where they stand. (msgpack-c makes 24 bytes of each byte before anybody has looked at it: 1.6 GB
 * of a frame of 64 MiB.)
 */
#ifndef LIB_EXPORT_DECODE_H
#define LIB_EXPORT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmtally/export.h>

#include "buffer.h"

#define FRAME_BYTES_MAX ((size_t)64 << 20)
#define FRAME_DEPTH_MAX 16U
#define STREAMS_MAX 65536U
#define LABELS_MAX 512U /* "k=v" and its end, of the 1,024 bytes that a segment has for them, twice over */
#define HEADER_BYTES_MAX 65536U
#define ID_BYTES_MAX ((size_t)VMT_DEPTH_MAX * VMT_NAME_SIZE) /* names, each with the '/' before it or its end */
#define SCHEMA_NUMBERS_MAX 1024U /* of one stream: its segment's 256, and others that were there before */

/* What became of a frame, beside 0 and -ENOMEM. */
#define FRAME_BAD (-EBADMSG)
#define FRAME_SKIPPED 1

/* ---- decode_value.c ---- */

enum value_type {
    VALUE_NIL,
    VALUE_BOOLEAN,
    VALUE_UNSIGNED, /* any integer that is not below 0 */
    VALUE_NEGATIVE,
    VALUE_REAL,
    VALUE_STRING,
    VALUE_BYTES,
    VALUE_EXTENSION,
    VALUE_ARRAY,
    VALUE_MAP,
};

/* The first bytes of a value: all of a number, what stands before the body of all others. */
struct value {
    enum value_type type;
    uint64_t n;       /* the number (a negative one in two's complement), the bytes of the body, or how many elements */
    int8_t extension; /* its type */
    uint8_t head_size; /* bytes of this */
};

/* 1; 0: of size bytes at p it takes more; -1: these begin no value. */
int value_head(const uint8_t *p, size_t size, struct value *ret);

/* How far a frame was looked at; starts as { 0 }, and anew where the frame begins elsewhere. */
struct scan {
    size_t at;       /* offset from the frame's start */
    size_t searched; /* up to there no other header begins */
    size_t values;   /* so far, those inside of others counted */
    uint32_t depth;
    uint64_t left[FRAME_DEPTH_MAX]; /* values that are to come in each of those that are open */
};

/* Go on with the frame at p, of which size bytes are there. 1: it is whole, and scan->at bytes long. 0: it is not yet.
 * FRAME_BAD: it is none, or was cut off: another header begins in it. */
int scan_frame(struct scan *scan, const uint8_t *p, size_t size);

/* Do the size bytes at p begin with that word? */
#define YES 1
#define NO 0
#define PERHAPS (-1) /* more bytes will say */
int begins_with(const uint8_t *p, size_t size, const void *word, size_t word_size);

/* A header begins with it. */
#define MAGIC_BYTES 11U
extern const uint8_t stream_magic[MAGIC_BYTES];

/* In a whole frame. Each take_ moves it behind one value, or returns false: it is not of that type. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};
bool take_value(struct cursor *c, struct value *ret); /* its head: what is in it comes next */
bool take_array(struct cursor *c, size_t *count);
bool take_map(struct cursor *c, size_t *count);
bool take_unsigned(struct cursor *c, uint64_t most, uint64_t *ret);
bool take_u32(struct cursor *c, uint32_t *ret);
bool take_boolean(struct cursor *c, bool *ret);
bool take_string(struct cursor *c, const char **ret, size_t *size); /* without a NUL */
bool take_bytes16(struct cursor *c, uint8_t ret[16]);
bool take_time(struct cursor *c, uint64_t *realtime_ns);
bool take_nil(struct cursor *c); /* false: it is something else, which is still to be taken */
void take_any(struct cursor *c); /* with all that is in it */

/* A map. found[i]: where the value of keys[i] stands, or its at is NULL; what else there is is left out. */
bool take_keys(struct cursor *c, const char *const *keys, size_t count, struct cursor *found);

/* Is the string of that size this word? */
bool is_word(const char *text, size_t size, const char *word);

/* {"key": "value"} as "key=value", at most LABELS_MAX. */
bool take_labels(struct cursor *c, struct vmt_buffer *text, const char **labels, size_t *count);

/* Text with its end, in memory reserved before: as many bytes as the frame has do for all strings in it. */
const char *put_text(struct vmt_buffer *text, const char *string, size_t size);
bool take_text(struct cursor *c, struct vmt_buffer *text, const char **ret);
bool take_id(struct cursor *c, struct vmt_buffer *text, const char **ret); /* no longer than one may be */

/* ---- decode_schema.c ---- */

/* A schema of a stream. */
struct known {
    const struct vmt_schema *schema; /* NULL: none of this number came */
    uint32_t width;                  /* elements of its arrays of values */
};

/* One that is being read; reusable memory, starts as { 0 }. */
struct schema_reader {
    struct vmt_descriptor descriptors[VMT_DESCRIPTORS_MAX];
    struct {
        const char *name;
        size_t size;
    } minuends[VMT_DESCRIPTORS_MAX]; /* NULL: none */
    uint16_t sorted[VMT_DESCRIPTORS_MAX];
    struct vmt_schema schema;
    struct vmt_buffer text;
    bool has_minuends;
    bool left_out[VMT_DESCRIPTORS_MAX]; /* of a map's "stats": kinds that are not known here */
};

/* Begin one, with memory for the strings of frame_size bytes; its name, provider and target go into reader->schema. 0
 * or -ENOMEM. */
int schema_begin(struct schema_reader *reader, size_t frame_size);

/* Take one descriptor more. value (NULL: there is none): where that of the key "value" stands. */
bool schema_descriptor(struct schema_reader *reader, struct cursor *c, struct cursor *value);

/* Checked, as recorded has it. 0, FRAME_BAD, -ENOSPC, -ENOMEM. */
int schema_end(struct schema_reader *reader, struct vmt_recorded *recorded, struct known *ret);

/* ---- decode_stream.c ---- */

/* A source of a set, as far as the set says what it is. */
struct source {
    struct vmt_sample sample; /* its schema is the stream's known one, below */
    uint32_t schema;
};

/* What is known behind one header. */
struct stream {
    uint64_t number;
    struct vmt_recorded *recorded;
    struct vmt_segment_info info; /* what the header says; its text and labels are the next */
    struct vmt_buffer text;
    const char **labels;
    uint32_t label_count;
    struct known *known; /* schemas by number */
    uint32_t known_count;
    bool parted;                  /* what is recorded are schemas of this header's only */
    uint64_t set;                 /* number of the last set, 0: none */
    struct vmt_buffer sources;    /* struct source, those of the set */
    struct vmt_buffer set_text;   /* their ids */
    size_t bytes;                 /* of it all, as it was counted last */
    struct stream *newer, *older; /* by when they were last in use */
};

struct streams {
    void *by_number;  /* trees, tsearch(3) */
    void *by_segment; /* identity, boot id and path */
    struct stream *newest, *oldest;
    uint32_t count;
    size_t bytes; /* of all */
};

/* A stream that begins with its header. NULL: no memory. */
struct stream *stream_new(void);
void stream_free(struct stream *stream);

/* The one of that number, or NULL. */
struct stream *stream_find(struct streams *streams, uint64_t number);

/* Remember it, instead of one of its number, or of its segment, whose schemas it takes over. 0; -ENOMEM, all is as it
 * was. */
int stream_add(struct streams *streams, struct stream *stream);

/* It was in use, and may have grown. Forgets the oldest ones where there is too much of them. */
void stream_used(struct streams *streams, struct stream *stream);

/* Its schemas to a recording of its own: the one it took over has too many others. 0; -ENOSPC, -ENOMEM, it is as it
 * was. */
int stream_part(struct stream *stream);

void streams_free(struct streams *streams);

/* ---- decode_frame.c, decode_sample.c, decode_map.c ---- */

struct vmt_decoder {
    struct vmt_buffer in; /* fed */
    size_t start;         /* offset there: of the frame that comes next, or of where to search for it */
    struct scan scan;     /* of that frame */
    bool searching;
    bool ended;           /* nothing follows, and whole frames behind what waits were not searched for yet */
    bool cut;             /* they are searched for: */
    size_t cut_start;     /* where start was, */
    uint64_t cut_damaged; /* and how much was damaged, before */
    uint64_t again;       /* bytes that were looked at and then searched once more */
    struct vmt_decoder_state state;
    struct streams streams;
    struct vmt_snapshot *snapshot;
    struct schema_reader reader;
    /* while a sample is put together */
    struct vmt_buffer samples; /* struct vmt_sample */
    struct vmt_buffer totals;  /* struct vmt_total */
    struct vmt_buffer shards;  /* struct vmt_shard_sample */
    struct vmt_buffer values;  /* u64 */
    struct vmt_buffer places;  /* size_t */
    struct vmt_buffer text;
};

/* Take count elements of size bytes from the end of the buffer, which has room for them: memory is had before. */
static inline void *put_room(struct vmt_buffer *buffer, size_t count, size_t size)
{
    void *room = buffer->data + buffer->size;

    buffer->size += count * size;
    return room;
}

/* Empty, with room for that many: of memory that is used again and again, or exactly as much as it takes of { 0 }. 0 or
 * -ENOMEM. */
int room_for(struct vmt_buffer *buffer, size_t count, size_t size);
int exact_room_for(struct vmt_buffer *buffer, size_t count, size_t size);

/* An array of values of the schema into *ret, NULL for nil; room for them was had before. */
bool take_values(struct vmt_decoder *d, struct cursor *c, const struct known *known, const uint64_t **ret);

/* One of them; none: what nil stands for, 0 where it stands for nothing. */
bool take_number(struct cursor *c, const struct vmt_descriptor *d, uint64_t none, uint64_t *ret);

/* "live", "died", ... */
bool take_state(struct cursor *c, enum vmt_state *ret);

/* Make the decoder's snapshot of its samples. 0, FRAME_BAD, -ENOMEM. */
int make_snapshot(struct vmt_decoder *d, struct vmt_recorded *recorded, struct vmt_segment_info *info);

/* A sample of the stream, behind its number: as decode_frame(). */
int decode_sample(struct vmt_decoder *d, const struct stream *s, struct cursor *c, size_t elements);

/* One whole frame. 0: *sampled says whether there is a snapshot; FRAME_SKIPPED, FRAME_BAD, -ENOMEM, then nothing has
 * changed. */
int decode_frame(struct vmt_decoder *d, struct cursor frame, bool *sampled);
int decode_map(struct vmt_decoder *d, struct cursor frame);

#endif
