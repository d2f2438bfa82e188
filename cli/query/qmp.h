/* SPDX-License-Identifier: MIT */
/* qmp.h: QEMU's monitor protocol for machines: one request, one response. Knows neither where requests come from nor
 * how a snapshot is had. */
#ifndef CLI_QUERY_QMP_H
#define CLI_QUERY_QMP_H

#include <stdbool.h>

#include <vmtally/export.h>

#include "cli/query/arguments.h"

/* One client. */
struct qmp {
    /* A snapshot that is not older than the request; NULL, and why there is none. At most one a request is asked for. */
    const struct vmt_snapshot *(*look)(void *arg, char *why, size_t size);
    void *arg;
    size_t most;            /* bytes of a response */
    bool negotiated;        /* what qmp_capabilities leads to; set it where there is no such thing */
    bool quit;              /* it asked for the end */
    struct qmp_error error; /* what the last response said; class NULL: it was no error */
};

/* Append the greeting, as a line. 0 or -ENOMEM. */
int qmp_greet(struct vmt_buffer *out);

/* Append the response to a JSON text (ended by a NUL, which size does not count), on one line but without its end.
 * 0, -ENOMEM: then nothing is appended. */
int qmp_answer(struct qmp *qmp, const char *json, size_t size, struct vmt_buffer *out);

/* The same, to what is no text. */
int qmp_refuse(struct qmp *qmp, const char *why, struct vmt_buffer *out);

/* For people: the answer to a request "query-stats" as hmp.h prints it, any other indented; or, where text does not begin
 * with a bracket, what QEMU's "info stats" answers to these words. Cuts text up. 0 or -ENOMEM; qmp->error says whether it
 * was answered: if not, nothing is appended. */
int qmp_answer_people(struct qmp *qmp, char *text, struct vmt_buffer *out);

#endif
