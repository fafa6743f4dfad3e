/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all rooms of the control plane share: this node with its connections and its store, one lock, and tables of
 * what goes on, by ids. Whose things a table has, that room's files alone reach into them.
 */
#pragma once

#include <json-c/json.h>

#include "hyper/hyper.h"
#include "model/peers.h"
#include "store/store.h"

#define DRV_NODE_PEER_TIMEOUT_MS 10000
/* Making images and starting a relay takes its time. */
#define DRV_NODE_PREPARE_TIMEOUT_MS 30000
/* Of what an operator waits for: as long as the node says that it is alive and works on it. */
#define DRV_NODE_PATIENT 0

/* Kept with the job before libvirt is asked to hand over by post-copy: the target may run it from then on. */
#define DRV_FACT_HAND_OVER "hand_over_asked"
#define DRV_FACT_FINISH_OK "finish_delivered"
#define DRV_FACT_HANDED_OVER "handed_over" /* the target is about to be told that the VM is its own */
/* The job ended because droverd was restarted, and nothing else was wrong. */
#define DRV_FACT_INTERRUPTED "interrupted"

typedef struct drv_context drv_context;
typedef struct drv_content drv_content;
typedef struct drv_incoming drv_incoming;
typedef struct drv_outgoing drv_outgoing;
typedef struct drv_operations drv_operations;

struct drv_context {
    char *node;
    /* What this node is asked itself, which needs no network: as drv_serve_peer(). */
    json_object *(*answer)(drv_context *ctx, const char *caller, const char *method, const char *path,
                           json_object *body, GError **error);
    gint64 started_ms; /* this droverd */
    drv_hyper *hyper;
    drv_store *store;      /* this node's own */
    drv_store *shared;     /* the cluster's, a gate: see leader.h */
    struct drv_lead *lead; /* leader.c */
    const drv_peers *peers;
    char *relay_program;
    guint64 relay_memory_bytes; /* that all relays may take together; 0: a part of the host's */
    char *stand_in_program;     /* NULL: none */
    char *resumed_dir;          /* a file for each session whose guest a stand-in has resumed */
    char *sessions_dir;
    drv_content *content; /* NULL: none is kept */
    drv_operations *operations;

    gint looking;                  /* atomic; libvirt's first look goes on: facts/first-look.h */
    void (*looked)(gpointer data); /* it is over; from its thread */
    gpointer looked_data;

    GMutex lock;                /* guards what follows */
    GCond idle;                 /* a thread has ended */
    GHashTable *jobs;           /* id → drv_job: those of this node that have not ended */
    GHashTable *attention;      /* id → drv_job: those of this node that need attention */
    GHashTable *outgoing;       /* VM's UUID → drv_outgoing */
    GHashTable *incoming;       /* session → drv_incoming */
    GHashTable *leaving;        /* VM's UUID → the id of the job that moves it away */
    GHashTable *in_need;        /* the id of a job that needs attention → its VM's UUID */
    GHashTable *coming;         /* session → UUID of the VM that arrives by it and is not settled yet */
    GHashTable *presence;       /* node → since when it answers or does not (presence.h) */
    json_object *node_settings; /* as last heard from the leader; NULL: never */
    GHashTable *probes;         /* session → its directory: of links that are probed up to here */
    gboolean probing;           /* a link from here */
    gint looks;                 /* at links and memory for predictions that run now; atomic */
    guint threads;              /* that drv_serve_free() waits for */
    gboolean stopping;
};

/** drv_node_thread() - start a thread that drv_serve_free() waits for. @data is the function's. */
void drv_node_thread(drv_context *ctx, const char *name, GThreadFunc func, gpointer data);
void drv_node_thread_ended(drv_context *ctx);
gboolean drv_node_is_stopping(drv_context *ctx);
/** drv_node_pause() - wait @ms or until the executor stops. Return: FALSE when it stops. */
gboolean drv_node_pause(drv_context *ctx, guint ms);

/** drv_node_call() - a peer, or this node itself without the network. See drv_peers.call. */
json_object *drv_node_call(drv_context *ctx, const char *node, const char *method, const char *path, json_object *body,
                           guint timeout_ms, GError **error);

/** drv_node_is_copied() - whether a step's disk is copied to the target. */
gboolean drv_node_is_copied(json_object *disk);

/** drv_node_is_leaving() - whether a move of the VM away from here has not ended yet. */
gboolean drv_node_is_leaving(drv_context *ctx, const char *uuid);
/** drv_node_leaving_by() - the id of the job that moves it away. Transfer full; NULL: none does. */
char *drv_node_leaving_by(drv_context *ctx, const char *uuid);
/** drv_node_in_need() - the id of a job of the VM that needs attention. Transfer full; NULL: none does. */
char *drv_node_in_need(drv_context *ctx, const char *uuid);
/** drv_node_is_coming() - whether an arrival of the VM is not settled yet. */
gboolean drv_node_is_coming(drv_context *ctx, const char *uuid);
gboolean drv_node_is_coming_locked(drv_context *ctx, const char *uuid);

/** drv_node_of_id() - the node in an id ("h1-7", "h1-p3"). Transfer full; NULL and DRV_ERROR_NOT_FOUND if it has none. */
char *drv_node_of_id(const char *id, const char *what, GError **error);

/** drv_node_touch() - returns once the executor's lock can be had: it is held for moments only. Any thread. */
void drv_node_touch(drv_context *ctx);
