/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/events: jobs as they change, as a text/event-stream. */
#pragma once

#include <microhttpd.h>

#include "api/collector.h"
#include "serve/serve.h"

/* Whether whoever watches still may. Asked from the stream's own thread. */
typedef struct {
    gboolean (*still)(gpointer data);
    gint64 (*ends_ms)(gpointer data); /* when that ends by itself (real time); G_MAXINT64: never */
    gpointer data;
} drv_events_access;

/**
 * drv_events_response() - a response that ends when the job does (@job not NULL), when the
 * client goes, when it may not watch any more, or when *@stopping becomes true. Runs in its
 * connection's thread.
 * @run, @collector, @stopping, and @access's data: borrowed until the response is destroyed
 */
struct MHD_Response *drv_events_response(drv_context *run, drv_collector *collector, const char *job,
                                         const drv_events_access *access, const volatile gint *stopping);
