/* SPDX-License-Identifier: Apache-2.0 */
/* What the source sends of a VM besides its memory, and what it removes when the VM has gone. */
#pragma once

#include "hyper/rewrite.h"
#include "move/source/outgoing.h"

/**
 * drv_departure_parcel() - the PARCEL of move/target/arrival.h. Of a VM that is shut off with its definition,
 * rewritten, its TPM's state and its snapshots. Transfer full.
 */
json_object *drv_departure_parcel(drv_context *ctx, json_object *step, GError **error);

/** drv_departure_rewrite() - how the definition changes. @proven: disks are the same although libvirt does not know. */
drv_rewrite *drv_departure_rewrite(json_object *step, gboolean *proven);

/** drv_departure_disks() - those that libvirt is to mirror. Transfer full; g_strfreev(). */
GStrv drv_departure_disks(json_object *step);

/**
 * drv_departure_send() - contents over the session's disk channel. @all: also what a running VM's QEMU
 * would mirror. Shows progress; stops for a cancel, the relay's death and droverd's end.
 */
gboolean drv_departure_send(drv_outgoing *outgoing, gboolean all, GError **error);
/** drv_departure_sends_before() - whether there is something that must be sent before a live move. */
gboolean drv_departure_sends_before(json_object *step);

/**
 * drv_departure_is_whole() - ask the target whether the VM would start there with all that its saved definition names:
 * before anything is given up here. FALSE: DRV_ERROR_CONFLICT says what is missing; anything else: not known.
 */
gboolean drv_departure_is_whole(drv_outgoing *outgoing, GError **error);

/** drv_departure_release() - the VM is at the target: remove what is its own and stayed here. Trouble is logged. */
void drv_departure_release(drv_outgoing *outgoing);
