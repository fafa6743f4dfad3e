/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet at one instant: plain structs that the planner reads, with indexes, so that it stays quick for
 * thousands of nodes and tens of thousands of VMs. They are collected from every node at once, or read from
 * a file (fleet-json.h). A node that does not answer is there as `lost`, with the reason. What is not known
 * is left out, and is never a reason against anything.
 *
 * All strings and sets belong to the fleet. A fleet is filled by one thread and then only read.
 */
#pragma once

#include "hyper/hyper.h"
#include "model/json.h"
#include "model/names.h"
#include "model/peers.h"

#define DRV_FLEET_UNKNOWN (-1.0) /* of a load */

typedef enum {
    DRV_MAINTENANCE_NONE,
    DRV_MAINTENANCE_DRAINING,
    DRV_MAINTENANCE_DRAINED,
} drv_maintenance;

typedef struct {
    const char *name;
    guint64 free_bytes;
    gboolean shared; /* other nodes have the same one by this name */
} drv_fleet_pool;

typedef struct drv_fleet_vm drv_fleet_vm;

typedef struct {
    const char *name;
    guint index; /* in the fleet's nodes */
    gboolean up;
    gint64 since_ms;   /* it is up, or lost; 0: not known */
    const char *error; /* why it is not */
    gboolean off;      /* switched off on purpose */
    drv_maintenance maintenance;
    guint cpus;
    double cpu_used; /* cores, of all that runs there */
    guint64 memory_bytes;
    guint64 memory_free_bytes;
    const char *cpu_model;
    const drv_names *cpu_features; /* NULL: not known */
    const drv_names *networks;     /* as "bridge:br0"; NULL: not known */
    const drv_names *labels;       /* as "key=value" */
    const char *site;
    drv_fleet_pool *pools;
    guint pool_count;

    /* of its VMs */
    drv_fleet_vm *first_vm;   /* and on by next_on_node */
    guint64 vms_bytes;        /* of those that run or are paused there, and of those that arrive */
    guint64 arriving_bytes;   /* of the latter, which have not taken theirs yet */
    guint64 relay_bytes;      /* that the relays of its migrations may take together; 0: not known */
    guint64 relay_left_bytes; /* of that, what none has reserved yet */
    guint64 promised_bytes;   /* to VMs that other plans bring, which have not begun to arrive */
} drv_fleet_node;

typedef struct {
    const char *target; /* "vda" */
    const char *pool;   /* NULL: not known, or in none */
    guint64 bytes;      /* allocated */
    gboolean shared;    /* and so stays where it is */
} drv_fleet_disk;

struct drv_fleet_vm {
    const char *name;
    const char *uuid;
    const char *node;
    const char *state; /* as drv_domain_state_name() */
    guint index;       /* in the fleet's VMs */
    drv_fleet_node *on;
    gboolean active;   /* it has memory there: runs, or is paused */
    gboolean arriving; /* the copy at the target of a move that is not over */
    guint vcpus;
    guint64 memory_bytes;
    double cpu_used;  /* cores */
    gint64 dirty_bps; /* bytes a second that it changes; -1: not known */
    drv_fleet_disk *disks;
    guint disk_count;
    const drv_names *networks;     /* NULL: not known */
    const drv_names *cpu_features; /* that it needs; NULL: not known */
    const char *busy;              /* what is being done to it; NULL: nothing */
    const char *obstacle;          /* why it cannot move live; NULL: nothing is known */
    const char *problem;           /* with its goals or rules, which are not known then; NULL: none */
    gboolean left_out;             /* set by who asks for a plan: not to be planned for, nor to be refused */

    /* its rules: what it says itself, or its policy (fleet/rules.h) */
    int priority;                 /* the higher the earlier */
    const drv_names *depends_on;  /* names or UUIDs of VMs that move before it */
    const drv_names *apart;       /* groups of which no two are on one node */
    const drv_names *together;    /* groups of which all are on one node */
    const drv_names *node_labels; /* that its node must have */
    json_object *goals;           /* of its moves; NULL: none */
    json_object *expects;         /* what its node knows for predictions (plan/estimate-json.h); NULL: nothing */

    drv_fleet_vm *next_on_node, *same_name, *same_uuid;
};

typedef struct {
    const drv_fleet_node *from, *to;
    guint64 rate_bps; /* bytes a second */
    guint64 rtt_us;
    gint64 measured_ms;
} drv_fleet_link;

typedef struct {
    gint64 taken_ms;     /* 0: not known */
    GPtrArray *nodes;    /* of drv_fleet_node */
    GPtrArray *vms;      /* of drv_fleet_vm */
    GPtrArray *links;    /* of drv_fleet_link */
    GPtrArray *warnings; /* of char*: what should be known of it and is not */

    /* inside */
    GStringChunk *texts;
    drv_names_pool *features, *networks, *labels, *apart, *together, *others;
    GHashTable *by_node, *by_name, *by_uuid, *by_ends;
} drv_fleet;

drv_fleet *drv_fleet_new(void);
void drv_fleet_free(drv_fleet *fleet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_fleet, drv_fleet_free)

/** drv_fleet_add() - a node's answers; @node NULL: it is lost, @why says so; @vms may be NULL. */
void drv_fleet_add(drv_fleet *fleet, const char *name, json_object *node, json_object *vms, const char *why);

/* What fleet-json.c fills a fleet with. The structs are the fleet's, zeroed but for the names. */
drv_fleet_node *drv_fleet_add_node(drv_fleet *fleet, const char *name);
drv_fleet_vm *drv_fleet_add_vm(drv_fleet *fleet, drv_fleet_node *node, const char *name, const char *uuid,
                               const char *state, guint64 memory_bytes, gboolean arriving);
/** drv_fleet_add_link() - the later of two between the same nodes counts. */
void drv_fleet_add_link(drv_fleet *fleet, const drv_fleet_link *link);
/** drv_fleet_text() - a copy that is the fleet's, the same for the same text; NULL for NULL. */
const char *drv_fleet_text(drv_fleet *fleet, const char *text);

/** drv_fleet_find_node() - NULL: there is none of that name. */
drv_fleet_node *drv_fleet_find_node(const drv_fleet *fleet, const char *name);

/** drv_fleet_named() - the first VM of that name (and on by same_name), or with that UUID. */
drv_fleet_vm *drv_fleet_named(const drv_fleet *fleet, const char *name);
drv_fleet_vm *drv_fleet_with_uuid(const drv_fleet *fleet, const char *uuid);

/** drv_fleet_has_vm() - whether @node holds a VM of that name or UUID. */
gboolean drv_fleet_has_vm(const drv_fleet *fleet, const char *node, const char *name, const char *uuid);

/** drv_fleet_link_between() - NULL: it was not measured. */
const drv_fleet_link *drv_fleet_link_between(const drv_fleet *fleet, const drv_fleet_node *from,
                                             const drv_fleet_node *to);

/* What a node whose room is not known has. */
#define DRV_FLEET_ROOM_UNKNOWN (G_MAXINT64 / 4)
/**
 * drv_fleet_room() - bytes of memory that VMs can still be given on @node, without what it keeps for itself.
 *
 * The smaller of what is free and of what its VMs have not been given (they may not have touched all of
 * theirs yet); less what is on its way there and what other plans were promised. May be negative.
 */
gint64 drv_fleet_room(const drv_fleet_node *node);

/**
 * drv_model_ask_all() - GET @path ("/v1/peer/…") from every member at the same time.
 * @local: answers for this node; called in the caller's thread
 * Return: an array parallel to @members, of json_object* or NULL; @errors (transfer full,
 * parallel too, of GError* or NULL). Blocks up to @timeout_ms.
 */
typedef json_object *(*drv_model_local_func)(const char *path, gpointer data, GError **error);
