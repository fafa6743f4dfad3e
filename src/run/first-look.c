/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's first look at this host: see first-look.h. */
#include "run/first-look.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/local.h"

#define ASK_MS 2000   /* whether a lost node still looks: its droverd says so at once */
#define AGAIN_MS 500
#define LONG_MS 3000  /* worth a line in the log */

static void over(drv_run *run)
{
    g_atomic_int_set(&run->looking, FALSE);
    if (run->looked)
        run->looked(run->looked_data);
}

static gpointer look(gpointer data)
{
    drv_run *run = data;
    gint64 began_ms = drv_clock_ms(), took_ms;
    g_autoptr(GError) error = NULL;
    /* All that a plan asks of a node. */
    g_autoptr(json_object) node = drv_model_local_node(run->hyper, run->node, &error);
    g_autoptr(json_object) vms = node ? drv_model_local_vms(run->hyper, run->node, &error) : NULL;

    took_ms = drv_clock_ms() - began_ms;
    if (!vms)
        drv_log_warning("libvirt does not say what this host has: %s", error->message);
    else if (took_ms >= LONG_MS)
        drv_log_notice("libvirt has looked at this host's QEMU for the first time, in %" G_GINT64_FORMAT " s",
                       took_ms / 1000);
    over(run);
    drv_run_thread_ended(run);
    return NULL;
}

void drv_first_look_start(drv_run *run)
{
    g_atomic_int_set(&run->looking, TRUE);
    drv_run_thread(run, "first-look", look, run);
}

gboolean drv_first_look_goes_on(drv_run *run)
{
    return g_atomic_int_get(&run->looking);
}

/* Whether @node, which has not answered what it has, says that it still looks. */
static gboolean still_looks(drv_run *run, const char *node)
{
    g_autoptr(json_object) answer = drv_run_call(run, node, "GET", "/v1/peer/clock", NULL, ASK_MS, NULL);

    return drv_json_bool(answer, "looking");
}

/* A node that is waited for, or NULL. */
static drv_fleet_node *who_looks(drv_run *run, const drv_fleet *fleet)
{
    for (guint i = 0; i < fleet->nodes->len; i++) {
        drv_fleet_node *node = fleet->nodes->pdata[i];

        if (!node->up && still_looks(run, node->name))
            return node;
    }
    return NULL;
}

drv_fleet *drv_first_look_fleet(drv_run *run, GError **error)
{
    gint64 until_ms = drv_clock_ms() + DRV_FIRST_LOOK_MS;

    for (gboolean said = FALSE;; said = TRUE) {
        drv_fleet *fleet = drv_run_fleet(run, error);
        drv_fleet_node *node = fleet ? who_looks(run, fleet) : NULL;

        if (!node)
            return fleet;
        if (!said)
            drv_log_notice("waiting for %s: libvirt there looks at its QEMU for the first time", node->name);
        if (drv_clock_ms() >= until_ms || !drv_run_pause(run, AGAIN_MS)) {
            node->error = drv_fleet_text(fleet, "libvirt there looks at its QEMU for the first time, which takes "
                                                "long while the host is busy: try again when 'drover node list' "
                                                "shows it as up");
            return fleet;
        }
        drv_fleet_free(fleet);
    }
}
