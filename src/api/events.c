/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event stream: see events.h.
 *
 * One job is waited for where it runs (a long poll), so its changes come at once. All
 * jobs of all nodes are looked at by the collector, for everybody who watches.
 */
#include "api/events.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "model/json.h"
#include "serve/view.h"

#define LOOK_MS 1000
#define COMMENT_MS 15000 /* so that a client that has gone is noticed, and proxies stay awake */

typedef struct {
    drv_context *run;
    char *job;
    drv_collector *collector; /* NULL with @job */
    drv_events_access access;
    const volatile gint *stopping;
    guint64 seen;
    GString *pending;
    gsize sent;
    gint64 revision;
    gint64 last_ms;
    gboolean started;
    gboolean over;
} events;

static void add_event(events *state, const char *name, json_object *data)
{
    g_string_append_printf(state->pending, "event: %s\ndata: %s\n\n", name,
                           json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN));
}

static void add_error(events *state, const GError *error)
{
    json_object *data = json_object_new_object();
    g_autofree char *message = g_utf8_make_valid(error->message, -1);

    drv_json_set_string(data, "code", drv_error_code_name(error->code));
    drv_json_set_string(data, "message", message);
    add_event(state, "error", data);
    json_object_put(data);
    state->over = TRUE;
}

static void look_at_one(events *state)
{
    g_autoptr(GError) error = NULL;
    json_object *job = drv_serve_job(state->run, state->job, state->revision, LOOK_MS, &error);

    if (!job) {
        add_error(state, error);
        return;
    }
    if (drv_json_int(job, "revision", 0) > state->revision) {
        state->revision = drv_json_int(job, "revision", 0);
        add_event(state, "job", job);
    }
    state->over = json_object_get_boolean(json_object_object_get(job, "ended"));
    json_object_put(job);
}

/* Until something changes, or it is time for a comment or for the end. */
static void look_at_all(events *state)
{
    g_autoptr(GError) error = NULL;
    gint64 ends_ms = state->access.ends_ms(state->access.data);
    gint64 left_ms = MIN(COMMENT_MS, ends_ms == G_MAXINT64 ? ends_ms : ends_ms - drv_clock_real_ms());

    if (!drv_collector_wait(state->collector, &state->seen, g_get_monotonic_time() + MAX(left_ms, 0) * 1000,
                            state->pending, &error))
        add_error(state, error);
}

static ssize_t read_events(void *data, uint64_t at, char *buffer, size_t most)
{
    events *state = data;
    gsize part;

    while (state->sent == state->pending->len) {
        if (state->over || g_atomic_int_get(state->stopping) || !state->access.still(state->access.data))
            return MHD_CONTENT_READER_END_OF_STREAM;
        g_string_truncate(state->pending, 0);
        state->sent = 0;
        if (state->job)
            look_at_one(state);
        else
            look_at_all(state);
        if (!state->started || (!state->pending->len && drv_clock_ms() - state->last_ms >= COMMENT_MS))
            g_string_append(state->pending, ": here\n\n");
        state->started = TRUE;
    }
    state->last_ms = drv_clock_ms();
    part = MIN(most, state->pending->len - state->sent);
    memcpy(buffer, state->pending->str + state->sent, part);
    state->sent += part;
    return (ssize_t)part;
}

static void events_free(void *data)
{
    events *state = data;

    if (state->collector)
        drv_collector_leave(state->collector);
    g_string_free(state->pending, TRUE);
    g_free(state->job);
    g_free(state);
}

struct MHD_Response *drv_events_response(drv_context *run, drv_collector *collector, const char *job,
                                         const drv_events_access *access, const volatile gint *stopping)
{
    events *state = g_new0(events, 1);
    struct MHD_Response *response;

    state->run = run;
    state->job = g_strdup(job);
    state->stopping = stopping;
    state->revision = -1;
    state->last_ms = drv_clock_ms();
    state->access = *access;
    if (!job) {
        state->collector = collector;
        drv_collector_join(collector);
    }
    state->pending = g_string_new(NULL);
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_events, state, events_free);
    if (!response) {
        events_free(state);
        return NULL;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    return response;
}
