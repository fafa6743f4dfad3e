/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's first look at this host: see first-look.h. */
#include "facts/first-look.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/local.h"

#define LONG_MS 3000 /* worth a line in the log */

static void over(drv_context *ctx)
{
    g_atomic_int_set(&ctx->looking, FALSE);
    if (ctx->looked)
        ctx->looked(ctx->looked_data);
}

static gpointer look(gpointer data)
{
    drv_context *ctx = data;
    gint64 began_ms = drv_clock_ms(), took_ms;
    g_autoptr(GError) error = NULL;
    /* All that a plan asks of a node. */
    g_autoptr(json_object) node = drv_model_local_node(ctx->hyper, ctx->node, &error);
    g_autoptr(json_object) vms = node ? drv_model_local_vms(ctx->hyper, ctx->node, &error) : NULL;

    took_ms = drv_clock_ms() - began_ms;
    if (!vms)
        drv_log_warning("libvirt does not say what this host has: %s", error->message);
    else if (took_ms >= LONG_MS)
        drv_log_notice("libvirt has looked at this host's QEMU for the first time, in %" G_GINT64_FORMAT " s",
                       took_ms / 1000);
    over(ctx);
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_first_look_start(drv_context *ctx)
{
    g_atomic_int_set(&ctx->looking, TRUE);
    drv_node_thread(ctx, "first-look", look, ctx);
}

gboolean drv_first_look_goes_on(drv_context *ctx)
{
    return g_atomic_int_get(&ctx->looking);
}
