/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned columns for people; scripts use --json. */
#pragma once

#include <glib.h>
#include <stdio.h>

typedef struct drv_table drv_table;

/** drv_table_new() - @heads: NULL-terminated titles; one that begins with '>' is a column aligned
 * right. */
drv_table *drv_table_new(const char *const *heads);
void drv_table_free(drv_table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_table, drv_table_free)

/** drv_table_add() - the next cell of the current row; takes @cell, NULL is shown as "-". */
void drv_table_add(drv_table *table, char *cell);

/** drv_table_print() - titles, then rows; the last column is not padded. */
void drv_table_print(const drv_table *table, FILE *out);

/**
 * drv_text_clean() - what may be shown on a terminal: control characters and bytes that
 * are not UTF-8 become '?', so that a VM's name cannot carry an escape sequence. Transfer full.
 */
char *drv_text_clean(const char *text);

/** drv_text_width() - columns on a terminal. */
int drv_text_width(const char *text);
