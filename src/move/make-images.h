/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images that are made for a VM, empty, before anything is copied into them.
 *
 * "made" is the list of what was made, recorded before each piece is: a file's path, or
 * {"device": path} for a block device that was blank and is to be blank again.
 */
#pragma once

#include "node/context.h"

/** Record the list as it is now. */
typedef gboolean (*drv_made_keep)(gpointer data, GError **error);

/** drv_make_images() - the images of @step that are to be copied, empty. What is there already is never touched. */
gboolean drv_make_images(drv_context *ctx, json_object *step, json_object *made, drv_made_keep keep, gpointer data,
                         GError **error);
