/* SPDX-License-Identifier: Apache-2.0 */
/* From kinds of errors to exit codes: see exit.h. */
#include "cli/exit.h"

#include "hyper/gerror.h"

static const drv_exit codes[] = {
    [DRV_ERROR_FAILED] = DRV_EXIT_FAILED,           [DRV_ERROR_INVALID] = DRV_EXIT_USAGE,
    [DRV_ERROR_NOT_FOUND] = DRV_EXIT_NOT_FOUND,     [DRV_ERROR_CONFLICT] = DRV_EXIT_REFUSED,
    [DRV_ERROR_REFUSED] = DRV_EXIT_REFUSED,         [DRV_ERROR_DENIED] = DRV_EXIT_DENIED,
    [DRV_ERROR_UNREACHABLE] = DRV_EXIT_UNREACHABLE, [DRV_ERROR_CANCELLED] = DRV_EXIT_CANCELLED,
};
G_STATIC_ASSERT(G_N_ELEMENTS(codes) == DRV_ERROR_CODES);

drv_exit drv_exit_from_error(const GError *error)
{
    if (error->domain != DRV_ERROR || error->code < 0 || error->code >= DRV_ERROR_CODES)
        return DRV_EXIT_FAILED;
    return codes[error->code];
}
