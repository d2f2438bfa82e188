/* SPDX-License-Identifier: MIT */
/* session.h: a QMP session: greeting, requests as they come, responses in their order. */
#ifndef CLI_QUERY_SESSION_H
#define CLI_QUERY_SESSION_H

#include "cli/query/asked.h"
#include "cli/query/frame.h"
#include "cli/query/qmp.h"

struct session {
    struct qmp qmp;
    struct frame frame;
};

/* Begin one, of clients whose responses may have that many bytes; the greeting is appended to out. 0 or -ENOMEM. */
int session_start(struct session *session, struct asked *asked, size_t most, struct vmt_buffer *out);
void session_end(struct session *session);

/* Take bytes until one response was appended to out, or all are taken. Returns how many were, or -ENOMEM. */
long session_take(struct session *session, const char *data, size_t size, struct vmt_buffer *out);

/* The one session of standard input and output, until either ends or "quit" comes. The exit status. */
int session_run(struct asked *asked);

#endif
