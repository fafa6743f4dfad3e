/* SPDX-License-Identifier: Apache-2.0 */
/* A domain's definition as it must read at another place: disks elsewhere, networks by other names. */
#pragma once

#include "hyper/hyper.h"

/** One disk that changes. */
typedef struct {
    char *target;     /* "vda" */
    char *was;        /* change it only if this is its image's path; NULL: whatever it is */
    char *path;       /* where its image is at the target; NULL: where it was */
    gboolean block;   /* @path is a block device, else a file */
    gboolean flatten; /* a backing chain arrives as one image */
    gboolean unmap;   /* while it runs, zeros that are written become holes, unless the VM says otherwise */
} drv_rewrite_disk;

/** Interfaces on @from become interfaces on @to; both as "bridge:br0" or "network:default". */
typedef struct {
    char *from;
    char *to;
} drv_rewrite_network;

struct drv_rewrite {
    GPtrArray *disks;    /* of drv_rewrite_disk */
    GPtrArray *networks; /* of drv_rewrite_network */
};

drv_rewrite *drv_rewrite_new(void);
void drv_rewrite_free(drv_rewrite *rewrite);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_rewrite, drv_rewrite_free)

/** drv_rewrite_add_disk() - strings are copied. @path may be NULL. */
void drv_rewrite_add_disk(drv_rewrite *rewrite, const char *target, const char *path, gboolean block, gboolean flatten,
                          gboolean unmap);
/** drv_rewrite_add_disk_back() - to the file or device @path, if it is at the file @was. Strings are copied. */
void drv_rewrite_add_disk_back(drv_rewrite *rewrite, const char *target, const char *was, const char *path);
void drv_rewrite_add_network(drv_rewrite *rewrite, const char *from, const char *to);
/** drv_rewrite_is_empty() - whether everything stays as it is. */
gboolean drv_rewrite_is_empty(const drv_rewrite *rewrite);

/**
 * drv_rewrite_xml() - @xml with the changes. A pure function; any thread.
 * @live: of a running VM (libvirt has written the chain into it), else of its next start
 * Return: transfer full, or NULL: DRV_ERROR_INVALID.
 */
char *drv_rewrite_xml(const drv_rewrite *rewrite, const char *xml, gboolean live, GError **error);
