/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves in an order: see schedule.h.
 *
 * Theory: moves are taken one after another, always the one that is the most urgent of those whose
 * dependencies were taken and whose target has room. Room is counted as if everything taken so far had
 * begun and nothing had ended, but for moves out of the target on which this one is made to wait. A node's
 * arrivals a1, a2, … wait for growing beginnings d1…dp of its departures, each just long enough that all
 * arrivals up to it fit. Whichever of them have really begun, the last of them has waited for a beginning
 * that makes room for all before it, so they fit at every instant.
 */
#include "plan/schedule.h"

#include "model/budget.h"
#include "plan/place.h"
#include "plan/simulate.h"

/* ---- limits ---- */

static gboolean limit_from(json_object *object, const char *key, guint *value, GError **error)
{
    gint64 number = drv_json_int(object, key, *value);

    if (json_object_object_get_ex(object, key, NULL) &&
        (drv_json_int(object, key, -1) == -1 || number < 1 || number > DRV_PLAN_LIMIT_MOST)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the limit %s must be a whole number from 1 to %d", key,
                    DRV_PLAN_LIMIT_MOST);
        return FALSE;
    }
    *value = (guint)number;
    return TRUE;
}

gboolean drv_plan_limits_from_json(json_object *object, drv_plan_limits *limits, GError **error)
{
    gint64 rate;

    *limits = DRV_PLAN_LIMITS_DEFAULT;
    if (!object)
        return TRUE;
    rate = drv_json_int(object, "bandwidth_bps", 0);
    if (json_object_object_get_ex(object, "bandwidth_bps", NULL) &&
        (drv_json_int(object, "bandwidth_bps", -1) == -1 || rate < 0)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "the limit bandwidth_bps must be a whole number, 0 for no limit");
        return FALSE;
    }
    limits->bandwidth_bps = (guint64)rate;
    return limit_from(object, "per_node", &limits->per_node, error) &&
           limit_from(object, "per_link", &limits->per_link, error);
}

guint drv_plan_moves_borne(const drv_plan_limits *limits, const drv_fleet_node *node)
{
    guint most = node->relay_bytes ? drv_budget_sessions(node->relay_bytes) : G_MAXUINT;

    if (limits->per_node)
        return MIN(limits->per_node, most);
    /* 0: not known */
    return MIN(most, node->cpus ? CLAMP(node->cpus / DRV_PLAN_CPUS_A_MOVE, 1, DRV_PLAN_PER_NODE) : DRV_PLAN_PER_NODE);
}

json_object *drv_plan_limits_json(const drv_plan_limits *limits, const drv_fleet *fleet)
{
    json_object *object = json_object_new_object(), *nodes = json_object_new_object();
    guint per_node = limits->per_node ? limits->per_node : DRV_PLAN_PER_NODE;

    for (guint i = 0; i < fleet->nodes->len; i++) {
        const drv_fleet_node *node = fleet->nodes->pdata[i];
        guint borne = drv_plan_moves_borne(limits, node);

        if (borne < per_node)
            drv_json_set_int(nodes, node->name, borne);
    }
    drv_json_set_int(object, "per_node", per_node);
    drv_json_set(object, "nodes", nodes);
    drv_json_set_int(object, "per_link", limits->per_link);
    drv_json_set_int(object, "bandwidth_bps", (gint64)limits->bandwidth_bps);
    return object;
}

/* ---- moves ---- */

drv_move *drv_move_new(drv_fleet_vm *vm, const drv_fleet_node *to, guint unit, char *why)
{
    drv_move *move = g_new0(drv_move, 1);

    move->vm = vm;
    move->from = vm->on;
    move->to = to;
    move->unit = unit;
    move->why = why;
    move->priority = vm->priority;
    move->waited_for = -1;
    move->after = g_array_new(FALSE, FALSE, sizeof(guint));
    return move;
}

void drv_move_free(drv_move *move)
{
    if (!move)
        return;
    g_array_unref(move->after);
    g_free(move->why);
    g_free(move);
}

static void move_free(gpointer data)
{
    drv_move_free(data);
}

/* ---- putting them in order ---- */

/* A move while it is not in the order yet. */
typedef struct {
    drv_move *move;
    double unit_ms;   /* the longest of its unit: they go one after another */
    guint waits;      /* dependencies that are not in the order yet */
    GPtrArray *needs; /* of entry: what it depends on */
    GPtrArray *needed_by;
    gboolean seen, done;
} entry;

typedef struct {
    gint64 room_bytes;  /* if all arrivals so far had begun, and `released` had left */
    GPtrArray *leavers; /* of drv_move: in the order, out of here */
    guint released;     /* so many of them are waited for by arrivals */
    GPtrArray *waiting; /* of entry: would come if there were room */
} yard;

typedef struct {
    entry *entries;
    guint count;
    yard *yards; /* by node */
    GTree *ready;
    drv_schedule *schedule;
} ordering;

static int compare_entries(gconstpointer a, gconstpointer b, gpointer data)
{
    const entry *left = a, *right = b;

    if (left->move->priority != right->move->priority)
        return left->move->priority > right->move->priority ? -1 : 1;
    if (left->unit_ms != right->unit_ms)
        return left->unit_ms > right->unit_ms ? -1 : 1;
    if (left->move->unit != right->move->unit)
        return left->move->unit < right->move->unit ? -1 : 1;
    if (left->move->length_ms != right->move->length_ms)
        return left->move->length_ms > right->move->length_ms ? -1 : 1;
    return left < right ? -1 : left > right;
}

static guint64 taken_by(const drv_move *move)
{
    return move->vm->active ? move->vm->memory_bytes : 0;
}

/* ---- dependencies ---- */

static void depend(entry *one, entry *on)
{
    if (one == on)
        return;
    g_ptr_array_add(one->needs, on);
    g_ptr_array_add(on->needed_by, one);
    one->waits++;
}

static void link_dependencies(const drv_fleet *fleet, ordering *order)
{
    g_autoptr(GHashTable) by_vm = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < order->count; i++)
        g_hash_table_insert(by_vm, order->entries[i].move->vm, &order->entries[i]);
    for (guint i = 0; i < order->count; i++) {
        entry *one = &order->entries[i];
        const drv_names *names = one->move->vm->depends_on;

        for (guint k = 0; names && k < names->count; k++) {
            const char *name = drv_names_text(names->pool, names->ids[k]);

            /* The one with that UUID and, if the word is another one's name, that one as well. */
            for (const drv_fleet_vm *vm = drv_fleet_named(fleet, name); vm; vm = vm->same_name)
                if (g_hash_table_lookup(by_vm, vm))
                    depend(one, g_hash_table_lookup(by_vm, vm));
            for (const drv_fleet_vm *vm = drv_fleet_with_uuid(fleet, name); vm; vm = vm->same_uuid)
                if (g_hash_table_lookup(by_vm, vm))
                    depend(one, g_hash_table_lookup(by_vm, vm));
        }
    }
}

/* VMs that depend on each other in a circle: none can be the first, so these rules are left out, and it is said. */
static void break_circles(ordering *order)
{
    g_autoptr(GPtrArray) free_ones = g_ptr_array_new();
    g_autofree guint *waits = g_new(guint, order->count);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < order->count; i++) {
        waits[i] = order->entries[i].waits;
        if (!waits[i])
            g_ptr_array_add(free_ones, &order->entries[i]);
    }
    for (guint i = 0; i < free_ones->len; i++) {
        entry *one = free_ones->pdata[i];

        one->seen = TRUE;
        for (guint k = 0; k < one->needed_by->len; k++) {
            entry *other = one->needed_by->pdata[k];

            if (--waits[other - order->entries] == 0)
                g_ptr_array_add(free_ones, other);
        }
    }
    for (guint i = 0; i < order->count; i++) {
        entry *one = &order->entries[i];

        if (one->seen)
            continue;
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", one->move->vm->name);
        for (guint k = one->needs->len; k-- > 0;) {
            entry *on = one->needs->pdata[k];

            if (on->seen)
                continue;
            g_ptr_array_remove_fast(on->needed_by, one);
            g_ptr_array_remove_index_fast(one->needs, k);
            one->waits--;
        }
    }
    if (names->len)
        g_ptr_array_add(order->schedule->warnings,
                        g_strdup_printf("%s depend on each other in a circle, or on VMs that do: none can "
                                        "be the first, so they move in the order of their priority; "
                                        "change --depends-on of one of them",
                                        names->str));
}

/* What an urgent VM depends on is as urgent. */
static void inherit_priorities(ordering *order)
{
    g_autoptr(GPtrArray) changed = g_ptr_array_new();

    for (guint i = 0; i < order->count; i++)
        g_ptr_array_add(changed, &order->entries[i]);
    while (changed->len) {
        entry *one = g_ptr_array_steal_index_fast(changed, changed->len - 1);

        for (guint k = 0; k < one->needs->len; k++) {
            entry *on = one->needs->pdata[k];

            if (on->move->priority >= one->move->priority)
                continue;
            on->move->priority = one->move->priority;
            g_ptr_array_add(changed, on);
        }
    }
}

/* ---- room ---- */

/* So many departures must have ended before this can come; -1: not even all that are in the order are enough. */
static int departures_needed(const yard *at, guint64 bytes)
{
    gint64 room = at->room_bytes;
    guint released = at->released;

    if (!bytes)
        return (int)released;
    while (room < (gint64)bytes && released < at->leavers->len)
        room += (gint64)taken_by(at->leavers->pdata[released++]);
    return room < (gint64)bytes ? -1 : (int)released;
}

static int compare_numbers(gconstpointer a, gconstpointer b)
{
    guint left = *(const guint *)a, right = *(const guint *)b;

    return left < right ? -1 : left > right;
}

static void add_after(drv_move *move, guint index)
{
    for (guint i = 0; i < move->after->len; i++)
        if (g_array_index(move->after, guint, i) == index)
            return;
    g_array_append_val(move->after, index);
}

static void take(ordering *order, entry *one, guint released)
{
    drv_move *move = one->move;
    yard *to = &order->yards[move->to->index], *from = &order->yards[move->from->index];

    move->index = order->schedule->moves->len;
    g_ptr_array_add(order->schedule->moves, move);
    one->done = TRUE;
    for (; to->released < released; to->released++)
        to->room_bytes += (gint64)taken_by(to->leavers->pdata[to->released]);
    to->room_bytes -= (gint64)taken_by(move);
    for (guint i = 0; i < to->released && taken_by(move); i++)
        add_after(move, ((drv_move *)to->leavers->pdata[i])->index);
    for (guint i = 0; i < one->needs->len; i++)
        add_after(move, ((entry *)one->needs->pdata[i])->move->index);
    g_array_sort(move->after, compare_numbers);

    if (!from->leavers)
        from->leavers = g_ptr_array_new();
    g_ptr_array_add(from->leavers, move);
    for (guint i = 0; i < one->needed_by->len; i++) {
        entry *other = one->needed_by->pdata[i];

        if (--other->waits == 0)
            g_tree_insert(order->ready, other, other);
    }
    /* They may fit now; those that do not come back to the yard. */
    for (guint i = 0; from->waiting && i < from->waiting->len; i++)
        g_tree_insert(order->ready, from->waiting->pdata[i], from->waiting->pdata[i]);
    if (from->waiting)
        g_ptr_array_set_size(from->waiting, 0);
}

static void put_in_order(ordering *order)
{
    for (guint i = 0; i < order->count; i++)
        if (!order->entries[i].waits)
            g_tree_insert(order->ready, &order->entries[i], &order->entries[i]);
    for (;;) {
        GTreeNode *first = g_tree_node_first(order->ready);
        entry *one = first ? g_tree_node_value(first) : NULL;
        yard *to;
        int released;

        if (!one)
            return;
        g_tree_remove(order->ready, one);
        to = &order->yards[one->move->to->index];
        if (!to->leavers)
            to->leavers = g_ptr_array_new();
        released = departures_needed(to, taken_by(one->move));
        if (released >= 0) {
            take(order, one, (guint)released);
            continue;
        }
        if (!to->waiting)
            to->waiting = g_ptr_array_new();
        g_ptr_array_add(to->waiting, one);
    }
}

/* ---- the whole ---- */

static void measure(const drv_fleet *fleet, const drv_plan_limits *limits, ordering *order)
{
    g_autoptr(GHashTable) longest = g_hash_table_new_full(NULL, NULL, NULL, g_free);

    for (guint i = 0; i < order->count; i++) {
        drv_move *move = order->entries[i].move;
        guint64 rate = drv_plan_link_bps(fleet, move->from, move->to) / drv_plan_moves_borne(limits, move->from);
        double *unit_ms = g_hash_table_lookup(longest, GUINT_TO_POINTER(move->unit));

        drv_plan_expect(fleet, move->vm, move->to, &move->expects);
        drv_plan_predict(&move->expects, rate, &move->predicted);
        move->length_ms = (double)move->predicted.time_ms.p50;
        if (!unit_ms) {
            unit_ms = g_new0(double, 1);
            g_hash_table_insert(longest, GUINT_TO_POINTER(move->unit), unit_ms);
        }
        *unit_ms = MAX(*unit_ms, move->length_ms);
    }
    for (guint i = 0; i < order->count; i++)
        order->entries[i].unit_ms =
            *(double *)g_hash_table_lookup(longest, GUINT_TO_POINTER(order->entries[i].move->unit));
}

static void begin(const drv_fleet *fleet, GPtrArray *moves, ordering *order)
{
    order->count = moves->len;
    order->entries = g_new0(entry, moves->len);
    order->yards = g_new0(yard, fleet->nodes->len);
    order->ready = g_tree_new_full(compare_entries, NULL, NULL, NULL);
    for (guint i = 0; i < fleet->nodes->len; i++)
        order->yards[i].room_bytes = drv_fleet_room(fleet->nodes->pdata[i]) - (gint64)DRV_PLAN_RESERVE_BYTES;
    for (guint i = 0; i < moves->len; i++)
        order->entries[i] =
            (entry){.move = moves->pdata[i], .needs = g_ptr_array_new(), .needed_by = g_ptr_array_new()};
}

static void end(const drv_fleet *fleet, ordering *order)
{
    for (guint i = 0; i < order->count; i++) {
        if (!order->entries[i].done)
            g_ptr_array_add(order->schedule->stuck, order->entries[i].move);
        g_ptr_array_unref(order->entries[i].needs);
        g_ptr_array_unref(order->entries[i].needed_by);
    }
    for (guint i = 0; i < fleet->nodes->len; i++) {
        g_clear_pointer(&order->yards[i].leavers, g_ptr_array_unref);
        g_clear_pointer(&order->yards[i].waiting, g_ptr_array_unref);
    }
    g_tree_unref(order->ready);
    g_free(order->yards);
    g_free(order->entries);
}

drv_schedule *drv_schedule_new(const drv_fleet *fleet, GPtrArray *moves, const drv_plan_limits *limits)
{
    drv_schedule *schedule = g_new0(drv_schedule, 1);
    ordering order = {.schedule = schedule};

    schedule->moves = g_ptr_array_new_with_free_func(move_free);
    schedule->stuck = g_ptr_array_new_with_free_func(move_free);
    schedule->warnings = g_ptr_array_new_with_free_func(g_free);
    begin(fleet, moves, &order);
    measure(fleet, limits, &order);
    link_dependencies(fleet, &order);
    break_circles(&order);
    inherit_priorities(&order);
    put_in_order(&order);
    end(fleet, &order);
    g_ptr_array_set_free_func(moves, NULL);
    g_ptr_array_unref(moves);
    drv_schedule_simulate(schedule, fleet, limits);
    return schedule;
}

void drv_schedule_free(drv_schedule *schedule)
{
    if (!schedule)
        return;
    g_ptr_array_unref(schedule->moves);
    g_ptr_array_unref(schedule->stuck);
    g_ptr_array_unref(schedule->warnings);
    g_free(schedule);
}
