/* SPDX-License-Identifier: Apache-2.0 */
/* drover token create, list, revoke. */
#include "cli/cmd-token.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/paths.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/units.h"
#include "cluster/operators.h"
#include "hyper/gerror.h"

#define FINGERPRINT_TEXT 64 /* hex digits of a SHA-256 */

/* How long until @key of @token, "-" when unknown. */
static char *until(json_object *token, const char *key)
{
    guint64 then, now = (guint64)drv_clock_real_ms();

    if (!drv_show_get_number(token, key, &then))
        return g_strdup("-");
    return then > now ? drv_units_duration(then - now) : g_strdup("expired");
}

int drv_cmd_token_create(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *name = drv_args_text(args, "operator");
    guint64 ttl_ms = drv_args_has(args, "ttl") ? drv_args_number(args, "ttl") : 3600000;
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    g_autofree char *left = NULL;
    const char *token;

    json_object_object_add(body, "kind", json_object_new_string(name ? "operator" : "join"));
    json_object_object_add(body, "ttl_s", json_object_new_int64((gint64)((ttl_ms + 999) / 1000)));
    if (name)
        json_object_object_add(body, "name", json_object_new_string(name));
    answer = drv_cli_call(cli, "POST", "/v1/tokens", body, error);
    if (!answer)
        return -1;
    token = drv_json_string(answer, "token", NULL);
    if (!token) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "droverd answered without a token");
        return -1;
    }
    if (cli->json) {
        drv_cli_print_json(cli, answer);
        return DRV_EXIT_DONE;
    }
    left = until(answer, "expires_ms");
    if (name)
        drv_cli_message(cli, "a token for operator %s, good for %s; it is not shown again:", name, left);
    else
        drv_cli_message(cli, "a token for one host to join with, good for %s; it is not shown again:", left);
    fprintf(cli->out, "%s\n", token);
    return DRV_EXIT_DONE;
}

int drv_cmd_token_list(drv_cli *cli, const drv_args *args, GError **error)
{
    static const char *const heads[] = {"ID", "KIND", "NAME", "LEFT", NULL};
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", "/v1/tokens", NULL, error);
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *list = drv_json_array(answer, "tokens");

    if (!answer)
        return -1;
    if (cli->json) {
        drv_cli_print_json(cli, answer);
        return DRV_EXIT_DONE;
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        drv_table_add(table, drv_show_text(one, "id"));
        drv_table_add(table, drv_show_text(one, "kind"));
        drv_table_add(table, drv_show_text(one, "name"));
        drv_table_add(table, until(one, "expires_ms"));
    }
    drv_table_print(table, cli->out);
    return DRV_EXIT_DONE;
}

/* This host's own, if that is the one: the next command makes another where the authority's key is. */
static void forget_own(const char *fingerprint)
{
    static const char *const files[] = {DRV_ETC_DIR "/operator.key", DRV_ETC_DIR "/operator.crt"};
    g_autofree char *own = drv_operator_fingerprint(files[1], NULL);

    for (guint i = 0; i < G_N_ELEMENTS(files) && !g_strcmp0(own, fingerprint); i++)
        unlink(files[i]);
}

/* @what: 64 hex digits, or the file of a certificate. */
static int revoke_certificate(drv_cli *cli, const char *what, GError **error)
{
    g_autofree char *fingerprint =
        strlen(what) == FINGERPRINT_TEXT && !strchr(what, '/') ? g_strdup(what) : drv_operator_fingerprint(what, error);
    g_autofree char *path = fingerprint ? drv_cli_path("/v1/operators/", fingerprint, "") : NULL;
    g_autoptr(json_object) answer = path ? drv_cli_call(cli, "DELETE", path, NULL, error) : NULL;

    if (!answer)
        return -1;
    forget_own(fingerprint);
    if (cli->json)
        drv_cli_print_json(cli, answer);
    else
        drv_cli_message(cli, "the operator's key %s and its certificates are good for nothing from now on",
                        fingerprint);
    return DRV_EXIT_DONE;
}

int drv_cmd_token_revoke(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *id = drv_args_operand(args, 0);

    if (strchr(id, '/') || g_str_has_suffix(id, ".crt") || strlen(id) == FINGERPRINT_TEXT)
        return revoke_certificate(cli, id, error);
    return drv_cli_delete(cli, args, "/v1/tokens/", "token", "is good for nothing from now on", error);
}
