/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of numbers: see ranges.h. */
#include "plan/ranges.h"

#include <string.h>

#define SIZE (DRV_RANGES_MOST + 1)

static gboolean parse(const char *text, guint8 *set)
{
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ",", -1);

    memset(set, 0, SIZE);
    for (guint i = 0; parts[i]; i++) {
        const char *part = g_strstrip(parts[i]);
        gboolean without = *part == '^';
        guint64 first, last;
        char *end;

        if (without)
            part++;
        if (!g_ascii_isdigit(*part))
            return FALSE;
        first = last = g_ascii_strtoull(part, &end, 10);
        if (*end == '-') {
            if (!g_ascii_isdigit(end[1]))
                return FALSE;
            last = g_ascii_strtoull(end + 1, &end, 10);
        }
        if (*end || last < first || first > DRV_RANGES_MOST)
            return FALSE;
        memset(set + first, !without, (gsize)(MIN(last, DRV_RANGES_MOST) - first + 1));
    }
    return TRUE;
}

static void read_set(const char *text, guint8 *set)
{
    if (!parse(text, set))
        memset(set, 0, SIZE);
}

char *drv_ranges_missing(const char *wanted, const char *available)
{
    g_autofree guint8 *want = g_malloc(SIZE);
    g_autofree guint8 *have = g_malloc(SIZE);
    g_autoptr(GString) text = g_string_new(NULL);

    read_set(wanted, want);
    read_set(available, have);
    for (guint i = 0; i < SIZE; i++) {
        guint last = i;

        if (!want[i] || have[i])
            continue;
        while (last + 1 < SIZE && want[last + 1] && !have[last + 1])
            last++;
        g_string_append_printf(text, last > i ? "%s%u-%u" : "%s%u", text->len ? "," : "", i, last);
        i = last;
    }
    return text->len ? g_strdup(text->str) : NULL;
}

gboolean drv_ranges_has(const char *set, guint number)
{
    g_autofree guint8 *have = g_malloc(SIZE);

    read_set(set, have);
    return number < SIZE && have[number];
}
