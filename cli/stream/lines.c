/* SPDX-License-Identifier: MIT */
/* The reader of vmtally stream: samples, and each VM's part of the stream. Its answers say what became of a part, so
 * that a counter's change is in the next one where this one was missed. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../channel.h"
#include "../names.h"
#include "../host.h"
#include "../message.h"
#include "../places.h"
#include "../sampler.h"
#include "../sandbox.h"
#include "../segment.h"
#include "../service.h"
#include "../unread.h"
#include "stream.h"

/* One VM, by the number that the sampler has given it. */
struct known {
    uint64_t id;
    struct format_vm vm;
    uint8_t identity[16];
    uint64_t incarnation;
    bool seen;    /* at this beat */
    bool over;    /* its writer has gone, and the last of it is written */
    bool ignored; /* it had gone before we came, and nobody asked for it */
    bool told;    /* that it is too large */
};

struct lines {
    const struct stream_arguments *a;
    int fd;
    struct sampler *sampler;
    struct formatter formatter;
    struct known *known; /* by id */
    size_t count;
    size_t capacity;
    uint64_t beats;
    struct names names; /* of VMs of this beat */
    struct unread unread;
    struct vmt_buffer part;
    struct vmt_buffer answer;
    bool now;  /* sample without waiting for the beat */
    bool stop; /* sample once more */
    bool told_missing;
    bool failed; /* what was asked for could not be read */
};

/* ---- the writer ---- */

/* The next message, other than those that come at any time. Its kind, or a negative errno. */
static int receive(struct lines *l, int timeout_ms)
{
    uint32_t kind;
    int r = channel_receive(l->fd, &kind, &l->answer, 0, timeout_ms);

    if (r < 0)
        return r;
    l->now |= kind == STREAM_NOW;
    l->stop |= kind == STREAM_STOP;
    return (int)kind;
}

/* Send it; the answer, which is one of two, or a negative errno. */
static int ask(struct lines *l, uint32_t kind, const struct vmt_buffer *data)
{
    int r = channel_send(l->fd, kind, data ? data->data : NULL, data ? data->size : 0, -1, NULL);

    if (r < 0)
        return r;
    do
        r = receive(l, -1);
    while (r == (int)STREAM_NOW || r == (int)STREAM_STOP);
    return r;
}

/* ---- VMs ---- */

static struct known *find(struct lines *l, uint64_t id)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (l->known[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < l->count && l->known[low].id == id)
        return &l->known[low];
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 16;
        struct known *more = reallocarray(l->known, capacity, sizeof(*more));

        if (!more)
            return NULL;
        l->known = more;
        l->capacity = capacity;
    }
    memmove(&l->known[low + 1], &l->known[low], (l->count - low) * sizeof(*l->known));
    l->known[low] = (struct known){ .id = id };
    l->count++;
    return &l->known[low];
}

/* Those that the sampler does not know any more. */
static void forget(struct lines *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++) {
        struct known *k = &l->known[i];

        if (k->seen) {
            k->seen = false;
            l->known[kept++] = *k;
        } else {
            format_vm_free(&k->vm);
        }
    }
    l->count = kept;
}

/* Whether what was over, or was left out, goes on: under that name there is another writer. */
static void look_for_another(struct known *k, const struct vmt_segment_info *info)
{
    if (k->incarnation == info->incarnation && memcmp(k->identity, info->identity, sizeof(k->identity)) == 0)
        return;
    memcpy(k->identity, info->identity, sizeof(k->identity));
    k->incarnation = info->incarnation;
    k->over = k->ignored = false;
}

/* Of a VM that has gone the last change is told, and then nothing; of one that had gone before the first beat all was
 * told by who streamed then. */
static bool is_silent(const struct lines *l, struct known *k, const struct sample_vm *vm)
{
    look_for_another(k, vmt_snapshot_segment(vm->snapshot));
    if (sample_running(vm)) {
        k->over = k->ignored = false;
        return false;
    }
    if (l->beats == 0 && l->formatter.format->id == FORMAT_FIRECRACKER && !l->a->vm_count)
        k->ignored = true;
    return k->over || k->ignored;
}

/* ---- a beat ---- */

static int too_large(struct known *k, const struct sample_vm *vm)
{
    if (!k->told)
        message_error("%s: what it says of itself takes more than %zu MiB to write down; left out", vm->path,
                      STREAM_PART_MAX >> 20);
    k->told = true;
    return 0;
}

static int observe(void *arg, const struct sample_set *set, const struct sample_vm *vm)
{
    struct lines *l = arg;
    struct known *k = find(l, vm->id);
    char name[NAME_SIZE];
    bool written;
    int r;

    (void)set;
    if (!k)
        return -ENOMEM;
    k->seen = true;
    if (unread_add(&l->unread, vm) || is_silent(l, k, vm) ||
        (!l->a->vm_count && !format_suits(l->a->format, vmt_snapshot_segment(vm->snapshot))))
        return 0;
    vmt_buffer_clear(&l->part);
    r = names_add(&l->names, vm->title, name);
    if (r == 0)
        r = formatter_add(&l->formatter, &k->vm, vm->snapshot, name, &l->part);
    if (r == 0 && l->part.size > STREAM_PART_MAX) {
        format_vm_written(&k->vm, 0);
        r = -EFBIG;
    }
    if (r < 0)
        return r == -EFBIG ? too_large(k, vm) : r;
    r = ask(l, STREAM_PART, &l->part);
    if (r < 0)
        return r;
    written = r == (int)STREAM_WRITTEN;
    format_vm_written(&k->vm, written);
    k->over = written && !sample_running(vm);
    return 0;
}

static void start_anew(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        format_vm_anew(&l->known[i].vm);
}

/* What there is to say of what was asked for, each once. */
static void say(struct lines *l)
{
    const char *missing = sampler_missing(l->sampler);
    const struct sample_vm *vm;
    char reason[256];

    if (!l->told_missing && missing)
        message_error("no VM %s yet; waiting for it ('vmtally list' shows what there is)", missing);
    else if (!l->told_missing && !l->a->vm_count && sampler_set(l->sampler)->count == 0)
        message_error("no VMs yet; waiting for them");
    l->told_missing = true;
    while ((vm = sampler_failed(l->sampler)) != NULL) {
        message_error("%s: %s", vm->path, message_reason(vm->error, reason, sizeof(reason)));
        l->failed = true;
    }
    if (!l->a->vm_count)
        unread_say(&l->unread);
    sampler_say_host(l->sampler, l->a->common);
}

static int take(struct lines *l)
{
    int r = ask(l, STREAM_BEAT, NULL);

    if (r < 0)
        return r;
    if (r == (int)STREAM_ANEW)
        start_anew(l);
    /* With one VM asked for there is no doubt whose line it is. */
    l->formatter.alone = l->a->vm_count == 1 && sampler_set(l->sampler)->count <= 1;
    names_clear(&l->names);
    unread_begin(&l->unread);
    r = sampler_take(l->sampler, observe, l);
    if (r < 0)
        return r;
    forget(l);
    say(l);
    l->beats++;
    return 0;
}

/* Until the end that was asked for. 0, or a negative errno. */
static int loop(struct lines *l)
{
    struct beat beat;
    int r = 0;

    beat_start(&beat, (uint64_t)(l->a->interval * 1e9));
    while (r >= 0) {
        bool due = beat_due(&beat);
        bool last = l->stop;

        if (due || l->now || last) {
            l->now = false;
            r = take(l);
            if (last || (l->a->count && l->beats >= l->a->count))
                break;
        }
        if (r >= 0)
            r = receive(l, l->now || l->stop ? 0 : beat_wait_ms(&beat));
        r = r == -ETIMEDOUT ? 0 : r;
    }
    return r < 0 ? r : 0;
}

static int say_error(const struct lines *l, int r)
{
    char text[PLACES_TEXT];

    if (r != -EPIPE) /* else the writer has gone, and has said why */
        message_error("%s",
                      places_trouble(l->a->common, r, l->sampler && sampler_took(l->sampler), text, sizeof(text)));
    return 1;
}

static void lines_free(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        format_vm_free(&l->known[i].vm);
    free(l->known);
    formatter_free(&l->formatter);
    sampler_free(l->sampler);
    names_free(&l->names);
    vmt_buffer_free(&l->part);
    vmt_buffer_free(&l->answer);
}

int stream_reader(void *arguments, int fd)
{
    const struct stream_arguments *a = arguments;
    struct lines l = { .a = a, .fd = fd, .formatter = { .format = a->format, .anew_after = FORMAT_ANEW_SAMPLES } };
    int r;

    options_say_dir(a->common, 0);
    host_start(a->common, 1);
    sandbox_enter(a->common, a->vms, a->vm_count, 0);
    r = sampler_new(a->common->host, a->common->dir, a->vms, a->vm_count, &l.sampler);
    if (r == 0) {
        sampler_compare(l.sampler, 0);
        r = loop(&l);
    }
    if (r == 0)
        r = channel_send(fd, STREAM_END, NULL, 0, -1, NULL);
    r = r < 0 ? say_error(&l, r) : l.failed;
    lines_free(&l);
    host_stop(a->common);
    return r;
}
