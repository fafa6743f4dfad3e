/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected, and who has to go. Whoever has not said who they are is a
 * stranger: there are few places for strangers, few for each address, and each stays
 * for some seconds only; when a place is needed the oldest stranger of the address that
 * has the most loses its. So a flood displaces itself, from wherever it comes. Those
 * who have authenticated do not compete with strangers, and nodes do not compete with
 * operators: of their places some are for nodes only, and nobody gets very many.
 *
 * Any thread. A connection is ended by shutting it down; whoever reads it sees that and
 * closes it.
 */
#pragma once

#include <glib.h>
#include <sys/socket.h>

typedef struct drv_connections drv_connections;

#define DRV_STRANGERS_MOST 256
#define DRV_STRANGERS_MOST_PER_ADDRESS 64
#define DRV_KNOWN_MOST 1024
#define DRV_KNOWN_MOST_PER_CALLER 128 /* of one node, token or operator's key */
#define DRV_KNOWN_FOR_NODES 256       /* of the known, places that only nodes get */
#define DRV_JOINS_AT_ONCE 8
#define DRV_JOINS_MOST_PER_ADDRESS 2 /* of them */
#define DRV_JOIN_WAIT_MS 5000
#define DRV_HELLO_MS 5000     /* for the ClientHello */
#define DRV_STRANGER_MS 10000 /* for authenticating, from the start */
#define DRV_IDLE_MS 150000    /* for the next request of a known one */

/* Roles, not ranks: none of them includes another one. */
typedef enum {
    DRV_CALLER_NOBODY,
    DRV_CALLER_NODE,     /* another node of the cluster */
    DRV_CALLER_SELF,     /* this node's own certificate: root on this host */
    DRV_CALLER_OPERATOR, /* an operator's certificate */
    DRV_CALLER_TOKEN,    /* an operator's token: all that an operator may, but what would outlive it */
    DRV_CALLER_ROLES
} drv_caller_role;
#define DRV_MAY(role) (1u << (role))

/* One connection. What is guarded by the table's lock is touched only through its functions. */
typedef struct {
    int fd;           /* to shut it down with; guarded */
    char address[64]; /* for messages */
    guint8 place[16]; /* the address: whole for IPv4, the /64 for IPv6 */
    gint64 since_ms;
    gint64 active_ms; /* guarded */
    gboolean hello;   /* the ClientHello has come; guarded */
    gboolean known;   /* guarded */
    gboolean busy;    /* a request is being answered; guarded */
    gboolean doomed;  /* has been shut down; guarded */
    gboolean joining; /* has a place of drv_connections_join(); guarded */
    int mhd_fd;       /* the HTTP server's descriptor while it has it, else -1; guarded */
    /* Set by the connection's own thread before it is known, and not changed after that: */
    drv_caller_role role;
    char *name;        /* from the certificate, or "token <id>" */
    char *fingerprint; /* of a node's certificate, of an operator's key; or NULL */
    char *token_id;    /* of the bearer token, or NULL */
    gint64 expires_ms; /* when the certificate does (real time) */
} drv_connection;

drv_connections *drv_connections_new(void);
/** drv_connections_free() - none may be left but those that nobody reads any more. */
void drv_connections_free(drv_connections *table);

/**
 * drv_connections_add() - a new stranger; somebody may have to go for it.
 * @fd: the connection's descriptor, used for shutting it down until drv_connections_hand()
 * Return: the connection, or NULL when there is no place at all (the caller closes @fd).
 */
drv_connection *drv_connections_add(drv_connections *table, int fd, const struct sockaddr *from);

/** drv_connections_remove() - it has been, or is about to be, closed by whoever reads it. */
void drv_connections_remove(drv_connections *table, drv_connection *connection);

/**
 * drv_connections_hand() - the HTTP server gets the descriptor: keep a duplicate, and
 * find the connection by it. Return: FALSE if it is doomed already or there is no descriptor left.
 */
gboolean drv_connections_hand(drv_connections *table, drv_connection *connection);
drv_connection *drv_connections_find(drv_connections *table, int mhd_fd);

/**
 * drv_connections_know() - it has authenticated. When a place is needed, the same caller's connection that
 * has been idle longest goes, else that of the caller that has most of them.
 * Return: FALSE if there is none: all others are being answered.
 */
gboolean drv_connections_know(drv_connections *table, drv_connection *connection);

/**
 * drv_connections_join() - a stranger's whole request to join is here: take one of the few places in
 * which they are worked on. Waits for one, DRV_JOIN_WAIT_MS at most. FALSE: there was none.
 */
gboolean drv_connections_join(drv_connections *table, drv_connection *connection);
/** drv_connections_joined() - give it back. */
void drv_connections_joined(drv_connections *table, drv_connection *connection);

/** drv_connections_busy() - a request begins or ends. */
void drv_connections_busy(drv_connections *table, drv_connection *connection, gboolean busy);

/**
 * drv_connections_reap() - end those whose time is over.
 * Return: milliseconds until it should be called again; -1 when there is nobody.
 */
int drv_connections_reap(drv_connections *table);

/** drv_connections_end() - end all for which @func says so (NULL: all); it sees name, fingerprint and token_id. */
void drv_connections_end(drv_connections *table, gboolean (*func)(const drv_connection *connection, gpointer data),
                         gpointer data);

/** drv_connections_relieve() - end the oldest stranger, since descriptors have run out. FALSE: there is none. */
gboolean drv_connections_relieve(drv_connections *table);
