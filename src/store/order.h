/* SPDX-License-Identifier: Apache-2.0 */
/* The order of keys: as people count, digits in them being numbers. */
#pragma once

/** drv_key_compare() - natural order: runs of digits count as numbers, "h1-2" before "h1-10". */
int drv_key_compare(const char *a, const char *b);
