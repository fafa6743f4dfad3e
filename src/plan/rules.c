/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about where VMs are: see rules.h. */
#include "plan/rules.h"

#include <string.h>

/* VMs that are connected by groups, directly or not: leader[i] is the lowest VM known to be with i. */
typedef struct {
    const drv_fleet *fleet;
    guint *leader;      /* by a VM's index */
    GHashTable *groups; /* group + 1 → a VM's index + 1 */
} circles;

static guint leader_of(circles *all, guint index)
{
    while (all->leader[index] != index) {
        all->leader[index] = all->leader[all->leader[index]];
        index = all->leader[index];
    }
    return index;
}

static void connect_groups(circles *all)
{
    for (guint i = 0; i < all->fleet->vms->len; i++)
        all->leader[i] = i;
    for (guint i = 0; i < all->fleet->vms->len; i++) {
        const drv_fleet_vm *vm = all->fleet->vms->pdata[i];

        if (!vm->active || vm->arriving)
            continue;
        for (guint k = 0; vm->together && k < vm->together->count; k++) {
            gpointer group = GUINT_TO_POINTER(vm->together->ids[k] + 1);
            guint first = GPOINTER_TO_UINT(g_hash_table_lookup(all->groups, group));

            if (!first) {
                g_hash_table_insert(all->groups, group, GUINT_TO_POINTER(i + 1));
            } else {
                guint a = leader_of(all, first - 1), b = leader_of(all, i);

                all->leader[MAX(a, b)] = MIN(a, b);
            }
        }
    }
}

/* A unit with all who are kept together, wherever they are. */
typedef struct {
    drv_unit *unit;
    GPtrArray *family; /* of drv_fleet_vm; NULL: the unit is one VM without such rules */
} household;

/* ---- contradictions ---- */

static const char *first_common(const drv_fleet_vm *a, const drv_fleet_vm *b)
{
    for (guint i = 0; a->together && i < a->together->count; i++)
        if (drv_names_has(b->together, a->together->ids[i]))
            return drv_names_text(a->together->pool, a->together->ids[i]);
    return NULL;
}

static void say_apart(const drv_fleet_vm *a, const drv_fleet_vm *b, const char *apart, char **message, char **remedy)
{
    const char *group = first_common(a, b);

    *message = g_strdup_printf("rules contradict each other: 'apart %s' of %s and %s keeps them on "
                               "different nodes, 'together %s' on the same one",
                               apart, a->name, b->name,
                               group ? group : drv_names_text(a->together->pool, a->together->ids[0]));
    *remedy = g_strdup_printf("lift one of the two rules ('drover vm goals %s' shows where it is from)", b->name);
}

static gboolean apart_contradicts(GPtrArray *family, char **message, char **remedy)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < family->len; i++) {
        const drv_fleet_vm *vm = family->pdata[i];

        for (guint k = 0; vm->apart && k < vm->apart->count; k++) {
            gpointer group = GUINT_TO_POINTER(vm->apart->ids[k] + 1);
            const drv_fleet_vm *other = g_hash_table_lookup(seen, group);

            if (other) {
                say_apart(other, vm, drv_names_text(vm->apart->pool, vm->apart->ids[k]), message, remedy);
                return TRUE;
            }
            g_hash_table_insert(seen, group, (gpointer)vm);
        }
    }
    return FALSE;
}

/* "rack=1" and "rack=2" of VMs that are to be on one node. */
static gboolean labels_contradict(GPtrArray *family, char **message, char **remedy)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) whose = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < family->len; i++) {
        const drv_fleet_vm *vm = family->pdata[i];

        for (guint k = 0; vm->node_labels && k < vm->node_labels->count; k++) {
            const char *label = drv_names_text(vm->node_labels->pool, vm->node_labels->ids[k]);
            const char *equals = strchr(label, '=');
            char *key = g_strndup(label, equals ? (gsize)(equals - label) : strlen(label));
            const char *known = g_hash_table_lookup(seen, key);
            const drv_fleet_vm *other = known ? g_hash_table_lookup(whose, known) : NULL;

            if (!known) {
                g_hash_table_insert(seen, key, (gpointer)label);
                g_hash_table_insert(whose, (gpointer)label, (gpointer)vm);
                continue;
            }
            g_free(key);
            if (g_str_equal(known, label))
                continue;
            *message = g_strdup_printf("rules contradict each other: %s wants a node with the label %s, %s, "
                                       "which is kept together with it, one with %s",
                                       other->name, known, vm->name, label);
            *remedy = g_strdup_printf("lift one of the two rules --node-label, or the rule --together");
            return TRUE;
        }
    }
    return FALSE;
}

/* ---- units ---- */

/* One of the family that has to stay, on a node that the others leave. */
static const drv_fleet_vm *held_by(const household *home, const gboolean *leaves)
{
    for (guint i = 0; home->family && i < home->family->len; i++) {
        const drv_fleet_vm *vm = home->family->pdata[i];

        for (guint k = 0; !leaves[vm->index] && k < home->unit->vms->len; k++)
            if (((const drv_fleet_vm *)home->unit->vms->pdata[k])->on == vm->on)
                return vm;
    }
    return NULL;
}

/* Where most of those are that stay. */
static const drv_fleet_node *where_family_is(const household *home, const gboolean *leaves)
{
    const drv_fleet_node *best = NULL;
    guint most = 0;

    for (guint i = 0; home->family && i < home->family->len; i++) {
        const drv_fleet_vm *vm = home->family->pdata[i];
        guint here = 0;

        for (guint k = 0; !leaves[vm->index] && k < home->family->len; k++) {
            const drv_fleet_vm *other = home->family->pdata[k];

            here += !leaves[other->index] && other->on == vm->on;
        }
        if (here > most) {
            most = here;
            best = vm->on;
        }
    }
    return best;
}

/* Whether the unit can be planned; if not its VMs are refused. */
static gboolean is_sound(const household *home, const gboolean *leaves, json_object *refused)
{
    g_autofree char *message = NULL;
    g_autofree char *remedy = NULL;
    const drv_fleet_vm *held = held_by(home, leaves);

    if (!home->family)
        return TRUE;
    if (held) {
        message = g_strdup_printf("it is kept together with %s, which stays on %s", held->name, held->node);
        remedy = g_strdup_printf("see what keeps %s there, or lift the rule --together", held->name);
    } else if (!apart_contradicts(home->family, &message, &remedy) &&
               !labels_contradict(home->family, &message, &remedy)) {
        return TRUE;
    }
    for (guint i = 0; i < home->unit->vms->len; i++)
        drv_refusals_add(refused, home->unit->vms->pdata[i], held ? DRV_ERROR_REFUSED : DRV_ERROR_INVALID,
                         g_strdup(message), g_strdup(remedy));
    return FALSE;
}

static void household_free(gpointer data)
{
    household *home = data;

    drv_unit_free(home->unit);
    if (home->family)
        g_ptr_array_unref(home->family);
    g_free(home);
}

/* In the order of @vms. */
static GPtrArray *households(circles *all, GPtrArray *vms)
{
    GPtrArray *homes = g_ptr_array_new_with_free_func(household_free);
    g_autoptr(GHashTable) by_leader = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < vms->len; i++) {
        drv_fleet_vm *vm = vms->pdata[i];
        gpointer leader = GUINT_TO_POINTER(leader_of(all, vm->index) + 1);
        household *home = vm->together ? g_hash_table_lookup(by_leader, leader) : NULL;

        if (!home) {
            home = g_new0(household, 1);
            home->unit = drv_unit_new();
            g_ptr_array_add(homes, home);
            if (vm->together && vm->together->count) {
                home->family = g_ptr_array_new();
                g_hash_table_insert(by_leader, leader, home);
            }
        }
        drv_unit_add(home->unit, vm);
    }
    for (guint i = 0; g_hash_table_size(by_leader) && i < all->fleet->vms->len; i++) {
        drv_fleet_vm *vm = all->fleet->vms->pdata[i];
        household *home = NULL;

        if (vm->together && vm->active && !vm->arriving)
            home = g_hash_table_lookup(by_leader, GUINT_TO_POINTER(leader_of(all, i) + 1));
        if (home)
            g_ptr_array_add(home->family, vm);
    }
    return homes;
}

GPtrArray *drv_rules_units(const drv_fleet *fleet, GPtrArray *vms, json_object *refused)
{
    GPtrArray *units = g_ptr_array_new_with_free_func((GDestroyNotify)drv_unit_free);
    g_autofree guint *leader = g_new(guint, fleet->vms->len);
    g_autoptr(GHashTable) groups = g_hash_table_new(NULL, NULL);
    g_autofree gboolean *leaves = g_new0(gboolean, fleet->vms->len);
    circles all = {fleet, leader, groups};
    g_autoptr(GPtrArray) homes = NULL;

    connect_groups(&all);
    for (guint i = 0; i < vms->len; i++)
        leaves[((const drv_fleet_vm *)vms->pdata[i])->index] = TRUE;
    homes = households(&all, vms);
    for (guint i = 0; i < homes->len; i++) {
        household *home = homes->pdata[i];

        if (!is_sound(home, leaves, refused))
            continue;
        home->unit->with = where_family_is(home, leaves);
        g_ptr_array_add(units, g_steal_pointer(&home->unit));
    }
    return units;
}
