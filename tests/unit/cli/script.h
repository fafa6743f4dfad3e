/* SPDX-License-Identifier: Apache-2.0 */
/* A droverd that answers from a test's function, and a drover that is run into strings. */
#pragma once

#include "cli/cli.h"

typedef struct script script;

/* Any thread, one call at a time. Return as drv_cli_api's call. @nth: counts from 1. */
typedef json_object *(*script_func)(script *s, guint nth, const char *method, const char *path, json_object *body,
                                    GError **error);

struct script {
    drv_cli_api base;
    script_func func;
    gpointer data;
    GMutex lock; /* guards what follows */
    GCond changed;
    guint calls;
    guint mark;   /* a test's own, see script_mark() */
    GString *log; /* "GET /v1/vms\n"… */
    gboolean freed;
};

/** script_new() - for drv_cli_main() or drv_follow(), which free() it by setting freed. */
script *script_new(script_func func, gpointer data);
/** script_done() - waits until nobody uses it any more, then frees it. */
void script_done(script *s);
/** script_mark() - let those go on who wait for at least @mark. */
void script_mark(script *s, guint mark);
void script_wait(script *s, guint mark);
gboolean script_saw(script *s, const char *request);

/** script_json() - from a text with ' for ". Transfer full. */
json_object *script_json(const char *text);
json_object *script_fail(GError **error, int code, const char *message);

/* One run of drover. */
typedef struct {
    int code;
    char *out;
    char *err;
} outcome;

/** script_run() - @line: arguments, split at blanks; @func may be NULL for runs that ask nothing.
 */
outcome script_run(script_func func, gpointer data, const char *line);
void outcome_clear(outcome *o);
