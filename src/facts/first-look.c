/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's first look at this host: see first-look.h. */
#include "facts/first-look.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/local.h"

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
