/* SPDX-License-Identifier: Apache-2.0 */
/* A disk of a running VM to another image on the same host, and definitions that follow. Any thread; may block. */
#pragma once

#include "hyper/rewrite.h"

/** drv_hyper_block_copy() - begin; @path exists, is empty and large enough. @rate_bps: 0: no limit. */
gboolean drv_hyper_block_copy(drv_hyper *hyper, const char *uuid, const char *disk, const char *path,
                              const char *format, guint64 rate_bps, GError **error);

typedef enum {
    DRV_BLOCK_COPY_NONE, /* there is no copy under way */
    DRV_BLOCK_COPY_RUNS,
    DRV_BLOCK_COPY_READY, /* both are equal and are kept so */
} drv_block_copy_state;

/** drv_hyper_block_copy_look() - how far it is. */
gboolean drv_hyper_block_copy_look(drv_hyper *hyper, const char *uuid, const char *disk, drv_block_copy_state *state,
                                   guint64 *done_bytes, guint64 *total_bytes, GError **error);
/** drv_hyper_block_copy_end() - @pivot: the VM goes on with the copy, else with what it had. */
gboolean drv_hyper_block_copy_end(drv_hyper *hyper, const char *uuid, const char *disk, gboolean pivot, GError **error);

/** drv_hyper_change_definition() - of a persistent VM's next start; a transient one has none: success. */
gboolean drv_hyper_change_definition(drv_hyper *hyper, const char *uuid, const drv_rewrite *rewrite, GError **error);
