/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's older image of a disk that is to be copied: which one there is, and opening it for a
 * relay. A SEED: {"kind": "named", "kept" or "base", "path", "format"}; in facts also "error": one that was
 * named and cannot be used.
 */
#pragma once

#include "node/context.h"
#include "relay/control/control.h"

/** drv_seed_find() - @told: a disk of facts.h, and all that was told with it. Transfer full; NULL: there is none. */
json_object *drv_seed_find(drv_context *ctx, json_object *told, json_object *all);

/**
 * drv_seeds_open() - those of a step's disks, for a relay that is to be started.
 * @step: its own word for what is kept is not taken, but that of the store here
 * @fds: room for DRV_OLDER_IMAGES, the caller's to close
 * @answer: gets "older": the exports that they are of, in that order
 * Return: how many. One that cannot be read is left out, which costs speed.
 */
guint drv_seeds_open(drv_context *ctx, const char *dir, json_object *step, int *fds, json_object *answer);
