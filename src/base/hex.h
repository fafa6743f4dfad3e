/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text of bytes, lower case, as identifiers and secrets are written. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/** drv_hex_encode() - @text receives 2 * @size characters and a NUL. */
void drv_hex_encode(char *text, const void *bytes, size_t size);

/** drv_hex_decode() - exactly 2 * @size digits into @bytes. Return: 0 or -EINVAL. */
int drv_hex_decode(void *bytes, size_t size, const char *text, struct drv_error *err);
