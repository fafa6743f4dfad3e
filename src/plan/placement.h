/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules about where a VM is and when it moves, which it keeps with its goals or has from its policy:
 * "priority" (-1000 … 1000), "depends_on" (names or UUIDs of VMs that move before it), "apart" and "together"
 * (names of groups: no two on one node, all on one node), "node_labels" ({"rack": "7"}: its node has
 * these). As attributes of its metadata: lists with commas, labels as rack=7. Pure.
 */
#pragma once

#include "plan/goals.h"

#define DRV_PLACEMENT_RULES 5
extern const char *const drv_placement_names[DRV_PLACEMENT_RULES];

/** drv_placement_is_rule() - whether a member of goals, or an attribute, is one of the five. */
gboolean drv_placement_is_rule(const char *name);

/**
 * drv_placement_check() - the rules in @goals, as far as they are there. DRV_ERROR_INVALID, also if two of
 * them contradict each other: says which. A policy holds for several VMs, so it contradicts itself if it
 * keeps them both apart and together.
 */
gboolean drv_placement_check(json_object *goals, gboolean of_vm, GError **error);

/** drv_placement_check_labels() - those of a node: "labels" ({"rack": "7", "old": null}) and "site" of @settings. */
gboolean drv_placement_check_labels(json_object *settings, GError **error);

/**
 * drv_placement_take() - an attribute's text as member @name of @goals. DRV_ERROR_INVALID: it is none; of two
 * labels that contradict each other, which.
 */
gboolean drv_placement_take(json_object *goals, const char *name, const char *text, GError **error);

/** drv_placement_text() - the member as an attribute's text; NULL: it is not there. Transfer full. */
char *drv_placement_text(json_object *goals, const char *name);

/**
 * drv_placement_resolve() - the first of @layers that gives a rule has it. Sets those in @into, and where they
 * are from in its "goals_from".
 */
void drv_placement_resolve(const drv_goals_layer *layers, guint count, json_object *into);
