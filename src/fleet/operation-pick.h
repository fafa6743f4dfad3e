/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which steps of the operations that run may begin now: what they come after, how many moves a host
 * and a link bear at once, and the budget of each link. Pure functions over their documents.
 */
#pragma once

#include "model/json.h"

typedef struct {
    gsize operation;       /* which of those that were given */
    guint index;           /* of the step */
    guint64 bandwidth_bps; /* its share of the link's budget; 0: no budget */
} drv_picked;

/**
 * drv_pick_steps() - what can begin now, all of it together.
 *
 * Moves of all operations count at the hosts and links that they touch; each operation has its own
 * limits. A step begins when the steps in its "after" have ended well, in the order of the plan: a
 * later one may overtake one that has to wait.
 * @docs: OPERATIONs, the oldest first; those that do not run only count
 * Return: of drv_picked (transfer full)
 */
GArray *drv_pick_steps(json_object *const *docs, gsize count);

/**
 * drv_pick_doomed() - a waiting step of @doc that can never begin, since what it comes after has not
 * ended well.
 * @why: receives the reason (transfer full)
 * Return: its index, -1: there is none
 */
gint drv_pick_doomed(json_object *doc, char **why);
