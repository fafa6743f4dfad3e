/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON that others have written: the value if it is there and of that type. */
#pragma once

#include <glib.h>
#include <json-c/json.h>
#include <string.h>

/** drv_json_text() - borrowed from @object, or NULL. No text with a NUL inside is accepted. */
static inline const char *drv_json_text(json_object *object, const char *key)
{
    json_object *value = NULL;

    if (!json_object_is_type(object, json_type_object) ||
        !json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return strlen(json_object_get_string(value)) == (gsize)json_object_get_string_len(value)
               ? json_object_get_string(value)
               : NULL;
}

/** drv_json_int() - @fallback if absent or no integer. */
static inline gint64 drv_json_int(json_object *object, const char *key, gint64 fallback)
{
    json_object *value = NULL;

    if (!json_object_is_type(object, json_type_object) ||
        !json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, json_type_int))
        return fallback;
    return json_object_get_int64(value);
}

static inline void drv_json_set_text(json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, value ? json_object_new_string(value) : NULL);
}

static inline void drv_json_set_int(json_object *object, const char *key, gint64 value)
{
    json_object_object_add(object, key, json_object_new_int64(value));
}
