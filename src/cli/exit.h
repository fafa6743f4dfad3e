/* SPDX-License-Identifier: Apache-2.0 */
/* The exit codes of drover; drover(1) and docs/cli.rst document them for scripts. */
#pragma once

#include <glib.h>

typedef enum {
    DRV_EXIT_DONE = 0,
    DRV_EXIT_FAILED = 1,      /* a move: the VM goes on at the source */
    DRV_EXIT_USAGE = 2,       /* what was asked makes no sense */
    DRV_EXIT_NOT_FOUND = 3,   /* no such VM, node, job, token */
    DRV_EXIT_REFUSED = 4,     /* cannot be done now: already there, no node fits, busy */
    DRV_EXIT_UNREACHABLE = 5, /* droverd or a node cannot be reached */
    DRV_EXIT_CANCELLED = 6,
    DRV_EXIT_ATTENTION = 7, /* Drover cannot decide alone: a person must look */
    DRV_EXIT_DENIED = 8,    /* credential, token or certificate not accepted */
    DRV_EXIT_LEFT = 130,    /* no longer waited for (Ctrl-C); the job goes on */
} drv_exit;

/** drv_exit_from_error() - of the domain DRV_ERROR by its code, any other: DRV_EXIT_FAILED. */
drv_exit drv_exit_from_error(const GError *error);
