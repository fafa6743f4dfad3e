/* SPDX-License-Identifier: Apache-2.0 */
/* Which kind of trouble libvirt's errors are. */
#include "hyper/connection.h"
#include "hyper/error.h"

static void test_codes(void)
{
    static const struct {
        int code, domain;
        drv_error_code kind;
    } cases[] = {
        {VIR_ERR_NO_DOMAIN, VIR_FROM_QEMU, DRV_ERROR_NOT_FOUND},
        {VIR_ERR_NO_CONNECT, VIR_FROM_REMOTE, DRV_ERROR_UNREACHABLE},
        {VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC, DRV_ERROR_UNREACHABLE},   /* connection reset */
        {VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, DRV_ERROR_UNREACHABLE}, /* client socket is closed */
        {VIR_ERR_SYSTEM_ERROR, VIR_FROM_QEMU, DRV_ERROR_FAILED},
        {VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU, DRV_ERROR_FAILED},
        {VIR_ERR_OPERATION_ABORTED, VIR_FROM_QEMU, DRV_ERROR_CANCELLED},
        {VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU, DRV_ERROR_CONFLICT},
        {VIR_ERR_MIGRATE_UNSAFE, VIR_FROM_QEMU, DRV_ERROR_REFUSED},
        {VIR_ERR_ACCESS_DENIED, VIR_FROM_ACCESS, DRV_ERROR_DENIED},
        {VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU, DRV_ERROR_FAILED},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(drv_hyper_error_code(cases[i].code, cases[i].domain), ==, cases[i].kind);
}

static void test_names(void)
{
    for (int code = 0; code < DRV_ERROR_CODES; code++)
        g_assert_cmpint(drv_error_code_from_name(drv_error_code_name(code)), ==, code);
    g_assert_cmpint(drv_error_code_from_name("no such"), ==, DRV_ERROR_FAILED);
    g_assert_cmpint(drv_error_code_from_name(NULL), ==, DRV_ERROR_FAILED);
    g_assert_cmpstr(drv_error_code_name(99), ==, "failed");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hyper/error/codes", test_codes);
    g_test_add_func("/hyper/error/names", test_names);
    return g_test_run();
}
