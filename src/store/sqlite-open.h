/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the store's file, and its schema. */
#pragma once

#include <glib.h>
#include <sqlite3.h>

#include "store/sqlite-seen.h"

/**
 * drv_sqlite_open() - open or make the file, take it for this process, bring its
 * schema up to date, check that it is whole and has all that was ever committed.
 * @seen: receives where commits are noted; the caller closes it
 * Return: the database, for one thread at a time, or NULL and @error.
 */
sqlite3 *drv_sqlite_open(const char *path, drv_seen **seen, GError **error);

/** drv_sqlite_take_error() - what SQLite says about its last call on @db, with the remedy. */
void drv_sqlite_take_error(sqlite3 *db, const char *path, const char *what, GError **error);
