/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions as people read them: see predicted.h. */
#include "cli/predicted.h"

#include "cli/table.h"
#include "cli/units.h"

typedef char *(*unit)(guint64 value);

/* "4.2 s, at most 5.9 s in nine of ten moves" */
static char *range_text(json_object *range, unit show)
{
    guint64 p50, p90;
    g_autofree char *middle = NULL;
    g_autofree char *most = NULL;

    if (!range || !drv_show_get_number(range, "p50", &p50) || !drv_show_get_number(range, "p90", &p90))
        return NULL;
    middle = show(p50);
    most = show(p90);
    return g_strdup_printf("%s, nine of ten below %s", middle, most);
}

static void print_range(FILE *out, json_object *predicted, const char *key, const char *what, unit show)
{
    g_autofree char *text = range_text(drv_json_object(predicted, key), show);

    if (text)
        fprintf(out, "  %-13s%s\n", what, text);
}

void drv_predicted_print(FILE *out, json_object *predicted)
{
    static const struct {
        const char *verdict, *text;
    } verdicts[] = {{"converges", "it converges"},
                    {"throttle", "it converges if the guest is slowed down"},
                    {"post-copy", "it ends by post-copy"},
                    {"refuse", "it would be given up"}};
    static const struct {
        const char *basis, *text;
    } bases[] = {{"vm-history", "earlier moves of this VM"},
                 {"pair-history", "earlier moves between these nodes"},
                 {"model", "the model alone"}};
    const char *verdict, *basis;
    g_autofree char *why = NULL;

    if (!predicted)
        return;
    verdict = drv_json_string(predicted, "verdict", "?");
    basis = drv_json_string(predicted, "basis", "?");
    why = drv_text_clean(drv_json_string(predicted, "why", ""));
    for (gsize i = 0; i < G_N_ELEMENTS(verdicts); i++)
        if (g_str_equal(verdicts[i].verdict, verdict))
            fprintf(out, "predicted: %s; %s\n", verdicts[i].text, why);
    print_range(out, predicted, "time_ms", "time", drv_units_duration);
    print_range(out, predicted, "pause_ms", "pause", drv_units_duration);
    print_range(out, predicted, "wire_bytes", "on the wire", drv_units_bytes);
    for (gsize i = 0; i < G_N_ELEMENTS(bases); i++)
        if (g_str_equal(bases[i].basis, basis))
            fprintf(out, "  %-13s%s\n", "by", bases[i].text);
    if (json_object_object_get_ex(predicted, "looked", NULL) && !drv_json_bool(predicted, "looked"))
        fprintf(out, "  (from what is known: the host is too busy to look at the VM's memory and the link now)\n");
}

char *drv_predicted_beside(json_object *report)
{
    json_object *predicted = drv_json_object(report, "predicted");
    static const struct {
        const char *key;
        unit show;
    } figures[] = {{"time_ms", drv_units_duration}, {"pause_ms", drv_units_duration}, {"wire_bytes", drv_units_bytes}};
    char *text[G_N_ELEMENTS(figures)] = {NULL};
    char *all = NULL;

    for (gsize i = 0; predicted && i < G_N_ELEMENTS(figures); i++) {
        guint64 p50;

        if (drv_show_get_number(drv_json_object(predicted, figures[i].key), "p50", &p50))
            text[i] = figures[i].show(p50);
    }
    if (text[0] && text[1] && text[2])
        all = g_strdup_printf("%s, a pause of %s, %s on the wire", text[0], text[1], text[2]);
    for (gsize i = 0; i < G_N_ELEMENTS(figures); i++)
        g_free(text[i]);
    return all;
}
