/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What droverd does: answers about the fleet, plans, jobs, and this node's end of
 * every migration. The HTTP routes and the door call nothing else. All functions may
 * be called from any thread but the main one; they may block on libvirt, the store
 * and peers, each bounded in time. JSON in and out as docs/rest.rst has it;
 * results are transfer full.
 */
#pragma once

#include "node/context.h"

/* Everything is borrowed and must outlive the drv_context; strings are copied. */
typedef struct {
    const char *node; /* this node's name */
    drv_hyper *hyper;
    drv_store *store;  /* this node's own */
    drv_store *shared; /* what is kept once for the cluster: a gate; NULL: @store, at the founder */
    const drv_peers *peers;
    const char *relay_program;    /* path of drover-relay */
    guint64 relay_memory_bytes;   /* that all relays may take together; 0: an eighth of the host's memory */
    const char *stand_in_program; /* path of drover-stand-in; NULL: nobody stands in for droverd */
    const char *resumed_dir;      /* where stand-ins record; on a disk, made if missing */
    const char *sessions_dir;     /* DRV_SESSIONS_DIR */
    const char *content_dir;      /* of known content; NULL: none is kept */
    guint64 content_most_bytes;   /* 0: as drv_content_config has it */
    guint64 content_age_s;        /* 0: the same */
    void (*looked)(
        gpointer data); /* libvirt has told all that a migration needs, or does not; from any thread; or NULL */
    gpointer looked_data;
} drv_serve_config;

/** drv_serve_new() - reads what was going on from the store; nothing moves before drv_serve_start(). */
drv_context *drv_serve_new(const drv_serve_config *config, GError **error);
/** drv_serve_start() - take up unfinished jobs and sessions, in threads of their own. */
void drv_serve_start(drv_context *ctx);
/** drv_serve_free() - leave everything that runs to the next droverd; waits for this one's threads. */
void drv_serve_free(drv_context *ctx);

/* Which nodes are obeyed; a node obeys itself in everything. */
typedef enum {
    DRV_PEER_MEMBER, /* any: it could do it by itself, or both ends of a move need it */
    DRV_PEER_LEADER, /* the one that leads: what operators ask for, who go there or to the node itself */
    DRV_PEER_ITSELF, /* the same, and a node about itself */
} drv_peer_who;

/**
 * drv_serve_hand_link() - a TCP connection whose ClientHello names @session: give it
 * to that session's relay. @fd stays the caller's (who closes it in any case).
 * DRV_ERROR_NOT_FOUND: no such session here.
 */
gboolean drv_serve_hand_link(drv_context *ctx, const char *session, int fd, GError **error);
