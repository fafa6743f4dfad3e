/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following a job to its end. Theory of operation: a thread asks droverd (a long poll at
 * a time) and puts each answer on a queue; this thread waits for that queue, for
 * signals and for the next try, in one poll(). So a key press is answered at once,
 * whatever the network does, and a droverd that restarts is merely asked again.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "cli/api.h"
#include "cli/progress.h"

typedef struct {
    drv_cli_api *api;     /* borrowed */
    const char *job;      /* its id */
    drv_display *display; /* borrowed */
    gboolean cancels;     /* the first Ctrl-C asks for it to be cancelled; else it stops waiting */
    guint wait_ms;        /* of one long poll; 0: 25 s */
    guint retry_ms;       /* before the first new try, doubled up to 3 s; 0: 200 ms */
    guint patience_ms;    /* how long droverd may be away; 0: 3 minutes */
} drv_follow_options;

typedef enum {
    DRV_FOLLOW_ENDED, /* the job has ended */
    DRV_FOLLOW_LEFT,  /* a person no longer wants to wait; the job goes on */
    DRV_FOLLOW_LOST,  /* droverd did not come back (the error is set); the job may go on */
    DRV_FOLLOW_ERROR, /* droverd will not tell: no such job, denied (the error is set) */
} drv_follow_end;

/**
 * drv_follow() - show a job's progress until it ends. Takes SIGINT, SIGTERM, SIGHUP, SIGWINCH
 * and SIGTSTP for its time; call it from the main thread.
 * @job: receives the job as last seen (transfer full), NULL if it never was
 * @error: set for LOST and ERROR only
 */
drv_follow_end drv_follow(const drv_follow_options *options, json_object **job, GError **error);
