/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How good predictions are, of a file of bench/predict: as they were made, and as this build's model makes
 * them of the same facts, with the history of the same moves in the same order.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plan/accuracy.h"
#include "plan/estimate-json.h"
#include "plan/history.h"

#define MOST_OF_VM 16
#define MOST_OF_LINK 64
/* Lines so far apart are of two runs, each of which knew nothing of the other. */
#define ANOTHER_RUN_S 45.0
#define LINK_BOUND 0.65

static const char *const groups[] = {"all", "seen_before", "never_seen"};
static const char *const figures[] = {"time_ms", "wire_bytes", "pause_ms"};

static double get(json_object *object, const char *key)
{
    json_object *value = json_object_object_get(object, key);

    return value ? 100 * json_object_get_double(value) : NAN;
}

static void print(const char *what, json_object *jobs)
{
    g_autoptr(json_object) accuracy = drv_plan_accuracy(jobs);

    printf("%s\n  %-12s %-11s %6s %8s %8s %10s\n", what, "VMs", "figure", "moves", "median", "p90", "above p90");
    for (gsize g = 0; g < G_N_ELEMENTS(groups); g++)
        for (gsize f = 0; f < G_N_ELEMENTS(figures); f++) {
            json_object *score = drv_json_object(drv_json_object(accuracy, groups[g]), figures[f]);

            printf("  %-12s %-11s %6d %6.1f %% %6.1f %% %8.1f %%\n", groups[g], figures[f],
                   (int)drv_json_int(score, "moves", 0), get(score, "median_error"), get(score, "p90_error"),
                   get(score, "over_p90"));
        }
}

/* The document of a VM or of a link, as far as it has been learnt. */
static json_object *known(GHashTable *documents, const char *key)
{
    json_object *document = g_hash_table_lookup(documents, key);

    if (!document) {
        document = json_object_new_object();
        g_hash_table_insert(documents, g_strdup(key), document);
    }
    return document;
}

static void put_json(gpointer object)
{
    json_object_put(object);
}

/* The line's report, with what this build would have said. */
static json_object *again(json_object *line, GHashTable *documents, gboolean verbose)
{
    json_object *report = drv_json_copy(drv_json_object(line, "report"));
    json_object *vm = known(documents, drv_json_string(line, "vm", "?"));
    json_object *link = known(documents, "");
    g_autoptr(json_object) model = NULL;
    g_autoptr(json_object) entry = NULL;
    drv_estimate_input in = {0};
    drv_estimate estimate;

    drv_estimate_input_read(&in, drv_json_object(line, "expects"));
    in.vm = drv_history_of(drv_json_array(vm, "moves"));
    in.pair = drv_history_of(drv_json_array(link, "moves"));
    in.handover_ms = drv_history_handover_ms(drv_json_array(link, "moves"));
    in.fixed_ms = drv_history_fixed_ms(drv_json_array(link, "moves"));
    drv_plan_estimate(&in, &estimate);
    model = drv_history_model(&estimate);
    if (verbose)
        printf("%-6s t%d %4d Mbit/s d%-2d c%-2d time %6d: %6d p90 %6d fixed %5d: %5d copy %6d: %6.0f "
               "wire %6.1f: %6.1f model %6.1f pause %4d: %4d rounds %2d: %2d link %5.1f: %5.1f\n",
               drv_json_string(line, "vm", "?"), (int)drv_json_int(line, "turn", 0), (int)drv_json_int(line, "rate", 0),
               (int)drv_json_int(line, "dirty", 0), (int)drv_json_int(line, "compress", 0),
               (int)drv_json_int(report, "total_ms", 0), (int)estimate.time_ms.p50, (int)estimate.time_ms.p90,
               (int)drv_json_int(report, "fixed_ms", 0), (int)estimate.fixed_ms,
               (int)drv_json_int(report, "copy_ms", 0), estimate.model_copy_ms,
               (double)drv_json_int(report, "wire_bytes", 0) / 1e6, (double)estimate.wire_bytes.p50 / 1e6,
               estimate.model_wire_bytes / 1e6, (int)drv_json_int(report, "pause_ms", 0), (int)estimate.pause_ms.p50,
               (int)drv_json_int(report, "rounds", 0), (int)estimate.rounds,
               (double)drv_json_int(report, "link_bps", 0) / 1e6, (double)in.link_bps / 1e6);
    drv_json_set(report, "predicted", drv_estimate_json(&estimate));
    drv_json_set_bool(report, "seen_before", in.vm.moves > 0);
    entry = drv_history_entry(report, model, 0);
    if (entry) {
        drv_history_add(vm, entry, MOST_OF_VM);
        drv_history_add(link, entry, MOST_OF_LINK);
    }
    return report;
}

/* Whether the link was the limit: it carried so much of what it was set to while there was something to send. */
static gboolean filled_link(json_object *line)
{
    json_object *report = drv_json_object(line, "report");
    double copy_s = (double)drv_json_int(report, "copy_ms", 0) / 1000;
    double link_bps = (double)drv_json_int(line, "rate", 0) * 1e6 / 8;

    return copy_s > 0 && (double)drv_json_int(report, "wire_bytes", 0) / copy_s >= LINK_BOUND * link_bps;
}

static void add(json_object *jobs, json_object *report)
{
    json_object *job = json_object_new_object();

    drv_json_set(job, "report", report);
    json_object_array_add(jobs, job);
}

/* Lines @from to @to of all. */
static int read_moves(const char *name, guint from, guint to, gboolean verbose)
{
    g_autoptr(GHashTable) documents = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, put_json);
    g_autoptr(json_object) said = json_object_new_array();
    g_autoptr(json_object) anew = json_object_new_array();
    g_autoptr(json_object) said_bound = json_object_new_array();
    g_autoptr(json_object) anew_bound = json_object_new_array();
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) error = NULL;
    double before_s = 0;

    if (!g_file_get_contents(name, &text, NULL, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_autoptr(json_object) line = *lines[i] ? drv_json_parse(lines[i], "a line", NULL) : NULL;
        g_autoptr(json_object) report = NULL;
        json_object *at = line ? json_object_object_get(line, "at") : NULL;

        if (!line || !drv_json_object(line, "report"))
            continue;
        if (at && json_object_get_double(at) - before_s > ANOTHER_RUN_S)
            g_hash_table_remove_all(documents);
        before_s = at ? json_object_get_double(at) : 0;
        if (i < from || i >= to)
            continue;
        report = again(line, documents, verbose);
        add(anew, json_object_get(report));
        add(said, json_object_get(drv_json_object(line, "report")));
        if (filled_link(line)) {
            add(anew_bound, json_object_get(report));
            add(said_bound, json_object_get(drv_json_object(line, "report")));
        }
    }
    print("as it was said", said);
    print("as it was said, moves that filled their link", said_bound);
    print("as this build says", anew);
    print("as this build says, moves that filled their link", anew_bound);
    return 0;
}

int main(int argc, char **argv)
{
    gboolean verbose = argc > 1 && g_str_equal(argv[1], "-v");
    int at = verbose ? 2 : 1;

    if (argc <= at) {
        fprintf(stderr, "usage: bench-predict [-v] FILE [FROM [TO]]\n");
        return 2;
    }
    return read_moves(argv[at], argc > at + 1 ? (guint)g_ascii_strtoull(argv[at + 1], NULL, 10) : 0,
                      argc > at + 2 ? (guint)g_ascii_strtoull(argv[at + 2], NULL, 10) : G_MAXUINT, verbose);
}
