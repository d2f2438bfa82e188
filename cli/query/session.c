/* SPDX-License-Identifier: MIT */
#include "cli/query/session.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/message.h"
#include "lib/export/buffer.h"

int session_start(struct session *session, struct asked *asked, size_t most, struct vmt_buffer *out)
{
    *session = (struct session){ .qmp = { .look = asked_look, .arg = asked, .most = most } };
    return qmp_greet(out);
}

void session_end(struct session *session) { frame_free(&session->frame); }

static int refuse(struct session *s, enum frame_found found, struct vmt_buffer *out)
{
    char text[128];

    switch (found) {
    case FRAME_TOO_LARGE:
        snprintf(text, sizeof(text), "JSON text size limit exceeded: %d bytes", FRAME_BYTES);
        return qmp_refuse(&s->qmp, text, out);
    case FRAME_TOO_DEEP:
        return qmp_refuse(&s->qmp, "JSON nesting depth limit exceeded", out);
    case FRAME_NO_MEMORY:
        return qmp_refuse(&s->qmp, "out of memory", out);
    default:
        return qmp_refuse(&s->qmp, "JSON parse error, a string without its end", out);
    }
}

static int end_line(struct vmt_buffer *out) { return vmt_buffer_append(out, "\r\n", 2); }

long session_take(struct session *session, const char *data, size_t size, struct vmt_buffer *out)
{
    struct frame *f = &session->frame;
    size_t used;
    enum frame_found found = frame_take(f, data, size, &used);
    int r = 0;

    if (found == FRAME_TEXT)
        r = qmp_answer(&session->qmp, f->text, f->size, out);
    else if (found != FRAME_MORE)
        r = refuse(session, found, out);
    if (r == 0 && found != FRAME_MORE)
        r = end_line(out);
    return r < 0 ? r : (long)used;
}

/* ---- standard input and output ---- */

/* Each request has a snapshot of its own: it may have been written long after the one before, and read with it. */
static int answer_all(struct session *s, struct asked *asked, const char *data, size_t size, struct vmt_buffer *out)
{
    while (size > 0 && !s->qmp.quit) {
        long n;

        asked->fresh = false;
        n = session_take(s, data, size, out);
        if (n < 0)
            return (int)n;
        if (out->size > 0 && message_write(out->data, out->size))
            return -EPIPE;
        vmt_buffer_clear(out);
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int answer_last(struct session *s, struct asked *asked, struct vmt_buffer *out)
{
    int r;

    if (s->qmp.quit || !frame_end(&s->frame))
        return 0;
    asked->fresh = false;
    r = qmp_answer(&s->qmp, s->frame.text, s->frame.size, out);
    if (r == 0)
        r = end_line(out);
    return r < 0 ? r : message_write(out->data, out->size) ? -EPIPE : 0;
}

static int run(struct session *s, struct asked *asked, struct vmt_buffer *out)
{
    char data[4096];
    ssize_t n = 1;
    int r = 0;

    while (r == 0 && n > 0 && !s->qmp.quit) {
        do
            n = read(STDIN_FILENO, data, sizeof(data));
        while (n < 0 && errno == EINTR);
        r = n > 0 ? answer_all(s, asked, data, (size_t)n, out) : n < 0 ? -errno : answer_last(s, asked, out);
    }
    return r;
}

int session_run(struct asked *asked)
{
    struct vmt_buffer out = { 0 };
    struct session session;
    char reason[256];
    int r = session_start(&session, asked, VMT_BUFFER_MAX / 2, &out);

    if (r == 0 && message_write(out.data, out.size))
        r = -EPIPE;
    vmt_buffer_clear(&out);
    if (r == 0)
        r = run(&session, asked, &out);
    session_end(&session);
    vmt_buffer_free(&out);
    if (r == -ENOMEM)
        message_error("out of memory");
    else if (r < 0 && r != -EPIPE) /* that has been said */
        message_error("standard input: %s", message_reason(r, reason, sizeof(reason)));
    return r < 0;
}
