/* SPDX-License-Identifier: Apache-2.0 */
/* Fleets for the planner's tests: see fleets.h. */
#include "fleets.h"

#include <string.h>

#include "model/fleet-json.h"
#include "plan/place.h"

drv_fleet *fleet_of(const char *text)
{
    g_autoptr(GString) json = g_string_new(NULL);
    g_autoptr(json_object) object = NULL;
    g_autoptr(GError) error = NULL;
    drv_fleet *fleet;

    for (const char *at = text; *at; at++) {
        if (*at == '\'')
            g_string_append_c(json, '"');
        else if (*at == 'G' && at > text && g_ascii_isdigit(at[-1]) && !g_ascii_isalnum(at[1])) {
            gsize digits = 0;
            gint64 number;

            while (digits < json->len && g_ascii_isdigit(json->str[json->len - digits - 1]))
                digits++;
            number = g_ascii_strtoll(json->str + json->len - digits, NULL, 10) * GIB;
            g_string_truncate(json, json->len - digits);
            g_string_append_printf(json, "%" G_GINT64_FORMAT, number);
        } else {
            g_string_append_c(json, *at);
        }
    }
    object = drv_json_parse(json->str, "the test's fleet", &error);
    g_assert_no_error(error);
    fleet = drv_fleet_from_json(object, &error);
    g_assert_no_error(error);
    return fleet;
}

json_object *evacuate(const drv_fleet *fleet, const char *node)
{
    const char *nodes[] = {node, NULL};
    g_autoptr(GError) error = NULL;
    json_object *plan = drv_plan_evacuate(fleet, nodes, &DRV_PLAN_LIMITS_DEFAULT, &error);

    g_assert_no_error(error);
    return plan;
}

static json_object *entry_of(json_object *plan, const char *list, const char *vm)
{
    json_object *entries = drv_json_array(plan, list);

    for (gsize i = 0; i < drv_json_length(entries); i++) {
        json_object *entry = json_object_array_get_idx(entries, i);

        if (g_str_equal(drv_json_string(entry, "vm", ""), vm))
            return entry;
    }
    return NULL;
}

json_object *step_of(json_object *plan, const char *vm)
{
    return entry_of(plan, "steps", vm);
}

json_object *refusal_of(json_object *plan, const char *vm)
{
    return entry_of(plan, "refused", vm);
}

const char *goes_to(json_object *plan, const char *vm)
{
    json_object *step = step_of(plan, vm);

    if (!step)
        g_error("%s has no step in %s", vm, json_object_to_json_string(plan));
    return drv_json_string(step, "target", "?");
}

void is_refused(json_object *plan, const char *vm, const char *code, const char *message, const char *remedy)
{
    json_object *entry = refusal_of(plan, vm);

    if (!entry)
        g_error("%s is not refused in %s", vm, json_object_to_json_string(plan));
    g_assert_null(step_of(plan, vm));
    g_assert_cmpstr(drv_json_string(entry, "code", ""), ==, code);
    if (!strstr(drv_json_string(entry, "message", ""), message))
        g_error("'%s' does not say '%s'", drv_json_string(entry, "message", ""), message);
    if (!strstr(drv_json_string(entry, "remedy", ""), remedy))
        g_error("the remedy '%s' does not say '%s'", drv_json_string(entry, "remedy", ""), remedy);
}

gint64 index_of(json_object *plan, const char *vm)
{
    goes_to(plan, vm);
    return drv_json_int(step_of(plan, vm), "index", -1);
}

/* ---- carrying a plan out ---- */

enum { WAITS, RUNS, OVER };

typedef struct {
    const drv_fleet *fleet;
    json_object *steps;
    guint *state;
    gint64 *taken;       /* by node: memory given to what has begun to arrive, less what has left */
    guint *busy;         /* by node */
    GHashTable *present; /* "group/node" → GPtrArray of VM */
} execution;

static drv_fleet_vm *vm_of(const drv_fleet *fleet, json_object *step)
{
    drv_fleet_vm *vm = drv_fleet_with_uuid(fleet, drv_json_string(step, "uuid", "?"));

    g_assert_nonnull(vm);
    return vm;
}

static const drv_fleet_node *end_of(const execution *run, guint index, const char *which)
{
    json_object *step = json_object_array_get_idx(run->steps, index);
    const drv_fleet_node *node = drv_fleet_find_node(run->fleet, drv_json_string(step, which, "?"));

    g_assert_nonnull(node);
    return node;
}

static gboolean ready(const execution *run, guint index, const drv_plan_limits *limits)
{
    json_object *after = drv_json_array(json_object_array_get_idx(run->steps, index), "after");

    for (gsize i = 0; i < drv_json_length(after); i++) {
        gint64 before = json_object_get_int64(json_object_array_get_idx(after, i));

        g_assert_cmpint(before, <, index);
        if (run->state[before] != OVER)
            return FALSE;
    }
    return run->state[index] == WAITS &&
           run->busy[end_of(run, index, "source")->index] <
               drv_plan_moves_borne(limits, end_of(run, index, "source")) &&
           run->busy[end_of(run, index, "target")->index] < drv_plan_moves_borne(limits, end_of(run, index, "target"));
}

static GPtrArray *present_at(execution *run, guint group, const drv_fleet_node *node)
{
    g_autofree char *key = g_strdup_printf("%u/%u", group, node->index);
    GPtrArray *list = g_hash_table_lookup(run->present, key);

    if (!list) {
        list = g_ptr_array_new();
        g_hash_table_insert(run->present, g_steal_pointer(&key), list);
    }
    return list;
}

static void arrive(execution *run, drv_fleet_vm *vm, const drv_fleet_node *node, gboolean moved)
{
    for (guint i = 0; vm->apart && i < vm->apart->count; i++) {
        GPtrArray *list = present_at(run, vm->apart->ids[i], node);

        if (moved && list->len)
            g_error("%s meets %s on %s", vm->name, ((drv_fleet_vm *)list->pdata[0])->name, node->name);
        g_ptr_array_add(list, vm);
    }
}

static void begin_step(execution *run, guint index)
{
    drv_fleet_vm *vm = vm_of(run->fleet, json_object_array_get_idx(run->steps, index));
    const drv_fleet_node *to = end_of(run, index, "target"), *from = end_of(run, index, "source");

    run->state[index] = RUNS;
    run->busy[to->index]++;
    run->busy[from->index]++;
    run->taken[to->index] += (gint64)vm->memory_bytes;
    /* One whose size is not known is never in the way. */
    if (vm->memory_bytes && run->taken[to->index] > drv_fleet_room(to) - (gint64)DRV_PLAN_RESERVE_BYTES)
        g_error("%s is given too much with %s", to->name, vm->name);
    arrive(run, vm, to, TRUE);
}

static void end_step(execution *run, guint index)
{
    drv_fleet_vm *vm = vm_of(run->fleet, json_object_array_get_idx(run->steps, index));
    const drv_fleet_node *to = end_of(run, index, "target"), *from = end_of(run, index, "source");

    run->state[index] = OVER;
    run->busy[to->index]--;
    run->busy[from->index]--;
    run->taken[from->index] -= (gint64)vm->memory_bytes;
    for (guint i = 0; vm->apart && i < vm->apart->count; i++)
        g_ptr_array_remove(present_at(run, vm->apart->ids[i], from), vm);
}

static void unref_list(gpointer list)
{
    g_ptr_array_unref(list);
}

void keeps_room(const drv_fleet *fleet, json_object *plan, guint32 seed)
{
    g_autoptr(GRand) dice = g_rand_new_with_seed(seed);
    json_object *steps = drv_json_array(plan, "steps");
    guint count = (guint)drv_json_length(steps), over = 0;
    g_autofree guint *state = g_new0(guint, count + 1);
    g_autofree gint64 *taken = g_new0(gint64, fleet->nodes->len);
    g_autofree guint *busy = g_new0(guint, fleet->nodes->len);
    g_autoptr(GHashTable) present = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_list);
    execution run = {fleet, steps, state, taken, busy, present};
    drv_plan_limits limits;

    g_assert_true(drv_plan_limits_from_json(drv_json_object(plan, "limits"), &limits, NULL));
    for (guint i = 0; i < fleet->vms->len; i++) {
        drv_fleet_vm *vm = fleet->vms->pdata[i];

        if (vm->active || vm->arriving)
            arrive(&run, vm, vm->on, FALSE);
    }
    while (over < count) {
        g_autoptr(GArray) may = g_array_new(FALSE, FALSE, sizeof(guint));
        guint chosen;

        for (guint i = 0; i < count; i++)
            if (state[i] == RUNS || (state[i] == WAITS && ready(&run, i, &limits)))
                g_array_append_val(may, i);
        if (!may->len)
            g_error("nothing can go on in %s", json_object_to_json_string(plan));
        chosen = g_array_index(may, guint, g_rand_int_range(dice, 0, (gint32)may->len));
        if (state[chosen] == WAITS) {
            begin_step(&run, chosen);
        } else {
            end_step(&run, chosen);
            over++;
        }
    }
}
