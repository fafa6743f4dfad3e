/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet at one instant: plain structs that the planner reads, and how they are
 * collected from every node at once. A node that does not answer is there as
 * `lost`, with the reason.
 */
#pragma once

#include "hyper/hyper.h"
#include "model/json.h"
#include "model/peers.h"

typedef struct {
    char *name;
    gboolean up;
    char *error; /* why it is not */
    char *maintenance; /* "none", "draining", "drained" */
    guint cpus;
    guint64 memory_bytes;
    guint64 memory_free_bytes;
} drv_fleet_node;

typedef struct {
    char *name;
    char *uuid;
    char *node;
    char *state; /* as drv_domain_state_name() */
    guint vcpus;
    guint64 memory_bytes;
    gboolean arriving; /* the copy at the target of a move that is not over */
} drv_fleet_vm;

typedef struct {
    GPtrArray *nodes; /* of drv_fleet_node, by name */
    GPtrArray *vms;   /* of drv_fleet_vm */
} drv_fleet;

drv_fleet *drv_fleet_new(void);
void drv_fleet_free(drv_fleet *fleet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_fleet, drv_fleet_free)

/** drv_fleet_add() - a node's answers; @node NULL: it is lost, @why says so; @vms may be NULL. */
void drv_fleet_add(drv_fleet *fleet, const char *name, json_object *node, json_object *vms,
                   const char *why);

const drv_fleet_node *drv_fleet_find_node(const drv_fleet *fleet, const char *name);

/** drv_fleet_has_vm() - whether @node holds a VM of that name or UUID. */
gboolean drv_fleet_has_vm(const drv_fleet *fleet, const char *node, const char *name,
                          const char *uuid);

/**
 * drv_model_ask_all() - GET @path ("/v1/peer/…") from every member at the same time.
 * @local: answers for this node; called in the caller's thread
 * Return: an array parallel to @members, of json_object* or NULL; @errors (transfer full,
 * parallel too, of GError* or NULL). Blocks up to @timeout_ms.
 */
typedef json_object *(*drv_model_local_func)(const char *path, gpointer data, GError **error);
GPtrArray *drv_model_ask_all(const drv_peers *peers, GPtrArray *members, const char *path,
                             guint timeout_ms, drv_model_local_func local, gpointer data,
                             GPtrArray **errors);
