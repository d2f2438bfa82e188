/* SPDX-License-Identifier: MIT */
/* request.h: what query-stats is asked for, from JSON or from the words of QEMU's "info stats". */
#ifndef CLI_QUERY_REQUEST_H
#define CLI_QUERY_REQUEST_H

#include "cli/query/arguments.h"

#define REQUEST_FILTERS 64 /* of one request at most: there are a handful of providers */

/* One of "providers". */
struct stats_filter {
    const char *provider; /* NULL: any */
    const char **names;   /* sorted, each once */
    size_t count;
    bool all; /* whatever their names */
};

struct stats_request {
    const char *target;
    const char **paths; /* sorted, each once */
    size_t path_count;
    bool all_paths;
    struct stats_filter *filters;
    size_t filter_count;
    bool words; /* not from JSON: errors in the words of "info stats" */
};

/* From the arguments of query-stats (NULL: none), to which its strings belong. *ret is the caller's. 0, or -1 with *e. */
int request_from_json(struct json_object *arguments, struct stats_request *ret, struct qmp_error *e);

/* From "TARGET [NAMES [PROVIDER]]", NAMES separated by commas or "*"; line is cut up for it, and must stay. */
int request_from_words(char *line, struct stats_request *ret, struct qmp_error *e);
void request_free(struct stats_request *request);

/* Whether one of count sorted texts is text; which one is *place (may be NULL). */
bool request_has(const char *const *texts, size_t count, const char *text, size_t *place);

#endif
