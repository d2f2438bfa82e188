/* SPDX-License-Identifier: MIT */
#include "cli/query/input.h"

#include <stdlib.h>
#include <string.h>

#include "cli/query/frame.h"

/* A JSON text, whole and well spelled. */
static int parse_spelled(const struct spelling *said, struct json_object **ret, struct qmp_error *e)
{
    struct json_tokener *t = json_tokener_new_ex(FRAME_DEPTH + 1);
    struct json_object *object;
    enum json_tokener_error error;

    if (!t)
        return qmp_error(e, QMP_GENERIC, "out of memory");
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    object = json_tokener_parse_ex(t, said->text, (int)said->size + 1); /* with its NUL: the end of a number */
    error = json_tokener_get_error(t);
    if (error == json_tokener_success && json_tokener_get_parse_end(t) < said->size)
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

/* Of all objects in it. */
static size_t count_members(struct json_object *value)
{
    size_t n = 0;

    if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++)
            n += count_members(json_object_array_get_idx(value, i));
    } else if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, member)
        {
            (void)key;
            n += 1 + count_members(member);
        }
    }
    return n;
}

static int parse(const char *json, size_t size, struct json_object **ret, struct qmp_error *e)
{
    struct spelling said;
    int r;

    if (size > FRAME_BYTES)
        return qmp_error(e, QMP_GENERIC, "JSON text size limit exceeded: %d bytes", FRAME_BYTES);
    if (spelling_take(json, size, true, 0, &said, e))
        return -1;
    r = parse_spelled(&said, ret, e);
    /* Of members of one name json-c keeps the last. */
    if (r == 0 && count_members(*ret) != said.members) {
        json_object_put(*ret);
        *ret = NULL;
        r = qmp_error(e, QMP_GENERIC, "JSON parse error, duplicate key");
    }
    free(said.text);
    return r;
}

/* Its id, should it have one. */
static int take_id(struct input *r, const char *json, size_t size, struct qmp_error *e)
{
    size_t place = 0;

    json_object_object_foreach(r->object, key, value)
    {
        (void)value;
        if (strcmp(key, "id") == 0)
            return spelling_take(json, size, false, place, &r->said, e);
        place++;
    }
    return 0;
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
    if (take_id(ret, json, size, e))
        return -1;
    json_object_object_foreach(ret->object, key, value)
    {
        if (take_member(ret, key, value, e))
            return -1;
    }
    return ret->command ? 0 : qmp_error(e, QMP_GENERIC, "QMP input lacks member 'execute'");
}

void input_free(struct input *input)
{
    json_object_put(input->object);
    free(input->said.text);
}
