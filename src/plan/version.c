/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of QEMU as numbers: see version.h. */
#include "plan/version.h"

guint64 drv_version_number(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ".", 4);
    guint64 number = 0;

    if (!parts[0] || !g_ascii_isdigit(*parts[0]))
        return 0;
    for (guint i = 0; i < 3; i++)
        number = number * 1000 + (i < g_strv_length(parts) ? MIN(g_ascii_strtoull(parts[i], NULL, 10), 999) : 0);
    return number;
}
