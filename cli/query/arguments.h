/* SPDX-License-Identifier: MIT */
/* arguments.h: what a QMP client has written, taken member by member, with QEMU's words for what is wrong. */
#ifndef CLI_QUERY_ARGUMENTS_H
#define CLI_QUERY_ARGUMENTS_H

#include <json-c/json.h>
#include <stdbool.h>

#define QMP_GENERIC "GenericError"
#define QMP_NOT_FOUND "CommandNotFound"

/* Why a request is not answered. */
struct qmp_error {
    const char *class; /* one of the above; NULL: nothing is wrong */
    char desc[1024];   /* fit to print */
};

/* Say so. Returns -1. */
int qmp_error(struct qmp_error *e, const char *class, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A string, or an array, of object (NULL: it has no members). where is what stands before name in messages: "", or
 * "providers[0].". *ret is object's own; NULL where it is missing and need not be there. 0, or -1 with *e. */
int argument_string(struct json_object *object, const char *where, const char *name, bool needed, const char **ret,
                    struct qmp_error *e);
int argument_array(struct json_object *object, const char *where, const char *name, struct json_object **ret,
                   struct qmp_error *e);

/* All elements of an array of strings: *ret is the caller's, free() (not the strings), *count as many. NULL and 0 of
 * array NULL. 0, or -1 with *e. */
int argument_strings(struct json_object *array, const char *where, const char *name, const char ***ret, size_t *count,
                     struct qmp_error *e);

/* Members of other names than those, NULL at the end, are not expected. 0, or -1 with *e. */
int arguments_known(struct json_object *object, const char *where, const char *const *names, struct qmp_error *e);

#endif
