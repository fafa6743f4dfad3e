/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of many moves: see fleet-plan.h. */
#include "plan/fleet-plan.h"

#include <string.h>

#include "plan/against.h"
#include "plan/pack.h"
#include "plan/place.h"
#include "plan/rules.h"

/* ---- a plan as JSON ---- */

static json_object *step_json(const drv_move *move)
{
    json_object *step = json_object_new_object();
    json_object *after = json_object_new_array();

    for (guint i = 0; i < move->after->len; i++)
        json_object_array_add(after, json_object_new_int64(g_array_index(move->after, guint, i)));
    drv_json_set_int(step, "index", move->index);
    drv_json_set_string(step, "action", "migrate");
    drv_json_set_string(step, "method", "auto");
    drv_json_set_string(step, "vm", move->vm->name);
    drv_json_set_string(step, "uuid", move->vm->uuid);
    drv_json_set_string(step, "source", move->from->name);
    drv_json_set_string(step, "target", move->to->name);
    drv_json_set_int(step, "memory_bytes", (gint64)move->vm->memory_bytes);
    drv_json_set(step, "after", after);
    drv_json_set_int(step, "priority", move->priority);
    drv_json_set_string(step, "why", move->why);
    drv_json_set_int(step, "start_ms", (gint64)drv_estimate_whole(move->start_ms));
    drv_json_set_int(step, "end_ms", (gint64)drv_estimate_whole(move->end_ms));
    drv_json_set(step, "predicted", drv_estimate_json(&move->predicted));
    return step;
}

/* What the planner knows so far of a plan. */
typedef struct {
    const drv_fleet *fleet;
    const drv_plan_limits *limits;
    json_object *refused, *stay, *warnings;
} draft;

static draft draft_new(const drv_fleet *fleet, const drv_plan_limits *limits)
{
    return (draft){fleet, limits, json_object_new_array(), json_object_new_array(), json_object_new_array()};
}

static json_object *predicted_json(const drv_schedule *schedule)
{
    json_object *object = json_object_new_object();

    drv_json_set(object, "time_ms", drv_plan_range_json(&schedule->time_ms));
    drv_json_set(object, "wire_bytes", drv_plan_range_json(&schedule->wire_bytes));
    drv_json_set(object, "longest_pause_ms", drv_plan_range_json(&schedule->pause_ms));
    return object;
}

static void refuse_stuck(const drv_schedule *schedule, json_object *refused)
{
    for (guint i = 0; i < schedule->stuck->len; i++) {
        const drv_move *move = schedule->stuck->pdata[i];

        drv_refusals_add(refused, move->vm, DRV_ERROR_REFUSED,
                         g_strdup_printf("it would need room on %s that only moves leave which wait for this "
                                         "one, or depends on a VM of which that is true",
                                         move->to->name),
                         g_strdup_printf("free %" G_GUINT64_FORMAT " MiB on %s, or add a node",
                                         move->vm->memory_bytes >> 20, move->to->name));
    }
}

/* Takes over what @from has, and @moves. */
static json_object *plan_json(draft *from, const char *goal, GPtrArray *moves)
{
    g_autoptr(drv_schedule) schedule = drv_schedule_new(from->fleet, moves, from->limits);
    json_object *plan = json_object_new_object();
    json_object *steps = json_object_new_array();

    for (guint i = 0; i < schedule->moves->len; i++)
        json_object_array_add(steps, step_json(schedule->moves->pdata[i]));
    for (guint i = 0; i < schedule->warnings->len; i++)
        json_object_array_add(from->warnings, json_object_new_string(schedule->warnings->pdata[i]));
    for (guint i = 0; i < from->fleet->warnings->len; i++)
        json_object_array_add(from->warnings, json_object_new_string(from->fleet->warnings->pdata[i]));
    refuse_stuck(schedule, from->refused);
    drv_json_set_string(plan, "goal", goal);
    drv_json_set_string(plan, "state", "ready");
    drv_json_set_int(plan, "fleet_ms", from->fleet->taken_ms);
    drv_json_set(plan, "limits", drv_plan_limits_json(from->limits, from->fleet));
    drv_json_set(plan, "steps", steps);
    drv_json_set_int(plan, "side_by_side", schedule->side_by_side);
    drv_json_set(plan, "predicted", predicted_json(schedule));
    drv_json_set(plan, "refused", from->refused);
    drv_json_set(plan, "stay", from->stay);
    drv_json_set(plan, "warnings", from->warnings);
    return plan;
}

/* ---- which VMs can be asked to go at all ---- */

static void add_stay(json_object *stay, const drv_fleet_vm *vm)
{
    json_object *entry = json_object_new_object();

    drv_json_set_string(entry, "vm", vm->name);
    drv_json_set_string(entry, "uuid", vm->uuid);
    drv_json_set_string(entry, "node", vm->node);
    drv_json_set_string(entry, "why", "it is shut off; 'drover migrate --offline' moves it");
    json_object_array_add(stay, entry);
}

/* Whether the VM can be planned for; if not it is in one of the lists. */
static gboolean can_leave(draft *of, const drv_fleet_vm *vm)
{
    const char *cut = vm->obstacle ? strstr(vm->obstacle, "; ") : NULL;

    if (vm->left_out)
        return FALSE;
    if (vm->arriving)
        drv_refusals_add(of->refused, vm, DRV_ERROR_CONFLICT, g_strdup_printf("it is just arriving on %s", vm->node),
                         g_strdup("wait for the end of that move ('drover jobs' shows it) and plan again"));
    else if (vm->problem)
        drv_refusals_add(of->refused, vm, DRV_ERROR_INVALID, g_strdup(vm->problem),
                         g_strdup_printf("'drover vm goals %s' shows and changes them", vm->name));
    else if (vm->busy)
        drv_refusals_add(of->refused, vm, DRV_ERROR_CONFLICT, g_strdup_printf("%s is at work on it", vm->busy),
                         g_strdup("wait for the end of that ('drover jobs' shows it) and plan again"));
    else if (g_str_equal(vm->state, "shut off"))
        add_stay(of->stay, vm);
    else if (!vm->active)
        drv_refusals_add(of->refused, vm, DRV_ERROR_REFUSED,
                         g_strdup_printf("it is %s, and a live move needs a running VM",
                                         *vm->state ? vm->state : "in a state that is not known"),
                         g_strdup_printf("start it or shut it down ('virsh destroy %s' ends it)", vm->name));
    else if (vm->obstacle)
        drv_refusals_add(of->refused, vm, DRV_ERROR_REFUSED,
                         cut ? g_strndup(vm->obstacle, (gsize)(cut - vm->obstacle)) : g_strdup(vm->obstacle),
                         g_strdup(cut ? cut + 2 : NULL));
    else
        return TRUE;
    return FALSE;
}

static int by_index(gconstpointer a, gconstpointer b)
{
    const drv_fleet_vm *left = *(drv_fleet_vm *const *)a, *right = *(drv_fleet_vm *const *)b;

    return left->index < right->index ? -1 : left->index > right->index;
}

static GPtrArray *leavers(draft *of, GPtrArray *nodes)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GPtrArray *vms = g_ptr_array_new();

    for (guint i = 0; i < nodes->len; i++)
        for (drv_fleet_vm *vm = ((drv_fleet_node *)nodes->pdata[i])->first_vm; vm; vm = vm->next_on_node)
            g_ptr_array_add(all, vm);
    g_ptr_array_sort(all, by_index);
    for (guint i = 0; i < all->len; i++)
        if (can_leave(of, all->pdata[i]))
            g_ptr_array_add(vms, all->pdata[i]);
    return vms;
}

static drv_fleet_node *node_named(const drv_fleet *fleet, const char *name, GError **error)
{
    drv_fleet_node *node = drv_fleet_find_node(fleet, name);

    if (!node)
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no node %s; 'drover node list' shows all", name);
    return node;
}

/* ---- evacuate ---- */

static GPtrArray *nodes_to_empty(const drv_fleet *fleet, const char *const *names, GError **error)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();

    for (guint i = 0; names[i]; i++) {
        drv_fleet_node *node = node_named(fleet, names[i], error);

        if (!node)
            return NULL;
        if (!node->up) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                        "%s cannot be emptied, for it cannot be asked what it has: %s", node->name,
                        node->error ? node->error : "it does not answer");
            return NULL;
        }
        if (!g_ptr_array_find(nodes, node, NULL))
            g_ptr_array_add(nodes, node);
    }
    if (!nodes->len) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "say which node shall be emptied");
        return NULL;
    }
    return g_steal_pointer(&nodes);
}

static void add_moves(GPtrArray *moves, const drv_unit *unit, guint number, const drv_fleet_node *node, const char *why)
{
    for (guint i = 0; i < unit->vms->len; i++)
        g_ptr_array_add(moves, drv_move_new(unit->vms->pdata[i], node, number, g_strdup(why)));
}

static void set_nodes(json_object *plan, GPtrArray *nodes)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; i < nodes->len; i++)
        json_object_array_add(list, json_object_new_string(((drv_fleet_node *)nodes->pdata[i])->name));
    drv_json_set_string(plan, "node", ((drv_fleet_node *)nodes->pdata[0])->name);
    drv_json_set(plan, "nodes", list);
}

json_object *drv_plan_evacuate(const drv_fleet *fleet, const char *const *names, const drv_plan_limits *limits,
                               GError **error)
{
    g_autoptr(GPtrArray) nodes = nodes_to_empty(fleet, names, error);
    g_autoptr(GPtrArray) vms = NULL;
    g_autoptr(GPtrArray) units = NULL;
    GPtrArray *moves;
    json_object *plan;
    drv_pack *pack;
    draft sketch;

    if (!nodes)
        return NULL;
    sketch = draft_new(fleet, limits);
    vms = leavers(&sketch, nodes);
    units = drv_rules_units(fleet, vms, sketch.refused);
    pack = drv_pack_units(fleet, units, nodes);
    moves = g_ptr_array_new();
    for (guint i = 0; i < units->len; i++) {
        if (pack->target[i])
            add_moves(moves, units->pdata[i], i, pack->target[i], pack->why[i]);
        else
            drv_refusals_no_node(sketch.refused, pack->room, units->pdata[i]);
    }
    drv_pack_free(pack, units->len);
    plan = plan_json(&sketch, "evacuate", moves);
    set_nodes(plan, nodes);
    return plan;
}

/* ---- return ---- */

static GPtrArray *returners(draft *of, const drv_fleet_node *node, json_object *came_from)
{
    GPtrArray *vms = g_ptr_array_new();

    for (gsize i = 0; i < drv_json_length(came_from); i++) {
        json_object *entry = json_object_array_get_idx(came_from, i);
        drv_fleet_vm *vm = drv_fleet_with_uuid(of->fleet, drv_json_string(entry, "uuid", ""));

        while (vm && vm->arriving)
            vm = vm->same_uuid;
        if (vm && vm->on != node && vm->on->up && can_leave(of, vm) && !g_ptr_array_find(vms, vm, NULL))
            g_ptr_array_add(vms, vm);
    }
    return vms;
}

json_object *drv_plan_return(const drv_fleet *fleet, const char *name, json_object *came_from,
                             const drv_plan_limits *limits, GError **error)
{
    drv_fleet_node *node = node_named(fleet, name, error);
    g_autoptr(drv_room) room = NULL;
    g_autoptr(GPtrArray) vms = NULL;
    g_autoptr(GPtrArray) units = NULL;
    GPtrArray *moves;
    json_object *plan;
    draft sketch;

    if (!node)
        return NULL;
    sketch = draft_new(fleet, limits);
    room = drv_room_new(fleet, NULL);
    room->open = node;
    vms = returners(&sketch, node, came_from);
    units = drv_rules_units(fleet, vms, sketch.refused);
    moves = g_ptr_array_new();
    for (guint i = 0; i < units->len; i++) {
        const drv_unit *unit = units->pdata[i];
        drv_fit fit = drv_room_fits(room, unit, node);

        if (fit == DRV_FIT_GOOD) {
            g_autofree char *why = g_strdup_printf("it was on %s before", node->name);

            add_moves(moves, unit, i, node, why);
            drv_room_put(room, unit, node);
            continue;
        }
        for (guint k = 0; k < unit->vms->len; k++)
            drv_refusals_add(sketch.refused, unit->vms->pdata[k], DRV_ERROR_REFUSED,
                             drv_room_against(room, unit, node, fit),
                             g_strdup("leave it where it is, or change that and plan again"));
    }
    plan = plan_json(&sketch, "return", moves);
    drv_json_set_string(plan, "node", node->name);
    /* That is where they belong: no other node will do. */
    for (gsize i = 0; i < drv_json_length(drv_json_array(plan, "steps")); i++)
        drv_json_set_string(json_object_array_get_idx(drv_json_array(plan, "steps"), i), "bound", "target");
    return plan;
}

/* ---- place ---- */

typedef struct {
    const drv_fleet_node *node;
    double score; /* < 0: it does not fit */
    char *why;
} candidate;

static int by_score(const void *a, const void *b)
{
    const candidate *left = a, *right = b;

    if (left->score != right->score)
        return left->score > right->score ? -1 : 1;
    return left->node->index < right->node->index ? -1 : left->node->index > right->node->index;
}

static json_object *candidates_json(const drv_room *room, const drv_unit *unit, const drv_fleet_node **best)
{
    guint count = room->fleet->nodes->len;
    g_autofree candidate *all = g_new0(candidate, count);
    json_object *list = json_object_new_array();

    for (guint i = 0; i < count; i++) {
        const drv_fleet_node *node = room->fleet->nodes->pdata[i];
        drv_fit fit = drv_room_fits(room, unit, node);

        all[i].node = node;
        all[i].score = fit == DRV_FIT_GOOD ? drv_room_score(room, unit, node) : -1;
        all[i].why = drv_room_against(room, unit, node, fit);
    }
    qsort(all, count, sizeof all[0], by_score);
    *best = count && all[0].score >= 0 ? all[0].node : NULL;
    for (guint i = 0; i < count; i++) {
        json_object *entry = json_object_new_object();

        drv_json_set_string(entry, "node", all[i].node->name);
        drv_json_set(entry, "score", all[i].score < 0 ? NULL : json_object_new_double(all[i].score));
        drv_json_set_string(entry, "why", all[i].why);
        json_object_array_add(list, entry);
        g_free(all[i].why);
    }
    return list;
}

json_object *drv_plan_place_vm(const drv_fleet *fleet, const char *name, const drv_plan_limits *limits, GError **error)
{
    const drv_fleet_vm *vm = drv_plan_find_vm(fleet, name, error);
    g_autoptr(drv_room) room = NULL;
    g_autoptr(GPtrArray) vms = g_ptr_array_new();
    g_autoptr(GPtrArray) units = NULL;
    const drv_fleet_node *best = NULL;
    json_object *candidates = NULL, *plan;
    GPtrArray *moves;
    draft sketch;

    if (!vm)
        return NULL;
    sketch = draft_new(fleet, limits);
    room = drv_room_new(fleet, NULL);
    moves = g_ptr_array_new();
    if (can_leave(&sketch, vm))
        g_ptr_array_add(vms, fleet->vms->pdata[vm->index]);
    units = drv_rules_units(fleet, vms, sketch.refused);
    if (units->len) {
        candidates = candidates_json(room, units->pdata[0], &best);
        if (best)
            add_moves(moves, units->pdata[0], 0, best, "it has the best score");
        else
            drv_refusals_no_node(sketch.refused, room, units->pdata[0]);
    }
    plan = plan_json(&sketch, "place", moves);
    drv_json_set_string(plan, "vm", vm->name);
    drv_json_set(plan, "candidates", candidates ? candidates : json_object_new_array());
    return plan;
}
