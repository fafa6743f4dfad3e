/* SPDX-License-Identifier: Apache-2.0 */
/* Conveniences over json-c: see json.h. */
#include "model/json.h"

#include <string.h>

#include "hyper/gerror.h"

json_object *drv_json_parse(const char *text, const char *what, GError **error)
{
    enum json_tokener_error problem = json_tokener_success;
    json_object *object = json_tokener_parse_verbose(text, &problem);

    if (object && json_object_is_type(object, json_type_object))
        return object;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is not a JSON object%s%s", what,
                problem != json_tokener_success ? ": " : "",
                problem != json_tokener_success ? json_tokener_error_desc(problem) : "");
    json_object_put(object);
    return NULL;
}

static json_object *member(json_object *object, const char *key, json_type type)
{
    json_object *value = NULL;

    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, type))
        return NULL;
    return value;
}

const char *drv_json_string(json_object *object, const char *key, const char *otherwise)
{
    json_object *value = member(object, key, json_type_string);

    /* A text with a NUL inside is none: what follows it would be checked by nobody. */
    if (!value || strlen(json_object_get_string(value)) != (gsize)json_object_get_string_len(value))
        return otherwise;
    return json_object_get_string(value);
}

gint64 drv_json_int(json_object *object, const char *key, gint64 otherwise)
{
    json_object *value = member(object, key, json_type_int);

    return value ? json_object_get_int64(value) : otherwise;
}

double drv_json_double(json_object *object, const char *key, double otherwise)
{
    json_object *value = member(object, key, json_type_double);

    if (!value)
        value = member(object, key, json_type_int);
    return value ? json_object_get_double(value) : otherwise;
}

gboolean drv_json_bool(json_object *object, const char *key)
{
    json_object *value = member(object, key, json_type_boolean);

    return value && json_object_get_boolean(value);
}

json_object *drv_json_array(json_object *object, const char *key)
{
    return member(object, key, json_type_array);
}

json_object *drv_json_object(json_object *object, const char *key)
{
    return member(object, key, json_type_object);
}

gsize drv_json_length(json_object *array)
{
    return array ? json_object_array_length(array) : 0;
}

void drv_json_set_string(json_object *object, const char *key, const char *value)
{
    drv_json_set(object, key, value ? json_object_new_string(value) : NULL);
}

void drv_json_set_int(json_object *object, const char *key, gint64 value)
{
    drv_json_set(object, key, json_object_new_int64(value));
}

void drv_json_set_bool(json_object *object, const char *key, gboolean value)
{
    drv_json_set(object, key, json_object_new_boolean(value));
}

void drv_json_set(json_object *object, const char *key, json_object *value)
{
    json_object_object_add(object, key, value);
}

json_object *drv_json_copy(json_object *object)
{
    json_object *copy = NULL;

    return json_object_deep_copy(object, &copy, NULL) == 0 ? copy : NULL;
}
