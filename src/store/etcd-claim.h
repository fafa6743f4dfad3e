/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a change in etcd, and leases: what is held ends with the lease, by etcd's clock. */
#pragma once

#include <glib.h>

#include "store/document.h"

gint64 drv_etcd_wait(drv_store *store, const char *bucket, gint64 after, guint wait_ms, GError **error);
void drv_etcd_stop_waiting(drv_store *store);
drv_claim drv_etcd_claim(drv_store *store, const char *name, const char *who, guint ttl_s, gint64 *lease, char **holder,
                         GError **error);
void drv_etcd_release(drv_store *store, gint64 lease);
