/* SPDX-License-Identifier: Apache-2.0 */
/* What operators may ask about the cluster's store: how it is, and to move it. */
#pragma once

#include "cluster/cluster.h"
#include "serve/serve.h"

/** drv_store_calls_status() - GET /v1/store: of where it is kept, with what this node has to say about it. */
json_object *drv_store_calls_status(drv_cluster *cluster, drv_context *run, GError **error);

/**
 * drv_store_calls_move() - POST /v1/store/move {"to", "ca", "cert", "key"}: @to is etcd://… or "sqlite".
 * → {"where", "documents"}. Done by the founder.
 */
json_object *drv_store_calls_move(drv_cluster *cluster, json_object *body, GError **error);
