/* SPDX-License-Identifier: Apache-2.0 */
/* What requests are waiting for: see working.h. */
#include "model/working.h"

#include <string.h>

/* Ids are made by callers: what is no UUID, and more than so many at a time, is not noted. */
#define MOST 256

static GMutex lock;
static GHashTable *requests; /* id → what it waits for; guarded by lock */
static GPrivate mine = G_PRIVATE_INIT(g_free); /* id of this thread's request */

void drv_working_begin(const char *id)
{
    gboolean noted = FALSE;

    if (!id || !g_uuid_string_is_valid(id))
        return;
    g_mutex_lock(&lock);
    if (!requests)
        requests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (g_hash_table_size(requests) < MOST && !g_hash_table_contains(requests, id)) {
        g_hash_table_insert(requests, g_strdup(id), g_strdup("it works on the request"));
        noted = TRUE;
    }
    g_mutex_unlock(&lock);
    g_private_replace(&mine, noted ? g_strdup(id) : NULL);
}

void drv_working_end(void)
{
    const char *id = g_private_get(&mine);

    if (!id)
        return;
    g_mutex_lock(&lock);
    g_hash_table_remove(requests, id);
    g_mutex_unlock(&lock);
    g_private_replace(&mine, NULL);
}

void drv_working_say(const char *fmt, ...)
{
    const char *id = g_private_get(&mine);
    va_list args;

    if (!id)
        return;
    va_start(args, fmt);
    g_mutex_lock(&lock);
    g_hash_table_replace(requests, g_strdup(id), g_strdup_vprintf(fmt, args));
    g_mutex_unlock(&lock);
    va_end(args);
}

char *drv_working_of(const char *id)
{
    char *text;

    g_mutex_lock(&lock);
    text = requests ? g_strdup(g_hash_table_lookup(requests, id)) : NULL;
    g_mutex_unlock(&lock);
    return text;
}
