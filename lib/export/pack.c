/* SPDX-License-Identifier: MIT */
#include "pack.h"

/* msgpack-c calls this for every value. Integers come as 1, 2, 3, 5 or 9 bytes: copied by a move of that size, not by a
 * call, which takes two thirds of the time. */
static int append(void *writer, const char *data, size_t size)
{
    struct vmt_writer *w = writer;
    struct vmt_buffer *out = w->out;

    if (w->error == 0)
        w->error = vmt_buffer_reserve(out, size);
    if (w->error < 0)
        return w->error;
    switch (size) {
    case 1:
        out->data[out->size] = *data;
        break;
    case 2:
        memcpy(out->data + out->size, data, 2);
        break;
    case 3:
        memcpy(out->data + out->size, data, 3);
        break;
    case 5:
        memcpy(out->data + out->size, data, 5);
        break;
    case 9:
        memcpy(out->data + out->size, data, 9);
        break;
    default:
        memcpy(out->data + out->size, data, size);
        break;
    }
    out->size += size;
    return 0;
}

static msgpack_packer *packer_of(struct vmt_writer *w) { return &((struct vmt_pack *)w)->packer; }

static void start(struct vmt_writer *w) { (void)w; }
static void close_container(struct vmt_writer *w) { (void)w; }
static void open_map(struct vmt_writer *w, size_t count) { msgpack_pack_map(packer_of(w), count); }
static void open_array(struct vmt_writer *w, size_t count) { msgpack_pack_array(packer_of(w), count); }
static void unsigned_integer(struct vmt_writer *w, uint64_t value) { msgpack_pack_uint64(packer_of(w), value); }
static void signed_integer(struct vmt_writer *w, int64_t value) { msgpack_pack_int64(packer_of(w), value); }
static void nil(struct vmt_writer *w) { msgpack_pack_nil(packer_of(w)); }
static void time_of_day(struct vmt_writer *w, uint64_t realtime_ns) { vmt_pack_time(packer_of(w), realtime_ns); }

static void string(struct vmt_writer *w, const char *text, size_t size)
{
    msgpack_pack_str_with_body(packer_of(w), text, size);
}

static void boolean(struct vmt_writer *w, bool value)
{
    if (value)
        msgpack_pack_true(packer_of(w));
    else
        msgpack_pack_false(packer_of(w));
}

static void bytes(struct vmt_writer *w, const uint8_t *data, size_t size)
{
    msgpack_pack_bin_with_body(packer_of(w), data, size);
}

static void splice_row(struct vmt_writer *w, const char *row, size_t size) { vmt_writer_put(w, row, size); }

static const struct vmt_writer_ops pack_ops = {
    .start = start,
    .open_map = open_map,
    .open_row = open_map,
    .close_map = close_container,
    .open_array = open_array,
    .close_array = close_container,
    .key = string,
    .string = string,
    .unsigned_integer = unsigned_integer,
    .signed_integer = signed_integer,
    .boolean = boolean,
    .nil = nil,
    .time = time_of_day,
    .bytes = bytes,
    .splice_row = splice_row,
};

void vmt_pack_init(struct vmt_pack *pack, struct vmt_buffer *out)
{
    pack->base = (struct vmt_writer){ &pack_ops, out, 0 };
    msgpack_packer_init(&pack->packer, &pack->base, append);
}

int vmt_msgpack_encode_full(const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    struct vmt_pack pack;
    size_t size = out->size;

    vmt_pack_init(&pack, out);
    vmt_document_write(&pack.base, snapshot);
    return vmt_writer_finish(&pack.base, size);
}
