/* SPDX-License-Identifier: Apache-2.0 */
/* Fleets for the planner's tests, in few words, and plans looked at step by step. */
#pragma once

#include "plan/fleet-plan.h"

#define GIB (G_GINT64_CONSTANT(1) << 30)

/** fleet_of() - out of JSON in which ' stands for ", and sizes are GiB where a "G" follows: {'memory_bytes': 4G}. */
drv_fleet *fleet_of(const char *text);

/** evacuate() - of the one node, with default limits; the plan must be made. Transfer full. */
json_object *evacuate(const drv_fleet *fleet, const char *node);

/** step_of(), refusal_of() - about a VM; NULL: there is none. Borrowed. */
json_object *step_of(json_object *plan, const char *vm);
json_object *refusal_of(json_object *plan, const char *vm);

/** goes_to() - the VM's target; the test fails if it has no step. */
const char *goes_to(json_object *plan, const char *vm);

/** is_refused() - fails unless the VM is refused with this code, and message and remedy say so. */
void is_refused(json_object *plan, const char *vm, const char *code, const char *message, const char *remedy);

/** index_of() - of the VM's step. */
gint64 index_of(json_object *plan, const char *vm);

/**
 * keeps_room() - carries the plan out with other times than predicted, in a random order that limits and
 * "after" allow, and fails if a node is ever given more memory than it had room for, if two that are kept apart
 * meet which were not together before, or if not every step can be carried out.
 */
void keeps_room(const drv_fleet *fleet, json_object *plan, guint32 seed);
