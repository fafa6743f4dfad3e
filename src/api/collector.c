/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of all nodes as they change: see collector.h. */
#include "api/collector.h"

#include "model/json.h"
#include "serve/view.h"

#define LOOK_MS 1000

typedef struct {
    gint64 revision;
    guint64 number; /* of its last change */
    guint64 look;   /* in which it was there last */
    char *text;     /* as an event */
} entry;

struct drv_collector {
    drv_context *run;
    GMutex lock; /* guards what follows */
    GCond changed;
    GThread *thread;  /* set while there is one to be joined */
    GHashTable *jobs; /* id → entry */
    GError *problem;  /* of the last look */
    guint64 number;   /* of the last change of all */
    guint64 looks;    /* since the thread began */
    guint64 wakes;
    guint watchers;
    gboolean working; /* the thread has not ended */
    gboolean stopping;
};

static void entry_free(gpointer data)
{
    entry *one = data;

    g_free(one->text);
    g_free(one);
}

drv_collector *drv_collector_new(drv_context *run)
{
    drv_collector *collector = g_new0(drv_collector, 1);

    collector->run = run;
    g_mutex_init(&collector->lock);
    g_cond_init(&collector->changed);
    collector->jobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    return collector;
}

void drv_collector_stop(drv_collector *collector)
{
    g_mutex_lock(&collector->lock);
    collector->stopping = TRUE;
    g_cond_broadcast(&collector->changed);
    g_mutex_unlock(&collector->lock);
}

void drv_collector_free(drv_collector *collector)
{
    if (!collector)
        return;
    drv_collector_stop(collector);
    if (collector->thread)
        g_thread_join(collector->thread);
    g_hash_table_unref(collector->jobs);
    g_clear_error(&collector->problem);
    g_mutex_clear(&collector->lock);
    g_cond_clear(&collector->changed);
    g_free(collector);
}

static gboolean is_gone(gpointer key, gpointer value, gpointer data)
{
    return ((const entry *)value)->look != *(const guint64 *)data;
}

static void take(drv_collector *collector, json_object *job)
{
    const char *id = drv_json_string(job, "id", NULL);
    gint64 revision = drv_json_int(job, "revision", 0);
    entry *known = id ? g_hash_table_lookup(collector->jobs, id) : NULL;

    if (!id)
        return;
    if (!known) {
        known = g_new0(entry, 1);
        known->revision = -1;
        g_hash_table_insert(collector->jobs, g_strdup(id), known);
    }
    known->look = collector->looks;
    if (known->revision >= revision)
        return;
    known->revision = revision;
    known->number = ++collector->number;
    g_free(known->text);
    known->text =
        g_strdup_printf("event: job\ndata: %s\n\n", json_object_to_json_string_ext(job, JSON_C_TO_STRING_PLAIN));
}

/* With the lock held, which is let go while the nodes are asked. */
static void look(drv_collector *collector)
{
    g_autoptr(GError) problem = NULL;
    json_object *answer, *jobs;

    g_mutex_unlock(&collector->lock);
    answer = drv_serve_jobs(collector->run, &problem);
    g_mutex_lock(&collector->lock);
    collector->looks++;
    jobs = drv_json_array(answer, "jobs");
    for (gsize i = 0; i < drv_json_length(jobs); i++)
        take(collector, json_object_array_get_idx(jobs, i));
    if (answer)
        g_hash_table_foreach_remove(collector->jobs, is_gone, &collector->looks);
    g_clear_error(&collector->problem);
    collector->problem = g_steal_pointer(&problem);
    g_cond_broadcast(&collector->changed);
    json_object_put(answer);
}

static gpointer work(gpointer data)
{
    drv_collector *collector = data;

    g_mutex_lock(&collector->lock);
    while (collector->watchers && !collector->stopping) {
        gint64 until;

        look(collector);
        until = g_get_monotonic_time() + LOOK_MS * 1000;
        while (!collector->stopping && g_cond_wait_until(&collector->changed, &collector->lock, until))
            ;
    }
    collector->working = FALSE;
    g_mutex_unlock(&collector->lock);
    return NULL;
}

void drv_collector_join(drv_collector *collector)
{
    g_mutex_lock(&collector->lock);
    collector->watchers++;
    if (!collector->working && !collector->stopping) {
        if (collector->thread)
            g_thread_join(collector->thread); /* it has let the lock go for the last time */
        /* What was known may be old: the first look of the new thread is waited for. */
        collector->looks = 0;
        collector->working = TRUE;
        collector->thread = g_thread_new("collector", work, collector);
    }
    g_mutex_unlock(&collector->lock);
}

void drv_collector_leave(drv_collector *collector)
{
    g_mutex_lock(&collector->lock);
    collector->watchers--;
    g_mutex_unlock(&collector->lock);
}

void drv_collector_wake(drv_collector *collector)
{
    g_mutex_lock(&collector->lock);
    collector->wakes++;
    g_cond_broadcast(&collector->changed);
    g_mutex_unlock(&collector->lock);
}

static int by_number(gconstpointer a, gconstpointer b)
{
    const entry *first = *(const entry *const *)a, *second = *(const entry *const *)b;

    return first->number < second->number ? -1 : first->number > second->number;
}

static void add_changes(drv_collector *collector, guint64 seen, GString *into)
{
    g_autoptr(GPtrArray) changes = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, collector->jobs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (((const entry *)value)->number > seen)
            g_ptr_array_add(changes, value);
    g_ptr_array_sort(changes, by_number);
    for (guint i = 0; i < changes->len; i++)
        g_string_append(into, ((const entry *)changes->pdata[i])->text);
}

gboolean drv_collector_wait(drv_collector *collector, guint64 *seen, gint64 until, GString *into, GError **error)
{
    guint64 wakes;
    gboolean good;

    g_mutex_lock(&collector->lock);
    wakes = collector->wakes;
    while (!collector->stopping && collector->wakes == wakes &&
           (!collector->looks || (!collector->problem && collector->number == *seen)) &&
           g_cond_wait_until(&collector->changed, &collector->lock, until))
        ;
    good = !collector->problem || !collector->looks;
    if (!good) {
        g_propagate_error(error, g_error_copy(collector->problem));
    } else if (collector->looks) {
        add_changes(collector, *seen, into);
        *seen = collector->number;
    }
    g_mutex_unlock(&collector->lock);
    return good;
}
