/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this host ready, and what is missing? A table of checks; each adds one finding
 * (or several: one a node), with what to do about it.
 */
#pragma once

#include "cli/cli.h"
#include "cluster/identity.h"
#include "hyper/hyper.h"

/* Room that a store should have, and what is too little for anything. */
#define DRV_STORE_LEAST_BYTES (64 * 1024 * 1024LL)
#define DRV_STORE_LOW_BYTES (512 * 1024 * 1024LL)

typedef enum { DRV_CHECK_OK, DRV_CHECK_WARNING, DRV_CHECK_PROBLEM } drv_check_state;

typedef struct {
    drv_check_state state;
    char *name;
    char *message;
    char *remedy; /* NULL when all is well */
} drv_finding;

/* What checks share; those that come first fill it in for those that follow. */
typedef struct {
    drv_cli *cli;           /* its api is used if there is an identity */
    const char *root;       /* put before each path: "", or a test's directory */
    GPtrArray *findings;    /* of drv_finding */
    drv_identity *identity; /* NULL: none that is good */
    gboolean answers;       /* droverd does */
} drv_doctor;

typedef void (*drv_check)(drv_doctor *doctor, const char *name);

void drv_doctor_ok(drv_doctor *doctor, const char *name, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/** drv_doctor_found() - takes @remedy. */
void drv_doctor_found(drv_doctor *doctor, drv_check_state state, const char *name, char *remedy, const char *fmt, ...)
    G_GNUC_PRINTF(5, 6);

/** drv_doctor_path() - @path under the root. Transfer full. */
char *drv_doctor_path(drv_doctor *doctor, const char *path);
void drv_finding_free(drv_finding *finding);
