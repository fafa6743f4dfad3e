/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of several steps, and operations: see operating.h. */
#include "cli/operating.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/table.h"
#include "cli/units.h"
#include "hyper/gerror.h"

#define WAIT_MS 10000
#define PATIENCE_MS 180000
#define RETRY_US 500000

gboolean drv_operating_is(const char *id)
{
    return g_str_has_prefix(id, "op-");
}

void drv_operating_limits_add(const drv_args *args, json_object *goal)
{
    static const struct {
        const char *option, *member;
    } known[] = {{"per-node", "per_node"}, {"per-link", "per_link"}, {"budget", "bandwidth_bps"}};
    json_object *limits = json_object_new_object();

    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (drv_args_has(args, known[i].option))
            drv_json_set_int(limits, known[i].member, (gint64)drv_args_number(args, known[i].option));
    drv_json_set(goal, "limits", limits);
}

static void print_refused(FILE *out, json_object *list)
{
    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);
        g_autofree char *vm = drv_text_clean(drv_json_string(one, "vm", "?"));
        g_autofree char *message = drv_text_clean(drv_json_string(one, "message", "?"));
        g_autofree char *remedy = drv_text_clean(drv_json_string(one, "remedy", ""));

        fprintf(out, "%s cannot go: %s%s%s\n", vm, message, *remedy ? "; to do: " : "", remedy);
    }
}

/* "#0 #2": what has to be over before. */
static char *after_text(json_object *step)
{
    json_object *after = drv_json_array(step, "after");
    g_autoptr(GString) text = g_string_new(NULL);

    for (gsize i = 0; i < drv_json_length(after); i++)
        g_string_append_printf(text, "%s#%d", text->len ? " " : "",
                               json_object_get_int(json_object_array_get_idx(after, i)));
    return text->len ? g_strdup(text->str) : NULL;
}

static char *predicted(json_object *object, const char *key)
{
    json_object *of = drv_json_object(drv_json_object(object, "predicted"), key);

    return of ? drv_show_duration(of, "p50") : NULL;
}

static char *predicted_bytes(json_object *object)
{
    json_object *of = drv_json_object(drv_json_object(object, "predicted"), "wire_bytes");

    return of ? drv_show_bytes(of, "p50") : NULL;
}

static void print_whole(FILE *out, json_object *plan)
{
    g_autofree char *time = predicted(plan, "time_ms");
    g_autofree char *pause = predicted(plan, "longest_pause_ms");
    g_autofree char *bytes = predicted_bytes(plan);
    guint64 together;

    if (drv_show_get_number(plan, "side_by_side", &together))
        fprintf(out, "at most %u side by side\n", (unsigned)together);
    if (time)
        fprintf(out, "all of it: about %s, %s on the wire, no pause longer than about %s\n", time, bytes ? bytes : "-",
                pause ? pause : "-");
}

void drv_operating_print_plan(FILE *out, json_object *plan)
{
    static const char *const heads[] = {"#", "VM", "FROM", "TO", ">MEMORY", "AFTER", ">TIME", ">PAUSE", ">BYTES", NULL};
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *steps = drv_json_array(plan, "steps");

    for (gsize i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);

        drv_table_add(table, drv_show_number(step, "index"));
        drv_table_add(table, drv_show_text(step, "vm"));
        drv_table_add(table, drv_show_text(step, "source"));
        drv_table_add(table, drv_show_text(step, "target"));
        drv_table_add(table, drv_show_bytes(step, "memory_bytes"));
        drv_table_add(table, after_text(step));
        drv_table_add(table, predicted(step, "time_ms"));
        drv_table_add(table, predicted(step, "pause_ms"));
        drv_table_add(table, predicted_bytes(step));
    }
    if (drv_json_length(steps))
        drv_table_print(table, out);
    else
        fprintf(out, "nothing has to move\n");
    print_refused(out, drv_json_array(plan, "refused"));
    print_whole(out, plan);
}

static char *step_state(json_object *step)
{
    guint64 percent;

    if (g_str_equal(drv_json_string(step, "state", ""), "running") && drv_show_get_number(step, "percent", &percent))
        return g_strdup_printf("running, %u %%", (unsigned)percent);
    return drv_show_text(step, "state");
}

static char *took(json_object *object)
{
    guint64 from, to;

    if (!drv_show_get_number(object, "started_ms", &from) || !from)
        return NULL;
    if (!drv_show_get_number(object, "ended_ms", &to) || !to)
        to = (guint64)drv_clock_real_ms();
    return drv_units_duration(to > from ? to - from : 0);
}

static void print_head(FILE *out, json_object *operation)
{
    g_autofree char *id = drv_show_text(operation, "id");
    g_autofree char *kind = drv_show_text(operation, "kind");
    g_autofree char *node = drv_show_text(operation, "node");
    g_autofree char *state = drv_show_text(operation, "state");
    g_autofree char *time = took(operation);
    guint64 percent = 0;

    drv_show_get_number(drv_json_object(operation, "progress"), "percent", &percent);
    fprintf(out, "%s: %s of %s, %s%s, %u %%, %s\n", id, kind, node, state,
            drv_json_bool(operation, "cancel_requested") && !drv_json_bool(operation, "ended")
                ? " (asked to be cancelled)"
                : "",
            (unsigned)percent, time ? time : "-");
}

void drv_operating_print(FILE *out, json_object *operation)
{
    static const char *const heads[] = {"#", "VM", "FROM", "TO", "STATE", "JOB", ">TOOK", "WHY", NULL};
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *steps = drv_json_array(operation, "steps");

    print_head(out, operation);
    for (gsize i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);

        drv_table_add(table, drv_show_number(step, "index"));
        drv_table_add(table, drv_show_text(step, "vm"));
        drv_table_add(table, drv_show_text(step, "source"));
        drv_table_add(table, drv_show_text(step, "target"));
        drv_table_add(table, step_state(step));
        drv_table_add(table, drv_show_text(step, "job"));
        drv_table_add(table, took(step));
        drv_table_add(table, drv_show_text(step, "why"));
    }
    if (drv_json_length(steps))
        drv_table_print(table, out);
    print_refused(out, drv_json_array(operation, "refused"));
}

gboolean drv_operating_agreed(drv_cli *cli, const char *question, gboolean yes, GError **error)
{
    char answer[16];

    if (yes)
        return TRUE;
    if (cli->json || !isatty(STDIN_FILENO) || !isatty(fileno(cli->err))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "%s There is no terminal to ask on: say --yes if it shall be done", question);
        return FALSE;
    }
    fflush(cli->out);
    fprintf(cli->err, "%s [y/N] ", question);
    fflush(cli->err);
    if (!fgets(answer, sizeof answer, stdin))
        answer[0] = '\0';
    g_strstrip(answer);
    return g_ascii_strcasecmp(answer, "y") == 0 || g_ascii_strcasecmp(answer, "yes") == 0;
}

/* One line for each step that is in another state than before. */
static void say_changes(drv_cli *cli, GHashTable *seen, json_object *operation)
{
    json_object *steps = drv_json_array(operation, "steps");

    for (gsize i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        const char *why = drv_json_string(step, "why", NULL);
        const char *state = drv_json_string(step, "state", "?");
        const char *job = drv_json_string(step, "job", NULL);
        g_autofree char *now = g_strdup_printf("%s %s %s", state, job ? job : "", why ? why : "");
        const char *before = g_hash_table_lookup(seen, GSIZE_TO_POINTER(i));
        g_autofree char *time = took(step);

        if (before ? g_str_equal(before, now) : g_str_equal(state, "waiting") && !why)
            continue;
        g_hash_table_insert(seen, GSIZE_TO_POINTER(i), g_steal_pointer(&now));
        if (g_str_equal(state, "running") && !job && !why)
            continue;
        drv_cli_message(cli, "%s to %s: %s%s%s%s%s%s%s", drv_json_string(step, "vm", "?"),
                        drv_json_string(step, "target", "?"), state,
                        g_str_equal(state, "running") && job ? ", job " : "",
                        g_str_equal(state, "running") && job ? job : "", g_str_equal(state, "done") ? ", " : "",
                        g_str_equal(state, "done") && time ? time : "", why ? ": " : "", why ? why : "");
    }
}

static int exit_of(json_object *operation)
{
    const char *state = drv_json_string(operation, "state", "");

    if (g_str_equal(state, "done"))
        return DRV_EXIT_DONE;
    if (g_str_equal(state, "cancelled"))
        return DRV_EXIT_CANCELLED;
    return g_str_equal(drv_json_string(operation, "error_code", ""), "refused") ? DRV_EXIT_REFUSED : DRV_EXIT_FAILED;
}

int drv_operating_follow(drv_cli *cli, const char *id, gboolean quiet, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    gint64 revision = -1, gone_ms = 0;
    g_autoptr(json_object) operation = NULL;

    while (!operation || !drv_json_bool(operation, "ended")) {
        g_autofree char *query =
            g_strdup_printf("?after=%" G_GINT64_FORMAT "&wait_ms=%d", revision, revision < 0 ? 0 : WAIT_MS);
        g_autofree char *plain = drv_cli_path("/v1/jobs/", id, "");
        g_autofree char *path = g_strconcat(plain, revision < 0 ? "" : query, NULL);
        g_autoptr(GError) problem = NULL;
        json_object *next = drv_cli_call(cli, "GET", path, NULL, &problem);

        if (!next) {
            gint64 now_ms = drv_clock_ms();

            if ((problem->code != DRV_ERROR_UNREACHABLE && problem->code != DRV_ERROR_FAILED) ||
                (gone_ms && now_ms - gone_ms > PATIENCE_MS)) {
                g_propagate_error(error, g_steal_pointer(&problem));
                return -1;
            }
            if (!gone_ms) {
                drv_cli_message(cli, "droverd does not answer (%s); it goes on, trying again", problem->message);
                gone_ms = now_ms;
            }
            g_usleep(RETRY_US);
            continue;
        }
        gone_ms = 0;
        json_object_put(operation);
        operation = next;
        revision = drv_json_int(operation, "revision", revision);
        if (!quiet)
            say_changes(cli, seen, operation);
    }
    if (cli->json)
        drv_cli_print_json(cli, operation);
    else
        drv_operating_print(cli->out, operation);
    if (drv_json_string(operation, "error", NULL))
        drv_cli_message(cli, "%s", drv_json_string(operation, "error", NULL));
    return exit_of(operation);
}
