/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is looked at before a VM moves: one table of checks, and a report that collects what they
 * found. A dry run shows all of it; a real move is refused with all problems in one message.
 * docs/preflight.rst has the table in words. Pure; a report belongs to one thread.
 */
#pragma once

#include "model/json.h"

/* In the order in which they are shown. */
typedef enum {
    DRV_ABOUT_STATE,
    DRV_ABOUT_LINKS,
    DRV_ABOUT_CLOCK,
    DRV_ABOUT_HOST_UUID,
    DRV_ABOUT_CPU,
    DRV_ABOUT_MACHINE_TYPE,
    DRV_ABOUT_QEMU_VERSION,
    DRV_ABOUT_MEMORY,
    DRV_ABOUT_HUGEPAGES,
    DRV_ABOUT_PINNING,
    DRV_ABOUT_NUMA,
    DRV_ABOUT_DEVICES,
    DRV_ABOUT_GRAPHICS,
    DRV_ABOUT_NEEDS,
    DRV_ABOUT_ADMISSION,
    DRV_ABOUT_LOCK_MANAGER,
    DRV_ABOUT_DISKS,
    DRV_ABOUT_DISK_ROOM,
    DRV_ABOUT_COLD_START,
    DRV_ABOUT_OTHERS,
    DRV_ABOUT_NETWORKS,
    DRV_ABOUT_FIRMWARE,
    DRV_ABOUT_TPM,
    DRV_ABOUT_SNAPSHOTS,
    DRV_ABOUT_PERMISSIONS,
    DRV_ABOUT_POST_COPY,
    DRV_ABOUT_GOALS,
    DRV_ABOUT_EXISTING_VM,
    DRV_ABOUT_LEFTOVERS,
    DRV_ABOUT_COUNT
} drv_about;

typedef struct {
    const char *id;    /* "cpu": for scripts */
    const char *title; /* for people */
    const char *what;  /* what is compared */
} drv_check;

/** drv_check_table - of DRV_ABOUT_COUNT rows. */
extern const drv_check drv_check_table[];

/* Between what is wrong and what to do about it, in a format. */
#define DRV_REMEDY "\x1f"

typedef struct drv_checks drv_checks;

drv_checks *drv_checks_new(void);
void drv_checks_free(drv_checks *checks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_checks, drv_checks_free)

/* What a check found. It may find several problems and warnings; "ok" and "skipped" count only
 * where there is none. @fmt: the message, then DRV_REMEDY and the remedy if there is one. */
void drv_checks_ok(drv_checks *checks, drv_about about, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
void drv_checks_skip(drv_checks *checks, drv_about about, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
void drv_checks_warn(drv_checks *checks, drv_about about, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
void drv_checks_problem(drv_checks *checks, drv_about about, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/** drv_checks_skip_rest() - every check that has found nothing yet is skipped for this reason. */
void drv_checks_skip_rest(drv_checks *checks, const char *why);

guint drv_checks_problems(const drv_checks *checks);
/** drv_checks_has() - whether a check has found a problem. */
gboolean drv_checks_has(const drv_checks *checks, drv_about about);

/** drv_checks_text() - all problems with their remedies, in one line: "a: do b; c". Transfer full. */
char *drv_checks_text(const drv_checks *checks);

/**
 * drv_checks_json() - [{"name", "status", "message", "remedy"}…] in the order of the table, at least
 * one for each check. Transfer full.
 */
json_object *drv_checks_json(const drv_checks *checks);
