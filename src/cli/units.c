/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, sizes and rates as people write and read them: see units.h. */
#include "cli/units.h"

#include <string.h>

#include "hyper/gerror.h"

typedef struct {
    const char *name;
    double factor;
} unit;

static const unit durations[] = {
    {"ms", 1}, {"s", 1e3}, {"sec", 1e3}, {"m", 60e3}, {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3},
};

/* Bytes a second. */
static const unit rates[] = {
    {"bit", 1 / 8.0}, {"kbit", 1e3 / 8}, {"mbit", 1e6 / 8}, {"gbit", 1e9 / 8},   {"b", 1}, {"kb", 1e3}, {"mb", 1e6},
    {"gb", 1e9},      {"kib", 1024},     {"mib", 1048576},  {"gib", 1073741824},
};

static gboolean parse(const char *text, const unit *units, gsize count, const char *what, const char *example,
                      guint64 *result, GError **error)
{
    char *end = NULL;
    gsize digits = strspn(text, "0123456789.");
    g_autofree char *figure = g_strndup(text, digits);
    g_autofree char *suffix = g_strchug(g_ascii_strdown(text + digits, -1));
    double number = g_ascii_isdigit(text[0]) ? g_ascii_strtod(figure, &end) : -1;

    /* "50MB/s", "500mbit/s" and "500mbit/s": the /s says nothing new. */
    if (units == rates && g_str_has_suffix(suffix, "/s"))
        suffix[strlen(suffix) - 2] = '\0';
    for (gsize i = 0; end && !*end && i < count; i++) {
        if (!g_str_equal(units[i].name, suffix))
            continue;
        number *= units[i].factor;
        if (!(number >= 1 && number < 9e15))
            break;
        *result = (guint64)(number + 0.5);
        return TRUE;
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "“%s” is not %s; write it like %s", text, what, example);
    return FALSE;
}

gboolean drv_units_parse_duration(const char *text, guint64 *ms, GError **error)
{
    return parse(text, durations, G_N_ELEMENTS(durations), "a time", "200ms, 30s, 5m or 1h", ms, error);
}

gboolean drv_units_parse_rate(const char *text, guint64 *bps, GError **error)
{
    return parse(text, rates, G_N_ELEMENTS(rates), "a rate", "500mbit, 1gbit or 80MiB/s", bps, error);
}

char *drv_units_duration(guint64 ms)
{
    guint64 s = (ms + 500) / 1000;

    if (ms < 1000)
        return g_strdup_printf("%" G_GUINT64_FORMAT " ms", ms);
    if (ms < 59950)
        return g_strdup_printf("%.1f s", (double)ms / 1000);
    if (s < 3600)
        return g_strdup_printf("%" G_GUINT64_FORMAT " min %" G_GUINT64_FORMAT " s", s / 60, s % 60);
    if (s < 86400)
        return g_strdup_printf("%" G_GUINT64_FORMAT " h %" G_GUINT64_FORMAT " min", s / 3600, s % 3600 / 60);
    return g_strdup_printf("%" G_GUINT64_FORMAT " d %" G_GUINT64_FORMAT " h", s / 86400, s % 86400 / 3600);
}

char *drv_units_bytes(guint64 bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes / 1024;
    gsize i = 0;

    if (bytes < 1024)
        return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
    /* 1023.6 would be printed as 1024. */
    for (; value >= 1023.5 && i + 1 < G_N_ELEMENTS(names); i++)
        value /= 1024;
    return g_strdup_printf(value < 9.95 ? "%.1f %s" : "%.0f %s", value, names[i]);
}

char *drv_units_rate(guint64 bps)
{
    g_autofree char *bytes = drv_units_bytes(bps);

    return g_strconcat(bytes, "/s", NULL);
}
