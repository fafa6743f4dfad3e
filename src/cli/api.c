/* SPDX-License-Identifier: Apache-2.0 */
/* From options and environment to a client of droverd: see api.h. */
#include "cli/api.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cluster/client.h"

typedef struct {
    drv_cli_api base;
    drv_client *client;
} real_api;

static json_object *real_call(drv_cli_api *api, const char *method, const char *path, json_object *body,
                              guint timeout_ms, GError **error)
{
    return drv_client_call(((real_api *)api)->client, method, path, body, timeout_ms, error);
}

static const char *real_server(drv_cli_api *api)
{
    return drv_client_server(((real_api *)api)->client);
}

static void real_free(drv_cli_api *api)
{
    drv_client_free(((real_api *)api)->client);
    g_free(api);
}

drv_cli_api *drv_cli_api_ref(drv_cli_api *api)
{
    g_atomic_int_inc(&api->refs);
    return api;
}

void drv_cli_api_unref(drv_cli_api *api)
{
    if (api && g_atomic_int_dec_and_test(&api->refs))
        api->free(api);
}

/* "operator.crt" has its key in "operator.key"; one file may also hold both. */
static char *key_beside(const char *certificate)
{
    return g_str_has_suffix(certificate, ".crt") ? g_strdup_printf("%.*skey", (int)strlen(certificate) - 3, certificate)
                                                 : g_strdup(certificate);
}

/* Not an end: a host that is busy takes its time, and it is said what it does. */
static void still_waiting(const char *what, gpointer data)
{
    g_autofree char *clean = drv_text_clean(what ? what : "droverd works on the request");

    fprintf(stderr, "drover: still waiting: %s\n", clean);
}

drv_cli_api *drv_cli_api_new(const drv_args *args, GError **error)
{
    const char *environment = g_getenv("DROVER_TOKEN");
    const char *credential = drv_args_text(args, "credential");
    g_autofree char *token = NULL;
    g_autofree char *key = NULL;
    drv_client_options options = {
        .server = drv_args_text(args, "server"),
        .ca_file = drv_args_text(args, "ca"),
        .person = TRUE,
    };
    drv_client *client;
    real_api *api;

    if (!options.server && g_getenv("DROVER_SERVER") && *g_getenv("DROVER_SERVER"))
        options.server = g_getenv("DROVER_SERVER");
    if (drv_args_has(args, "token-file")) {
        token = drv_cli_read_secret(drv_args_text(args, "token-file"), error);
        if (!token)
            return NULL;
        options.token = token;
    } else if (credential) {
        key = key_beside(credential);
        options.cert_file = credential;
        options.key_file = key;
    } else if (environment && *environment) {
        options.token = environment;
    }
    client = drv_client_new(&options, error);
    if (!client)
        return NULL;
    drv_client_on_wait(client, still_waiting, NULL);
    api = g_new0(real_api, 1);
    api->base = (drv_cli_api){.call = real_call, .server = real_server, .free = real_free, .refs = 1};
    api->client = client;
    return &api->base;
}
