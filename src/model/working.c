/* SPDX-License-Identifier: Apache-2.0 */
/* What requests are waiting for: see working.h. */
#include "model/working.h"

#include <string.h>

/* Ids are made by callers: what is no UUID, and more than so many at a time, is not noted. */
#define MOST 256

struct drv_working {
    GMutex lock;
    GHashTable *requests; /* id → what it waits for; guarded by lock */
};

/* This thread's request. */
typedef struct {
    drv_working *in;
    char *id;
} own_request;

static void own_request_free(gpointer data)
{
    own_request *own = data;

    g_free(own->id);
    g_free(own);
}

static GPrivate mine = G_PRIVATE_INIT(own_request_free);

drv_working *drv_working_new(void)
{
    drv_working *working = g_new0(drv_working, 1);

    g_mutex_init(&working->lock);
    working->requests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return working;
}

void drv_working_free(drv_working *working)
{
    if (!working)
        return;
    g_hash_table_unref(working->requests);
    g_mutex_clear(&working->lock);
    g_free(working);
}

void drv_working_begin(drv_working *working, const char *id)
{
    gboolean noted = FALSE;
    own_request *own = NULL;

    if (id && g_uuid_string_is_valid(id)) {
        g_mutex_lock(&working->lock);
        noted = g_hash_table_size(working->requests) < MOST && !g_hash_table_contains(working->requests, id);
        if (noted)
            g_hash_table_insert(working->requests, g_strdup(id), g_strdup("it works on the request"));
        g_mutex_unlock(&working->lock);
    }
    if (noted) {
        own = g_new0(own_request, 1);
        own->in = working;
        own->id = g_strdup(id);
    }
    g_private_replace(&mine, own);
}

void drv_working_end(void)
{
    const own_request *own = g_private_get(&mine);

    if (!own)
        return;
    g_mutex_lock(&own->in->lock);
    g_hash_table_remove(own->in->requests, own->id);
    g_mutex_unlock(&own->in->lock);
    g_private_replace(&mine, NULL);
}

void drv_working_say(const char *fmt, ...)
{
    const own_request *own = g_private_get(&mine);
    va_list args;

    if (!own)
        return;
    va_start(args, fmt);
    g_mutex_lock(&own->in->lock);
    g_hash_table_replace(own->in->requests, g_strdup(own->id), g_strdup_vprintf(fmt, args));
    g_mutex_unlock(&own->in->lock);
    va_end(args);
}

char *drv_working_of(drv_working *working, const char *id)
{
    char *text;

    g_mutex_lock(&working->lock);
    text = g_strdup(g_hash_table_lookup(working->requests, id));
    g_mutex_unlock(&working->lock);
    return text;
}
