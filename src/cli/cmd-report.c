/* SPDX-License-Identifier: Apache-2.0 */
/* drover report accuracy. */
#include "cli/cmd-report.h"

#include "cli/cli.h"
#include "cli/table.h"

static const char *const heads[] = {"MOVES OF VMS", "FIGURE",     ">MOVES", ">MEDIAN ERROR",
                                    ">P90 ERROR",   ">ABOVE P90", NULL};
static const struct {
    const char *key, *text;
} groups[] = {{"all", "all"}, {"seen_before", "seen before"}, {"never_seen", "never seen before"}};
static const struct {
    const char *key, *text;
} figures[] = {{"time_ms", "time"}, {"wire_bytes", "bytes"}, {"pause_ms", "pause"}};

static char *percent(json_object *score, const char *key)
{
    json_object *value = json_object_object_get(score, key);

    return value && json_object_is_type(value, json_type_double)
               ? g_strdup_printf("%.0f %%", 100 * json_object_get_double(value))
               : NULL;
}

int drv_cmd_report_accuracy(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", "/v1/accuracy", NULL, error);
    g_autoptr(drv_table) table = drv_table_new(heads);

    if (!answer)
        return -1;
    for (gsize g = 0; g < G_N_ELEMENTS(groups); g++)
        for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
            json_object *score = drv_json_object(drv_json_object(answer, groups[g].key), figures[f].key);

            drv_table_add(table, g_strdup(groups[g].text));
            drv_table_add(table, g_strdup(figures[f].text));
            drv_table_add(table, drv_show_number(score, "moves"));
            drv_table_add(table, percent(score, "median_error"));
            drv_table_add(table, percent(score, "p90_error"));
            drv_table_add(table, percent(score, "over_p90"));
        }
    return drv_cli_show_list(cli, answer, table);
}
