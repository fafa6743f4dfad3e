/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that come from outside: from a peer, an operator, a stored record or a file system. Each kind has one
 * type and one parser, which is called at the door; whatever makes a path of a name takes the type, and so
 * cannot be handed what nobody has looked at. A value that was not parsed is empty text.
 *
 * Pure functions, any thread. They return 0, or -EINVAL with @err, and leave the result alone on failure.
 * Text may be NULL, which is none of them.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/paths.h"

#define DRV_UUID_TEXT 36
#define DRV_NODE_NAME_MOST 63
#define DRV_FILE_NAME_MOST 255
#define DRV_VM_NAME_MOST 250 /* libvirt makes files "NAME.xml" of them */
#define DRV_DISK_NAME_MOST 15
#define DRV_JOB_NAME_MOST 95
#define DRV_PATH_MOST 1023

/** 8-4-4-4-12 hex digits, which the parser makes lower case, as libvirt writes them. */
typedef struct {
    char text[DRV_UUID_TEXT + 1];
} drv_uuid;

/** DRV_SESSION_ID_TEXT lower case hex digits. */
typedef struct {
    char text[DRV_SESSION_ID_TEXT + 1];
} drv_session_id;

/** A name as libvirt allows it: UTF-8 without '/' and control characters. */
typedef struct {
    char text[DRV_VM_NAME_MOST + 1];
} drv_vm_name;

/** The name of an image in its directory: UTF-8 without '/' and control characters, no '.' at its beginning. */
typedef struct {
    char text[DRV_FILE_NAME_MOST + 1];
} drv_volume_name;

/** a-z, 0-9 and '-', not '-' at either end, and neither "op" nor "plan", as ids of others begin so. */
typedef struct {
    char text[DRV_NODE_NAME_MOST + 1];
} drv_node_name;

/** What the guest's disk is called: "vda". Letters and digits. */
typedef struct {
    char text[DRV_DISK_NAME_MOST + 1];
} drv_disk_name;

/** "h1-7": letters, digits, '-' and '_'. */
typedef struct {
    char text[DRV_JOB_NAME_MOST + 1];
} drv_job_name;

/** An absolute path in its plain form: no "." or "..", no empty part, no control characters. */
typedef struct {
    char text[DRV_PATH_MOST + 1];
} drv_path;

int drv_uuid_parse(drv_uuid *uuid, const char *text, struct drv_error *err);
int drv_session_id_parse(drv_session_id *id, const char *text, struct drv_error *err);
int drv_vm_name_parse(drv_vm_name *name, const char *text, struct drv_error *err);
int drv_volume_name_parse(drv_volume_name *name, const char *text, struct drv_error *err);
int drv_node_name_parse(drv_node_name *name, const char *text, struct drv_error *err);
int drv_disk_name_parse(drv_disk_name *name, const char *text, struct drv_error *err);
int drv_job_name_parse(drv_job_name *id, const char *text, struct drv_error *err);
int drv_path_parse(drv_path *path, const char *text, struct drv_error *err);

/** drv_path_split() - of a path that was parsed: the directory, and the name in it. "/" has none: -EINVAL. */
int drv_path_split(const drv_path *path, drv_path *directory, drv_volume_name *name, struct drv_error *err);

/** drv_path_is_below() - whether @path is @directory, or lies in it at any depth, by the text. */
bool drv_path_is_below(const char *path, const char *directory);
