/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a copy at the target. */
#pragma once

#include <glib.h>

#include "hyper/hyper.h"
#include "node/context.h"

gboolean drv_incoming_resume(drv_incoming *incoming, GError **error);

/** drv_incoming_give_up() - destroy the copy and all that was made for it. DRV_ERROR_CONFLICT: it has run, or is about to. */
gboolean drv_incoming_give_up(drv_incoming *incoming, GError **error);

/** drv_incoming_has_run() - whether the copy has ever run, or may have. @domain: what libvirt has, or NULL. */
gboolean drv_incoming_has_run(drv_incoming *incoming, const drv_domain *domain);

/** drv_incoming_was_told() - whether the source's copy is known to never run again: then this one is the VM. */
gboolean drv_incoming_was_told(drv_incoming *incoming);

/** drv_incoming_is_split() - whether it runs here by post-copy and lacks memory that the source has. */
gboolean drv_incoming_is_split(const drv_domain *domain);

/** drv_incoming_watch() - start the thread that decides. */
void drv_incoming_watch(drv_incoming *incoming);

/** drv_incoming_arrived() - from libvirt's event thread: a VM runs here by post-copy. */
void drv_incoming_arrived(drv_context *ctx, const char *uuid);
