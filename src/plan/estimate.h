/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before a move: how long it will take, how long the guest will stand still, how many bytes will
 * go over the link, and whether it will converge at all. Pure: facts in, figures out; the model and
 * where it is from are in docs/estimate.rst.
 *
 * In the input 0 means "not known" wherever that makes sense, so that whoever knows little fills in
 * little. Rates are bytes a second. A call takes some 10 µs and allocates nothing.
 */
#pragma once

#include "model/json.h"
#include "plan/dirty-curve.h"

#define DRV_ESTIMATE_WINDOWS 8

/** How far above p50 moves ended: ln(actual ÷ p50) that nine of ten stayed below. */
typedef struct {
    guint moves; /* 0: none, and the rest means nothing */
    double time;
    double wire;
    double pause;
} drv_estimate_margins;

/**
 * What earlier moves made of the model's figures: medians of actual ÷ model, of those whose limit was the
 * link and of those whose limit were the processors apart, since these compress less and wait for other things.
 */
typedef struct {
    guint moves;      /* 0: none, and the rest means nothing */
    guint link_moves; /* of these: limited by the link */
    double time;      /* of theirs: copying alone, without fixed_ms */
    double wire;
    guint cpu_moves; /* the others */
    double cpu_wire;
    double relay_bps;            /* bytes of memory that they got through in a second */
    double pause;                /* of all */
    drv_estimate_margins seen;   /* of those of VMs that had been moved before … */
    drv_estimate_margins unseen; /* … and of the others */
} drv_estimate_history;

typedef struct {
    /* the guest */
    guint64 memory_bytes;
    guint vcpus;
    gboolean running;     /* else nothing becomes dirty */
    gboolean offline;     /* moves while it is shut off: only disks */
    guint64 device_bytes; /* device state; 0: as usual */

    /* its memory, by samples */
    gboolean sampled;   /* the next three are known */
    double zero_share;  /* of its pages */
    double first_ratio; /* bytes on the wire for a byte of memory, all pages counted, sent for the first time */
    double again_ratio; /* the same of pages that were sent before and have changed since */
    drv_dirty_window windows[DRV_ESTIMATE_WINDOWS];
    guint window_count;    /* 0: it is not known what it changes */
    double recycled_share; /* of what the first pass would send, what the target has already */

    /* its disks, as far as they are copied */
    guint64 disk_bytes;       /* allocated */
    guint64 disk_older_bytes; /* of these: of disks that the target has in an older state */
    double disk_ratio;        /* bytes on the wire for one of the others; 0: as usual */

    /* the way */
    guint64 link_bps; /* what this move gets of it; 0: not known */
    guint64 rtt_us;
    guint64 bandwidth_bps; /* allowed to QEMU; 0: no limit */
    guint64 relay_bps;     /* of memory that a relay gets through; 0: as usual */
    guint64 fixed_ms;      /* sessions, start of the target, hand-over, end; 0: as usual */
    guint64 handover_ms;   /* the guest's pause without any memory to send; 0: as usual */

    /* what is wanted, as in the step */
    guint64 max_pause_ms;   /* 0: 300 */
    guint64 max_time_ms;    /* 0: no limit */
    gboolean may_post_copy; /* when it is needed */
    gboolean post_copy;     /* method post-copy or hybrid */

    drv_estimate_history vm;   /* this VM's moves */
    drv_estimate_history pair; /* all moves between these hosts */
} drv_estimate_input;

typedef enum {
    DRV_VERDICT_CONVERGES,
    DRV_VERDICT_THROTTLE,  /* only if the guest is slowed down */
    DRV_VERDICT_POST_COPY, /* it ends by post-copy */
    DRV_VERDICT_REFUSE,    /* it would be given up */
    DRV_VERDICTS
} drv_estimate_verdict;

typedef enum {
    DRV_BASIS_MODEL, /* nothing of this pair or VM is known from earlier moves */
    DRV_BASIS_PAIR_HISTORY,
    DRV_BASIS_VM_HISTORY,
    DRV_BASES
} drv_estimate_basis;

/** Half of all moves stay below p50, nine of ten below p90. */
typedef struct {
    guint64 p50;
    guint64 p90;
} drv_estimate_range;

/* So much is as good as for ever, and still a whole number wherever JSON is read. */
#define DRV_ESTIMATE_MOST 0x1p53

/* Of a disk that the target has in an older state: digests, and what differs, by a guess from moves back minutes later. */
#define DRV_ESTIMATE_OLDER_RATIO (16.0 / 4096 + 0.03)

/**
 * drv_estimate_disk_ratio() - bytes on the wire for one of all disks' bytes.
 * @usual: for one that the target has not, if it is not known
 */
static inline double drv_estimate_disk_ratio(const drv_estimate_input *in, double usual)
{
    double ratio = in->disk_ratio > 0 ? in->disk_ratio : usual;
    double older = in->disk_bytes ? (double)MIN(in->disk_older_bytes, in->disk_bytes) / (double)in->disk_bytes : 0;

    return ratio * (1 - older) + MIN(ratio, DRV_ESTIMATE_OLDER_RATIO) * older;
}

/** drv_estimate_whole() - @amount without its fraction, from 0 to DRV_ESTIMATE_MOST; no number: that, too. */
static inline guint64 drv_estimate_whole(double amount)
{
    return amount < DRV_ESTIMATE_MOST ? (guint64)MAX(amount, 0) : (guint64)DRV_ESTIMATE_MOST;
}

typedef struct {
    drv_estimate_range time_ms; /* from the job's start to its end */
    drv_estimate_range pause_ms;
    drv_estimate_range wire_bytes; /* both ways, all channels */
    drv_estimate_verdict verdict;
    drv_estimate_basis basis;
    char why[240]; /* one sentence */
    /* what the model says before history corrects it: what history is kept against */
    double model_copy_ms; /* without fixed_ms */
    double model_wire_bytes;
    double model_pause_ms;
    double model_handover_ms; /* of the pause, what is not sending */
    guint64 fixed_ms;         /* as used */
    gboolean cpu_bound;       /* the first pass waits for processors more than for the link */
    guint rounds;
    guint throttle_percent;
} drv_estimate;

/** drv_plan_estimate() - never fails: what is not known is assumed, and makes p90 wider. */
void drv_plan_estimate(const drv_estimate_input *in, drv_estimate *out);

/** drv_verdict_name(), drv_basis_name() - as in docs/rest.rst. Static. */
const char *drv_verdict_name(drv_estimate_verdict verdict);
const char *drv_basis_name(drv_estimate_basis basis);

/** drv_estimate_json() - the PREDICTION of docs/rest.rst. Transfer full. */
json_object *drv_estimate_json(const drv_estimate *estimate);

struct drv_rounds_input;
/** drv_plan_rounds_input() - from what the estimator is given; @fixed_ms: of the move beside the copy. */
void drv_plan_rounds_input(const drv_estimate_input *in, struct drv_rounds_input *memory, double *fixed_ms);
