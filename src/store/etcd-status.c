/* SPDX-License-Identifier: Apache-2.0 */
/* How an etcd is: each member asked by itself, alarms, and whether what is in it can be used. */
#include "store/etcd-status.h"

#include <string.h>

#include "store/etcd-json.h"
#include "store/etcd-state.h"

static void set_string(json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static json_object *member_status(drv_etcd *s, guint index)
{
    json_object *member = json_object_new_object();
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = drv_etcd_call_at(s->http, index, "maintenance/status", body, &error);
    json_object *header, *errors;

    set_string(member, "address", strstr(s->url.endpoints[index], "//") + 2);
    if (!answer) {
        set_string(member, "state", "lost");
        set_string(member, "error", error->message);
        return member;
    }
    json_object_object_get_ex(answer, "header", &header);
    set_string(member, "state", "up");
    set_string(member, "version", drv_etcd_string(answer, "version"));
    json_object_object_add(member, "bytes", json_object_new_int64(drv_etcd_number(answer, "dbSize")));
    json_object_object_add(member, "used_bytes", json_object_new_int64(drv_etcd_number(answer, "dbSizeInUse")));
    json_object_object_add(
        member, "leads",
        json_object_new_boolean(g_str_equal(drv_etcd_string(answer, "leader"), drv_etcd_string(header, "member_id"))));
    if (json_object_object_get_ex(answer, "errors", &errors) && json_object_array_length(errors))
        set_string(member, "error", json_object_get_string(json_object_array_get_idx(errors, 0)));
    return member;
}

/* "NOSPACE", "CORRUPT": etcd takes no changes while there is one. */
static json_object *alarms(drv_etcd *s)
{
    json_object *names = json_object_new_array(), *list;
    g_autoptr(json_object) body = drv_etcd_object("action", "GET", NULL);
    g_autoptr(json_object) answer = drv_etcd_call(s->http, "maintenance/alarm", body, TRUE, NULL, NULL);

    if (answer && json_object_object_get_ex(answer, "alarms", &list))
        for (gsize i = 0; i < json_object_array_length(list); i++)
            json_object_array_add(names,
                                  json_object_new_string(drv_etcd_string(json_object_array_get_idx(list, i), "alarm")));
    return names;
}

json_object *drv_etcd_status(drv_store *store)
{
    drv_etcd *s = (drv_etcd *)store;
    json_object *object = json_object_new_object(), *members = json_object_new_array();
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_document) probe = NULL;

    set_string(object, "kind", "etcd");
    set_string(object, "where", s->url.text);
    json_object_object_add(object, "encrypted", json_object_new_boolean(s->url.tls));
    for (guint i = 0; s->url.endpoints[i]; i++)
        json_object_array_add(members, member_status(s, i));
    json_object_object_add(object, "members", members);
    json_object_object_add(object, "alarms", alarms(s));
    probe = store->ops->get(store, "cluster", "membership", &error);
    if (!probe)
        set_string(object, "error", error->message);
    return object;
}
