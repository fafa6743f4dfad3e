/* SPDX-License-Identifier: Apache-2.0 */
/* One run of drover: from arguments to an exit code. See cli.h. */
#include "cli/cli.h"

#include <errno.h>
#include <string.h>

#include "cli/help.h"
#include "cli/table.h"
#include "drv-config.h"
#include "hyper/gerror.h"

drv_cli_api *drv_cli_api_get(drv_cli *cli, GError **error)
{
    if (!cli->api)
        cli->api = drv_cli_api_new(cli->args, error);
    return cli->api;
}

json_object *drv_cli_call(drv_cli *cli, const char *method, const char *path, json_object *body, GError **error)
{
    drv_cli_api *api = drv_cli_api_get(cli, error);

    return api ? api->call(api, method, path, body, 0, error) : NULL;
}

void drv_cli_print_json(drv_cli *cli, json_object *object)
{
    fprintf(cli->out, "%s\n",
            json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                       JSON_C_TO_STRING_NOSLASHESCAPE));
}

void drv_cli_message(drv_cli *cli, const char *fmt, ...)
{
    va_list ap;
    g_autofree char *text = NULL;
    g_autofree char *clean = NULL;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    clean = drv_text_clean(text);
    fprintf(cli->err, "drover: %s\n", clean);
}

void drv_cli_warn_unreachable(drv_cli *cli, json_object *answer)
{
    json_object *list = drv_json_array(answer, "unreachable");

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);
        g_autofree char *node = drv_show_text(one, "node");
        const char *message = drv_show_reason(drv_json_string(one, "message", NULL), node);

        drv_cli_message(cli, "warning: node %s does not answer, what it has is missing here%s%s", node,
                        message ? ": " : "", message ? message : "");
    }
}

int drv_cli_show_list(drv_cli *cli, json_object *answer, const drv_table *table)
{
    if (cli->json)
        drv_cli_print_json(cli, answer);
    else
        drv_table_print(table, cli->out);
    drv_cli_warn_unreachable(cli, answer);
    return DRV_EXIT_DONE;
}

char *drv_cli_path(const char *prefix, const char *id, const char *suffix)
{
    g_autofree char *escaped = g_uri_escape_string(id, NULL, FALSE);

    return g_strconcat(prefix, escaped, suffix, NULL);
}

int drv_cli_delete(drv_cli *cli, const drv_args *args, const char *prefix, const char *kind, const char *fate,
                   GError **error)
{
    const char *id = drv_args_operand(args, 0);
    g_autofree char *path = drv_cli_path(prefix, id, "");
    g_autoptr(json_object) answer = drv_cli_call(cli, "DELETE", path, NULL, error);

    if (!answer)
        return -1;
    if (cli->json)
        drv_cli_print_json(cli, answer);
    else
        drv_cli_message(cli, "%s %s %s", kind, id, fate);
    return DRV_EXIT_DONE;
}

char *drv_cli_read_secret(const char *file, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *text = NULL;
    char *end;

    /* Not through stdio: nothing of a secret is left in its buffers. */
    if (!g_file_get_contents(g_str_equal(file, "-") ? "/dev/stdin" : file, &text, NULL, &local)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the token cannot be read: %s", local->message);
        return NULL;
    }
    end = strpbrk(text, "\r\n");
    if (end)
        *end = '\0';
    if (!*g_strstrip(text)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s: there is no token in it", file);
        return NULL;
    }
    return g_steal_pointer(&text);
}

/* A run that ends before a command does: help, or a usage error. -1: there is a command to run. */
static int without_command(const drv_args *args, drv_cli *cli)
{
    gboolean help = drv_args_has(args, "help");

    if (drv_args_has(args, "version") && !args->command) {
        fprintf(cli->out, "drover %s\n", DRV_VERSION);
        return DRV_EXIT_DONE;
    }
    if (args->command && !help)
        return -1;
    if (args->command)
        drv_help_command(cli->out, args->command);
    else if (args->group)
        drv_help_group(help ? cli->out : cli->err, args->group);
    else
        drv_help_overview(help ? cli->out : cli->err);
    return help ? DRV_EXIT_DONE : DRV_EXIT_USAGE;
}

int drv_cli_main(int argc, char *const *argv, FILE *out, FILE *err, drv_cli_api *api)
{
    drv_cli cli = {.out = out, .err = err, .api = api};
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_args) args = drv_args_parse(argc, argv, &error);
    int code = -1;

    if (!args) {
        drv_cli_message(&cli, "%s", error->message);
        code = DRV_EXIT_USAGE;
        goto out;
    }
    cli.args = args;
    cli.json = drv_args_has(args, "json");
    code = without_command(args, &cli);
    if (code >= 0)
        goto out;
    code = args->command->run(&cli, args, &error);
    if (code < 0) {
        code = (int)drv_exit_from_error(error);
        drv_cli_message(&cli, "%s", error->message);
        if (cli.json) {
            g_autoptr(json_object) object = drv_show_error(error);

            drv_cli_print_json(&cli, object);
        }
    }
out:
    drv_cli_api_unref(cli.api);
    /* A full disk or a closed pipe must not look like success. */
    if ((fflush(out) != 0 || ferror(out)) && code == DRV_EXIT_DONE) {
        drv_cli_message(&cli, "the result could not be written: %s", g_strerror(errno));
        code = DRV_EXIT_FAILED;
    }
    return code;
}
