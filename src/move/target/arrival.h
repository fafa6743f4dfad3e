/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is made at the target for a VM, besides its memory: images, the places that contents
 * are written to, its definition and belongings; and how all of it is removed again.
 * "made" is that of move/make-images.h, and {"tpm": uuid}. A PARCEL is what the source sends along: {"definition", "tpm":
 * [{"path", "mode", "user", "group", "data" (absent: a directory)}…], "autostart", "checkpoints",
 * "snapshots", "current_snapshot", "macs"}, data in base64.
 */
#pragma once

#include "base/ids.h"
#include "move/make-images.h"
#include "node/context.h"

gboolean drv_arrival_remove(drv_context *ctx, json_object *made, GError **error);

/**
 * drv_arrival_export() - let the session's disk channel write to {"path", "format"}, which was made here.
 * @written: -1, or what an export before has left; a descriptor for drv_arrival_unexport()
 */
gboolean drv_arrival_export(const char *dir, json_object *step, json_object *made, json_object *what, int *written,
                            GError **error);
/** drv_arrival_unexport() - all of it is on the disk. @what: {"path", "file_bytes"}; NULL: it is given up. */
gboolean drv_arrival_unexport(const char *dir, json_object *made, json_object *what, int *written, GError **error);

/**
 * drv_arrival_formats() - path → format, of the images that @step has made here.
 * @written: as they are written to: byte by byte is "raw", whatever the image is; else as the VM reads them
 */
GHashTable *drv_arrival_formats(json_object *step, gboolean written);

/**
 * drv_arrival_flush() - all that has been made here for a VM survives a power loss: images, UEFI variables, TPM
 * state, its definition. Only then may its source give its own up. Blocks as long as the disks take.
 */
gboolean drv_arrival_flush(const char *vm, const drv_uuid *uuid, json_object *made, GError **error);

/**
 * drv_arrival_define() - TPM state, definition and snapshots of a VM that is shut off; flushed with its images. The
 * definition is that of @uuid and @vm, and names nothing that hyper/admission.h does not let in: DRV_ERROR_DENIED.
 */
gboolean drv_arrival_define(drv_context *ctx, const drv_uuid *uuid, const char *vm, json_object *step,
                            json_object *parcel, json_object *made, drv_made_keep keep, gpointer data, GError **error);

/** drv_arrival_settle() - it is here for good: checkpoints and, if its definition is @trusted, autostart. Trouble is logged: the VM runs. */
void drv_arrival_settle(drv_context *ctx, const char *uuid, json_object *parcel, gboolean trusted);

/** drv_arrival_announce() - run the hooks in DRV_HOOKS_DIR/arrived.d, in a thread of their own. */
void drv_arrival_announce(drv_context *ctx, const char *vm, const char *uuid, const char *source, const char *method,
                          json_object *parcel);
