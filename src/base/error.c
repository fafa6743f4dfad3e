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
    char why[sizeof err->message];
    va_list args;
    int length;

    if (!err)
        return;
    memcpy(why, err->message, sizeof why);
    va_start(args, fmt);
    length = vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    /* What does not fit is cut, from the end. */
    for (const char *part = ": "; length >= 0 && part; part = part == why ? NULL : why) {
        for (const char *c = part; *c && (size_t)length + 1 < sizeof err->message; c++)
            err->message[length++] = *c;
    }
    if (length >= 0 && (size_t)length < sizeof err->message)
        err->message[length] = '\0';
}
