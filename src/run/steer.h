/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allowed pause of a running move: it starts low and is widened only as needed.
 *
 * QEMU switches when what is pending can be sent within the allowed pause, and uses
 * up what it is allowed; so 20 ms first, half as much again after each further round
 * that did not end in a switch, up to the limit. Pure; one thread.
 */
#pragma once

#include "hyper/hyper.h"

#define DRV_STEER_START_MS 20

typedef struct {
    guint limit_ms;    /* what the user allows */
    guint allowed_ms;  /* what QEMU is allowed now */
    guint64 rounds;    /* when it was last changed */
    gint64 changed_ms; /* on the caller's clock */
} drv_steer;

/** drv_steer_begin() - Return: what to allow at the start, in ms. */
guint drv_steer_begin(drv_steer *steer, guint limit_ms, gint64 now_ms);

/** drv_steer_next() - Return: what to allow from now on, or 0 for no change. */
guint drv_steer_next(drv_steer *steer, const drv_job_stats *stats, gint64 now_ms);
