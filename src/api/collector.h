/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jobs of all nodes as they change, for however many watch: one thread asks all nodes once a second
 * while somebody does, and none while nobody does.
 */
#pragma once

#include "serve/serve.h"

typedef struct drv_collector drv_collector;

/** drv_collector_new() - @run is borrowed. Nothing is asked yet. */
drv_collector *drv_collector_new(drv_context *run);
/** drv_collector_free() - nobody may watch any more. Waits for its thread. NULL is allowed. */
void drv_collector_free(drv_collector *collector);

/** drv_collector_join() - somebody watches from now on. Any thread, as are the rest. */
void drv_collector_join(drv_collector *collector);
void drv_collector_leave(drv_collector *collector);

/**
 * drv_collector_wait() - wait until there are changes behind @seen, and add them to @into as
 * text/event-stream; until @until (monotonic, in us) at most, or until drv_collector_wake().
 * @seen: 0 at the beginning, when all jobs are changes
 * Return: FALSE and @error when the nodes could not be asked.
 */
gboolean drv_collector_wait(drv_collector *collector, guint64 *seen, gint64 until, GString *into, GError **error);

/** drv_collector_stop() - nobody waits from now on, and nothing is asked. */
void drv_collector_stop(drv_collector *collector);

/** drv_collector_wake() - let everybody who waits come back and look whether he still may. */
void drv_collector_wake(drv_collector *collector);
