/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a host can take a VM, but for its disks and networks: judged when a plan is made and again
 * when its move begins. Pure: facts of run/machine-facts.h in, findings out. A fact that is
 * missing is a check that is skipped.
 */
#pragma once

#include "plan/checks.h"

typedef struct {
    const char *vm;
    const char *source; /* nodes, for messages */
    const char *target;
    gboolean offline;   /* the VM is shut off */
    gboolean post_copy; /* may be used */
    guint64 memory_bytes;
} drv_plan_target_goal;

/** drv_plan_target() - all of the following. @step: for the directories that are written to. */
void drv_plan_target(json_object *facts, json_object *step, const drv_plan_target_goal *goal,
                     drv_checks *checks);

/** drv_plan_machine() - CPU, machine type, QEMU's version, lock manager, post-copy. */
void drv_plan_machine(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks);
/** drv_plan_resources() - memory, huge pages, pinning, NUMA. */
void drv_plan_resources(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks);
/** drv_plan_needs() - files, ports, secrets, devices that the definition names, screens among them. */
void drv_plan_needs(json_object *facts, json_object *step, const drv_plan_target_goal *goal,
                    drv_checks *checks);
/** drv_plan_links() - the way between the hosts, and their clocks. Asked of the source only. */
void drv_plan_links(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks);
