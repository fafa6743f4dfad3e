/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves in an order: by priority and dependencies, the long ones first; each with those that must have ended
 * well before it may begin; and how long all will take, by simulating that order under the limits.
 *
 * What is promised: whatever the moves really take, no node is ever given more memory than it has, as long as
 * no move begins before those in its `after` have ended well. Every `after` is of a lower index, so they
 * never wait for each other. Pure.
 */
#pragma once

#include "plan/predict.h"

typedef struct {
    guint per_node;        /* moves that touch a node at once, in and out; 0: as its processors bear */
    guint per_link;        /* moves from one node to another at once */
    guint64 bandwidth_bps; /* of a link, shared by the moves on it; 0: what it has */
} drv_plan_limits;

#define DRV_PLAN_PER_NODE 2 /* at most, of a node whose limit is not given */
#define DRV_PLAN_PER_LINK 4
#define DRV_PLAN_LIMITS_DEFAULT ((drv_plan_limits){.per_link = DRV_PLAN_PER_LINK})
#define DRV_PLAN_CPUS_A_MOVE 2 /* QEMU and relay, while its VMs go on working */
#define DRV_PLAN_LIMIT_MOST 1000

/**
 * drv_plan_limits_from_json() - LIMITS of docs/rest.rst; what is not given is as by default; NULL: all.
 * DRV_ERROR_INVALID.
 */
gboolean drv_plan_limits_from_json(json_object *object, drv_plan_limits *limits, GError **error);

/**
 * drv_plan_limits_json() - as an operation keeps it: "per_node", and in "nodes" those that bear less than that,
 * by their names.
 */
json_object *drv_plan_limits_json(const drv_plan_limits *limits, const drv_fleet *fleet);

/**
 * drv_plan_moves_borne() - how many moves may touch @node at once: what @limits say, or one for each
 * DRV_PLAN_CPUS_A_MOVE of its processors, at least one and at most DRV_PLAN_PER_NODE. More at once take the processor
 * from VMs, which then stand still, and the whole is no sooner over (docs/planner.rst).
 */
guint drv_plan_moves_borne(const drv_plan_limits *limits, const drv_fleet_node *node);

typedef struct {
    drv_fleet_vm *vm;
    const drv_fleet_node *from, *to;
    guint unit; /* VMs that are kept together have the same */
    char *why;  /* why there: one sentence */

    /* what drv_schedule_new() finds */
    guint index;
    int priority;    /* at least that of those that depend on it */
    GArray *after;   /* of guint, ascending */
    double start_ms; /* after the plan's begin, if all goes as predicted */
    double end_ms;
    guint64 rate_bps; /* what it has of the way, on average */
    drv_estimate_input expects;
    drv_estimate predicted;
    double length_ms; /* alone, by which it is ordered */
    int waited_for;   /* the move whose end let it begin; -1: none */
} drv_move;

drv_move *drv_move_new(drv_fleet_vm *vm, const drv_fleet_node *to, guint unit, char *why);
void drv_move_free(drv_move *move);

typedef struct {
    GPtrArray *moves;    /* of drv_move, by index */
    GPtrArray *stuck;    /* of drv_move: each would need room that only others of these would leave */
    GPtrArray *warnings; /* of char* */
    guint side_by_side;  /* most at once */
    drv_estimate_range time_ms, wire_bytes, pause_ms;
} drv_schedule;

/** drv_schedule_new() - @moves: of drv_move, taken over. */
drv_schedule *drv_schedule_new(const drv_fleet *fleet, GPtrArray *moves, const drv_plan_limits *limits);
void drv_schedule_free(drv_schedule *schedule);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_schedule, drv_schedule_free)
