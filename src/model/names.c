/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of short texts, kept once: see names.h. */
#include "model/names.h"

#include <string.h>

struct drv_names_pool {
    GStringChunk *texts;
    GHashTable *ids;  /* text → its id + 1 */
    GPtrArray *names; /* id → text */
    GHashTable *sets; /* drv_names, by content → itself */
};

static guint set_hash(gconstpointer key)
{
    const drv_names *set = key;
    guint hash = 5381;

    for (guint i = 0; i < set->count; i++)
        hash = hash * 33 + set->ids[i];
    return hash;
}

static gboolean set_equal(gconstpointer a, gconstpointer b)
{
    const drv_names *left = a, *right = b;

    return left->count == right->count && memcmp(left->ids, right->ids, left->count * sizeof left->ids[0]) == 0;
}

drv_names_pool *drv_names_pool_new(void)
{
    drv_names_pool *pool = g_new0(drv_names_pool, 1);

    pool->texts = g_string_chunk_new(1024);
    pool->ids = g_hash_table_new(g_str_hash, g_str_equal);
    pool->names = g_ptr_array_new();
    pool->sets = g_hash_table_new_full(set_hash, set_equal, g_free, NULL);
    return pool;
}

void drv_names_pool_free(drv_names_pool *pool)
{
    if (!pool)
        return;
    g_hash_table_unref(pool->sets);
    g_ptr_array_unref(pool->names);
    g_hash_table_unref(pool->ids);
    g_string_chunk_free(pool->texts);
    g_free(pool);
}

static guint id_of(drv_names_pool *pool, const char *name)
{
    guint known = GPOINTER_TO_UINT(g_hash_table_lookup(pool->ids, name));
    char *text;

    if (known)
        return known - 1;
    text = g_string_chunk_insert(pool->texts, name);
    g_ptr_array_add(pool->names, text);
    g_hash_table_insert(pool->ids, text, GUINT_TO_POINTER(pool->names->len));
    return pool->names->len - 1;
}

static int compare_ids(const void *a, const void *b)
{
    guint left = *(const guint *)a, right = *(const guint *)b;

    return left < right ? -1 : left > right;
}

const drv_names *drv_names_get(drv_names_pool *pool, const char *const *names, guint count)
{
    drv_names *set = g_malloc(sizeof *set + count * sizeof set->ids[0]);
    drv_names *known;
    guint kept = 0;

    for (guint i = 0; i < count; i++)
        set->ids[i] = id_of(pool, names[i]);
    qsort(set->ids, count, sizeof set->ids[0], compare_ids);
    for (guint i = 0; i < count; i++)
        if (!kept || set->ids[kept - 1] != set->ids[i])
            set->ids[kept++] = set->ids[i];
    set->count = kept;
    known = g_hash_table_lookup(pool->sets, set);
    if (known) {
        g_free(set);
        return known;
    }
    set->pool = pool;
    set->id = g_hash_table_size(pool->sets);
    g_hash_table_add(pool->sets, set);
    return set;
}

const char *drv_names_text(const drv_names_pool *pool, guint id)
{
    return pool->names->pdata[id];
}

gboolean drv_names_has(const drv_names *set, guint id)
{
    guint low = 0, high = set ? set->count : 0;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (set->ids[middle] == id)
            return TRUE;
        if (set->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return FALSE;
}

gboolean drv_names_has_all(const drv_names *set, const drv_names *wanted)
{
    if (set == wanted)
        return TRUE;
    for (guint i = 0; wanted && i < wanted->count; i++)
        if (!drv_names_has(set, wanted->ids[i]))
            return FALSE;
    return TRUE;
}

char *drv_names_missing(const drv_names *set, const drv_names *wanted, guint most)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint found = 0;

    for (guint i = 0; wanted && i < wanted->count; i++) {
        if (drv_names_has(set, wanted->ids[i]))
            continue;
        if (found++ < most)
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", drv_names_text(wanted->pool, wanted->ids[i]));
    }
    if (found > most)
        g_string_append(text, ", …");
    return g_strdup(text->str);
}
