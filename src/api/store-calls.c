/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's store for operators: see store-calls.h. */
#include "api/store-calls.h"

#include "base/log.h"
#include "cluster/authority.h"
#include "cluster/following.h"
#include "cluster/keeping.h"
#include "model/json.h"
#include "serve/view.h"

json_object *drv_store_calls_status(drv_cluster *cluster, drv_context *run, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    json_object *status;

    if (!drv_cluster_keeps(cluster))
        return drv_cluster_ask_founder(cluster, "GET", "/v1/store", NULL, error);
    status = drv_store_status(drv_cluster_store(cluster));
    drv_json_set_string(status, "node", identity->node);
    drv_json_set_bool(status, "signs", identity->ca_key_pem != NULL);
    drv_serve_lead_status(run, status);
    return status;
}

json_object *drv_store_calls_move(drv_cluster *cluster, json_object *body, GError **error)
{
    static GMutex one_at_a_time;
    g_autoptr(GMutexLocker) locker = NULL;
    const char *to = drv_json_string(body, "to", NULL);
    g_auto(drv_keeping) keeping = {0};
    json_object *answer;
    guint documents = 0;

    if (!to) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "\"to\" is missing: etcd://HOST[:PORT][,HOST…][/PREFIX], or sqlite");
        return NULL;
    }
    if (!drv_cluster_is_founder(cluster))
        return drv_cluster_send_to_founder(cluster, error);
    locker = g_mutex_locker_new(&one_at_a_time);
    if (!drv_keeping_read(&keeping, body, error))
        return NULL;
    keeping.where = g_str_equal(to, "sqlite") ? NULL : g_strdup(to);
    if (!keeping.where && !drv_store_is_shared(drv_cluster_store(cluster))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "the cluster's data are in the founder's file already (%s)",
                    drv_store_place(drv_cluster_store(cluster)));
        return NULL;
    }
    if (!drv_cluster_move_store(cluster, &keeping, &documents, error))
        return NULL;
    drv_log_notice("the cluster's store was moved to=%s documents=%u", drv_store_place(drv_cluster_store(cluster)),
                   documents);
    if (!drv_authority_publish(cluster, error)) {
        g_prefix_error(error, "the store was moved to %s, but the other nodes could not be told yet: ",
                       drv_store_place(drv_cluster_store(cluster)));
        return NULL;
    }
    answer = json_object_new_object();
    drv_json_set_string(answer, "where", drv_store_place(drv_cluster_store(cluster)));
    drv_json_set_int(answer, "documents", documents);
    return answer;
}
