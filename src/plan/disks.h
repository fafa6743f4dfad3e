/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How each disk of a VM gets to the target. Pure: facts of both ends in (facts/facts.h has
 * them), the step's "disks" out, and everything that is wrong at once.
 */
#pragma once

#include "plan/checks.h"

typedef struct {
    const char *vm;
    const char *source; /* nodes, for messages */
    const char *target;
    const char *mode;      /* "auto", "copy", "shared" */
    gboolean pool;         /* images go to a pool that was named */
    gboolean offline;      /* the VM is shut off */
    gboolean storage_only; /* source and target are one host */
    json_object *seeds;    /* {disk: older image at the target} that were named; NULL */
} drv_plan_disks_goal;

/**
 * drv_plan_disks() - @facts: of facts/facts.h
 * @checks: what is against it is added, with the way out
 * Return: the step's array. Transfer full.
 */
json_object *drv_plan_disks(json_object *facts, const drv_plan_disks_goal *goal, drv_checks *checks);
