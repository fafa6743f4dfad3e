/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What VMs need of files: who on this host needs one (the VMs, as they run and as they will start the next time,
 * with all that their images consist of (image.h), and images that belong to no VM), which is asked before anything
 * goes; and what a VM needs and does not find, which is asked when it has come.
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

/** drv_image_uses_except() - what this image needs, which belongs to no VM yet, does not count. */
void drv_image_uses_except(drv_image_uses *uses, const char *image);

/** drv_image_uses_of() - who needs the file: "VM clone1 has it as the base of its disk vda". Transfer full; NULL: nobody. */
char *drv_image_uses_of(drv_image_uses *uses, const char *path);

/** A file that the saved definition of a VM needs and that is not there. */
typedef struct {
    char *disk; /* "vda" */
    char *path;
} drv_missing_file;

/**
 * drv_hyper_missing_files() - those without which the VM would not start the next time: images of its disks, and all
 * that these need; NVRAM and firmware are libvirt's to make or were looked at before. None of a transient VM.
 * Transfer full, of drv_missing_file. DRV_ERROR_NOT_FOUND: there is no such VM.
 */
GPtrArray *drv_hyper_missing_files(drv_hyper *hyper, const char *uuid, GError **error);
