/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of VMs about where they are: which of them go together, and which rules contradict each
 * other. Pure.
 */
#pragma once

#include "plan/refusals.h"

/**
 * drv_rules_units() - @vms in units that go to one node each.
 * @vms: of drv_fleet_vm, all that are to leave where they are
 * @refused: gets those whose rules contradict each other (which two, and of whom), and those that are kept
 * together with one that has to stay where it is
 * Return: of drv_unit, transfer full
 */
GPtrArray *drv_rules_units(const drv_fleet *fleet, GPtrArray *vms, json_object *refused);
