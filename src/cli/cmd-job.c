/* SPDX-License-Identifier: Apache-2.0 */
/* drover jobs, job, cancel, reconcile. */
#include "cli/cmd-job.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/display.h"
#include "cli/moving.h"
#include "cli/operating.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/units.h"
#include "hyper/gerror.h"

#define WATCH_EVERY_US 1000000
#define HOME_AND_CLEAR "\033[H\033[J"

/* From @from of the job to @to, or to now while that has not come. NULL: it has not begun. */
static char *lasted(json_object *job, const char *from, const char *to)
{
    guint64 begin, end;

    if (!drv_show_get_number(job, from, &begin) || !begin)
        return NULL;
    if (!to || !drv_show_get_number(job, to, &end) || !end)
        end = (guint64)drv_clock_real_ms();
    return drv_units_duration(end > begin ? end - begin : 0);
}

/* An ended job's state is how it ended. */
static char *state(json_object *job)
{
    return drv_json_bool(job, "ended") && !drv_json_string(job, "kind", NULL) ? g_strdup(drv_report_outcome(job))
                                                                              : drv_show_text(job, "state");
}

static char *percent(json_object *job)
{
    guint64 value;

    return drv_show_get_number(drv_json_object(job, "progress"), "percent", &value)
               ? g_strdup_printf("%u %%", (unsigned)MIN(value, 100))
               : NULL;
}

static int show_jobs(drv_cli *cli, json_object *answer)
{
    static const char *const heads[] = {"ID", "STATE", "VM", "FROM", "TO", ">PERCENT", ">AGE", ">TOOK", NULL};
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *list = drv_json_array(answer, "jobs");

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        drv_table_add(table, drv_show_text(one, "id"));
        drv_table_add(table, state(one));
        if (drv_json_string(one, "kind", NULL)) {
            drv_table_add(table, drv_show_text(one, "kind"));
            drv_table_add(table, drv_show_text(one, "node"));
            drv_table_add(table, NULL);
        } else {
            drv_table_add(table, drv_show_text(one, "vm"));
            drv_table_add(table, drv_show_text(one, "source"));
            drv_table_add(table, drv_show_text(one, "target"));
        }
        drv_table_add(table, percent(one));
        drv_table_add(table, lasted(one, "created_ms", NULL));
        drv_table_add(table, lasted(one, "started_ms", "ended_ms"));
    }
    return drv_cli_show_list(cli, answer, table);
}

/* The newest revision of all, and how many there are: what has changed shows in it. */
static gint64 newest(json_object *answer)
{
    json_object *list = drv_json_array(answer, "jobs");
    gint64 revision = (gint64)drv_json_length(list);

    for (gsize i = 0; i < drv_json_length(list); i++)
        revision += drv_json_int(json_object_array_get_idx(list, i), "revision", 0);
    return revision;
}

/* Until it is interrupted: on a terminal in place, elsewhere whenever something has changed. */
static int watch(drv_cli *cli, GError **error)
{
    gboolean live = !cli->json && drv_display_mode_for(cli->out) == DRV_DISPLAY_LIVE;
    gint64 shown = -1;

    for (;;) {
        g_autoptr(GError) reason = NULL;
        g_autoptr(json_object) answer = drv_cli_call(cli, "GET", "/v1/jobs", NULL, &reason);

        if (!answer && !g_error_matches(reason, DRV_ERROR, DRV_ERROR_UNREACHABLE)) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return -1;
        }
        if (!answer) {
            if (shown != 0)
                drv_cli_message(cli, "droverd does not answer (%s), trying again", reason->message);
            shown = 0;
        } else if (live || newest(answer) != shown) {
            shown = newest(answer);
            if (live)
                fputs(HOME_AND_CLEAR, cli->out);
            show_jobs(cli, answer);
            if (fflush(cli->out) != 0)
                return DRV_EXIT_DONE; /* nobody reads any more */
        }
        g_usleep(WATCH_EVERY_US);
    }
}

int drv_cmd_jobs(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) answer = NULL;

    if (drv_args_has(args, "watch"))
        return watch(cli, error);
    answer = drv_cli_call(cli, "GET", "/v1/jobs", NULL, error);
    return answer ? show_jobs(cli, answer) : -1;
}

static void print_field(FILE *out, const char *name, const char *value)
{
    g_autofree char *clean = drv_text_clean(value && *value ? value : "-");

    fprintf(out, "%-10s%s\n", name, clean);
}

static char *when(json_object *job, const char *key)
{
    guint64 ms;
    g_autoptr(GDateTime) time = NULL;

    if (!drv_show_get_number(job, key, &ms) || !ms)
        return NULL;
    time = g_date_time_new_from_unix_local((gint64)(ms / 1000));
    return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : NULL;
}

static void print_choice(FILE *out, const char *whose, json_object *commands)
{
    g_autofree char *head = g_strdup_printf("\nTo keep the copy on %s:", whose);

    if (!commands || !json_object_array_length(commands))
        return;
    fprintf(out, "%s\n", head);
    for (size_t i = 0; i < json_object_array_length(commands); i++) {
        g_autofree char *clean = drv_text_clean(json_object_get_string(json_object_array_get_idx(commands, i)));

        fprintf(out, "  %s\n", clean);
    }
}

/* What is where, and the two ways out. */
static void print_attention(FILE *out, json_object *job)
{
    json_object *facts = drv_json_object(job, "attention");
    g_autofree char *source = drv_show_text(job, "source");
    g_autofree char *target = drv_show_text(job, "target");
    g_autofree char *at_source = g_strdup_printf("%s on %s", drv_json_string(facts, "source", "unknown"), source);
    g_autofree char *at_target = g_strdup_printf("%s on %s%s", drv_json_string(facts, "target", "unknown"), target,
                                                 drv_json_bool(facts, "resumed") ? ", where it has run" : "");

    print_field(out, "source", at_source);
    print_field(out, "target", at_target);
    if (g_strcmp0(drv_json_string(facts, "source", ""), "absent") != 0)
        print_choice(out, source, drv_json_array(facts, "keep_source"));
    if (g_strcmp0(drv_json_string(facts, "target", ""), "absent") != 0)
        print_choice(out, target, drv_json_array(facts, "keep_target"));
    fprintf(out, "\nThen: drover reconcile %s\n", drv_json_string(job, "id", "ID"));
}

/* "preparing 0.4 s, copying memory 7.1 s, finishing 0.2 s" */
static char *times(json_object *job)
{
    json_object *states = drv_json_array(job, "states");
    g_autoptr(GString) text = g_string_new(NULL);

    for (gsize i = 0; i + 1 < drv_json_length(states); i++) {
        json_object *one = json_object_array_get_idx(states, i), *next = json_object_array_get_idx(states, i + 1);
        gint64 ms = drv_json_int(next, "at_ms", 0) - drv_json_int(one, "at_ms", 0);
        g_autofree char *took = drv_units_duration((guint64)MAX(ms, 0));
        g_auto(GStrv) words = g_strsplit(drv_json_string(one, "state", "?"), "-", -1);
        g_autofree char *name = g_strjoinv(" ", words);

        g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", name, took);
    }
    return g_strdup(text->str);
}

static void print_job(FILE *out, json_object *job)
{
    g_autofree char *current = state(job);
    g_autofree char *done = percent(job);
    g_autofree char *progress = g_strjoin(", ", current, done, NULL);
    g_autofree char *source = drv_show_text(job, "source");
    g_autofree char *target = drv_show_text(job, "target");
    g_autofree char *move = g_strdup_printf("%s to %s", source, target);
    g_autofree char *created = when(job, "created_ms");
    g_autofree char *took = lasted(job, "started_ms", "ended_ms");
    g_autofree char *spent = times(job);

    print_field(out, "job", drv_json_string(job, "id", NULL));
    print_field(out, "VM", drv_json_string(job, "vm", NULL));
    print_field(out, "UUID", drv_json_string(job, "uuid", NULL));
    print_field(out, "from, to", move);
    print_field(out, "state", progress);
    if (drv_json_bool(job, "cancel_requested") && !drv_json_bool(job, "ended"))
        print_field(out, "", "asked to be cancelled");
    if (drv_json_string(job, "waits_for", NULL))
        print_field(out, "waits for", drv_json_string(job, "waits_for", NULL));
    print_field(out, "plan", drv_json_string(job, "plan", NULL));
    print_field(out, "created", created);
    print_field(out, "took", took);
    if (*spent)
        print_field(out, "of that", spent);
    if (drv_report_error(job))
        print_field(out, "error", drv_report_error(job));
    if (drv_json_object(job, "attention"))
        print_attention(out, job);
    if (drv_json_object(job, "report")) {
        fputc('\n', out);
        drv_report_print(out, job);
    }
}

int drv_cmd_job(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *id = drv_args_operand(args, 0);
    g_autofree char *path = drv_cli_path("/v1/jobs/", id, "");
    g_autoptr(json_object) job = NULL;

    if (drv_args_has(args, "follow") && drv_operating_is(id))
        return drv_operating_follow(cli, id, FALSE, error);
    if (drv_args_has(args, "follow"))
        return drv_moving_follow(cli, id, FALSE, FALSE);
    job = drv_cli_call(cli, "GET", path, NULL, error);
    if (!job)
        return -1;
    if (cli->json)
        drv_cli_print_json(cli, job);
    else if (drv_operating_is(id))
        drv_operating_print(cli->out, job);
    else
        print_job(cli->out, job);
    return DRV_EXIT_DONE;
}

static int act(drv_cli *cli, const drv_args *args, const char *action, const char *said, GError **error)
{
    const char *id = drv_args_operand(args, 0);
    g_autofree char *path = drv_cli_path("/v1/jobs/", id, action);
    g_autoptr(json_object) job = drv_cli_call(cli, "POST", path, NULL, error);

    if (!job)
        return -1;
    if (cli->json)
        drv_cli_print_json(cli, job);
    else
        drv_cli_message(cli, "%s %s", id, said);
    return DRV_EXIT_DONE;
}

int drv_cmd_job_pause(drv_cli *cli, const drv_args *args, GError **error)
{
    return act(cli, args, "/pause", "begins no further moves; what moves goes on to its end", error);
}

int drv_cmd_job_resume(drv_cli *cli, const drv_args *args, GError **error)
{
    return act(cli, args, "/resume", "goes on", error);
}

int drv_cmd_cancel(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *id = drv_args_operand(args, 0);
    g_autofree char *path = drv_cli_path("/v1/jobs/", id, "/cancel");
    g_autoptr(json_object) job = drv_cli_call(cli, "POST", path, NULL, error);

    if (!job)
        return -1;
    if (cli->json)
        drv_cli_print_json(cli, job);
    else if (!drv_json_bool(job, "cancel_repeated"))
        drv_cli_message(cli, "%s is asked to end; “drover job %s --follow” shows its end", id, id);
    else if (drv_operating_is(id))
        drv_cli_message(cli,
                        "%s was cancelled before, and ends what still moves; “drover job %s --follow” shows "
                        "its end",
                        id, id);
    else
        drv_cli_message(cli,
                        "%s was cancelled before, and %s is being rolled back to %s already; “drover job %s "
                        "--follow” shows its end",
                        id, drv_json_string(job, "vm", "its VM"), drv_json_string(job, "source", "its source"), id);
    return DRV_EXIT_DONE;
}

/* Transfer full; NULL on failure. */
static json_object *reconcile(drv_cli *cli, const char *id, GError **error)
{
    g_autofree char *path = drv_cli_path("/v1/jobs/", id, "/reconcile");
    json_object *job = drv_cli_call(cli, "POST", path, NULL, error);

    if (job && !cli->json)
        drv_cli_message(
            cli, drv_json_bool(job, "ended") ? "job %s is over: nothing to settle" : "job %s is being looked at again",
            id);
    return job;
}

int drv_cmd_reconcile(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *id = drv_args_operand(args, 0);
    g_autoptr(json_object) all = NULL;
    g_autoptr(json_object) looked = json_object_new_array();
    json_object *list = NULL, *job;

    if (id) {
        job = reconcile(cli, id, error);
        if (!job)
            return -1;
        json_object_array_add(looked, job);
    } else {
        all = drv_cli_call(cli, "GET", "/v1/jobs", NULL, error);
        if (!all)
            return -1;
        list = drv_json_array(all, "jobs");
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        if (g_strcmp0(drv_json_string(one, "state", ""), "needs-attention") != 0)
            continue;
        job = reconcile(cli, drv_json_string(one, "id", ""), error);
        if (!job)
            return -1;
        json_object_array_add(looked, job);
    }
    if (cli->json)
        drv_cli_print_json(cli, looked);
    else if (!json_object_array_length(looked))
        drv_cli_message(cli, "no move needs attention");
    if (all)
        drv_cli_warn_unreachable(cli, all);
    return DRV_EXIT_DONE;
}
