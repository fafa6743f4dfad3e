/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one port: accepts, waits for the ClientHello without taking it, and sends the
 * connection where its server name says. See door.c for how it keeps strangers from
 * disturbing anybody.
 */
#pragma once

#include <glib.h>

#include "api/connections.h"
#include "hyper/gerror.h"

typedef struct drv_door drv_door;

typedef struct {
    const char *address; /* NULL: any, IPv4 and IPv6 */
    guint16 port;        /* 0: any free one */
    /*
     * An API connection, from the door's thread; must not block. @fd is given away;
     * drv_connections_hand() has been called.
     */
    void (*to_api)(gpointer data, drv_connection *connection, int fd, const struct sockaddr *from, socklen_t size);
    /* A relay's connection, from a thread of its own; may block. @fd stays the door's. */
    void (*to_relay)(gpointer data, const char *session, int fd, const char *address);
    gpointer data;
    drv_connections *connections;
} drv_door_config;

/** drv_door_open() - listen. DRV_ERROR_CONFLICT: the port is taken; says by whom. */
drv_door *drv_door_open(const drv_door_config *config, GError **error);
/** drv_door_start() - begin to accept, in a thread of its own. */
void drv_door_start(drv_door *door);
/** drv_door_port() - the port it listens on. */
guint16 drv_door_port(drv_door *door);
/** drv_door_stop() - accept no more; strangers whose ClientHello has not come are closed. */
void drv_door_stop(drv_door *door);
void drv_door_free(drv_door *door);
