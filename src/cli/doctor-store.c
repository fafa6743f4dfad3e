/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: where the cluster's data are, in the founder's file or in etcd. */
#include "cli/doctor-store.h"

#include <string.h>

#include "cli/doctor.h"
#include "cli/units.h"

/* "GET /v1/store" failed: nobody was there to say how the store is. */
static void say_no_answer(drv_doctor *doctor, const char *name, const GError *error)
{
    if (g_error_matches(error, DRV_ERROR, DRV_ERROR_UNREACHABLE))
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name,
                         g_strdup("start droverd there; until then moves go on, but tokens, policies and "
                                  "plans of the fleet wait (drover store move ETCD does without one such node)"),
                         "%s", error->message);
    else
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup("the messages of droverd say more"), "%s",
                         error ? error->message : "droverd does not say how it is");
}

static void check_file(drv_doctor *doctor, const char *name, json_object *status)
{
    const char *node = drv_json_string(status, "node", "-"), *where = drv_json_string(status, "where", "-");
    const char *trouble = drv_json_string(status, "error", NULL);
    gint64 free_bytes = drv_json_int(status, "free_bytes", -1);
    g_autofree char *room = drv_units_bytes((guint64)MAX(free_bytes, 0));

    if (trouble)
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup_printf("drover doctor on node %s says more", node),
                         "%s", trouble);
    else if (free_bytes >= 0 && free_bytes < DRV_STORE_LOW_BYTES)
        drv_doctor_found(doctor, free_bytes < DRV_STORE_LEAST_BYTES ? DRV_CHECK_PROBLEM : DRV_CHECK_WARNING, name,
                         g_strdup_printf("make room on the file system of %s at node %s", where, node),
                         "only %s free for %s, which node %s keeps", room, where, node);
    else if (free_bytes >= 0)
        drv_doctor_ok(doctor, name, "a file of node %s, which answers and has %s free", node, room);
    else
        drv_doctor_ok(doctor, name, "a file of node %s, which answers", node);
}

/* Return: whether it answers. */
static gboolean check_member(drv_doctor *doctor, json_object *member)
{
    const char *address = drv_json_string(member, "address", "-");
    const char *error = drv_json_string(member, "error", NULL);
    g_autofree char *title = g_strdup_printf("etcd %.60s", address);
    g_autofree char *bytes = NULL;

    if (g_strcmp0(drv_json_string(member, "state", NULL), "up") != 0) {
        drv_doctor_found(doctor, DRV_CHECK_WARNING, title,
                         g_strdup_printf("look at it: is its host on, is etcd running, does a firewall let "
                                         "this node's calls to %s through?",
                                         address),
                         "it does not answer: %s", error ? error : "no reason is known");
        return FALSE;
    }
    bytes = drv_units_bytes((guint64)MAX(drv_json_int(member, "bytes", 0), 0));
    /* Of alarms each member tells; they have a line of their own. */
    if (error && !strstr(error, "alarm"))
        drv_doctor_found(doctor, DRV_CHECK_WARNING, title,
                         g_strdup("the messages of etcd there say more; "
                                  "\"no leader\": it does not reach more than half of the members"),
                         "it answers, but with a trouble: %s", error);
    else
        drv_doctor_ok(doctor, title, "etcd %s, %s%s", drv_json_string(member, "version", "?"), bytes,
                      drv_json_bool(member, "leads") ? ", leads etcd" : "");
    return TRUE;
}

static void check_alarms(drv_doctor *doctor, json_object *alarms)
{
    g_autoptr(GHashTable) said = g_hash_table_new(g_str_hash, g_str_equal);

    for (gsize i = 0; i < drv_json_length(alarms); i++) {
        const char *alarm = json_object_get_string(json_object_array_get_idx(alarms, i));

        /* One of each member's that is full. */
        if (!alarm || !g_hash_table_add(said, (gpointer)alarm))
            continue;
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, "etcd's alarms",
                         g_strdup(g_str_equal(alarm, "NOSPACE")
                                      ? "compact and defragment etcd, or raise its --quota-backend-bytes; then "
                                        "etcdctl alarm disarm (store.rst has the commands)"
                                      : "etcdctl alarm list says of which member; etcd's manual says how it is "
                                        "mended"),
                         "%s: etcd takes no changes, so nothing new can be planned", alarm);
    }
}

static void check_etcd(drv_doctor *doctor, const char *name, json_object *status)
{
    const char *trouble = drv_json_string(status, "error", NULL);
    const char *leader = drv_json_string(status, "leader", NULL);
    json_object *members = drv_json_array(status, "members");
    gsize count = drv_json_length(members), up = 0;

    for (gsize i = 0; i < count; i++)
        up += check_member(doctor, json_object_array_get_idx(members, i));
    check_alarms(doctor, drv_json_array(status, "alarms"));
    if (trouble && up * 2 <= count)
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                         g_strdup("start members of etcd until more than half of them answer; moves that "
                                  "run go on, nothing new is planned until then"),
                         "only %zu of %zu members of etcd answer, so it can be neither read nor changed", up, count);
    else if (trouble)
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup("\"Bad days\" in store.rst says what can be done"),
                         "%s", trouble);
    else if (!leader)
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name,
                         g_strdup("look again in a few seconds; does droverd run on a node that reaches etcd?"),
                         "etcd can be used, but no node leads the cluster at this moment");
    else if (!drv_json_bool(status, "encrypted"))
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name,
                         g_strdup("use certificates (store.rst): drover store move etcds://… with --store-ca, "
                                  "--store-cert, --store-key"),
                         "etcd is reached without encryption: whoever is on that network can make himself "
                         "an operator of this cluster");
    else
        drv_doctor_ok(doctor, name, "etcd, of which %zu of %zu members answer; node %s leads", up, count, leader);
}

void drv_check_cluster_store(drv_doctor *doctor, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) status = NULL;

    if (!doctor->answers)
        return; /* said already */
    status = drv_cli_call(doctor->cli, "GET", "/v1/store", NULL, &error);
    if (!status)
        say_no_answer(doctor, name, error);
    else if (drv_json_array(status, "members"))
        check_etcd(doctor, name, status);
    else
        check_file(doctor, name, status);
}
