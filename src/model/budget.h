/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that all relays of a host may take together, and each one's share of it. Pure; any thread.
 *
 * A session reserves what a relay takes at most: a fixed part, for its buffers, and the cache in which the codec remembers
 * pages, by which it is made small where there is little. A quarter of the budget is for the fixed parts, and says how many
 * sessions there are at most; of the rest each session gets three quarters of what is left.
 */
#pragma once

#include <glib.h>

#define DRV_BUDGET_PART 8u       /* of the host's memory */
#define DRV_BUDGET_FIXED_MIB 96u /* what a relay takes without its cache */
#define DRV_BUDGET_CACHE_LEAST_MIB 16u
#define DRV_BUDGET_SESSIONS_MOST 64u

/** drv_budget_bytes() - of a host with so much memory. */
guint64 drv_budget_bytes(guint64 host_bytes);

/** drv_budget_sessions() - how many may be open at once in @budget_bytes: 1 to DRV_BUDGET_SESSIONS_MOST. */
guint drv_budget_sessions(guint64 budget_bytes);

/** drv_budget_session_mib() - what a session with a cache of @cache_mib takes at most, in MiB. */
guint drv_budget_session_mib(guint cache_mib);

/**
 * drv_budget_cache_mib() - the cache that one more session gets, in MiB.
 * @wish_mib: what it would use
 * @sessions, @reserved_mib: those that are open, and what they have reserved
 * Return: 0: there is no room for it.
 */
guint drv_budget_cache_mib(guint64 budget_bytes, guint wish_mib, guint sessions, guint64 reserved_mib);
