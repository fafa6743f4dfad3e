/* SPDX-License-Identifier: Apache-2.0 */
/* What droverd answered, as cells of a table: see show.h. */
#include "cli/show.h"

#include <string.h>

#include "cli/units.h"
#include "hyper/gerror.h"

gboolean drv_show_get_number(json_object *object, const char *key, guint64 *value)
{
    json_object *member = NULL;
    double real;

    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, key, &member))
        return FALSE;
    if (json_object_is_type(member, json_type_int) && json_object_get_int64(member) >= 0) {
        *value = json_object_get_uint64(member);
        return TRUE;
    }
    real = json_object_is_type(member, json_type_double) ? json_object_get_double(member) : -1;
    if (!(real >= 0 && real < 1e18))
        return FALSE;
    *value = (guint64)real;
    return TRUE;
}

char *drv_show_text(json_object *object, const char *key)
{
    const char *text = drv_json_string(object, key, NULL);

    return g_strdup(text && *text ? text : "-");
}

char *drv_show_number(json_object *object, const char *key)
{
    guint64 value;

    return drv_show_get_number(object, key, &value) ? g_strdup_printf("%" G_GUINT64_FORMAT, value) : g_strdup("-");
}

char *drv_show_bytes(json_object *object, const char *key)
{
    guint64 value;

    return drv_show_get_number(object, key, &value) ? drv_units_bytes(value) : g_strdup("-");
}

char *drv_show_duration(json_object *object, const char *key)
{
    guint64 value;

    return drv_show_get_number(object, key, &value) ? drv_units_duration(value) : g_strdup("-");
}

const char *drv_show_reason(const char *message, const char *node)
{
    g_autofree char *start = g_strdup_printf("node %s: ", node);

    return message && g_str_has_prefix(message, start) ? message + strlen(start) : message;
}

static int by_name(const void *a, const void *b)
{
    json_object *const *one = a, *const *other = b;
    g_autofree char *key = g_utf8_collate_key_for_filename(drv_json_string(*one, "name", ""), -1);
    g_autofree char *other_key = g_utf8_collate_key_for_filename(drv_json_string(*other, "name", ""), -1);

    return strcmp(key, other_key);
}

json_object *drv_show_sorted(json_object *answer, const char *key)
{
    json_object *list = drv_json_array(answer, key);

    if (list)
        json_object_array_sort(list, by_name);
    return list;
}

json_object *drv_show_error(const GError *error)
{
    json_object *inner = json_object_new_object();
    json_object *outer = json_object_new_object();
    int code = error->domain == DRV_ERROR ? error->code : DRV_ERROR_FAILED;

    drv_json_set_string(inner, "code", drv_error_code_name(code));
    drv_json_set_string(inner, "message", error->message);
    drv_json_set(outer, "error", inner);
    return outer;
}
