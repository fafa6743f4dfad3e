/* SPDX-License-Identifier: Apache-2.0 */
/* Small conveniences over json-c: reading members that may be missing, building objects in one line each. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

/** drv_json_parse() - one JSON object. DRV_ERROR_INVALID names @what. Transfer full. */
json_object *drv_json_parse(const char *text, const char *what, GError **error);

/* A member, or the given default when it is missing or of another type. Strings are the object's. */
const char *drv_json_string(json_object *object, const char *key, const char *otherwise);
gint64 drv_json_int(json_object *object, const char *key, gint64 otherwise);
/** drv_json_double() - of a whole number, too. */
double drv_json_double(json_object *object, const char *key, double otherwise);
gboolean drv_json_bool(json_object *object, const char *key);
/** drv_json_array() - the member if it is an array, else NULL. Borrowed. */
json_object *drv_json_array(json_object *object, const char *key);
/** drv_json_object() - the member if it is an object, else NULL. Borrowed. */
json_object *drv_json_object(json_object *object, const char *key);
/** drv_json_length() - of an array; 0 for NULL. */
gsize drv_json_length(json_object *array);

/* Set a member; NULL strings become null. */
void drv_json_set_string(json_object *object, const char *key, const char *value);
void drv_json_set_int(json_object *object, const char *key, gint64 value);
void drv_json_set_bool(json_object *object, const char *key, gboolean value);
/** drv_json_set() - takes over @value's reference. */
void drv_json_set(json_object *object, const char *key, json_object *value);
/** drv_json_copy() - deep. */
json_object *drv_json_copy(json_object *object);
