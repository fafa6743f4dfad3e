/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: droverd, its port, and the other nodes. */
#include "cli/doctor-cluster.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/port-owner.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/paths.h"
#include "cli/doctor.h"
#include "cli/units.h"

/* A clock that differs by more confuses people who compare what nodes say. */
#define CLOCK_MOST_MS 2000

/* TRUE if somebody listens on @port of any address of this host. */
static gboolean taken(guint16 port)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    drv_autoclose int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    drv_autoclose int fd4 = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    /* Connections that have ended do not count; only binding is tried, nothing listens. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd4, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    return (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 && errno == EADDRINUSE) ||
           (bind(fd4, (struct sockaddr *)&any4, sizeof(any4)) < 0 && errno == EADDRINUSE);
}

void drv_check_port(drv_doctor *doctor, const char *name)
{
    guint16 port = doctor->identity ? doctor->identity->port : DRV_PORT;
    g_autofree char *owner = drv_port_owner(port);

    if (owner && g_str_has_prefix(owner, "droverd "))
        drv_doctor_ok(doctor, name, "%s listens on %u", owner, port);
    else if (owner)
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                         g_strdup_printf("stop %s, or give this node another port when it is made "
                                         "(drover init/join --port N)",
                                         owner),
                         "%s listens on %u, which droverd needs", owner, port);
    else if (taken(port))
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name, g_strdup_printf("sudo ss -tlnp 'sport = :%u' says who", port),
                         "some process listens on %u; which one cannot be seen", port);
    else
        drv_doctor_ok(doctor, name, "%u is free for droverd", port);
}

void drv_check_droverd(drv_doctor *doctor, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = NULL;

    if (!doctor->identity) {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup("drover init or drover join first"),
                         "cannot run on a host that is not a node yet");
        return;
    }
    answer = drv_cli_call(doctor->cli, "GET", "/v1/version", NULL, &error);
    if (!answer) {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                         g_strdup(access("/run/systemd/system", F_OK) == 0
                                      ? "systemctl enable --now droverd; journalctl -u droverd says "
                                        "why it does not run"
                                      : "start droverd; its messages say why it does not run"),
                         "%s", error->message);
        return;
    }
    doctor->answers = TRUE;
    drv_doctor_ok(doctor, name, "%s answers, node %s", drv_json_string(answer, "version", "an unknown version"),
                  drv_json_string(answer, "node", "-"));
}

static void check_node(drv_doctor *doctor, json_object *node, gint64 asked_ms, gint64 answered_ms)
{
    const char *name = drv_json_string(node, "name", "-");
    g_autofree char *title = g_strdup_printf("node %.60s", name);
    gint64 clock_ms = drv_json_int(node, "clock_ms", 0);
    gint64 apart_ms;

    if (g_strcmp0(drv_json_string(node, "state", NULL), "up") != 0) {
        drv_doctor_found(
            doctor, DRV_CHECK_WARNING, title,
            g_strdup_printf("look at %s: is it on, is droverd running, does a firewall "
                            "let port %" G_GINT64_FORMAT " through?",
                            drv_json_string(node, "address", "its host"), drv_json_int(node, "port", DRV_PORT)),
            "it does not answer: %s", drv_show_reason(drv_json_string(node, "error", "no reason is known"), name));
        return;
    }
    /* It was read at some instant in between. */
    apart_ms = clock_ms < asked_ms ? asked_ms - clock_ms : clock_ms > answered_ms ? clock_ms - answered_ms : 0;
    if (clock_ms > 0 && apart_ms > CLOCK_MOST_MS) {
        g_autofree char *apart = drv_units_duration((guint64)apart_ms);

        drv_doctor_found(doctor, DRV_CHECK_WARNING, title, g_strdup("timedatectl set-ntp true, on both"),
                         "its clock is %s %s this host's", apart, clock_ms > answered_ms ? "ahead of" : "behind");
    } else {
        drv_doctor_ok(doctor, title, "answers%s", clock_ms > 0 ? ", and its clock agrees" : "");
    }
}

/* Hosts that were cloned: libvirt would refuse each migration between them. */
static void check_host_uuids(drv_doctor *doctor, json_object *list)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal); /* UUID → name */

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *node = json_object_array_get_idx(list, i);
        const char *uuid = drv_json_string(node, "host_uuid", NULL);
        const char *name = drv_json_string(node, "name", "-");
        const char *other = uuid ? g_hash_table_lookup(seen, uuid) : NULL;

        if (other)
            drv_doctor_found(doctor, DRV_CHECK_PROBLEM, "host UUID", g_strdup(DRV_HOST_UUID_REMEDY),
                             "%s and %s have the same (%s), and libvirt will not migrate running VMs between them",
                             other, name, uuid);
        else if (uuid)
            g_hash_table_insert(seen, (gpointer)uuid, (gpointer)name);
    }
}

void drv_check_nodes(drv_doctor *doctor, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = NULL;
    json_object *list;
    gint64 asked_ms = drv_clock_real_ms();

    if (!doctor->answers)
        return; /* said already */
    answer = drv_cli_call(doctor->cli, "GET", "/v1/nodes", NULL, &error);
    list = drv_show_sorted(answer, "nodes");
    if (!list) {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup("the messages of droverd say more"), "%s",
                         error ? error->message : "droverd does not list them");
        return;
    }
    for (gsize i = 0; i < drv_json_length(list); i++)
        check_node(doctor, json_object_array_get_idx(list, i), asked_ms, drv_clock_real_ms());
    check_host_uuids(doctor, list);
}
