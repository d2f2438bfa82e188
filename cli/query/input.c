/* SPDX-License-Identifier: MIT */
#include "cli/query/input.h"

#include <math.h>
#include <string.h>

#include "cli/query/frame.h"

/* A JSON text, whole. */
static int parse(const char *json, size_t size, struct json_object **ret, struct qmp_error *e)
{
    struct json_tokener *t;
    struct json_object *object;
    enum json_tokener_error error;

    if (size > FRAME_BYTES)
        return qmp_error(e, QMP_GENERIC, "JSON text size limit exceeded: %d bytes", FRAME_BYTES);
    t = json_tokener_new_ex(FRAME_DEPTH + 1);
    if (!t)
        return qmp_error(e, QMP_GENERIC, "out of memory");
    json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8);
    object = json_tokener_parse_ex(t, json, (int)size + 1); /* with its NUL: the end of a number */
    error = json_tokener_get_error(t);
    if (error == json_tokener_success && json_tokener_get_parse_end(t) < size)
        error = json_tokener_error_parse_unexpected;
    json_tokener_free(t);
    if (error == json_tokener_success) {
        *ret = object;
        return 0;
    }
    json_object_put(object);
    if (error == json_tokener_error_depth)
        return qmp_error(e, QMP_GENERIC, "JSON nesting depth limit exceeded");
    return qmp_error(e, QMP_GENERIC, "JSON parse error, %s", json_tokener_error_desc(error));
}

/* json-c reads NaN and Infinity, which are no JSON: they must not come back in an id. */
static bool is_json(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_double:
        return isfinite(json_object_get_double(value));
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(value); i++)
            if (!is_json(json_object_array_get_idx(value, i)))
                return false;
        return true;
    case json_type_object: {
        json_object_object_foreach(value, key, member)
        {
            (void)key;
            if (!is_json(member))
                return false;
        }
        return true;
    }
    default:
        return true;
    }
}

static int take_member(struct input *r, const char *key, struct json_object *value, struct qmp_error *e)
{
    if (strcmp(key, "id") == 0)
        return 0;
    if (strcmp(key, "execute") == 0) {
        r->command = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
        return r->command ? 0 : qmp_error(e, QMP_GENERIC, "QMP input member 'execute' must be a string");
    }
    if (strcmp(key, "arguments") == 0) {
        r->arguments = value;
        return json_object_is_type(value, json_type_object)
                 ? 0
                 : qmp_error(e, QMP_GENERIC, "QMP input member 'arguments' must be an object");
    }
    return qmp_error(e, QMP_GENERIC, "QMP input member '%s' is unexpected", key);
}

int input_take(const char *json, size_t size, struct input *ret, struct qmp_error *e)
{
    *ret = (struct input){ 0 };
    if (parse(json, size, &ret->object, e))
        return -1;
    if (!json_object_is_type(ret->object, json_type_object))
        return qmp_error(e, QMP_GENERIC, "QMP input must be a JSON object");
    ret->has_id = json_object_object_get_ex(ret->object, "id", &ret->id);
    if (ret->has_id && !is_json(ret->id)) {
        ret->has_id = false;
        return qmp_error(e, QMP_GENERIC, "JSON parse error, a number that is none");
    }
    json_object_object_foreach(ret->object, key, value)
    {
        if (take_member(ret, key, value, e))
            return -1;
    }
    return ret->command ? 0 : qmp_error(e, QMP_GENERIC, "QMP input lacks member 'execute'");
}
