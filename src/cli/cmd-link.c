/* SPDX-License-Identifier: Apache-2.0 */
/* drover link list, probe. */
#include "cli/cmd-link.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/units.h"

static const char *const heads[] = {"FROM", "TO", ">RATE", ">ROUND TRIP", ">MEASURED", "BY", NULL};

static char *rate_text(json_object *link)
{
    guint64 bps;

    return drv_show_get_number(link, "rate_bps", &bps) ? drv_units_rate(bps) : NULL;
}

static char *round_trip_text(json_object *link)
{
    guint64 us;

    return drv_show_get_number(link, "rtt_us", &us) && us ? g_strdup_printf("%.2f ms", (double)us / 1000) : NULL;
}

static char *ago_text(json_object *link)
{
    guint64 ms;
    g_autofree char *text = NULL;

    if (!drv_show_get_number(link, "measured_ms", &ms))
        return NULL;
    text = drv_units_duration((guint64)MAX(drv_clock_real_ms() - (gint64)ms, 0) / 1000 * 1000);
    return g_strdup_printf("%s ago", text);
}

static void add_row(drv_table *table, json_object *link)
{
    drv_table_add(table, drv_show_text(link, "from"));
    drv_table_add(table, drv_show_text(link, "to"));
    drv_table_add(table, rate_text(link));
    drv_table_add(table, round_trip_text(link));
    drv_table_add(table, ago_text(link));
    drv_table_add(table, drv_show_text(link, "by"));
}

int drv_cmd_link_list(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", "/v1/links", NULL, error);
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *list = drv_json_array(answer, "links");

    if (!answer)
        return -1;
    for (gsize i = 0; i < drv_json_length(list); i++)
        add_row(table, json_object_array_get_idx(list, i));
    return drv_cli_show_list(cli, answer, table);
}

int drv_cmd_link_probe(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) wish = json_object_new_object();
    g_autoptr(drv_table) table = drv_table_new(heads);
    g_autoptr(json_object) link = NULL;

    drv_json_set_string(wish, "from", drv_args_operand(args, 0));
    drv_json_set_string(wish, "to", drv_args_operand(args, 1));
    link = drv_cli_call(cli, "POST", "/v1/links/probe", wish, error);
    if (!link)
        return -1;
    add_row(table, link);
    return drv_cli_show_list(cli, link, table);
}
