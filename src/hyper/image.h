/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files an image consists of besides the one that a definition names: what it is based on, and its
 * data file (qcow2 can keep a disk's contents in another one). They are read from the images themselves, since
 * libvirt knows them only of VMs that run, and of data files nothing. Any thread; nothing here calls libvirt.
 */
#pragma once

#include <glib.h>

/** A file that an image needs. */
typedef struct {
    char *path;   /* absolute; of what is no local file its name, as "nbd://host/export" */
    char *format; /* NULL: the image does not say */
    gboolean local;
    gboolean data; /* a data file, else a base */
} drv_image_part;

/** drv_image_name_path() - the local file that the header of @image means by @name: a path, also a relative
 * one, "file:PATH" or "json:{…}". Pure. Transfer full; NULL: something else, as NBD. */
char *drv_image_name_path(const char *name, const char *image);

/**
 * drv_image_data_path() - the same of a data file. QEMU looks for a relative one where it runs itself, which for
 * libvirt's is "/"; one that is not there but beside the image is taken for what was meant. @astray: whether so. Transfer full.
 */
char *drv_image_data_path(const char *name, const char *image, gboolean *astray);

/** drv_image_read_header() - what a qcow2 image whose first bytes these are names. Transfer full, of
 * drv_image_part; NULL: it is no qcow2, or a broken one. Pure but for where a relative data file is. */
GPtrArray *drv_image_read_header(const guint8 *bytes, gsize size, const char *image);

/** drv_image_looks_like() - as drv_image_read_header() of the file @path; what it names itself, not what that needs. */
GPtrArray *drv_image_looks_like(const char *path);

/**
 * drv_image_parts() - all that the image at @path needs, bases of bases as well; what is missing or cannot be
 * read names nothing. Transfer full, of drv_image_part, without @path itself.
 * @format: as declared: a raw image names nothing, whatever its guest has written into it
 */
GPtrArray *drv_image_parts(const char *path, const char *format);
