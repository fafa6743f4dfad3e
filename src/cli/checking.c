/* SPDX-License-Identifier: Apache-2.0 */
/* What a dry run found: see checking.h. */
#include "cli/checking.h"

#include <langinfo.h>

#include "cli/predicted.h"
#include "cli/table.h"

static gboolean is_status(json_object *check, const char *status)
{
    return g_str_equal(drv_json_string(check, "status", ""), status);
}

static json_object *first_step(json_object *plan)
{
    json_object *steps = drv_json_array(plan, "steps");

    return drv_json_length(steps) ? json_object_array_get_idx(steps, 0) : NULL;
}

/* The word alone where the terminal may not show the sign. */
static char *status_text(json_object *check)
{
    static const struct {
        const char *status, *sign;
    } signs[] = {{"ok", "✓"}, {"warning", "!"}, {"problem", "✗"}, {"skipped", "-"}};
    const char *status = drv_json_string(check, "status", "?");
    gboolean utf8 = g_str_equal(nl_langinfo(CODESET), "UTF-8");

    for (gsize i = 0; utf8 && i < G_N_ELEMENTS(signs); i++)
        if (g_str_equal(signs[i].status, status))
            return g_strdup_printf("%s %s", signs[i].sign, status);
    return g_strdup(status);
}

static void print_row(drv_cli *cli, json_object *check, int status_width, int title_width)
{
    g_autofree char *raw_status = status_text(check);
    g_autofree char *status = drv_text_clean(raw_status);
    g_autofree char *title = drv_text_clean(drv_json_string(check, "title", drv_json_string(check, "name", "?")));
    g_autofree char *message = drv_text_clean(drv_json_string(check, "message", ""));
    const char *remedy = drv_json_string(check, "remedy", NULL);

    fprintf(cli->out, "%s%*s  %s%*s  %s\n", status, MAX(0, status_width - drv_text_width(status)), "", title,
            MAX(0, title_width - drv_text_width(title)), "", message);
    if (remedy) {
        g_autofree char *clean = drv_text_clean(remedy);

        fprintf(cli->out, "%*s  %*s  to do: %s\n", status_width, "", title_width, "", clean);
    }
}

static void print_table(drv_cli *cli, json_object *checks)
{
    int status_width = 0, title_width = 0;

    for (gsize i = 0; i < drv_json_length(checks); i++) {
        json_object *check = json_object_array_get_idx(checks, i);
        g_autofree char *status = status_text(check);
        const char *title = drv_json_string(check, "title", drv_json_string(check, "name", "?"));

        status_width = MAX(status_width, drv_text_width(status));
        title_width = MAX(title_width, drv_text_width(title));
    }
    for (gsize i = 0; i < drv_json_length(checks); i++)
        print_row(cli, json_object_array_get_idx(checks, i), status_width, title_width);
}

static void print_end(drv_cli *cli, json_object *step, gboolean ok, guint problems)
{
    g_autofree char *vm = drv_text_clean(drv_json_string(step, "vm", "it"));
    g_autofree char *source = drv_text_clean(drv_json_string(step, "source", "?"));
    g_autofree char *target = drv_text_clean(drv_json_string(step, "target", "?"));

    if (g_str_equal(source, target)) /* storage alone */
        fprintf(cli->out, ok ? "the disks of %s can move\n" : "the disks of %s cannot move: ", vm);
    else if (ok)
        fprintf(cli->out, "%s can move from %s to %s\n", vm, source, target);
    else
        fprintf(cli->out, "%s cannot move to %s: ", vm, target);
    if (!ok)
        fprintf(cli->out, problems == 1 ? "%u problem\n" : "%u problems\n", problems);
}

static json_object *report(const char *vm, const char *source, const char *target, gboolean ok, json_object *checks)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "vm", vm);
    drv_json_set_string(object, "source", source);
    drv_json_set_string(object, "target", target);
    drv_json_set_bool(object, "ok", ok);
    drv_json_set(object, "checks", checks ? json_object_get(checks) : json_object_new_array());
    return object;
}

/* Without one the checks are worth something all the same. */
static void print_prediction(drv_cli *cli, json_object *step)
{
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) problem = NULL;

    fflush(cli->out);
    drv_json_set(body, "step", json_object_get(step));
    answer = drv_cli_call(cli, "POST", "/v1/predictions", body, &problem);
    if (answer)
        drv_predicted_print(cli->out, drv_json_object(answer, "predicted"));
    else
        drv_cli_message(cli, "there is no prediction: %s", problem->message);
}

int drv_checking_show(drv_cli *cli, json_object *plan)
{
    json_object *step = first_step(plan);
    json_object *checks = drv_json_array(plan, "checks");
    gboolean ok = g_str_equal(drv_json_string(plan, "state", ""), "ready");
    guint problems = 0;

    for (gsize i = 0; i < drv_json_length(checks); i++)
        problems += is_status(json_object_array_get_idx(checks, i), "problem");
    if (cli->json) {
        g_autoptr(json_object) object = report(drv_json_string(step, "vm", NULL), drv_json_string(step, "source", NULL),
                                               drv_json_string(step, "target", NULL), ok, checks);
        json_object *predicted = drv_json_object(step, "predicted");

        drv_json_set(object, "predicted", json_object_get(predicted));
        drv_cli_print_json(cli, object);
    } else {
        print_table(cli, checks);
        print_end(cli, step, ok, problems);
        if (step && ok && !g_str_equal(drv_json_string(step, "action", ""), "move-storage"))
            print_prediction(cli, step);
    }
    return ok ? DRV_EXIT_DONE : DRV_EXIT_REFUSED;
}

json_object *drv_checking_failed(const char *vm, const char *target, const GError *why)
{
    json_object *object = report(vm, NULL, target, FALSE, NULL);

    drv_json_set_string(object, "error", why->message);
    return object;
}

void drv_checking_warn(drv_cli *cli, json_object *plan)
{
    json_object *checks = drv_json_array(plan, "checks");

    for (gsize i = 0; i < drv_json_length(checks); i++) {
        json_object *check = json_object_array_get_idx(checks, i);
        const char *remedy = drv_json_string(check, "remedy", NULL);

        if (is_status(check, "warning"))
            drv_cli_message(cli, "warning: %s%s%s", drv_json_string(check, "message", "?"), remedy ? ": " : "",
                            remedy ? remedy : "");
    }
}
