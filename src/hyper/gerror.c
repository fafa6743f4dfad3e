/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of errors and the converter: see gerror.h. */
#include "hyper/gerror.h"

G_DEFINE_QUARK(drv - error - quark, drv_error)
G_DEFINE_QUARK(drv - elsewhere - quark, drv_elsewhere)

static const char *const names[] = {
    [DRV_ERROR_FAILED] = "failed",           [DRV_ERROR_INVALID] = "invalid",     [DRV_ERROR_NOT_FOUND] = "not-found",
    [DRV_ERROR_CONFLICT] = "conflict",       [DRV_ERROR_REFUSED] = "refused",     [DRV_ERROR_DENIED] = "denied",
    [DRV_ERROR_UNREACHABLE] = "unreachable", [DRV_ERROR_CANCELLED] = "cancelled",
};
G_STATIC_ASSERT(G_N_ELEMENTS(names) == DRV_ERROR_CODES);

const char *drv_error_code_name(int code)
{
    return code >= 0 && code < DRV_ERROR_CODES ? names[code] : names[DRV_ERROR_FAILED];
}

drv_error_code drv_error_code_from_name(const char *name)
{
    for (int code = 0; name && code < DRV_ERROR_CODES; code++)
        if (g_str_equal(names[code], name))
            return (drv_error_code)code;
    return DRV_ERROR_FAILED;
}

void drv_gerror_from(GError **error, drv_error_code code, const struct drv_error *from)
{
    g_set_error_literal(error, DRV_ERROR, code, from->message);
}
