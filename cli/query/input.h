/* SPDX-License-Identifier: MIT */
/* input.h: what QEMU calls QMP input: {"execute": COMMAND, "arguments": {...}, "id": ...}. */
#ifndef CLI_QUERY_INPUT_H
#define CLI_QUERY_INPUT_H

#include "cli/query/arguments.h"

struct input {
    struct json_object *object;    /* all of it, or NULL; the rest is its own */
    struct json_object *arguments; /* NULL: none */
    struct json_object *id;
    bool has_id; /* it may be null */
    const char *command;
};

/* From a JSON text, ended by a NUL that size does not count. json_object_put() ret->object, whatever is returned: an
 * error has its id, too. 0, or -1 with *e. */
int input_take(const char *json, size_t size, struct input *ret, struct qmp_error *e);

#endif
