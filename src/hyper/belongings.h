/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to a VM besides its memory and disks, and putting it down at another host. Any thread; may block. */
#pragma once

#include "hyper/hyper.h"

/** drv_belongings_clear(). */
typedef struct {
    char *definition;   /* of its next start, with secrets; NULL: it is transient */
    char *loader;       /* firmware's code, NULL: none or the built-in one */
    char *nvram;        /* file of its UEFI variables, or NULL */
    gboolean nvram_raw; /* that file has no format of its own */
    gboolean tpm;       /* an emulated one, whose state is kept on this host */
    gboolean autostart;
    gboolean saved;         /* libvirt holds a saved state of it (managed save) */
    GPtrArray *checkpoints; /* of char*: their XML, parents first */
    GPtrArray *snapshots;   /* the same */
    int current_snapshot;   /* index, or -1 */
} drv_belongings;

gboolean drv_hyper_belongings(drv_hyper *hyper, const char *uuid, drv_belongings *belongings, GError **error);
void drv_belongings_clear(drv_belongings *belongings);

/** drv_hyper_define() - DRV_ERROR_CONFLICT: there is one of that name. */
gboolean drv_hyper_define(drv_hyper *hyper, const char *xml, GError **error);
/**
 * drv_hyper_undefine() - a VM that is shut off, with its NVRAM, TPM state and metadata. Not there:
 * success. DRV_ERROR_CONFLICT: it runs; then it is as before.
 */
gboolean drv_hyper_undefine(drv_hyper *hyper, const char *uuid, GError **error);
gboolean drv_hyper_set_autostart(drv_hyper *hyper, const char *uuid, gboolean on, GError **error);
/** drv_hyper_redefine_checkpoints() - the bitmaps are there, libvirt is told of them again. */
gboolean drv_hyper_redefine_checkpoints(drv_hyper *hyper, const char *uuid, GPtrArray *checkpoints, GError **error);
gboolean drv_hyper_redefine_snapshots(drv_hyper *hyper, const char *uuid, GPtrArray *snapshots, int current,
                                      GError **error);

/**
 * drv_hyper_pool_path() - the directory of an active pool of plain files.
 * DRV_ERROR_NOT_FOUND; DRV_ERROR_REFUSED: not active, or of another kind.
 */
char *drv_hyper_pool_path(drv_hyper *hyper, const char *pool, GError **error);
/** drv_hyper_volume_path() - of "pool/volume". Transfer full. */
char *drv_hyper_volume_path(drv_hyper *hyper, const char *volume, GError **error);
/** drv_hyper_has_network() - a virtual network of that name that is active. */
gboolean drv_hyper_has_network(drv_hyper *hyper, const char *name);
