/* SPDX-License-Identifier: Apache-2.0 */
/* Who has to go when places run out: callers that are known, and hosts that join. */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/connections.h"

typedef struct {
    drv_connection *connection;
    int other; /* the caller's end */
} pair;

static pair connect_from(drv_connections *table, const char *address)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int fds[2];
    pair it;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    inet_pton(AF_INET, address, &from.sin_addr);
    it.other = fds[1];
    it.connection = drv_connections_add(table, fds[0], (struct sockaddr *)&from);
    g_assert_nonnull(it.connection);
    return it;
}

/* Each from an address of its own. */
static pair connect_as(drv_connections *table, drv_caller_role role, const char *who)
{
    static guint number;
    g_autofree char *address = g_strdup_printf("10.%u.%u.1", number / 200, number % 200);
    pair it = connect_from(table, address);

    number++;
    it.connection->role = role;
    if (role == DRV_CALLER_TOKEN)
        it.connection->token_id = g_strdup(who);
    else
        it.connection->fingerprint = g_strdup(who);
    return it;
}

static gboolean is_ended(const pair *it)
{
    struct pollfd look = {.fd = it->other, .events = POLLIN};

    return poll(&look, 1, 0) > 0;
}

static void forget(drv_connections *table, GArray *all)
{
    for (guint i = 0; i < all->len; i++) {
        pair *it = &g_array_index(all, pair, i);
        int own = it->connection->fd;

        drv_connections_remove(table, it->connection);
        close(own);
        close(it->other);
    }
    g_array_unref(all);
    drv_connections_free(table);
}

static GArray *some(drv_connections *table, GArray *all, drv_caller_role role, const char *who, guint count,
                    gboolean busy)
{
    all = all ? all : g_array_new(FALSE, FALSE, sizeof(pair));
    for (guint i = 0; i < count; i++) {
        pair it = connect_as(table, role, who);

        g_assert_true(drv_connections_know(table, it.connection));
        drv_connections_busy(table, it.connection, busy);
        g_array_append_val(all, it);
    }
    return all;
}

/* One caller: the oldest idle one goes for a new one; if all are being answered there is no place. */
static void test_one_caller(void)
{
    drv_connections *table = drv_connections_new();
    GArray *all = some(table, NULL, DRV_CALLER_TOKEN, "a", DRV_KNOWN_MOST_PER_CALLER, FALSE);
    pair other = connect_as(table, DRV_CALLER_TOKEN, "b"), more;

    g_assert_true(drv_connections_know(table, other.connection));
    g_array_append_val(all, other);
    all = some(table, all, DRV_CALLER_TOKEN, "a", 1, FALSE);
    g_assert_true(is_ended(&g_array_index(all, pair, 0)));
    g_assert_false(is_ended(&g_array_index(all, pair, 1)));
    g_assert_false(is_ended(&other));
    for (guint i = 1; i < all->len; i++)
        drv_connections_busy(table, g_array_index(all, pair, i).connection, TRUE);
    more = connect_as(table, DRV_CALLER_TOKEN, "a");
    g_assert_false(drv_connections_know(table, more.connection));
    g_array_append_val(all, more);
    forget(table, all);
}

/* Operators with many tokens, all of them being answered (event streams): nodes have places all the same. */
static void test_places_for_nodes(void)
{
    drv_connections *table = drv_connections_new();
    GArray *all = NULL;
    pair more;

    for (guint i = 0; i < (DRV_KNOWN_MOST - DRV_KNOWN_FOR_NODES) / 64; i++) {
        g_autofree char *who = g_strdup_printf("token%u", i);

        all = some(table, all, DRV_CALLER_TOKEN, who, 64, TRUE);
    }
    more = connect_as(table, DRV_CALLER_OPERATOR, "another");
    g_assert_false(drv_connections_know(table, more.connection));
    g_array_append_val(all, more);
    for (guint i = 0; i < DRV_KNOWN_FOR_NODES / 64; i++) {
        g_autofree char *who = g_strdup_printf("node%u", i);

        all = some(table, all, DRV_CALLER_NODE, who, 64, FALSE);
    }
    /* Full. A node's place is nobody's but a node's; of nodes whoever has most gives one up. */
    more = connect_as(table, DRV_CALLER_OPERATOR, "another");
    g_assert_false(drv_connections_know(table, more.connection));
    g_array_append_val(all, more);
    all = some(table, all, DRV_CALLER_NODE, "new", 1, FALSE);
    forget(table, all);
}

/* An operator's that do nothing make room for a node, not other nodes'. */
static void test_who_has_most(void)
{
    drv_connections *table = drv_connections_new();
    GArray *all = NULL;
    guint ended = 0;

    for (guint i = 0; i < DRV_KNOWN_MOST / 32; i++) {
        g_autofree char *who = g_strdup_printf("node%u", i);

        all = some(table, all, DRV_CALLER_NODE, who, i ? 32 : 31, FALSE);
    }
    all = some(table, all, DRV_CALLER_NODE, "node1", 1, FALSE);
    all = some(table, all, DRV_CALLER_NODE, "new", 1, FALSE);
    for (guint i = 0; i < all->len; i++)
        if (is_ended(&g_array_index(all, pair, i))) {
            g_assert_cmpstr(g_array_index(all, pair, i).connection->fingerprint, ==, "node1");
            ended++;
        }
    g_assert_cmpuint(ended, ==, 1);
    forget(table, all);
}

typedef struct {
    drv_connections *table;
    pair it;
    gboolean good;
} waiter;

static gpointer wait_to_join(gpointer data)
{
    waiter *one = data;

    one->good = drv_connections_join(one->table, one->it.connection);
    return NULL;
}

/* Few are worked on at once, fewer of one address; whoever comes later waits for a place. */
static void test_joining(void)
{
    drv_connections *table = drv_connections_new();
    GArray *all = g_array_new(FALSE, FALSE, sizeof(pair));
    waiter late = {.table = table};
    GThread *thread;

    for (guint i = 0; i < DRV_JOINS_MOST_PER_ADDRESS; i++) {
        pair it = connect_from(table, "10.9.9.9");

        g_assert_true(drv_connections_join(table, it.connection));
        g_array_append_val(all, it);
    }
    {
        pair elsewhere = connect_from(table, "10.9.9.10");

        g_assert_true(drv_connections_join(table, elsewhere.connection));
        g_array_append_val(all, elsewhere);
    }
    late.it = connect_from(table, "10.9.9.9");
    g_array_append_val(all, late.it);
    thread = g_thread_new("late", wait_to_join, &late);
    drv_connections_joined(table, g_array_index(all, pair, 0).connection);
    g_thread_join(thread);
    g_assert_true(late.good);
    forget(table, all);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/connections/one-caller", test_one_caller);
    g_test_add_func("/connections/places-for-nodes", test_places_for_nodes);
    g_test_add_func("/connections/who-has-most", test_who_has_most);
    g_test_add_func("/connections/joining", test_joining);
    return g_test_run();
}
