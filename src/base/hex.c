/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal: see hex.h. */
#include "base/hex.h"

#include <errno.h>
#include <string.h>

void drv_hex_encode(char *text, const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[byte[i] >> 4];
        text[2 * i + 1] = digits[byte[i] & 15];
    }
    text[2 * size] = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int drv_hex_decode(void *bytes, size_t size, const char *text, struct drv_error *err)
{
    uint8_t *byte = bytes;

    if (strlen(text) != 2 * size)
        return drv_error_set(err, EINVAL, "expected %zu hexadecimal digits, found %zu", 2 * size, strlen(text));
    for (size_t i = 0; i < size; i++) {
        int high = digit_value(text[2 * i]);
        int low = digit_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return drv_error_set(err, EINVAL, "found something else than hexadecimal digits");
        byte[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}
