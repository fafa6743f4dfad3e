/* SPDX-License-Identifier: Apache-2.0 */
/*
 * droverd's face to the network: the door on port 7443, and behind it the REST server.
 * docs/rest.rst says what it answers, docs/security.rst to whom.
 */
#pragma once

#include "cluster/cluster.h"
#include "serve/serve.h"

typedef struct drv_api drv_api;

typedef struct {
    drv_cluster *cluster; /* borrowed, as is run; both outlive the drv_api */
    drv_context *run;
    const char *address; /* to listen on; NULL: any */
    guint16 port;        /* 0: any free one */
} drv_api_config;

/** drv_api_new() - listen; nothing is answered yet. DRV_ERROR_CONFLICT: the port is taken, says by whom. */
drv_api *drv_api_new(const drv_api_config *config, GError **error);
/** drv_api_set_run() - what was not known when the port was taken; before drv_api_start(). */
void drv_api_set_run(drv_api *api, drv_context *run);
/** drv_api_start() - answer from now on. */
gboolean drv_api_start(drv_api *api, GError **error);
guint16 drv_api_port(drv_api *api);
/** drv_api_free() - accept no more, let what is being answered be answered (a second or so), close. */
void drv_api_free(drv_api *api);
