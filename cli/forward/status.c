/* SPDX-License-Identifier: MIT */
#include "cli/forward/status.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include <vmtally/schema.h>

#include "cli/message.h"
#include "cli/units.h"
#include "lib/export/pack.h"
#include "shm/clock.h"

#define SECOND UINT64_C(1000000000)

static const struct vmt_descriptor bytes_unit = { .name = "bytes", .flags = VMT_UNIT_BYTES | VMT_BASE_POW2, .size = 1 };
static const struct vmt_descriptor time_unit = {
    .name = "time", .flags = VMT_UNIT_SECONDS | VMT_BASE_POW10, .exponent = -9, .size = 1
};

/* ---- for people ---- */

static const char *plural(uint64_t n) { return n == 1 ? "" : "s"; }

char *status_amount(const struct amount *amount, char *buf, size_t size)
{
    char bytes[UNIT_TEXT];

    snprintf(buf, size, "%" PRIu64 " chunk%s with %" PRIu64 " record%s (%s)", amount->chunks, plural(amount->chunks),
             amount->records, plural(amount->records), unit_format(bytes, sizeof(bytes), &bytes_unit, amount->bytes));
    return buf;
}

static void connection_text(const struct status *s, char *buf, size_t size)
{
    char shown[PATH_MAX];

    if (s->delivery.to)
        snprintf(buf, size, "to %.200s", message_printable(s->delivery.to, shown, sizeof(shown)));
    else if (*s->delivery.why)
        snprintf(buf, size, "not connected: %s", s->delivery.why);
    else
        snprintf(buf, size, "not connected");
}

char *status_text(const struct status *s, char *buf, size_t size)
{
    char to[DELIVERY_WHY + 32], time[UNIT_TEXT], delivered[128], waiting[128], dropped[128];

    connection_text(s, to, sizeof(to));
    snprintf(buf, size,
             "%s; %" PRIu64 " VM%s, %" PRIu64 " sample%s (the last took %s); delivered %s; waiting %s; dropped %s; "
             "%" PRIu64 " record%s not taken over, %" PRIu64 " left out; sent again %" PRIu64 ", connections %" PRIu64
             ", failures %" PRIu64,
             to, s->reader.vms, plural(s->reader.vms), s->reader.samples, plural(s->reader.samples),
             unit_format(time, sizeof(time), &time_unit, s->reader.sample_ns),
             status_amount(&s->queue.delivered, delivered, sizeof(delivered)),
             status_amount(&s->queue.waiting, waiting, sizeof(waiting)),
             status_amount(&s->queue.dropped, dropped, sizeof(dropped)), s->reader.records_not_handed,
             plural(s->reader.records_not_handed), s->reader.records_left_out, s->delivery.sent_again,
             s->delivery.connections, s->delivery.failures);
    return buf;
}

/* ---- for the collector ---- */

struct figure {
    const char *name;
    uint64_t value;
};

static void pack_text(msgpack_packer *packer, const char *key, const char *text)
{
    vmt_pack_string(packer, key);
    vmt_pack_string(packer, text);
}

static void pack_units(msgpack_packer *packer)
{
    msgpack_pack_map(packer, 5);
    pack_text(packer, "bytes", "bytes");
    pack_text(packer, "bytes_delivered", "bytes");
    pack_text(packer, "bytes_dropped", "bytes");
    pack_text(packer, "sample_ns", "ns");
    pack_text(packer, "queue_bytes", "bytes");
}

static void pack_number(msgpack_packer *packer, int strings, uint64_t number)
{
    char digits[24];

    if (strings) {
        snprintf(digits, sizeof(digits), "%" PRIu64, number);
        vmt_pack_string(packer, digits);
    } else {
        msgpack_pack_uint64(packer, number);
    }
}

static void pack_figures(msgpack_packer *packer, int strings, const struct figure *figures, size_t count)
{
    msgpack_pack_map(packer, count);
    for (size_t i = 0; i < count; i++) {
        vmt_pack_string(packer, figures[i].name);
        pack_number(packer, strings, figures[i].value);
    }
}

static void pack_event_time(msgpack_packer *packer)
{
    uint64_t now = shm_clock_ns(CLOCK_REALTIME);
    uint32_t parts[2] = { htobe32((uint32_t)(now / SECOND)), htobe32((uint32_t)(now % SECOND)) };

    msgpack_pack_ext_with_body(packer, parts, sizeof(parts), 0);
}

int status_entry(const struct status *s, uint64_t seq, struct vmt_buffer *out)
{
    const struct figure counters[] = {
        { "samples", s->reader.samples },
        { "records", s->reader.records },
        { "records_not_handed", s->reader.records_not_handed },
        { "records_left_out", s->reader.records_left_out },
        { "bytes", s->reader.bytes },
        { "chunks_delivered", s->queue.delivered.chunks },
        { "records_delivered", s->queue.delivered.records },
        { "bytes_delivered", s->queue.delivered.bytes },
        { "chunks_dropped", s->queue.dropped.chunks },
        { "records_dropped", s->queue.dropped.records },
        { "bytes_dropped", s->queue.dropped.bytes },
        { "chunks_sent_again", s->delivery.sent_again },
        { "connections", s->delivery.connections },
        { "connection_failures", s->delivery.failures },
    };
    const struct figure gauges[] = {
        { "vms", s->reader.vms },
        { "vms_unreadable", s->reader.unreadable },
        { "sample_ns", s->reader.sample_ns },
        { "queue_chunks", s->queue.waiting.chunks },
        { "queue_records", s->queue.waiting.records },
        { "queue_bytes", s->queue.waiting.bytes },
    };
    size_t before = out->size;
    struct vmt_pack pack;
    msgpack_packer *packer = &pack.packer;

    vmt_pack_init(&pack, out);
    msgpack_pack_array(packer, 2);
    pack_event_time(packer);
    msgpack_pack_map(packer, 9);
    vmt_pack_string(packer, "schema");
    msgpack_pack_uint8(packer, 1);
    pack_text(packer, "host", s->a->self_host);
    pack_text(packer, "sender", s->sender);
    pack_text(packer, "kind", "forward");
    pack_text(packer, "provider", "vmtally");
    vmt_pack_string(packer, "seq");
    pack_number(packer, s->a->strings, seq);
    vmt_pack_string(packer, "u");
    pack_units(packer);
    vmt_pack_string(packer, "c");
    pack_figures(packer, s->a->strings, counters, sizeof(counters) / sizeof(counters[0]));
    vmt_pack_string(packer, "g");
    pack_figures(packer, s->a->strings, gauges, sizeof(gauges) / sizeof(gauges[0]));
    return vmt_writer_finish(&pack.base, before);
}
