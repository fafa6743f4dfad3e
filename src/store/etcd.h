/* SPDX-License-Identifier: Apache-2.0 */
/* The backend that keeps documents in etcd. */
#pragma once

#include "store/document.h"

/** drv_store_open_etcd() - see drv_store_open_with(). */
drv_store *drv_store_open_etcd(const drv_store_options *options, GError **error);
