/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The convergence ladder: what is done about a guest that changes its memory faster than
 * it can be copied, one rung after the other, each only when the one before does not do.
 *
 *   1. the allowed pause, from 20 ms, widened round by round up to the user's limit. Before it comes
 *      into force the relay is told that the switch is near and paces QEMU (src/relay/pace.h), so that
 *      QEMU knows how fast the last pages will go; until then QEMU is allowed 1 ms, which is enough for
 *      a guest that does little, whatever QEMU thinks of the link;
 *   2. throttling, which QEMU does by itself meanwhile (see src/hyper/migrate.c); noted here;
 *   3. post-copy, where it is allowed: the move begins again, now with POSTCOPY, which libvirt
 *      refuses together with PAUSED, and is handed over after its first pass;
 *   4. an orderly end: the time is up, or it is recognised that it will not converge.
 *
 * Pure: the caller gives it libvirt's statistics and the time and does what it says. One thread.
 */
#pragma once

#include "hyper/hyper.h"

#define DRV_LADDER_START_MS 20
#define DRV_LADDER_AFAR_MS 1 /* not 0: QEMU 7.2 then switches after the first pass, whatever remains */

typedef enum {
    DRV_METHOD_AUTO,
    DRV_METHOD_PRE_COPY,
    DRV_METHOD_POST_COPY, /* handed over at once */
    DRV_METHOD_HYBRID,    /* handed over after one pass of pre-copy */
    DRV_METHODS
} drv_method;

/** drv_method_from_name() - "auto", "pre-copy", "post-copy", "hybrid"; DRV_METHODS for another one. */
drv_method drv_method_from_name(const char *name);

typedef struct {
    drv_method method;
    guint max_pause_ms;
    guint64 max_time_ms;    /* 0: no limit */
    gboolean may_post_copy; /* when it is needed; method auto */
} drv_ladder_goals;

typedef enum {
    DRV_RUNG_NONE,     /* nothing to do */
    DRV_RUNG_NEAR,     /* have the relay pace QEMU; no rung to speak of */
    DRV_RUNG_ALLOW,    /* allow set_ms, for the first allowed_ms; no rung to speak of */
    DRV_RUNG_PAUSE,    /* allow set_ms, for an allowed_ms that is more than before */
    DRV_RUNG_THROTTLE, /* QEMU does it already: only to be noted */
    DRV_RUNG_RESTART,  /* abort, and begin again with post-copy */
    DRV_RUNG_HANDOVER, /* start post-copy now */
    DRV_RUNG_END,      /* abort: the VM stays at the source */
    DRV_RUNGS
} drv_rung;

typedef struct {
    drv_ladder_goals goals;
    gint64 began_ms;    /* of the move, on the caller's clock */
    gboolean post_copy; /* this pass was begun with POSTCOPY */
    guint allowed_ms;   /* what the pause may be */
    guint set_ms;       /* what QEMU is told: less as long as it is not paced, more if it reckons too low */
    guint64 fresh_bps;  /* the caller's: what the relay says of it; 0: nothing */
    guint64 link_bps;   /* the caller's: the link's rate as earlier moves or probes had it; 0: not known */
    guint64 peak_bps;   /* the most that QEMU has seen go */
    gboolean near;      /* it has said NEAR … */
    gint64 near_ms;     /* … then */
    gint64 changed_ms;  /* when the allowed pause was last changed */
    guint throttle_percent;
    guint64 widened_rounds; /* the round in which it was */
    guint64 rounds;         /* the round that was last looked at */
    guint64 round_bytes;    /* what remained when it began … */
    guint64 last_bytes;     /* … and when the one before it did */
    guint64 least_bytes;    /* the least that remained when a round began … */
    gint64 least_ms;        /* … and when that last fell noticeably */
    guint64 rounds_since;   /* rounds since then */
    gboolean over;          /* it has said RESTART, HANDOVER or END */
    char why[240];          /* of the last rung */
} drv_ladder;

/** drv_ladder_begin() - set_ms is the pause to allow at the start. */
void drv_ladder_begin(drv_ladder *ladder, const drv_ladder_goals *goals, gint64 began_ms, gint64 now_ms);

/** drv_ladder_again() - a new pass begins, with post-copy. */
void drv_ladder_again(drv_ladder *ladder, gint64 now_ms);

/** drv_ladder_retry() - what it said last could not be done: it may say so again. */
void drv_ladder_retry(drv_ladder *ladder);

/** drv_ladder_next() - look at a running job. Return: what to do; ladder->why says why. */
drv_rung drv_ladder_next(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms);

/** drv_rung_name() - as in the report. Static. */
const char *drv_rung_name(drv_rung rung);
