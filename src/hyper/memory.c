/* SPDX-License-Identifier: Apache-2.0 */
/* A look at a guest's memory: see memory.h. */
#include "hyper/memory.h"

#include <string.h>

#include "hyper/connection.h"

/*
 * On a PC memory begins at 0 and goes on at 4 GiB behind a hole for devices, which begins at 2 GiB
 * or above, by machine type. Below 1 MiB there is a video card's. What lies between 2 GiB and the
 * hole is left out, as is as much at the end as may have been above.
 */
#define FIRST (G_GUINT64_CONSTANT(1) << 20)
#define LOW_END (G_GUINT64_CONSTANT(2) << 30)
#define HIGH (G_GUINT64_CONSTANT(4) << 30)
#define LOW_MOST (G_GUINT64_CONSTANT(7) << 29) /* 3.5 GiB */

static guint low_chunks(guint64 memory_bytes)
{
    guint64 end = MIN(memory_bytes, LOW_END);

    return end > FIRST ? (guint)((end - FIRST) / DRV_PEEK_BYTES) : 0;
}

guint drv_hyper_peek_chunks(const char *arch, guint64 memory_bytes)
{
    guint64 high = memory_bytes > LOW_MOST ? memory_bytes - LOW_MOST : 0;

    if (g_strcmp0(arch, "x86_64") != 0 && g_strcmp0(arch, "i686") != 0)
        return 0;
    return low_chunks(memory_bytes) + (guint)MIN(high / DRV_PEEK_BYTES, G_MAXINT32);
}

static guint64 address_of(guint chunk, guint low)
{
    return chunk < low ? FIRST + (guint64)chunk * DRV_PEEK_BYTES
                       : HIGH + (guint64)(chunk - low) * DRV_PEEK_BYTES;
}

gboolean drv_hyper_peek(drv_hyper *hyper, const char *uuid, guint64 memory_bytes, const guint *chunks,
                        guint count, drv_hyper_peek_func func, gpointer data, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    g_autofree guint8 *bytes = g_malloc(DRV_PEEK_BYTES);
    guint low = low_chunks(memory_bytes);
    gboolean go_on = TRUE;

    if (!domain)
        return FALSE;
    for (guint i = 0; go_on && i < count; i++) {
        if (virDomainMemoryPeek(domain, address_of(chunks[i], low), DRV_PEEK_BYTES, bytes,
                                VIR_MEMORY_PHYSICAL) < 0) {
            drv_hyper_take_error(error, "the memory of VM %s cannot be looked at", uuid);
            go_on = FALSE;
        } else if (!func(i, bytes, data)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_CANCELLED, "called off");
            go_on = FALSE;
        }
    }
    explicit_bzero(bytes, DRV_PEEK_BYTES);
    return go_on;
}
