/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What on this host needs a file: the VMs, as they run and as they will start the next time, with all that their
 * images consist of (image.h), and images that belong to no VM. Asked before anything goes.
 */
#pragma once

#include "hyper/hyper.h"

typedef struct drv_image_uses drv_image_uses;

/**
 * drv_hyper_image_uses() - as it is now. Reads the header of each VM's images, and of all images in the
 * directories of storage pools. Transfer full.
 * @but: the UUID of a VM that does not count, nor do its images; NULL: all count
 */
drv_image_uses *drv_hyper_image_uses(drv_hyper *hyper, const char *but, GError **error);
void drv_image_uses_free(drv_image_uses *uses);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_image_uses, drv_image_uses_free)

/** drv_image_uses_of() - who needs the file: "VM clone1 has it as the base of its disk vda". Transfer full; NULL: nobody. */
char *drv_image_uses_of(drv_image_uses *uses, const char *path);
