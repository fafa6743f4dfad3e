/* SPDX-License-Identifier: Apache-2.0 */
/* Processors in use, from counters of CPU time that are looked at again and again: see capacity.h. */
#include "hyper/load.h"

/* Over a shorter time it says little; what was found last holds. */
#define LEAST_US (2 * G_USEC_PER_SEC)
/* Who was not looked at for so long is forgotten. */
#define FORGET_US (600 * G_USEC_PER_SEC)
#define MOST 10000

typedef struct {
    guint64 cpu_ns;
    gint64 when_us;
    double rate;
} counter;

typedef struct {
    GPtrArray *names; /* NULL: not known */
    gint64 when_us;
} memory;

struct drv_load {
    GMutex lock;
    GHashTable *counters; /* by key */
    GHashTable *features; /* UUID → memory */
};

static void memory_free(gpointer data)
{
    memory *known = data;

    if (known->names)
        g_ptr_array_unref(known->names);
    g_free(known);
}

drv_load *drv_load_new(void)
{
    drv_load *load = g_new0(drv_load, 1);

    g_mutex_init(&load->lock);
    load->counters = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    load->features = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, memory_free);
    return load;
}

void drv_load_free(drv_load *load)
{
    if (!load)
        return;
    g_hash_table_unref(load->features);
    g_hash_table_unref(load->counters);
    g_mutex_clear(&load->lock);
    g_free(load);
}

static gboolean is_old(gpointer key, gpointer value, gpointer now_us)
{
    return *(gint64 *)now_us - ((const counter *)value)->when_us > FORGET_US;
}

double drv_load_rate(drv_load *load, const char *key, guint64 cpu_ns, gint64 now_us)
{
    counter *known;
    double rate;

    g_mutex_lock(&load->lock);
    known = g_hash_table_lookup(load->counters, key);
    if (!known) {
        if (g_hash_table_size(load->counters) >= MOST)
            g_hash_table_foreach_remove(load->counters, is_old, &now_us);
        known = g_new(counter, 1);
        *known = (counter){cpu_ns, now_us, -1};
        g_hash_table_insert(load->counters, g_strdup(key), known);
    } else if (now_us - known->when_us >= LEAST_US || cpu_ns < known->cpu_ns) {
        known->rate = cpu_ns >= known->cpu_ns
                          ? (double)(cpu_ns - known->cpu_ns) / 1000 / (double)(now_us - known->when_us)
                          : -1; /* it was started anew */
        known->cpu_ns = cpu_ns;
        known->when_us = now_us;
    }
    rate = known->rate;
    g_mutex_unlock(&load->lock);
    return rate;
}

static gboolean is_stale(gpointer key, gpointer value, gpointer now_us)
{
    return *(gint64 *)now_us - ((const memory *)value)->when_us > FORGET_US;
}

void drv_load_remember(drv_load *load, const char *uuid, gint64 now_us, GPtrArray *names)
{
    memory *known = g_new(memory, 1);

    *known = (memory){names, now_us};
    g_mutex_lock(&load->lock);
    if (g_hash_table_size(load->features) >= MOST)
        g_hash_table_foreach_remove(load->features, is_stale, &now_us);
    g_hash_table_replace(load->features, g_strdup(uuid), known);
    g_mutex_unlock(&load->lock);
}

gboolean drv_load_remembered(drv_load *load, const char *uuid, gint64 since_us, GPtrArray **names)
{
    const memory *known;
    gboolean fresh;

    g_mutex_lock(&load->lock);
    known = g_hash_table_lookup(load->features, uuid);
    fresh = known && known->when_us >= since_us;
    *names = fresh && known->names ? g_ptr_array_ref(known->names) : NULL;
    g_mutex_unlock(&load->lock);
    return fresh;
}
