/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/store only: the SQLite backend's database, and how its errors become ours. */
#pragma once

#include <sqlite3.h>

#include "store/document.h"
#include "store/ops.h"
#include "store/sqlite-seen.h"

/** drv_store_open_sqlite() - see drv_store_open_with(). */
drv_store *drv_store_open_sqlite(const char *path, GError **error);
