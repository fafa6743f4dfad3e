/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other nodes, as the rooms above the network see them: who belongs to the
 * cluster, and a REST call to one of them. src/api implements it over HTTPS with
 * mutual authentication; tests implement it in memory.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

typedef struct {
    char *name;
    char *address; /* IP address of its droverd */
    guint16 port;
    gboolean self;
    gboolean founder; /* keeps what is kept once for the whole cluster */
} drv_member;

typedef struct {
    /* Members that are not revoked, this node included. Transfer full, of drv_member. Does not block. */
    GPtrArray *(*members)(void *data);
    /*
     * Call @path ("/v1/peer/…") on @node as this node. Blocks up to @timeout_ms.
     * Return: the answer's body (transfer full; a JSON object, empty for 204), or NULL and
     * @error: the peer's own error when it answered with one, else DRV_ERROR_UNREACHABLE.
     */
    json_object *(*call)(void *data, const char *node, const char *method, const char *path, json_object *body,
                         guint timeout_ms, GError **error);
    void *data;
} drv_peers;
