/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes in this process: real identity, store, door and server; the executor is played (harness.c). */
#pragma once

#include "api/api.h"
#include "cluster/authority.h"
#include "cluster/client.h"
#include "cluster/join.h"

typedef struct {
    char *dir;
    char *etc;
    char *state;
    guint16 port;
    drv_identity *identity;
    drv_store *store;
    drv_cluster *cluster;
    drv_api *api;
} test_node;

/** test_node_found() - a founder that answers. */
test_node *test_node_found(const char *name);
/** test_node_join() - a joined node; with @serve it answers too. */
test_node *test_node_join(const char *name, test_node *founder, gboolean serve);
/** test_node_start(), test_node_stop() - its "droverd". */
void test_node_start(test_node *node);
void test_node_stop(test_node *node);
void test_node_free(test_node *node);

/** test_token() - a fresh token from @node's authority. Transfer full. */
char *test_token(test_node *node, const char *kind, gint64 ttl_s, char **id);

/** test_client() - with the identity of @as, talking to @to. */
/** test_tell() - of drv_client_on_wait(): what was said, into the char * at @data; a GET of TEST_SLOW ends then. */
#define TEST_SLOW "slow"
void test_tell(const char *what, gpointer data);
drv_client *test_client(test_node *as, test_node *to);
/** test_person() - root at a command line on @as's host, talking to @to. */
drv_client *test_person(test_node *as, test_node *to);
drv_client *test_bearer_client(const char *token, test_node *as_ca, test_node *to);

/** test_get() - GET @path; returns the answer or NULL. */
json_object *test_get(drv_client *client, const char *path, GError **error);

/** test_connect() - a bare TCP connection to @node, from loopback address @from. */
int test_connect(test_node *node, const char *from);

/** test_closed() - wait until the other end has closed @fd. */
gboolean test_closed(int fd, int timeout_ms);

/** test_links() - how many links were handed to the executor for @session. Waits until there is one. */
guint test_links(const char *session, int timeout_ms);

#define TEST_SESSION "0123456789abcdef0123456789abcdef"
