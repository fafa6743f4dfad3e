/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of fixed size: see error.h for the contract. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int drv_error_set(struct drv_error *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list args;

        va_start(args, fmt);
        (void)vsnprintf(err->message, sizeof err->message, fmt, args);
        va_end(args);
        err->code = code;
    }
    return -code;
}

void drv_error_prefix(struct drv_error *err, const char *fmt, ...)
{
    char whole[sizeof err->message];
    va_list args;
    int length;

    if (!err)
        return;
    va_start(args, fmt);
    length = vsnprintf(whole, sizeof whole, fmt, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof whole)
        return;
    (void)snprintf(whole + length, sizeof whole - (size_t)length, ": %s", err->message);
    memcpy(err->message, whole, sizeof whole);
}
