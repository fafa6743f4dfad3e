/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a path on this host is, so that two hosts can find out whether they have the same:
 * facts of a file or block device, markers that are written here and looked for there,
 * and digests of contents. Any thread; nothing here calls libvirt.
 */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

/** drv_file_facts_clear(). */
typedef struct {
    gboolean exists;
    gboolean block;           /* a block device, else a plain file */
    guint64 size_bytes;       /* length, or the device's size */
    guint64 allocation_bytes; /* what it takes on its file system */
    guint64 inode;
    gint64 modified_ns;
    gboolean known_shared; /* on NFS, CephFS or the like, which libvirt takes as shared, too */
    GPtrArray *ids;        /* of a device: world-wide names, serials, LVM's UUIDs; of char* */
} drv_file_facts;

/** drv_probe_file() - a path that is not there is no error. DRV_ERROR_REFUSED: neither file nor device. */
gboolean drv_probe_file(const char *path, drv_file_facts *facts, GError **error);
void drv_file_facts_clear(drv_file_facts *facts);

/** drv_probe_room() - of the file system of @directory: free bytes, and a name that tells it from others. */
gboolean drv_probe_room(const char *directory, guint64 *free_bytes, char **name, GError **error);

/** drv_probe_marker() - where drv_probe_mark() writes. Transfer full. */
char *drv_probe_marker(const char *path, const char *token);
/**
 * drv_probe_mark() - write a small hidden file with @token beside @path. Its path, transfer full;
 * NULL and @error where the directory cannot be written. The caller removes it.
 */
char *drv_probe_mark(const char *path, const char *token, GError **error);
/** drv_probe_sees() - whether this host sees the marker with that token. Other paths than markers': no. */
gboolean drv_probe_sees(const char *marker, const char *token);
/**
 * drv_probe_unmark() - remove the marker of @token, whole or not; nothing else has that name.
 * Return: whether it is gone, else errno says why.
 */
gboolean drv_probe_unmark(const char *marker, const char *token);

/** drv_probe_is_blank() - whether the first and the last MiB of a device are zero: no file system, no table. */
gboolean drv_probe_is_unused(const char *path, GError **error);
gboolean drv_probe_is_blank(const char *path, GError **error);
/** drv_probe_blank() - zero them, after a copy onto it that has failed. */
gboolean drv_probe_blank(const char *path, GError **error);

/**
 * drv_probe_digest() - SHA-256 of length and contents. Transfer full.
 * @whole: all of it, or DRV_ERROR_REFUSED if that is more than 2 GiB; else of what is larger than 256 MiB
 * 256 pieces of 64 KiB from all over, which tells one medium from another
 */
char *drv_probe_digest(const char *path, gboolean whole, GError **error);
