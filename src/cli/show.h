/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What droverd answered, as cells of a table: a member that is missing, null or of
 * another type is "-", never a crash.
 */
#pragma once

#include "model/json.h"

/** drv_show_get_number() - FALSE when it is not there or negative: nothing here is negative. */
gboolean drv_show_get_number(json_object *object, const char *key, guint64 *value);

/* Transfer full. */
char *drv_show_text(json_object *object, const char *key);
char *drv_show_number(json_object *object, const char *key);
char *drv_show_bytes(json_object *object, const char *key);
char *drv_show_duration(json_object *object, const char *key);

/** drv_show_reason() - @message without the "node NAME: " that it may begin with. Borrowed; NULL is
 * NULL. */
const char *drv_show_reason(const char *message, const char *node);

/** drv_show_sorted() - the array @key of @answer, put in the order of "name" (n2 before n10).
 * Borrowed. */
json_object *drv_show_sorted(json_object *answer, const char *key);

/** drv_show_error() - {"error":{code, message}} as in REST, for scripts. Transfer full. */
json_object *drv_show_error(const GError *error);
