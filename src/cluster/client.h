/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of droverd's REST: the command line is one, and so is every node when it
 * calls another. Any thread; several calls may run at the same time, each on a
 * connection of its own that is kept for the next one.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "hyper/gerror.h"

typedef struct drv_client drv_client;

/* All may be NULL. Strings are copied. */
typedef struct {
    /*
     * "HOST", "HOST:PORT", "[IPV6]:PORT"; NULL: this node's own droverd. HOST is an IP
     * address or a name that resolves; the first label of a name must be the node's.
     */
    const char *server;
    const char *etc_dir;   /* where the identity is; NULL: DRV_ETC_DIR */
    const char *ca_file;   /* NULL: ca.crt of etc_dir, else what the token vouches for */
    const char *cert_file; /* NULL: node.crt of etc_dir; for a person operator.crt first */
    gboolean person;       /* for a person: operator.crt of etc_dir first, renewed if that can be done here, then
                              operator.token */
    const char *key_file;
    const char *token;  /* an operator's bearer token; no certificate is used then */
    guint patience_ms;  /* of calls without a time limit; 0: 8 s */
    gboolean anonymous; /* no credentials at all: only for POST /v1/join; needs @ca_file */
} drv_client_options;

/**
 * drv_client_new() - find the credentials. Connects only if the token has to vouch for the authority.
 * DRV_ERROR_DENIED: no credentials can be read (says which and what to do);
 * DRV_ERROR_INVALID: malformed @server or token.
 */
drv_client *drv_client_new(const drv_client_options *options, GError **error);
void drv_client_free(drv_client *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_client, drv_client_free)

/** drv_client_server() - "host:port" for messages. Borrowed. */
const char *drv_client_server(drv_client *client);

/* The caller's id of a request, a UUID: by it GET /v1/requests/ID says what the request is waiting for. */
#define DRV_REQUEST_HEADER "Drover-Request"

/** drv_client_wait_func - called now and then while the server works. @what: what it waits for; may be NULL. */
typedef void (*drv_client_wait_func)(const char *what, gpointer data);
/** drv_client_on_wait() - for calls without a time limit. To be set before them; called in their threads. */
void drv_client_on_wait(drv_client *client, drv_client_wait_func func, gpointer data);

/**
 * drv_client_call() - one request. Blocks for up to @timeout_ms. 0: as long as the server, asked every 8 s,
 * says that it is alive.
 * @path: with the query, escaped ("/v1/jobs/h1-7?after=3&wait_ms=20000")
 * @body: borrowed, NULL for none
 * A node that sends us to another one for this (307) is obeyed if the other one is of the same cluster.
 * A request that was sent on a kept connection which the server had just closed is sent
 * once more; what must not happen twice has to be safe against that at the server.
 * Return: the answer (transfer full, an object), or NULL and @error: the server's own
 * (code and message as it sent them; DRV_ERROR_DENIED when it does not know us), or
 * DRV_ERROR_UNREACHABLE with what to do about it.
 */
json_object *drv_client_call(drv_client *client, const char *method, const char *path, json_object *body,
                             guint timeout_ms, GError **error);

/**
 * drv_client_event_func - one event of a stream. @data_object is borrowed.
 * Return: FALSE to end the stream.
 */
typedef gboolean (*drv_client_event_func)(const char *event, json_object *data_object, gpointer user_data);

/**
 * drv_client_stream() - GET an event stream and call @func, in this thread, for each event.
 * Return: TRUE when the server ended it or @func did; FALSE and @error when it broke.
 */
gboolean drv_client_stream(drv_client *client, const char *path, drv_client_event_func func, gpointer user_data,
                           GError **error);

/*
 * For src/api only: a call to a node that is known by name. @name is what its
 * certificate must say, @address where it is, @pin its key (drv_pki_pin()) or NULL.
 */
json_object *drv_client_call_node(drv_client *client, const char *name, const char *address, guint16 port,
                                  const char *pin, const char *method, const char *path, json_object *body,
                                  guint timeout_ms, GError **error);
