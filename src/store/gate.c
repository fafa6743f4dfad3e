/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store behind a gate: see gate.h. Each call holds a reference of what is behind it,
 * changes also the reader's side of `frozen`: to freeze is to hold the writer's.
 */
#include "store/gate.h"

#include "store/ops.h"

typedef struct {
    gatomicrefcount references;
    drv_store *store;
    gboolean borrowed;
} behind;

typedef struct {
    drv_store store;
    GMutex lock;       /* guards what follows */
    behind *behind;    /* NULL: nothing */
    GPtrArray *places; /* of what is and was behind it */
    gint stopped;
    GRWLock frozen;
} gate;

static void behind_unref(behind *b)
{
    if (!b || !g_atomic_ref_count_dec(&b->references))
        return;
    if (!b->borrowed)
        drv_store_close(b->store);
    g_free(b);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(behind, behind_unref)

static behind *enter(drv_store *store, GError **error)
{
    gate *g = (gate *)store;
    behind *b;

    g_mutex_lock(&g->lock);
    b = g->behind;
    if (b)
        g_atomic_ref_count_inc(&b->references);
    g_mutex_unlock(&g->lock);
    if (!b)
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "what the cluster keeps is kept by its founder: this node has to ask there");
    return b;
}

static drv_document *get(drv_store *store, const char *bucket, const char *key, GError **error)
{
    g_autoptr(behind) b = enter(store, error);

    return b ? drv_store_get(b->store, bucket, key, error) : NULL;
}

static GPtrArray *list(drv_store *store, const char *bucket, guint limit, GError **error)
{
    g_autoptr(behind) b = enter(store, error);

    return b ? drv_store_list(b->store, bucket, limit, error) : NULL;
}

/* In here nothing is being moved: what is behind is asked for when that is sure. */
static gboolean change_all(drv_store *store, const drv_store_change *changes, guint count, gint64 *revision,
                           GError **error)
{
    g_autoptr(GRWLockReaderLocker) locker G_GNUC_UNUSED = g_rw_lock_reader_locker_new(&((gate *)store)->frozen);
    g_autoptr(behind) b = enter(store, error);

    return b && drv_store_change_all(b->store, changes, count, revision, error);
}

static gint64 next(drv_store *store, const char *counter, GError **error)
{
    g_autoptr(GRWLockReaderLocker) locker G_GNUC_UNUSED = g_rw_lock_reader_locker_new(&((gate *)store)->frozen);
    g_autoptr(behind) b = enter(store, error);

    return b ? drv_store_next(b->store, counter, error) : 0;
}

static gboolean raise_counter(drv_store *store, const char *counter, gint64 value, GError **error)
{
    g_autoptr(GRWLockReaderLocker) locker G_GNUC_UNUSED = g_rw_lock_reader_locker_new(&((gate *)store)->frozen);
    g_autoptr(behind) b = enter(store, error);

    return b && drv_store_raise(b->store, counter, value, error);
}

static GPtrArray *counters(drv_store *store, GError **error)
{
    g_autoptr(behind) b = enter(store, error);

    return b ? drv_store_counters(b->store, error) : NULL;
}

static GPtrArray *buckets(drv_store *store, GError **error)
{
    g_autoptr(behind) b = enter(store, error);

    return b ? drv_store_buckets(b->store, error) : NULL;
}

static gint64 wait_for(drv_store *store, const char *bucket, gint64 after, guint wait_ms, GError **error)
{
    g_autoptr(behind) b = enter(store, error);

    return b ? drv_store_wait(b->store, bucket, after, wait_ms, error) : -1;
}

static void stop_waiting(drv_store *store)
{
    g_autoptr(behind) b = NULL;

    g_atomic_int_set(&((gate *)store)->stopped, TRUE);
    b = enter(store, NULL);
    if (b)
        drv_store_stop_waiting(b->store);
}

static drv_claim claim(drv_store *store, const char *name, const char *who, guint ttl_s, gint64 *lease, char **holder,
                       GError **error)
{
    g_autoptr(behind) b = enter(store, error);

    return b ? drv_store_claim(b->store, name, who, ttl_s, lease, holder, error) : DRV_CLAIM_FAILED;
}

static void release_claim(drv_store *store, gint64 lease)
{
    g_autoptr(behind) b = enter(store, NULL);

    if (b)
        drv_store_release(b->store, lease);
}

static gboolean is_shared(drv_store *store)
{
    g_autoptr(behind) b = enter(store, NULL);

    return b && drv_store_is_shared(b->store);
}

static json_object *status(drv_store *store)
{
    g_autoptr(behind) b = enter(store, NULL);

    return b ? drv_store_status(b->store) : json_object_new_object();
}

/* Kept as long as the gate: who borrowed it may use it after a move. */
static const char *place(drv_store *store)
{
    gate *g = (gate *)store;
    const char *text;

    g_mutex_lock(&g->lock);
    text = g->places->len ? g->places->pdata[g->places->len - 1] : "at the founder";
    g_mutex_unlock(&g->lock);
    return text;
}

static void close_gate(drv_store *store)
{
    gate *g = (gate *)store;

    behind_unref(g->behind);
    g_ptr_array_unref(g->places);
    g_rw_lock_clear(&g->frozen);
    g_mutex_clear(&g->lock);
    g_free(g);
}

static const struct drv_store_ops ops = {
    .get = get,
    .change = change_all,
    .list = list,
    .next = next,
    .raise = raise_counter,
    .counters = counters,
    .buckets = buckets,
    .wait = wait_for,
    .stop_waiting = stop_waiting,
    .claim = claim,
    .release = release_claim,
    .is_shared = is_shared,
    .place = place,
    .status = status,
    .close = close_gate,
};

drv_store *drv_gate_new(void)
{
    gate *g = g_new0(gate, 1);

    g->store.ops = &ops;
    g_mutex_init(&g->lock);
    g_rw_lock_init(&g->frozen);
    g->places = g_ptr_array_new_with_free_func(g_free);
    return &g->store;
}

void drv_gate_set(drv_store *store, drv_store *inner, gboolean borrowed)
{
    gate *g = (gate *)store;
    behind *b = inner ? g_new0(behind, 1) : NULL;
    behind *old;

    if (b) {
        g_atomic_ref_count_init(&b->references);
        b->store = inner;
        b->borrowed = borrowed;
        if (g_atomic_int_get(&g->stopped))
            drv_store_stop_waiting(inner);
    }
    g_mutex_lock(&g->lock);
    old = g->behind;
    g->behind = b;
    g_ptr_array_add(g->places, g_strdup(inner ? drv_store_place(inner) : "at the founder"));
    g_mutex_unlock(&g->lock);
    behind_unref(old);
}

gboolean drv_gate_is_open(drv_store *store)
{
    g_autoptr(behind) b = enter(store, NULL);

    return b != NULL;
}

void drv_gate_freeze(drv_store *store)
{
    g_rw_lock_writer_lock(&((gate *)store)->frozen);
}

void drv_gate_thaw(drv_store *store)
{
    g_rw_lock_writer_unlock(&((gate *)store)->frozen);
}

drv_store *drv_gate_inner(drv_store *store)
{
    gate *g = (gate *)store;
    drv_store *inner;

    g_mutex_lock(&g->lock);
    inner = g->behind ? g->behind->store : NULL;
    g_mutex_unlock(&g->lock);
    return inner;
}
