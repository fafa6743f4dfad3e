/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected: see connections.h. */
#include "api/connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

struct drv_connections {
    GMutex lock;
    GQueue strangers; /* oldest first */
    GQueue known;
    GQueue doomed;     /* shut down, not yet closed by whoever reads them */
    GHashTable *by_fd; /* the HTTP server's descriptor → connection */
    GCond join_left;
};

drv_connections *drv_connections_new(void)
{
    drv_connections *table = g_new0(drv_connections, 1);

    g_mutex_init(&table->lock);
    g_queue_init(&table->strangers);
    g_queue_init(&table->known);
    g_queue_init(&table->doomed);
    table->by_fd = g_hash_table_new(NULL, NULL);
    g_cond_init(&table->join_left);
    return table;
}

static void connection_free(drv_connection *connection)
{
    if (connection->mhd_fd >= 0 && connection->fd >= 0)
        close(connection->fd); /* our duplicate */
    g_free(connection->name);
    g_free(connection->fingerprint);
    g_free(connection->token_id);
    g_free(connection);
}

void drv_connections_free(drv_connections *table)
{
    if (!table)
        return;
    g_queue_clear_full(&table->strangers, (GDestroyNotify)connection_free);
    g_queue_clear_full(&table->known, (GDestroyNotify)connection_free);
    g_queue_clear_full(&table->doomed, (GDestroyNotify)connection_free);
    g_hash_table_unref(table->by_fd);
    g_mutex_clear(&table->lock);
    g_cond_clear(&table->join_left);
    g_free(table);
}

static GQueue *queue_of(drv_connections *table, const drv_connection *connection)
{
    return connection->doomed ? &table->doomed : connection->known ? &table->known : &table->strangers;
}

static void move(drv_connections *table, drv_connection *connection, gboolean known, gboolean doomed)
{
    g_queue_remove(queue_of(table, connection), connection);
    connection->known = known;
    connection->doomed = doomed;
    g_queue_push_tail(queue_of(table, connection), connection);
}

static void end(drv_connections *table, drv_connection *connection)
{
    if (!connection || connection->doomed)
        return;
    shutdown(connection->fd, SHUT_RDWR);
    move(table, connection, connection->known, TRUE);
}

static void set_place(drv_connection *connection, const struct sockaddr *from)
{
    char text[INET6_ADDRSTRLEN] = "?";

    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)from;

        inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
        memcpy(connection->place + 12, &four->sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;

        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
            inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, text, sizeof text);
            memcpy(connection->place + 12, six->sin6_addr.s6_addr + 12, 4);
        } else {
            inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
            memcpy(connection->place, &six->sin6_addr, 8);
        }
    }
    g_strlcpy(connection->address, text, sizeof connection->address);
}

/* Strangers from the same place. A few hundred at most, so counting them is quick. */
static guint count_place(const drv_connections *table, const guint8 *place)
{
    guint count = 0;

    for (const GList *at = table->strangers.head; at; at = at->next)
        count += !memcmp(((const drv_connection *)at->data)->place, place, 16);
    return count;
}

/* The oldest of the place that has the most; @place: of this one, or NULL. Not who is being answered. */
static drv_connection *victim(drv_connections *table, const guint8 *place)
{
    drv_connection *worst = NULL;
    guint most = 0;

    for (const GList *at = table->strangers.head; at; at = at->next) {
        drv_connection *one = at->data;
        guint count;

        if (one->busy)
            continue;
        if (place) {
            if (!memcmp(one->place, place, 16))
                return one;
            continue;
        }
        if (worst && !memcmp(one->place, worst->place, 16))
            continue;
        count = count_place(table, one->place);
        if (count > most) {
            most = count;
            worst = one;
        }
    }
    return worst;
}

drv_connection *drv_connections_add(drv_connections *table, int fd, const struct sockaddr *from)
{
    drv_connection *connection = g_new0(drv_connection, 1);

    connection->fd = fd;
    connection->mhd_fd = -1;
    connection->since_ms = connection->active_ms = drv_clock_ms();
    set_place(connection, from);
    g_mutex_lock(&table->lock);
    /* Those that were shut down still hold a descriptor and perhaps a thread, for a moment. */
    if (g_queue_get_length(&table->doomed) >= DRV_STRANGERS_MOST) {
        g_mutex_unlock(&table->lock);
        g_free(connection);
        return NULL;
    }
    if (count_place(table, connection->place) >= DRV_STRANGERS_MOST_PER_ADDRESS)
        end(table, victim(table, connection->place));
    if (g_queue_get_length(&table->strangers) >= DRV_STRANGERS_MOST)
        end(table, victim(table, NULL));
    g_queue_push_tail(&table->strangers, connection);
    g_mutex_unlock(&table->lock);
    return connection;
}

void drv_connections_remove(drv_connections *table, drv_connection *connection)
{
    g_mutex_lock(&table->lock);
    g_queue_remove(queue_of(table, connection), connection);
    if (connection->mhd_fd >= 0 && g_hash_table_lookup(table->by_fd, GINT_TO_POINTER(connection->mhd_fd)) == connection)
        g_hash_table_remove(table->by_fd, GINT_TO_POINTER(connection->mhd_fd));
    g_mutex_unlock(&table->lock);
    connection_free(connection);
}

gboolean drv_connections_hand(drv_connections *table, drv_connection *connection)
{
    int copy = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);
    gboolean good;

    g_mutex_lock(&table->lock);
    good = copy >= 0 && !connection->doomed;
    if (good) {
        connection->mhd_fd = connection->fd;
        connection->fd = copy;
        connection->hello = TRUE;
        g_hash_table_insert(table->by_fd, GINT_TO_POINTER(connection->mhd_fd), connection);
    }
    g_mutex_unlock(&table->lock);
    if (!good && copy >= 0)
        close(copy);
    return good;
}

drv_connection *drv_connections_find(drv_connections *table, int mhd_fd)
{
    drv_connection *connection;

    g_mutex_lock(&table->lock);
    connection = g_hash_table_lookup(table->by_fd, GINT_TO_POINTER(mhd_fd));
    g_mutex_unlock(&table->lock);
    return connection;
}

/* ---- those who are known ---- */

static const char *caller_of(const drv_connection *connection)
{
    return connection->fingerprint ?: connection->token_id ?: "";
}

static gboolean is_person(const drv_connection *connection)
{
    return connection->role == DRV_CALLER_OPERATOR || connection->role == DRV_CALLER_TOKEN;
}

/* How many of @caller's, or of all operators' if it is NULL. */
static guint count_known(const drv_connections *table, const char *caller)
{
    guint count = 0;

    for (const GList *at = table->known.head; at; at = at->next)
        count += caller ? g_str_equal(caller_of(at->data), caller) : is_person(at->data);
    return count;
}

/* Among the idle ones of @caller, or of @people (NULL: of anybody), the oldest of who has most. */
static drv_connection *idlest(drv_connections *table, const char *caller, gboolean people)
{
    g_autoptr(GHashTable) counts = g_hash_table_new(g_str_hash, g_str_equal);
    drv_connection *worst = NULL;
    guint most = 0;

    for (const GList *at = table->known.head; at; at = at->next) {
        gpointer key = (gpointer)(gsize)caller_of(at->data);

        g_hash_table_insert(counts, key, GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(counts, key)) + 1));
    }
    for (const GList *at = table->known.head; at; at = at->next) {
        drv_connection *one = at->data;
        guint count = GPOINTER_TO_UINT(g_hash_table_lookup(counts, caller_of(one)));

        if (one->busy || (caller && !g_str_equal(caller_of(one), caller)) || (people && !is_person(one)))
            continue;
        if (count > most || (count == most && one->active_ms < worst->active_ms)) {
            worst = one;
            most = count;
        }
    }
    return worst;
}

static gboolean make_room(drv_connections *table, const drv_connection *connection)
{
    const char *caller = caller_of(connection);
    gboolean person = is_person(connection);
    drv_connection *goes = NULL;

    if (count_known(table, caller) >= DRV_KNOWN_MOST_PER_CALLER)
        goes = idlest(table, caller, FALSE);
    else if (person && count_known(table, NULL) >= DRV_KNOWN_MOST - DRV_KNOWN_FOR_NODES)
        goes = idlest(table, NULL, TRUE);
    else if (g_queue_get_length(&table->known) >= DRV_KNOWN_MOST)
        goes = idlest(table, NULL, person);
    else
        return TRUE;
    end(table, goes);
    return goes != NULL;
}

gboolean drv_connections_know(drv_connections *table, drv_connection *connection)
{
    gboolean good = TRUE;

    g_mutex_lock(&table->lock);
    if (!connection->known && !connection->doomed) {
        good = make_room(table, connection);
        if (good)
            move(table, connection, TRUE, FALSE);
    }
    g_mutex_unlock(&table->lock);
    return good;
}

void drv_connections_busy(drv_connections *table, drv_connection *connection, gboolean busy)
{
    g_mutex_lock(&table->lock);
    connection->busy = busy;
    connection->active_ms = drv_clock_ms();
    g_mutex_unlock(&table->lock);
}

/* ---- joining ---- */

static gboolean may_join(const drv_connections *table, const drv_connection *connection)
{
    guint all = 0, from_there = 0;

    for (const GList *at = table->strangers.head; at; at = at->next) {
        const drv_connection *one = at->data;

        all += one->joining;
        from_there += one->joining && !memcmp(one->place, connection->place, 16);
    }
    return all < DRV_JOINS_AT_ONCE && from_there < DRV_JOINS_MOST_PER_ADDRESS;
}

gboolean drv_connections_join(drv_connections *table, drv_connection *connection)
{
    gint64 until = g_get_monotonic_time() + DRV_JOIN_WAIT_MS * 1000LL;
    gboolean good;

    g_mutex_lock(&table->lock);
    while (!(good = may_join(table, connection)) && g_cond_wait_until(&table->join_left, &table->lock, until))
        ;
    connection->joining = good;
    g_mutex_unlock(&table->lock);
    return good;
}

void drv_connections_joined(drv_connections *table, drv_connection *connection)
{
    g_mutex_lock(&table->lock);
    connection->joining = FALSE;
    g_cond_broadcast(&table->join_left);
    g_mutex_unlock(&table->lock);
}

static gint64 deadline(const drv_connection *connection)
{
    if (connection->known)
        return connection->active_ms + DRV_IDLE_MS;
    return connection->since_ms + (connection->hello ? DRV_STRANGER_MS : DRV_HELLO_MS);
}

static gint64 reap_queue(drv_connections *table, GQueue *queue, gint64 now, gint64 next)
{
    for (GList *at = queue->head, *after; at; at = after) {
        drv_connection *one = at->data;

        after = at->next;
        if (one->busy)
            continue;
        if (deadline(one) <= now)
            end(table, one);
        else
            next = MIN(next, deadline(one));
    }
    return next;
}

int drv_connections_reap(drv_connections *table)
{
    gint64 now = drv_clock_ms(), next = G_MAXINT64;
    gboolean busy;

    g_mutex_lock(&table->lock);
    next = reap_queue(table, &table->strangers, now, next);
    next = reap_queue(table, &table->known, now, next);
    busy = next == G_MAXINT64 && (table->known.head || table->strangers.head);
    g_mutex_unlock(&table->lock);
    /* Whoever is busy now gets a deadline when it is not: look again then, roughly. */
    if (busy)
        return DRV_STRANGER_MS;
    return next == G_MAXINT64 ? -1 : (int)(next - now + 1);
}

void drv_connections_end(drv_connections *table, gboolean (*func)(const drv_connection *connection, gpointer data),
                         gpointer data)
{
    g_mutex_lock(&table->lock);
    for (GList *at = table->known.head, *after; at; at = after) {
        after = at->next;
        if (!func || func(at->data, data))
            end(table, at->data);
    }
    for (GList *at = table->strangers.head, *after; at && !func; at = after) {
        after = at->next;
        end(table, at->data);
    }
    g_mutex_unlock(&table->lock);
}

gboolean drv_connections_relieve(drv_connections *table)
{
    drv_connection *one;

    g_mutex_lock(&table->lock);
    one = victim(table, NULL);
    if (one)
        end(table, one);
    g_mutex_unlock(&table->lock);
    return one != NULL;
}
