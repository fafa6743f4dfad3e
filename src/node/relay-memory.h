/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for a session's relay is reserved before the session is opened: model/budget.h has the shares.
 *
 * A reservation is a file beside the session's directory, which the relay has open and locked for as long as it lives. So it
 * ends with the relay, whatever becomes of droverd, and the next droverd counts the same.
 */
#pragma once

#include <glib.h>

#include "node/context.h"

#define DRV_RESERVE_SUFFIX ".memory"

/**
 * drv_reserve() - for the session whose directory is @dir.
 * @wish_mib: cache that it would use; MiB
 * @must: there is a guest that waits for it (a recovery): it gets a small one in any case
 * @cache_mib: the cache that it gets
 * Return: a descriptor for the relay (drv_relay_config.memory_fd), which the caller closes; until both have, it is
 * reserved. -1 and DRV_ERROR_REFUSED: there is no room, and why.
 */
int drv_reserve(drv_context *ctx, const char *dir, guint wish_mib, gboolean must, unsigned *cache_mib, GError **error);

/** drv_reserve_tell() - sets "relay_memory_bytes" and "relay_memory_left_bytes" of this node's @node. */
void drv_reserve_tell(drv_context *ctx, json_object *node);
