/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's errors as ours: which kind of trouble each is. */
#include "hyper/error.h"

#include "hyper/connection.h"

static const struct {
    int libvirt;
    drv_error_code ours;
} kinds[] = {
    {VIR_ERR_NO_DOMAIN, DRV_ERROR_NOT_FOUND},
    {VIR_ERR_NO_CONNECT, DRV_ERROR_UNREACHABLE},
    {VIR_ERR_INVALID_CONN, DRV_ERROR_UNREACHABLE},
    {VIR_ERR_RPC, DRV_ERROR_UNREACHABLE},
    {VIR_ERR_GNUTLS_ERROR, DRV_ERROR_UNREACHABLE},
    {VIR_ERR_AUTH_FAILED, DRV_ERROR_DENIED},
    {VIR_ERR_AUTH_CANCELLED, DRV_ERROR_DENIED},
    {VIR_ERR_AUTH_UNAVAILABLE, DRV_ERROR_DENIED},
    {VIR_ERR_ACCESS_DENIED, DRV_ERROR_DENIED},
    {VIR_ERR_OPERATION_DENIED, DRV_ERROR_DENIED},
    {VIR_ERR_OPERATION_ABORTED, DRV_ERROR_CANCELLED},
    {VIR_ERR_OPERATION_INVALID, DRV_ERROR_CONFLICT}, /* "domain is not running", "already active" */
    {VIR_ERR_OPERATION_TIMEOUT, DRV_ERROR_CONFLICT}, /* another job keeps the domain */
    {VIR_ERR_DOM_EXIST, DRV_ERROR_CONFLICT},
    {VIR_ERR_RESOURCE_BUSY, DRV_ERROR_CONFLICT},
    {VIR_ERR_BLOCK_COPY_ACTIVE, DRV_ERROR_CONFLICT},
    {VIR_ERR_OPERATION_UNSUPPORTED, DRV_ERROR_REFUSED},
    {VIR_ERR_ARGUMENT_UNSUPPORTED, DRV_ERROR_REFUSED},
    {VIR_ERR_CONFIG_UNSUPPORTED, DRV_ERROR_REFUSED},
    {VIR_ERR_CPU_INCOMPATIBLE, DRV_ERROR_REFUSED},
    {VIR_ERR_MIGRATE_UNSAFE, DRV_ERROR_REFUSED},
    {VIR_ERR_NO_SUPPORT, DRV_ERROR_REFUSED},
    {VIR_ERR_INVALID_ARG, DRV_ERROR_INVALID},
    {VIR_ERR_XML_ERROR, DRV_ERROR_INVALID},
};

drv_error_code drv_hyper_error_code(int code, int domain)
{
    /* The client's own socket: "Cannot recv data: Connection reset by peer", "client socket is
     * closed", "received hangup event on socket". */
    if ((domain == VIR_FROM_RPC || domain == VIR_FROM_REMOTE) &&
        (code == VIR_ERR_SYSTEM_ERROR || code == VIR_ERR_INTERNAL_ERROR))
        return DRV_ERROR_UNREACHABLE;
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (kinds[i].libvirt == code)
            return kinds[i].ours;
    return DRV_ERROR_FAILED;
}

void drv_hyper_set_error(GError **error, virErrorPtr reason, const char *fmt, ...)
{
    drv_error_code code = reason ? drv_hyper_error_code(reason->code, reason->domain) : DRV_ERROR_FAILED;
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, fmt);
    what = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error(error, DRV_ERROR, code, "%s: %s", what,
                reason && reason->message ? reason->message : "libvirt gave no reason");
    if (reason)
        virFreeError(reason);
}
