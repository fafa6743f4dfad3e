/* SPDX-License-Identifier: Apache-2.0 */
/* The one door from the commands to droverd, so that tests can answer in its place. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "cli/args.h"

typedef struct drv_cli_api drv_cli_api;

struct drv_cli_api {
    /* As drv_client_call(). Any thread, several at a time. */
    json_object *(*call)(drv_cli_api *api, const char *method, const char *path, json_object *body, guint timeout_ms,
                         GError **error);
    /* "host:port" for messages; borrowed. */
    const char *(*server)(drv_cli_api *api);
    void (*free)(drv_cli_api *api);
    int refs; /* atomic; 1 when made */
};

/* A thread that is still in a call keeps it until it has returned. */
drv_cli_api *drv_cli_api_ref(drv_cli_api *api);
void drv_cli_api_unref(drv_cli_api *api);

/**
 * drv_cli_api_new() - the real one, over HTTPS, as --server, --token-file, --credential,
 * --ca and the environment say.
 */
drv_cli_api *drv_cli_api_new(const drv_args *args, GError **error);
