/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet as it will be while a plan is being made: what each node still has room for when everything
 * that was decided so far has begun, and where each VM will be. What leaves a node gives no room before it
 * is gone, so nothing is given back here: schedule.h does that, where it orders one move behind
 * another. Pure; one plan, one thread.
 */
#pragma once

#include "model/fleet.h"

/* Why a node is not taken; the order is that in which they are looked at, the firmest first. */
typedef enum {
    DRV_FIT_GOOD,
    DRV_FIT_THERE, /* the VM is on it */
    DRV_FIT_LOST,
    DRV_FIT_OFF,
    DRV_FIT_MAINTENANCE, /* it is being emptied, by this plan or another one */
    DRV_FIT_TAKEN,       /* it has a VM of that name or UUID */
    DRV_FIT_CPU,
    DRV_FIT_NETWORK,
    DRV_FIT_LABEL,
    DRV_FIT_APART,
    DRV_FIT_DISK,
    DRV_FIT_MEMORY,
    DRV_FITS
} drv_fit;

/* VMs that go to one node or not at all: one, or those that are kept together. */
typedef struct {
    GPtrArray *vms; /* of drv_fleet_vm, borrowed */
    guint64 bytes;
    double cpu;                 /* cores, of those that are known */
    int priority;               /* the highest */
    const drv_fleet_node *with; /* where others of its group are and stay, to whom it shall come if it can */
} drv_unit;

typedef struct {
    const drv_fleet_node *node;
    gint64 room_bytes;
    double cpu_used;    /* DRV_FLEET_UNKNOWN */
    guint64 *pool_free; /* as node->pools; NULL: as there */
    gboolean closed;    /* this plan empties it */
    guint arrivals;
} drv_room_node;

typedef struct {
    const drv_fleet *fleet;
    drv_room_node *nodes;         /* by index */
    const drv_fleet_node **where; /* by a VM's index: where it was put; NULL: not moved */
    GTree *by_room;               /* of drv_room_node that can be targets at all */
    GPtrArray *at_first;          /* the same of them, those with the most room first */
    GHashTable *groups;           /* of apart, on a node */
    GHashTable *features;         /* which sets of CPU features have which */
    guint64 best_rate_bps;        /* of all links */
    const drv_fleet_node *open;   /* its maintenance does not count; NULL: everybody's does */
} drv_room;

/** drv_room_new() - as the fleet is. @closed: of drv_fleet_node, which are no targets. */
drv_room *drv_room_new(const drv_fleet *fleet, GPtrArray *closed);
void drv_room_free(drv_room *room);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_room, drv_room_free)

drv_unit *drv_unit_new(void);
void drv_unit_add(drv_unit *unit, drv_fleet_vm *vm);
void drv_unit_free(drv_unit *unit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_unit, drv_unit_free)

/** drv_room_fits() - whether @unit can go there now, and if not the first reason against it. */
drv_fit drv_room_fits(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node);

/** drv_room_fits_one() - what can be said of one VM: all but where others of its group are, disks and memory. */
drv_fit drv_room_fits_one(const drv_room *room, const drv_fleet_vm *vm, const drv_fleet_node *node);

/** drv_room_apart() - a VM that is or will be on @node (an index) and is kept apart from @vm by @group; NULL: none. */
const drv_fleet_vm *drv_room_apart(const drv_room *room, const drv_fleet_vm *vm, guint node, guint *group);

/** drv_room_lacks() - bytes of memory by which @node is too small for @unit; 0: it is not. */
guint64 drv_room_lacks(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node);

/**
 * drv_room_score() - how good a node that fits is, greater is better, in 0 … 1: memory and processors that
 * are left, the link, the site, how many come already.
 */
double drv_room_score(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node);

typedef enum {
    DRV_PACK_SPREAD, /* the best score among the nodes with the most room */
    DRV_PACK_TIGHT,  /* the node that is filled best: leaves large holes for large VMs */
    DRV_PACK_FILL,   /* the first with room, in the order of what they had at the beginning */
} drv_packing;

/**
 * drv_room_choose() - the node for @unit; NULL: none fits. O(log N) but for nodes that other rules exclude;
 * to fill O(N).
 */
const drv_fleet_node *drv_room_choose(const drv_room *room, const drv_unit *unit, drv_packing packing);

/** drv_room_put() - it goes there. */
void drv_room_put(drv_room *room, const drv_unit *unit, const drv_fleet_node *node);
/** drv_room_take_back() - it does not go there after all. */
void drv_room_take_back(drv_room *room, const drv_unit *unit, const drv_fleet_node *node);
