/* SPDX-License-Identifier: MIT */
/* json_parts.h: what is in a document that must be there. */
#ifndef TESTS_UNIT_JSON_PARTS_H
#define TESTS_UNIT_JSON_PARTS_H

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <string.h>

static inline json_object *get(json_object *map, const char *key)
{
    json_object *value = NULL;

    cr_assert(json_object_object_get_ex(map, key, &value), "no %s", key);
    return value;
}

/* What stands there, as text: doubles keep theirs. */
static inline const char *text(json_object *map, const char *key)
{
    json_object *value = get(map, key);

    return value ? json_object_get_string(value) : "null";
}

/* The one in the array of which that is so. */
static inline json_object *find_with(json_object *array, const char *key, const char *value)
{
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        if (strcmp(text(json_object_array_get_idx(array, i), key), value) == 0)
            return json_object_array_get_idx(array, i);
    }
    cr_assert_fail("nothing with %s %s", key, value);
    return NULL;
}

#endif
