/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step as it comes through a door: from the node that plans, from a move's source, or out of the store. Its
 * strings become paths, and ids of documents and of URLs; whoever takes one in from outside calls this first.
 */
#pragma once

#include "base/ids.h"
#include "node/context.h"

typedef struct {
    drv_uuid uuid;
    drv_vm_name vm;
    drv_node_name source;
    drv_node_name target;
} drv_step_names;

/**
 * drv_step_parse() - the names of @step; its UUID becomes lower case. Checks also the names of its disks, and
 * each path at which something would be made: images, the images below them, UEFI variables.
 * DRV_ERROR_INVALID says which is none.
 */
gboolean drv_step_parse(json_object *step, drv_step_names *names, GError **error);

/** drv_step_file() - a member that is the path of a file, taken apart. DRV_ERROR_INVALID. */
gboolean drv_step_file(json_object *object, const char *key, drv_path *path, GError **error);
