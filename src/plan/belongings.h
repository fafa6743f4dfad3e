/* SPDX-License-Identifier: Apache-2.0 */
/* What else goes along with a VM: networks by name, UEFI variables, TPM, snapshots. Pure, as disks.h. */
#pragma once

#include "plan/checks.h"

typedef struct {
    const char *source; /* nodes, for messages */
    const char *target;
    json_object *map_networks; /* {"A": "B"}, or NULL */
    gboolean offline;
} drv_plan_belongings_goal;

/**
 * drv_plan_belongings() - sets "networks", "nvram", "tpm", "autostart", "checkpoints", "macs" of @step.
 * @facts: of facts/facts.h
 * @checks: what is against it is added
 */
void drv_plan_belongings(json_object *facts, const drv_plan_belongings_goal *goal, json_object *step,
                         drv_checks *checks);
