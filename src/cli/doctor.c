/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of a host have found: see doctor.h. */
#include "cli/doctor.h"

void drv_finding_free(drv_finding *finding)
{
    g_free(finding->name);
    g_free(finding->message);
    g_free(finding->remedy);
    g_free(finding);
}

static void add(drv_doctor *doctor, drv_check_state state, const char *name, char *remedy, const char *fmt, va_list ap)
{
    drv_finding *finding = g_new0(drv_finding, 1);

    finding->state = state;
    finding->name = g_strdup(name);
    finding->message = g_strdup_vprintf(fmt, ap);
    finding->remedy = remedy;
    g_ptr_array_add(doctor->findings, finding);
}

void drv_doctor_ok(drv_doctor *doctor, const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(doctor, DRV_CHECK_OK, name, NULL, fmt, ap);
    va_end(ap);
}

void drv_doctor_found(drv_doctor *doctor, drv_check_state state, const char *name, char *remedy, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(doctor, state, name, remedy, fmt, ap);
    va_end(ap);
}

char *drv_doctor_path(drv_doctor *doctor, const char *path)
{
    return g_strconcat(doctor->root, path, NULL);
}
