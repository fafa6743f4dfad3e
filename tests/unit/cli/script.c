/* SPDX-License-Identifier: Apache-2.0 */
/* See script.h. */
#include "script.h"

#include <stdlib.h>
#include <string.h>

#include "hyper/gerror.h"

static json_object *call(drv_cli_api *api, const char *method, const char *path, json_object *body, guint timeout_ms,
                         GError **error)
{
    script *s = (script *)api;
    guint nth;

    g_mutex_lock(&s->lock);
    nth = ++s->calls;
    g_string_append_printf(s->log, "%s %s\n", method, path);
    g_mutex_unlock(&s->lock);
    return s->func(s, nth, method, path, body, error);
}

static const char *server(drv_cli_api *api)
{
    return "test:7443";
}

static void freed(drv_cli_api *api)
{
    script *s = (script *)api;

    g_mutex_lock(&s->lock);
    s->freed = TRUE;
    g_cond_broadcast(&s->changed);
    g_mutex_unlock(&s->lock);
}

script *script_new(script_func func, gpointer data)
{
    script *s = g_new0(script, 1);

    s->base = (drv_cli_api){.call = call, .server = server, .free = freed, .refs = 1};
    s->func = func;
    s->data = data;
    s->log = g_string_new(NULL);
    g_mutex_init(&s->lock);
    g_cond_init(&s->changed);
    return s;
}

void script_done(script *s)
{
    g_mutex_lock(&s->lock);
    while (!s->freed)
        g_cond_wait(&s->changed, &s->lock);
    g_mutex_unlock(&s->lock);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->changed);
    g_string_free(s->log, TRUE);
    g_free(s);
}

void script_mark(script *s, guint mark)
{
    g_mutex_lock(&s->lock);
    s->mark = MAX(s->mark, mark);
    g_cond_broadcast(&s->changed);
    g_mutex_unlock(&s->lock);
}

void script_wait(script *s, guint mark)
{
    g_mutex_lock(&s->lock);
    while (s->mark < mark)
        g_cond_wait(&s->changed, &s->lock);
    g_mutex_unlock(&s->lock);
}

gboolean script_saw(script *s, const char *request)
{
    gboolean seen;

    g_mutex_lock(&s->lock);
    seen = strstr(s->log->str, request) != NULL;
    g_mutex_unlock(&s->lock);
    return seen;
}

json_object *script_json(const char *text)
{
    g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
    json_object *object = json_tokener_parse(json);

    g_assert_nonnull(object);
    return object;
}

json_object *script_fail(GError **error, int code, const char *message)
{
    g_set_error_literal(error, DRV_ERROR, code, message);
    return NULL;
}

static json_object *nobody_asks(script *s, guint nth, const char *method, const char *path, json_object *body,
                                GError **error)
{
    g_test_message("not expected: %s %s", method, path);
    g_test_fail();
    return script_fail(error, DRV_ERROR_FAILED, "nobody answers here");
}

outcome script_run(script_func func, gpointer data, const char *line)
{
    script *s = script_new(func ? func : nobody_asks, data);
    g_autofree char *all = g_strconcat("drover", *line ? " " : "", line, NULL);
    g_auto(GStrv) argv = g_strsplit(all, " ", -1);
    outcome o = {0};
    size_t out_size = 0, err_size = 0;
    FILE *out = open_memstream(&o.out, &out_size);
    FILE *err = open_memstream(&o.err, &err_size);

    o.code = drv_cli_main((int)g_strv_length(argv), argv, out, err, &s->base);
    fclose(out);
    fclose(err);
    script_done(s);
    return o;
}

void outcome_clear(outcome *o)
{
    /* open_memstream()'s, not GLib's. */
    free(o->out);
    free(o->err);
}
