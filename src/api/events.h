/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/events: jobs as they change, as a text/event-stream. */
#pragma once

#include <microhttpd.h>

#include "run/run.h"

/**
 * drv_events_response() - a response that ends when the job does (@job not NULL), when the
 * client goes or when *@stopping becomes true. Runs in its connection's thread.
 * @run, @stopping: borrowed until the response is destroyed
 */
struct MHD_Response *drv_events_response(drv_run *run, const char *job,
                                         const volatile gint *stopping);
