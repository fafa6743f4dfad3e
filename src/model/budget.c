/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of the memory for relays: see budget.h. */
#include "model/budget.h"

#define SLOT_MIB drv_budget_session_mib(DRV_BUDGET_CACHE_LEAST_MIB)

guint64 drv_budget_bytes(guint64 host_bytes)
{
    return host_bytes / DRV_BUDGET_PART;
}

guint drv_budget_sessions(guint64 budget_bytes)
{
    return (guint)CLAMP((budget_bytes >> 20) / 4 / SLOT_MIB, 1, DRV_BUDGET_SESSIONS_MOST);
}

/* Beside each page its address, and at the source an index: see drv_coding_cache_memory(). */
guint drv_budget_session_mib(guint cache_mib)
{
    return DRV_BUDGET_FIXED_MIB + cache_mib + cache_mib / 8;
}

guint drv_budget_cache_mib(guint64 budget_bytes, guint wish_mib, guint sessions, guint64 reserved_mib)
{
    guint64 budget_mib = budget_bytes >> 20, rest_mib;
    guint most = drv_budget_sessions(budget_bytes);

    /* The first one always has room: a small host moves its VMs one by one. */
    if (sessions >= most || (sessions && reserved_mib + SLOT_MIB > budget_mib))
        return 0;
    rest_mib = reserved_mib + (guint64)(most - sessions) * SLOT_MIB;
    rest_mib = budget_mib > rest_mib ? (budget_mib - rest_mib) / 4 * 3 / 9 * 8 : 0;
    return (guint)MAX(DRV_BUDGET_CACHE_LEAST_MIB, MIN(wish_mib, DRV_BUDGET_CACHE_LEAST_MIB + rest_mib));
}
