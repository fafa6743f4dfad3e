/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread of drover-relay: local sockets, admin clients, links that droverd
 * hands over, deadlines and the end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/connect.h"
#include "relay/control/settings.h"
#include "relay/session.h"

#define DRV_ADMIN_CLIENTS_MAX 8
#define DRV_PENDING_MAX (DRV_LINKS_MAX + 4)

/* A client on the admin socket: droverd, or its successor. */
struct drv_admin_client {
    int fd; /* -1: none */
    bool watching;
    bool quiet;  /* wants to hear of changes only, and is not somebody who asks */
    bool behind; /* did not take an event: try again when it reads */
    uint32_t seen_changes;
    int64_t next_event_ms;
};

/* A connection that has yet to show that it knows the secret. */
struct drv_pending {
    drv_link *link; /* NULL: none */
    bool authenticated;
    int64_t deadline_ms;
};

struct drv_daemon {
    struct drv_settings settings;
    struct drv_session session;
    gnutls_psk_server_credentials_t credentials; /* target */
    int admin_listener;
    int listener[DRV_CHANNELS]; /* source; -1 otherwise */
    struct drv_admin_client client[DRV_ADMIN_CLIENTS_MAX];
    struct drv_pending pending[DRV_PENDING_MAX];
    int64_t connect_until_ms[DRV_STREAMS_MAX]; /* target: when a stream's connect gives up */
    int64_t began_ms;
    int64_t over_ms; /* when it became LOST or ENDED; 0 before */
    int64_t idle_ms; /* since when nothing is open and nobody asks; 0: not so */
    bool inside;     /* in the sandbox: the session's directory is / */
    bool end;        /* an admin client said so, or it is time */
};

/* daemon.c */

/** drv_daemon_open() - the sockets in the session's directory; still as root. */
int drv_daemon_open(struct drv_daemon *daemon, gid_t group, struct drv_error *err);

/** drv_daemon_run() - until the relay's end. */
void drv_daemon_run(struct drv_daemon *daemon);

/** drv_daemon_close() - close and remove the sockets. */
void drv_daemon_close(struct drv_daemon *daemon);
