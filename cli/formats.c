/* SPDX-License-Identifier: MIT */
#include "formats.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "lib/export/json_writer.h"
#include "nearest.h"
#include "query/qmp.h"
#include "segment.h"

static const struct format formats[FORMATS] = {
    { FORMAT_MSGPACK, "msgpack", FORMAT_BINARY | FORMAT_FULL | FORMAT_STREAM | FORMAT_READING },
    { FORMAT_JSON, "json", FORMAT_PRETTY | FORMAT_STREAM | FORMAT_READING },
    { FORMAT_OPENMETRICS, "openmetrics", FORMAT_BY_NAME | FORMAT_CHOICE | FORMAT_WHOLE | FORMAT_READING },
    { FORMAT_PROMETHEUS, "prometheus", FORMAT_BY_NAME | FORMAT_CHOICE | FORMAT_WHOLE | FORMAT_READING },
    { FORMAT_KVM, "kvm", FORMAT_BINARY | FORMAT_CHOICE | FORMAT_READING },
    { FORMAT_QEMU, "qemu", FORMAT_BY_NAME | FORMAT_READING },
    { FORMAT_FIRECRACKER, "firecracker", FORMAT_BY_NAME | FORMAT_STREAM | FORMAT_READING },
    { FORMAT_TINYKVM, "tinykvm", FORMAT_PRETTY | FORMAT_PATTERN | FORMAT_SHARDS | FORMAT_READING },
};

char *format_names(char *buf, size_t size, unsigned flags)
{
    size_t at = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < FORMATS && at < size; i++) {
        if ((formats[i].flags & flags) == flags)
            at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "", formats[i].name);
    }
    return buf;
}

const struct format *format_find(const char *name, unsigned flags, struct argp_state *state)
{
    struct nearest nearest = { .asked = name };
    char all[FORMAT_NAMES], near[NEAREST_TEXT];

    for (size_t i = 0; i < FORMATS; i++) {
        if ((formats[i].flags & flags) != flags)
            continue;
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
        nearest_try(&nearest, formats[i].name);
    }
    if (nearest.found)
        argp_error(state, "no format %s%s", name, nearest_text(&nearest, near, sizeof(near)));
    else
        argp_error(state, "no format %s; there are: %s", name, format_names(all, sizeof(all), flags));
    return NULL;
}

void format_check_pattern(const char *pattern, struct argp_state *state)
{
    const char *why = "it is longer than 256 bytes, has a back-reference, or repeats a repetition";
    struct vmt_snapshot *none = NULL;
    struct vmt_buffer nothing = { 0 };
    char text[256];
    regex_t regex;
    int r = vmt_snapshot_new(&none);

    if (r == 0)
        r = vmt_tinykvm_encode(none, pattern, 0, &nothing);
    vmt_snapshot_free(none);
    vmt_buffer_free(&nothing);
    if (r != -EINVAL)
        return;
    r = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (r == 0)
        regfree(&regex);
    else
        regerror(r, &regex, text, sizeof(text));
    argp_error(state, "'%s' is no pattern for names of programs: %s", pattern, r == 0 ? why : text);
}

/* ---- query-stats ---- */

static const struct vmt_snapshot *look(void *arg, char *why, size_t size)
{
    const struct vmt_snapshot **snapshot = arg;

    (void)why;
    (void)size;
    return *snapshot;
}

/* The request of which the answer is written: its id says what it is about, and comes back. */
static int put_request(struct vmt_buffer *out, const char *title, const char *target)
{
    struct vmt_json_writer json;
    struct vmt_writer *w = &json.base;

    vmt_buffer_clear(out);
    vmt_json_writer_init(&json, out, 0);
    w->ops->start(w);
    w->ops->open_map(w, 3);
    vmt_put_string(w, "execute", "query-stats");
    vmt_put_key(w, "arguments");
    w->ops->open_map(w, 1);
    vmt_put_string(w, "target", target);
    w->ops->close_map(w);
    vmt_put_key(w, "id");
    w->ops->open_map(w, 2);
    vmt_put_string(w, "vm", title);
    vmt_put_string(w, "target", target);
    w->ops->close_map(w);
    w->ops->close_map(w);
    vmt_writer_put(w, "", 1); /* a NUL, which qmp_answer() wants and does not count */
    return vmt_writer_finish(w, 0);
}

static int answer(struct formatter *f, const struct vmt_snapshot *snapshot, const char *title, const char *target,
                  struct vmt_buffer *out)
{
    struct qmp qmp = { .look = look, .arg = &snapshot, .most = VMT_BUFFER_MAX, .negotiated = true };
    int r = put_request(&f->request, title, target);

    if (r == 0)
        r = qmp_answer(&qmp, f->request.data, f->request.size - 1, out);
    if (r == 0 && qmp.error.class) /* the request is right: it is the answer that has no room */
        r = -EFBIG;
    return r == 0 ? vmt_buffer_append(out, "\n", 1) : r;
}

static int add_qemu(struct formatter *f, const struct vmt_snapshot *snapshot, const char *title, struct vmt_buffer *out)
{
    size_t before = out->size;
    int r = answer(f, snapshot, title, "vm", out);

    if (r == 0)
        r = answer(f, snapshot, title, "vcpu", out);
    if (r < 0)
        out->size = before;
    return r;
}

/* ---- one VM ---- */

static int add_msgpack(const struct formatter *f, struct format_vm *vm, const struct vmt_snapshot *snapshot,
                       struct vmt_buffer *out)
{
    if (f->full)
        return vmt_msgpack_encode_full(snapshot, out);
    if (!vm->stream && vmt_msgpack_new(&vm->stream) < 0)
        return -ENOMEM;
    if (f->anew_after && vm->samples >= f->anew_after) {
        vmt_msgpack_reset(vm->stream);
        vm->samples = 0;
    }
    return vmt_msgpack_encode(vm->stream, snapshot, out);
}

static int add_firecracker(const struct formatter *f, struct format_vm *vm, const struct vmt_snapshot *snapshot,
                           const char *title, struct vmt_buffer *out)
{
    if (!vm->lines && vmt_firecracker_new(&vm->lines) < 0)
        return -ENOMEM;
    return vmt_firecracker_encode(vm->lines, snapshot, f->alone ? NULL : title, out);
}

static int add_metrics(struct formatter *f, const struct vmt_snapshot *snapshot, const char *title)
{
    if (!f->metrics && vmt_metrics_new(&f->metrics) < 0)
        return -ENOMEM;
    vmt_metrics_expect(f->metrics, f->expected);
    return vmt_metrics_add(f->metrics, snapshot, title, f->choice);
}

int formatter_add(struct formatter *f, struct format_vm *vm, const struct vmt_snapshot *snapshot, const char *title,
                  struct vmt_buffer *out)
{
    switch (f->format->id) {
    case FORMAT_MSGPACK:
        return add_msgpack(f, vm, snapshot, out);
    case FORMAT_JSON:
        return vmt_json_encode(snapshot, f->pretty, out);
    case FORMAT_OPENMETRICS:
    case FORMAT_PROMETHEUS:
        return add_metrics(f, snapshot, title);
    case FORMAT_QEMU:
        return add_qemu(f, snapshot, title, out);
    case FORMAT_FIRECRACKER:
        return add_firecracker(f, vm, snapshot, title, out);
    case FORMAT_TINYKVM:
        return vmt_tinykvm_encode(snapshot, f->pattern, f->pretty, out);
    case FORMAT_KVM:
    case FORMATS:
        break;
    }
    return -EINVAL;
}

int format_suits(const struct format *format, const struct vmt_segment_info *info)
{
    return format->id != FORMAT_FIRECRACKER || !segment_process(info->path); /* the kernel counts other things */
}

void format_vm_written(struct format_vm *vm, int written)
{
    vm->samples += written != 0;
    if (vm->lines && written)
        vmt_firecracker_keep(vm->lines);
    else if (vm->lines)
        vmt_firecracker_miss(vm->lines);
    if (!written) /* who missed a schema can't read what follows */
        format_vm_anew(vm);
}

void format_vm_anew(struct format_vm *vm)
{
    if (vm->stream)
        vmt_msgpack_reset(vm->stream);
    vm->samples = 0;
}

void format_vm_free(struct format_vm *vm)
{
    vmt_msgpack_free(vm->stream);
    vmt_firecracker_free(vm->lines);
    *vm = (struct format_vm){ 0 };
}

/* ---- all VMs ---- */

int formatter_end(struct formatter *f, struct vmt_buffer *out)
{
    if (!(f->format->flags & FORMAT_WHOLE))
        return 0;
    if (!f->metrics && vmt_metrics_new(&f->metrics) < 0) /* of no VM there is still a scrape */
        return -ENOMEM;
    return vmt_metrics_write(f->metrics, f->format->id == FORMAT_OPENMETRICS ? VMT_OPENMETRICS : VMT_PROMETHEUS, out);
}

void formatter_free(struct formatter *f)
{
    vmt_metrics_free(f->metrics);
    vmt_buffer_free(&f->request);
    f->metrics = NULL;
}
