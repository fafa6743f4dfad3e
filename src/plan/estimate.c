/* SPDX-License-Identifier: Apache-2.0 */
/* The figures before a move: see estimate.h. */
#include "plan/estimate.h"

#include <math.h>

#include "plan/rounds.h"

/* What is assumed where nothing is known. */
#define MIB 1048576.0
#define USUAL_FILLED 0.7
#define USUAL_RATIO 0.4
#define USUAL_DIRTY_PER_S 0.01 /* of the memory, a second … */
#define USUAL_DIRTY_SET 0.1    /* … and of it in all */
#define USUAL_LINK_BPS 1e8
#define USUAL_RELAY_BPS 4e8
#define USUAL_SCAN_BPS 2e9
#define USUAL_DISK_RATIO 0.7
#define USUAL_FIXED_MS 1500
#define USUAL_HANDOVER_MS 40
#define USUAL_DEVICE_BYTES 65536
/* Both ways: RPC of libvirt's, requests, acknowledgements, handshakes. */
#define FIXED_WIRE_BYTES 100000
/* After so many moves history counts for half of it. */
#define HALF_TRUSTED 2.0
/* ln of what nine of ten moves stay below, over p50: what was left over in bench/predict. */
static const struct {
    double time, wire, pause;
} margins[DRV_BASES] = {
    [DRV_BASIS_MODEL] = {0.45, 0.45, 0.9},
    [DRV_BASIS_PAIR_HISTORY] = {0.30, 0.35, 0.8},
    [DRV_BASIS_VM_HISTORY] = {0.20, 0.25, 0.7},
};
/* QEMU's first step, which no guest notices. */
#define NOTHING_PERCENT 1
/* So many moves say as much about the margin as is said here. */
#define HALF_SEEN_MOVES 6
#define LEAST_MARGIN 0.03
#define NOT_SAMPLED 0.5
#define LINK_NOT_KNOWN 1.0

static const char *const verdict_names[] = {
    [DRV_VERDICT_CONVERGES] = "converges",
    [DRV_VERDICT_THROTTLE] = "throttle",
    [DRV_VERDICT_POST_COPY] = "post-copy",
    [DRV_VERDICT_REFUSE] = "refuse",
};
G_STATIC_ASSERT(G_N_ELEMENTS(verdict_names) == DRV_VERDICTS);

static const char *const basis_names[] = {
    [DRV_BASIS_MODEL] = "model",
    [DRV_BASIS_PAIR_HISTORY] = "pair-history",
    [DRV_BASIS_VM_HISTORY] = "vm-history",
};
G_STATIC_ASSERT(G_N_ELEMENTS(basis_names) == DRV_BASES);

const char *drv_verdict_name(drv_estimate_verdict verdict)
{
    return verdict_names[verdict];
}

const char *drv_basis_name(drv_estimate_basis basis)
{
    return basis_names[basis];
}

static double or_usual(double known, double usual)
{
    return known > 0 ? known : usual;
}

static double link_bps(const drv_estimate_input *in)
{
    return or_usual((double)in->link_bps, USUAL_LINK_BPS);
}

static double qemu_bps(const drv_estimate_input *in)
{
    double bps = or_usual((double)in->relay_bps,
                          in->pair.cpu_moves ? or_usual(in->pair.relay_bps, USUAL_RELAY_BPS) : USUAL_RELAY_BPS);

    return in->bandwidth_bps ? MIN(bps, (double)in->bandwidth_bps) : bps;
}

static drv_dirty_curve dirty_curve(const drv_estimate_input *in)
{
    double memory = (double)in->memory_bytes;

    if (!in->running)
        return (drv_dirty_curve){0};
    if (!in->window_count)
        return (drv_dirty_curve){.rate_bps = memory * USUAL_DIRTY_PER_S, .set_bytes = memory * USUAL_DIRTY_SET};
    return drv_dirty_curve_fit(in->windows, MIN(in->window_count, DRV_ESTIMATE_WINDOWS), in->memory_bytes);
}

static drv_rounds_input rounds_input(const drv_estimate_input *in)
{
    double memory = (double)in->memory_bytes;
    double filled = memory * (in->sampled ? 1 - in->zero_share : USUAL_FILLED);
    double first = memory * (in->sampled ? in->first_ratio : USUAL_FILLED * USUAL_RATIO);

    return (drv_rounds_input){
        .memory_bytes = memory,
        .filled_bytes = filled,
        .unfilled_bytes = memory - filled,
        .first_wire = first * (1 - CLAMP(in->recycled_share, 0, 1)),
        .again_ratio = in->sampled && in->again_ratio > 0 ? in->again_ratio : USUAL_RATIO,
        .dirty = dirty_curve(in),
        .link_bps = link_bps(in),
        .qemu_bps = qemu_bps(in),
        .scan_bps = USUAL_SCAN_BPS,
        .max_pause_s = (double)(in->max_pause_ms ? in->max_pause_ms : 300) / 1000,
        .max_time_s = (double)in->max_time_ms / 1000,
        .may_post_copy = in->may_post_copy,
        .post_copy = in->post_copy,
    };
}

void drv_plan_rounds_input(const drv_estimate_input *in, drv_rounds_input *memory, double *fixed_ms)
{
    *memory = rounds_input(in);
    *fixed_ms = in->fixed_ms ? (double)in->fixed_ms : USUAL_FIXED_MS;
}

/* ---- the model ---- */

static void explain(const drv_rounds *rounds, const drv_rounds_input *in, drv_estimate *out)
{
    double dirty = in->dirty.rate_bps / MIB;
    double sent = in->link_bps / MAX(in->again_ratio, 1e-4) / MIB;
    const char *because =
        rounds->end == DRV_ROUNDS_TIME ? "the time allowed would not be enough" : "what remains would not become less";

    switch (out->verdict) {
    case DRV_VERDICT_CONVERGES:
        g_snprintf(out->why, sizeof out->why,
                   "the guest dirties %.1f MiB/s at first, %.0f MiB in all, and %.1f MiB/s of that "
                   "can be sent: %u round%s",
                   dirty, in->dirty.set_bytes / MIB, sent, rounds->rounds, rounds->rounds == 1 ? "" : "s");
        break;
    case DRV_VERDICT_THROTTLE:
        g_snprintf(out->why, sizeof out->why,
                   "the guest dirties %.1f MiB/s at first, %.0f MiB in all, and %.1f MiB/s of that "
                   "can be sent: it would be kept from running for %u %% of its time",
                   dirty, in->dirty.set_bytes / MIB, sent, rounds->throttle_percent);
        break;
    case DRV_VERDICT_POST_COPY:
        g_snprintf(out->why, sizeof out->why,
                   in->post_copy ? "asked for"
                                 : "%s: the guest dirties %.1f MiB/s at first, and %.1f MiB/s of that "
                                   "can be sent",
                   because, dirty, sent);
        break;
    default:
        g_snprintf(out->why, sizeof out->why,
                   "%s: the guest dirties %.1f MiB/s at first, and %.1f MiB/s of that can be sent; "
                   "allow a longer pause, more time or post-copy",
                   because, dirty, sent);
        break;
    }
}

static drv_estimate_verdict judge(const drv_rounds *rounds, const drv_rounds_input *in)
{
    if (rounds->end == DRV_ROUNDS_HANDOVER)
        return DRV_VERDICT_POST_COPY;
    if (rounds->end != DRV_ROUNDS_END)
        return in->may_post_copy ? DRV_VERDICT_POST_COPY : DRV_VERDICT_REFUSE;
    return rounds->throttle_percent > NOTHING_PERCENT ? DRV_VERDICT_THROTTLE : DRV_VERDICT_CONVERGES;
}

/* Called off, and once more with post-copy: the content of the first pass is known by then only in part. */
static void add_second_pass(const drv_rounds_input *in, drv_rounds *rounds)
{
    drv_rounds_input again = *in;
    drv_rounds second;

    again.post_copy = TRUE;
    drv_rounds_simulate(&again, &second);
    rounds->seconds += second.seconds + second.left_bytes / in->link_bps;
    rounds->wire_bytes += second.wire_bytes + second.left_bytes;
    rounds->pause_s = 0;
}

static void model_memory(const drv_estimate_input *in, drv_estimate *out)
{
    drv_rounds_input memory = rounds_input(in);
    drv_rounds rounds;
    double device = or_usual((double)in->device_bytes, USUAL_DEVICE_BYTES) / memory.link_bps;

    out->cpu_bound = memory.filled_bytes / memory.qemu_bps > memory.first_wire / memory.link_bps;
    drv_rounds_simulate(&memory, &rounds);
    out->verdict = judge(&rounds, &memory);
    if (rounds.end == DRV_ROUNDS_HANDOVER) {
        rounds.seconds += rounds.left_bytes / memory.link_bps;
        rounds.wire_bytes += rounds.left_bytes;
    } else if (out->verdict == DRV_VERDICT_POST_COPY) {
        add_second_pass(&memory, &rounds);
    }
    out->rounds = rounds.rounds;
    out->throttle_percent = rounds.throttle_percent;
    out->model_wire_bytes += rounds.wire_bytes;
    out->model_copy_ms += 1000 * (rounds.seconds + rounds.pause_s);
    out->model_handover_ms = or_usual((double)in->handover_ms, USUAL_HANDOVER_MS);
    out->model_pause_ms =
        in->running ? 1000 * (rounds.pause_s + device) + 2 * (double)in->rtt_us / 1000 + out->model_handover_ms : 0;
    explain(&rounds, &memory, out);
}

static void model_disks(const drv_estimate_input *in, drv_estimate *out)
{
    double wire = (double)in->disk_bytes * drv_estimate_disk_ratio(in, USUAL_DISK_RATIO);

    out->model_wire_bytes += wire;
    out->model_copy_ms += 1000 * MAX(wire / link_bps(in), (double)in->disk_bytes / qemu_bps(in));
}

/* ---- history, and how sure it is ---- */

static double weight(guint moves)
{
    return (double)moves / ((double)moves + HALF_TRUSTED);
}

/* The VM's own moves first; what they leave open is as it is with others between these hosts. */
static double correction(double vm, guint vm_moves, double pair, guint pair_moves)
{
    double of_pair = pair > 0 ? weight(pair_moves) * log(pair) : 0;
    double of_vm = vm > 0 ? weight(vm_moves) : 0;

    return exp(of_vm > 0 ? of_vm * log(vm) + (1 - of_vm) * of_pair : of_pair);
}

/* Of what is of this move's kind. */
static void correct(const drv_estimate_input *in, const drv_estimate *out, double *time, double *wire)
{
    if (out->cpu_bound) {
        *time = 1; /* what got through in a second is in the model already */
        *wire = correction(in->vm.cpu_wire, in->vm.cpu_moves, in->pair.cpu_wire, in->pair.cpu_moves);
    } else {
        *time = correction(in->vm.time, in->vm.link_moves, in->pair.time, in->pair.link_moves);
        *wire = correction(in->vm.wire, in->vm.link_moves, in->pair.wire, in->pair.link_moves);
    }
}

static drv_estimate_range range(double p50, double margin)
{
    return (drv_estimate_range){.p50 = drv_estimate_whole(p50 + 0.5),
                                .p90 = drv_estimate_whole(ceil(p50 * exp(margin)))};
}

static double unsure(const drv_estimate_input *in)
{
    return (in->sampled && in->window_count ? 0 : NOT_SAMPLED) +
           (in->link_bps || (in->bandwidth_bps && in->offline) ? 0 : LINK_NOT_KNOWN);
}

/* What was seen between these hosts takes the place of what is usual, more and more. */
static double margin(double usual, double seen, guint moves)
{
    double weight = (double)moves / ((double)moves + HALF_SEEN_MOVES);

    return moves ? weight * MAX(seen, LEAST_MARGIN) + (1 - weight) * usual : usual;
}

void drv_plan_estimate(const drv_estimate_input *in, drv_estimate *out)
{
    const drv_estimate_margins *seen = in->vm.moves ? &in->pair.seen : &in->pair.unseen;
    double more, time, wire;

    *out = (drv_estimate){.basis = in->vm.moves     ? DRV_BASIS_VM_HISTORY
                                   : in->pair.moves ? DRV_BASIS_PAIR_HISTORY
                                                    : DRV_BASIS_MODEL,
                          .fixed_ms = in->fixed_ms ? in->fixed_ms : USUAL_FIXED_MS,
                          .model_wire_bytes = FIXED_WIRE_BYTES};
    if (in->disk_bytes)
        model_disks(in, out);
    if (!in->offline)
        model_memory(in, out);
    else
        g_snprintf(out->why, sizeof out->why, "it is shut off: its disks alone are copied");

    more = unsure(in);
    correct(in, out, &time, &wire);
    out->time_ms = range((double)out->fixed_ms + out->model_copy_ms * time,
                         margin(margins[out->basis].time, seen->time, seen->moves) + more);
    out->wire_bytes =
        range(out->model_wire_bytes * wire, margin(margins[out->basis].wire, seen->wire, seen->moves) + more);
    out->pause_ms = range(out->model_pause_ms, margin(margins[out->basis].pause, seen->pause, seen->moves) + more);
}

static void set_range(json_object *object, const char *key, const drv_estimate_range *range)
{
    json_object *both = json_object_new_object();

    drv_json_set_int(both, "p50", (gint64)range->p50);
    drv_json_set_int(both, "p90", (gint64)range->p90);
    drv_json_set(object, key, both);
}

json_object *drv_estimate_json(const drv_estimate *estimate)
{
    json_object *object = json_object_new_object();

    set_range(object, "time_ms", &estimate->time_ms);
    set_range(object, "pause_ms", &estimate->pause_ms);
    set_range(object, "wire_bytes", &estimate->wire_bytes);
    drv_json_set_string(object, "verdict", drv_verdict_name(estimate->verdict));
    drv_json_set_string(object, "why", estimate->why);
    drv_json_set_string(object, "basis", drv_basis_name(estimate->basis));
    return object;
}
