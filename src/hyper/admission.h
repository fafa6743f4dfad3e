/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another node may bring to this host: where images may be made, and what the definition of a VM that comes may
 * name. The other node is a member of the cluster, yet it may be a stolen one: docs/security.rst has the rules, line
 * by line, and /etc/drover/admission is where this host's operator allows more.
 */
#pragma once

#include "base/ids.h"
#include "hyper/hyper.h"

typedef struct {
    GPtrArray *directories; /* of char*, without links: of storage pools, and those that the operator names */
    GPtrArray *emulators;   /* of char*: those that libvirt's capabilities name, and the operator */
    gboolean host_devices;  /* what the operator allows besides */
    gboolean qemu_arguments;
    gboolean labels;
} drv_admission;

drv_admission *drv_admission_new(void);
void drv_admission_free(drv_admission *admission);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_admission, drv_admission_free)

/**
 * drv_admission_parse() - what the text of an admission file allows. Lines are "directory PATH", "emulator PATH",
 * "host-devices", "qemu-arguments" and "labels", empty, or a comment that begins with #. A pure function.
 * DRV_ERROR_INVALID names the line; what it says is then not allowed.
 */
gboolean drv_admission_parse(drv_admission *admission, const char *text, GError **error);

/** drv_hyper_admission() - of this host: its pools, libvirt's capabilities, the file. Transfer full. May block. */
drv_admission *drv_hyper_admission(drv_hyper *hyper, GError **error);

/**
 * drv_admission_has_directory() - whether images may be made in @directory, which has no links in it: below one of
 * the known directories; else nowhere below the directories of the system (/etc, /usr, /var …; but below
 * /var/lib/libvirt, where it is not libvirt's own) and nowhere that is hidden. A pure function.
 */
gboolean drv_admission_has_directory(const drv_admission *admission, const char *directory);

/**
 * drv_admission_open_directory() - the directory in which an image may be made, as a descriptor (O_PATH).
 * Return: -1 and DRV_ERROR_DENIED: it is none for images; DRV_ERROR_REFUSED: there is none.
 */
int drv_admission_open_directory(const drv_admission *admission, const drv_path *directory, GError **error);

/** drv_admission_check_file() - whether an image may lie at @path, which need not exist. DRV_ERROR_DENIED. */
gboolean drv_admission_check_file(const drv_admission *admission, const char *path, GError **error);

/** drv_admission_check_nvram() - whether UEFI variables may lie at @path. DRV_ERROR_DENIED. */
gboolean drv_admission_check_nvram(const drv_admission *admission, const char *path, GError **error);

/** One file that a definition has QEMU use. */
typedef struct {
    char *path;
    gboolean written;   /* else it is only read */
    gboolean shareable; /* of those that are written */
    char *format;       /* of a disk; NULL: it is none, or raw */
} drv_admission_file;

/**
 * drv_admission_check_image() - whether all that the image at @path names by itself, its bases and the file of its
 * data, lies where images may be: what came byte by byte may name any file. DRV_ERROR_DENIED.
 */
gboolean drv_admission_check_image(const drv_admission *admission, const char *path, const char *format,
                                   GError **error);

/**
 * drv_hyper_bare_definitions() - what a target is shown before a migration begins: the definitions of the VM with
 * @uuid, of the running one and of its next start, without secrets, and without disks that may lie elsewhere there.
 * Return: of char*, transfer full. May block.
 */
GPtrArray *drv_hyper_bare_definitions(drv_hyper *hyper, const char *uuid, GError **error);

/** drv_hyper_admit() - the same, and no other VM of this host uses what it writes to. May block. */
gboolean drv_hyper_admit(drv_hyper *hyper, const char *xml, const drv_uuid *uuid, const char *vm, GHashTable *formats,
                         GError **error);
