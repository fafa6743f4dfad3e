/* SPDX-License-Identifier: Apache-2.0 */
/* What droverd answers: one table of method, path, who may, and the function. */
#pragma once

#include "api/connections.h"
#include "cluster/cluster.h"
#include "model/working.h"
#include "serve/serve.h"

typedef struct {
    drv_cluster *cluster;
    drv_context *run;
    drv_working *working;          /* what requests wait for */
    const volatile gint *stopping; /* != 0: whoever waits should come back soon */
} drv_routes_context;

/* A request, whole. Borrowed by the handler. */
typedef struct {
    const drv_routes_context *context;
    const char *method;
    const char *path;                                     /* decoded, without the query */
    const char *raw_query;                                /* "a=1&b=2", or "" */
    const char *(*query)(gpointer data, const char *key); /* decoded, or NULL */
    gpointer query_data;
    guint roles;         /* DRV_MAY() of each that whoever asks has */
    const char *caller;  /* name of the node or operator; "" for nobody */
    const char *token;   /* id of the operator's token that was shown, or NULL */
    const char *address; /* where it comes from */
    json_object *body;   /* an object, or NULL */
    char *part;          /* what stands for the * of the pattern */
    char *location;      /* receives where to ask instead, with status 307; transfer full */
} drv_request;

#define DRV_ROUTES_EVENTS "/v1/events"

/** drv_routes_open() - may anybody, without having authenticated, ask this? */
gboolean drv_routes_open(const char *method, const char *path);

/**
 * drv_routes_may() - may whoever has these roles ask this? A path that is not known is not refused by it.
 * DRV_ERROR_DENIED says who may.
 */
gboolean drv_routes_may(const char *method, const char *path, guint roles, GError **error);

/**
 * drv_routes_at() - the table itself, for tests: the pattern of its @i-th route, NULL behind the last one.
 * @method: receives NULL for any; @who: DRV_MAY() of each role that may
 */
const char *drv_routes_at(guint i, const char **method, guint *who);

/**
 * drv_routes_answer() - find the route, check who may, do it. May block for as long as
 * a long poll. Return: the answer (transfer full) or NULL and @error; @status receives
 * the HTTP status in both cases.
 */
json_object *drv_routes_answer(drv_request *request, guint *status, GError **error);

/** drv_routes_status() - the HTTP status of an error. */
guint drv_routes_status(const GError *error);

/** drv_routes_error_body() - {"error":{"code","message"}}. Transfer full. */
json_object *drv_routes_error_body(const GError *error);
