/* SPDX-License-Identifier: MIT */
/* input.h: what QEMU calls QMP input: {"execute": COMMAND, "arguments": {...}, "id": ...}. */
#ifndef CLI_QUERY_INPUT_H
#define CLI_QUERY_INPUT_H

#include "cli/query/spelling.h"

struct input {
    struct json_object *object;    /* all of it, or NULL; what follows is its own */
    struct json_object *arguments; /* NULL: none */
    const char *command;
    struct spelling said; /* value: the id as it was written, on one line, to come back like that; NULL: none */
};

/* From a JSON text, ended by a NUL that size does not count. input_free(ret), whatever is returned: an error has its id,
 * too. 0, or -1 with *e. */
int input_take(const char *json, size_t size, struct input *ret, struct qmp_error *e);
void input_free(struct input *input);

#endif
