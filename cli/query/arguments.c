/* SPDX-License-Identifier: MIT */
#include "cli/query/arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"

int qmp_error(struct qmp_error *e, const char *class, const char *format, ...)
{
    char text[sizeof(e->desc)];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    message_printable(text, e->desc, sizeof(e->desc)); /* what was cut in the middle of a character, too */
    e->class = class;
    return -1;
}

static int wrong_type(const char *where, const char *name, const char *expected, struct qmp_error *e)
{
    return qmp_error(e, QMP_GENERIC, "Invalid parameter type for '%s%s', expected: %s", where, name, expected);
}

static int text_of(struct json_object *value, const char *where, const char *name, const char **ret,
                   struct qmp_error *e)
{
    if (!json_object_is_type(value, json_type_string))
        return wrong_type(where, name, "string", e);
    *ret = json_object_get_string(value);
    return 0;
}

int argument_string(struct json_object *object, const char *where, const char *name, bool needed, const char **ret,
                    struct qmp_error *e)
{
    struct json_object *value;

    *ret = NULL;
    if (json_object_object_get_ex(object, name, &value))
        return text_of(value, where, name, ret, e);
    return needed ? qmp_error(e, QMP_GENERIC, "Parameter '%s%s' is missing", where, name) : 0;
}

int argument_array(struct json_object *object, const char *where, const char *name, struct json_object **ret,
                   struct qmp_error *e)
{
    *ret = NULL;
    if (!json_object_object_get_ex(object, name, ret))
        return 0;
    return json_object_is_type(*ret, json_type_array) ? 0 : wrong_type(where, name, "array", e);
}

int argument_strings(struct json_object *array, const char *where, const char *name, const char ***ret, size_t *count,
                     struct qmp_error *e)
{
    size_t n = array ? json_object_array_length(array) : 0;
    const char **texts = n ? calloc(n, sizeof(*texts)) : NULL;
    char element[128];

    if (n && !texts)
        return qmp_error(e, QMP_GENERIC, "out of memory");
    for (size_t i = 0; i < n; i++) {
        snprintf(element, sizeof(element), "%s[%zu]", name, i);
        if (text_of(json_object_array_get_idx(array, i), where, element, &texts[i], e)) {
            free(texts);
            return -1;
        }
    }
    *ret = texts;
    *count = n;
    return 0;
}

int arguments_known(struct json_object *object, const char *where, const char *const *names, struct qmp_error *e)
{
    if (!object)
        return 0;
    json_object_object_foreach(object, key, value)
    {
        size_t i = 0;

        (void)value;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i])
            return qmp_error(e, QMP_GENERIC, "Parameter '%s%s' is unexpected", where, key);
    }
    return 0;
}
