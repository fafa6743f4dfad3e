/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a schedule takes: it is run through in thought, as the executor does it. When a move ends, those
 * that wait for it or for a place at its nodes are looked at in their order, and each begins that may.
 *
 * Moves side by side share the way: each has the smallest of its share of the link, of what its source can
 * send and of what its target can receive, which are taken for the rate of the fastest link measured there.
 * With another rate a move takes another time; what it has done of itself stays done.
 */
#include "plan/simulate.h"

#include <math.h>

#include "plan/schedule.h"

/* How much the errors of predictions have in common: a link that is slower than measured slows all. */
#define CORRELATION 0.5

typedef struct {
    drv_move *move;
    guint pending;   /* of its `after`, that have not ended */
    GPtrArray *then; /* of thought: that wait for it; NULL: none */
    guint *on_link;  /* how many are on its way */
    guint64 link_bps;
    double left;               /* of 1 */
    double rate_bps, whole_ms; /* as it runs now; 0: it does not */
    double since_ms;           /* up to which `left` is right */
    double sent;               /* rate × ms */
    gboolean started;
} thought;

typedef struct {
    guint in, out;
    guint borne; /* moves at once */
    double send_bps, receive_bps;
    GPtrArray *waiting, *active; /* of thought */
} place;

typedef struct {
    const drv_fleet *fleet;
    const drv_plan_limits *limits;
    drv_schedule *schedule;
    thought *thoughts; /* by index */
    place *places;     /* by node */
    GHashTable *links; /* ends → how many are on it */
    GPtrArray *active; /* of thought */
    double now_ms;
} simulation;

/* ---- rates ---- */

static double share(double whole, guint among)
{
    return whole / MAX(among, 1);
}

static void progress(simulation *world, thought *one)
{
    double passed = world->now_ms - one->since_ms;

    if (one->whole_ms > 0) {
        one->left = MAX(one->left - passed / one->whole_ms, 0);
        one->sent += one->rate_bps * passed;
    }
    one->since_ms = world->now_ms;
}

static void set_rate(simulation *world, thought *one)
{
    const place *from = &world->places[one->move->from->index];
    const place *to = &world->places[one->move->to->index];
    double link = (double)one->link_bps;
    double rate;

    if (world->limits->bandwidth_bps)
        link = MIN(link, (double)world->limits->bandwidth_bps);
    rate = MIN(share(link, *one->on_link), MIN(share(from->send_bps, from->out), share(to->receive_bps, to->in)));
    progress(world, one);
    if (rate == one->rate_bps)
        return;
    one->rate_bps = rate;
    drv_plan_predict(&one->move->expects, drv_estimate_whole(rate), &one->move->predicted);
    one->whole_ms = MAX((double)one->move->predicted.time_ms.p50, 1);
}

static void set_rates_at(simulation *world, const drv_fleet_node *node)
{
    const place *at = &world->places[node->index];

    for (guint i = 0; i < at->active->len; i++)
        set_rate(world, at->active->pdata[i]);
}

/* ---- begin and end ---- */

static gboolean may_start(const simulation *world, const thought *one)
{
    const place *from = &world->places[one->move->from->index];
    const place *to = &world->places[one->move->to->index];

    return !one->started && !one->pending && from->active->len < from->borne && to->active->len < to->borne &&
           *one->on_link < world->limits->per_link;
}

static void start(simulation *world, thought *one, int because)
{
    place *from = &world->places[one->move->from->index];
    place *to = &world->places[one->move->to->index];

    one->started = TRUE;
    one->since_ms = one->move->start_ms = world->now_ms;
    one->move->waited_for = because;
    g_ptr_array_add(world->active, one);
    g_ptr_array_add(from->active, one);
    g_ptr_array_add(to->active, one);
    from->out++;
    to->in++;
    ++*one->on_link;
    world->schedule->side_by_side = MAX(world->schedule->side_by_side, world->active->len);
    set_rates_at(world, one->move->from);
    set_rates_at(world, one->move->to);
}

static int by_index(gconstpointer a, gconstpointer b)
{
    const thought *left = *(thought *const *)a, *right = *(thought *const *)b;

    return left->move->index < right->move->index ? -1 : left->move->index > right->move->index;
}

/* What may begin now that @ended is over, and forget what has begun. */
static void collect(GPtrArray *list, GPtrArray *into)
{
    for (guint i = list->len; i-- > 0;) {
        thought *one = list->pdata[i];

        if (one->started)
            g_ptr_array_remove_index(list, i);
        else
            g_ptr_array_add(into, one);
    }
}

static void finish(simulation *world, thought *ended)
{
    drv_move *move = ended->move;
    place *from = &world->places[move->from->index], *to = &world->places[move->to->index];
    g_autoptr(GPtrArray) next = g_ptr_array_new();
    double took;

    progress(world, ended);
    move->end_ms = world->now_ms;
    took = MAX(move->end_ms - move->start_ms, 1);
    move->rate_bps = drv_estimate_whole(ended->sent / took);
    drv_plan_predict(&move->expects, move->rate_bps, &move->predicted);
    g_ptr_array_remove_fast(world->active, ended);
    g_ptr_array_remove_fast(from->active, ended);
    g_ptr_array_remove_fast(to->active, ended);
    from->out--;
    to->in--;
    --*ended->on_link;
    set_rates_at(world, move->from);
    set_rates_at(world, move->to);

    collect(from->waiting, next);
    collect(to->waiting, next);
    for (guint i = 0; ended->then && i < ended->then->len; i++) {
        thought *one = ended->then->pdata[i];

        if (--one->pending == 0)
            g_ptr_array_add(next, one);
    }
    g_ptr_array_sort(next, by_index);
    for (guint i = 0; i < next->len; i++)
        if (may_start(world, next->pdata[i]))
            start(world, next->pdata[i], (int)move->index);
}

static thought *next_to_end(const simulation *world, double *when_ms)
{
    thought *first = NULL;

    for (guint i = 0; i < world->active->len; i++) {
        thought *one = world->active->pdata[i];
        double end_ms = one->since_ms + one->left * one->whole_ms;

        if (!first || end_ms < *when_ms || (end_ms == *when_ms && one->move->index < first->move->index)) {
            first = one;
            *when_ms = end_ms;
        }
    }
    return first;
}

/* ---- before and after ---- */

static void set_up(simulation *world)
{
    guint nodes = world->fleet->nodes->len, moves = world->schedule->moves->len;

    world->thoughts = g_new0(thought, moves);
    world->places = g_new0(place, nodes);
    world->links = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    world->active = g_ptr_array_new();
    for (guint i = 0; i < world->fleet->links->len; i++) {
        const drv_fleet_link *link = world->fleet->links->pdata[i];
        place *from = &world->places[link->from->index], *to = &world->places[link->to->index];

        from->send_bps = MAX(from->send_bps, (double)link->rate_bps);
        to->receive_bps = MAX(to->receive_bps, (double)link->rate_bps);
    }
    for (guint i = 0; i < nodes; i++) {
        place *at = &world->places[i];

        at->borne = drv_plan_moves_borne(world->limits, world->fleet->nodes->pdata[i]);
        at->waiting = g_ptr_array_new();
        at->active = g_ptr_array_new();
        at->send_bps = at->send_bps > 0 ? at->send_bps : (double)DRV_PLAN_LINK_BPS;
        at->receive_bps = at->receive_bps > 0 ? at->receive_bps : (double)DRV_PLAN_LINK_BPS;
    }
}

typedef struct {
    gint64 ends; /* the key */
    guint count;
} on_link;

static guint *count_on(simulation *world, const drv_move *move)
{
    gint64 ends = (gint64)((guint64)move->from->index << 32 | move->to->index);
    on_link *known = g_hash_table_lookup(world->links, &ends);

    if (!known) {
        known = g_new0(on_link, 1);
        known->ends = ends;
        g_hash_table_insert(world->links, &known->ends, known);
    }
    return &known->count;
}

static void think(simulation *world, guint index)
{
    drv_move *move = world->schedule->moves->pdata[index];
    thought *one = &world->thoughts[index];

    *one = (thought){.move = move,
                     .pending = move->after->len,
                     .on_link = count_on(world, move),
                     .link_bps = drv_plan_link_bps(world->fleet, move->from, move->to),
                     .left = 1};
    for (guint i = 0; i < move->after->len; i++) {
        thought *before = &world->thoughts[g_array_index(move->after, guint, i)];

        if (!before->then)
            before->then = g_ptr_array_new();
        g_ptr_array_add(before->then, one);
    }
    g_ptr_array_add(world->places[move->from->index].waiting, one);
    g_ptr_array_add(world->places[move->to->index].waiting, one);
}

static void tear_down(simulation *world)
{
    for (guint i = 0; i < world->fleet->nodes->len; i++) {
        g_ptr_array_unref(world->places[i].waiting);
        g_ptr_array_unref(world->places[i].active);
    }
    for (guint i = 0; i < world->schedule->moves->len; i++)
        g_clear_pointer(&world->thoughts[i].then, g_ptr_array_unref);
    g_ptr_array_unref(world->active);
    g_hash_table_unref(world->links);
    g_free(world->places);
    g_free(world->thoughts);
}

/* ---- the whole ---- */

typedef struct {
    double sum, squares;
} spread;

static void widen(spread *of, const drv_estimate_range *range)
{
    double by = range->p90 > range->p50 ? (double)(range->p90 - range->p50) : 0;

    of->sum += by;
    of->squares += by * by;
}

static guint64 with_spread(double p50, const spread *of)
{
    return drv_estimate_whole(p50 + sqrt((1 - CORRELATION) * of->squares + CORRELATION * of->sum * of->sum));
}

static void sum_up(drv_schedule *schedule)
{
    spread bytes = {0}, time = {0};
    const drv_move *last = NULL;
    double wire = 0;

    for (guint i = 0; i < schedule->moves->len; i++) {
        const drv_move *move = schedule->moves->pdata[i];

        wire += (double)move->predicted.wire_bytes.p50;
        widen(&bytes, &move->predicted.wire_bytes);
        schedule->pause_ms.p50 = MAX(schedule->pause_ms.p50, move->predicted.pause_ms.p50);
        schedule->pause_ms.p90 = MAX(schedule->pause_ms.p90, move->predicted.pause_ms.p90);
        if (!last || move->end_ms > last->end_ms)
            last = move;
    }
    schedule->wire_bytes = (drv_estimate_range){drv_estimate_whole(wire), with_spread(wire, &bytes)};
    if (!last)
        return;
    /* The end of all is late by what those are late that it waits for, one after another. */
    schedule->time_ms.p50 = drv_estimate_whole(last->end_ms);
    for (const drv_move *at = last; at; at = at->waited_for >= 0 ? schedule->moves->pdata[at->waited_for] : NULL)
        widen(&time, &at->predicted.time_ms);
    schedule->time_ms.p90 = with_spread(last->end_ms, &time);
}

void drv_schedule_simulate(drv_schedule *schedule, const drv_fleet *fleet, const drv_plan_limits *limits)
{
    simulation world = {.fleet = fleet, .limits = limits, .schedule = schedule};
    thought *ended;

    set_up(&world);
    for (guint i = 0; i < schedule->moves->len; i++)
        think(&world, i);
    for (guint i = 0; i < schedule->moves->len; i++)
        if (may_start(&world, &world.thoughts[i]))
            start(&world, &world.thoughts[i], -1);
    while ((ended = next_to_end(&world, &world.now_ms)))
        finish(&world, ended);
    tear_down(&world);
    sum_up(schedule);
}
