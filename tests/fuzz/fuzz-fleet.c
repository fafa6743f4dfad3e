/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any file as a fleet, and any fleet for the planner: it is refused with a reason, or it is read, written
 * and read again as the same, and each plan of it is one that can be carried out. What begins with "!"
 * is not the file but dice, with which one is made up: so most inputs get as far as the planner.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "../unit/plan/fleets.h"
#include "model/fleet-json.h"
#include "plan/fleet-plan.h"

/* The order is found in more time than a fuzzer has, if there are thousands. */
#define SIZE_MAX_BYTES 16384
#define NODES_MAX 7
#define VMS_MAX 24

static void require(int condition)
{
    if (!condition)
        abort();
}

/* ---- fleets made up ---- */

typedef struct {
    const uint8_t *at, *end;
} dice;

/* 0 to @sides - 1; 0 when there are no more. */
static guint roll(dice *d, guint sides)
{
    return d->at < d->end ? *d->at++ % sides : 0;
}

static void add_number(dice *d, json_object *object, const char *key)
{
    static const gint64 odd[] = {0, 1, -1, G_MAXINT32, G_MAXINT64, G_MININT64, G_MAXINT64 / 2};
    guint kind = roll(d, 16);

    if (kind < G_N_ELEMENTS(odd))
        drv_json_set_int(object, key, odd[kind]);
    else if (kind == 7)
        drv_json_set(object, key, json_object_new_double(1e300));
    else if (kind < 15)
        drv_json_set_int(object, key, roll(d, 12) * GIB);
}

static void add_names(dice *d, json_object *object, const char *key)
{
    static const char *const names[] = {"a", "b", "v0", "v1", "v2", "", "none"};
    guint count = roll(d, 8);
    json_object *array;

    if (count > 3)
        return; /* not known */
    array = json_object_new_array();
    for (guint i = 0; i < count; i++)
        json_object_array_add(array, json_object_new_string(names[roll(d, G_N_ELEMENTS(names))]));
    drv_json_set(object, key, array);
}

static void add_label(dice *d, json_object *object, const char *key)
{
    guint kind = roll(d, 5);
    json_object *labels;

    if (kind > 2)
        return;
    labels = json_object_new_object();
    drv_json_set_string(labels, "rack", kind == 2 ? "2" : "1");
    drv_json_set(object, key, labels);
}

static json_object *made_up_node(dice *d, guint number)
{
    static const char *const states[] = {"up", "up", "up", "up", "lost", "?"};
    static const char *const maintenance[] = {"none", "none", "none", "draining", "drained"};
    json_object *node = json_object_new_object();
    json_object *pools = json_object_new_array(), *pool = json_object_new_object();
    char name[16];

    g_snprintf(name, sizeof name, "n%u", number);
    drv_json_set_string(node, "name", name);
    drv_json_set_string(node, "state", states[roll(d, G_N_ELEMENTS(states))]);
    drv_json_set_string(node, "maintenance", maintenance[roll(d, G_N_ELEMENTS(maintenance))]);
    add_number(d, node, "cpus");
    add_number(d, node, "cpu_used");
    add_number(d, node, "memory_bytes");
    add_number(d, node, "memory_free_bytes");
    add_names(d, node, "networks");
    add_names(d, node, "cpu_features");
    add_label(d, node, "labels");
    drv_json_set_string(pool, "name", "p");
    add_number(d, pool, "free_bytes");
    drv_json_set_bool(pool, "shared", roll(d, 2) != 0);
    json_object_array_add(pools, pool);
    if (roll(d, 3))
        drv_json_set(node, "pools", pools);
    else
        json_object_put(pools);
    return node;
}

/* What its node knows of it, for the estimate. */
static json_object *made_up_expects(dice *d)
{
    static const char *const of_moves[] = {"time", "wire", "pause", "cpu_wire", "relay_bps"};
    json_object *expects = json_object_new_object(), *history = json_object_new_object();
    json_object *windows = json_object_new_array(), *seen = json_object_new_object();

    for (guint i = roll(d, 4); i > 0; i--) {
        json_object *window = json_object_new_object();

        add_number(d, window, "seconds");
        add_number(d, window, "bytes");
        json_object_array_add(windows, window);
    }
    drv_json_set(expects, "windows", windows);
    drv_json_set_bool(expects, "sampled", roll(d, 2) != 0);
    add_number(d, expects, "zero_share");
    add_number(d, expects, "first_ratio");
    add_number(d, expects, "max_pause_ms");
    drv_json_set_int(history, "moves", roll(d, 9));
    drv_json_set_int(history, "link_moves", roll(d, 9));
    for (gsize i = 0; i < G_N_ELEMENTS(of_moves); i++)
        add_number(d, history, of_moves[i]);
    drv_json_set_int(seen, "moves", roll(d, 9));
    add_number(d, seen, "time");
    drv_json_set(history, "seen", seen);
    drv_json_set(expects, roll(d, 2) ? "vm" : "pair", history);
    return expects;
}

static json_object *made_up_vm(dice *d, guint number, guint nodes)
{
    static const char *const states[] = {"running", "running", "running", "paused", "shut off", "crashed"};
    json_object *vm = json_object_new_object();
    json_object *disks = json_object_new_array(), *disk = json_object_new_object();
    char text[16];

    /* Now and then there are two of one name, or of one UUID. */
    g_snprintf(text, sizeof text, "v%u", roll(d, 16) == 15 ? 0 : number);
    drv_json_set_string(vm, "name", text);
    g_snprintf(text, sizeof text, "u%u", roll(d, 16) == 15 ? 0 : number);
    drv_json_set_string(vm, "uuid", text);
    g_snprintf(text, sizeof text, "n%u", roll(d, nodes));
    drv_json_set_string(vm, "node", text);
    drv_json_set_string(vm, "state", states[roll(d, G_N_ELEMENTS(states))]);
    drv_json_set_bool(vm, "arriving", roll(d, 16) == 15);
    add_number(d, vm, "vcpus");
    add_number(d, vm, "cpu_used");
    add_number(d, vm, "memory_bytes");
    add_number(d, vm, "dirty_bps");
    add_number(d, vm, "priority");
    add_names(d, vm, "depends_on");
    add_names(d, vm, "apart");
    add_names(d, vm, "together");
    add_names(d, vm, "networks");
    add_label(d, vm, "node_labels");
    drv_json_set_string(disk, "target", "vda");
    drv_json_set_string(disk, "pool", "p");
    add_number(d, disk, "bytes");
    drv_json_set_bool(disk, "shared", roll(d, 2) != 0);
    json_object_array_add(disks, disk);
    if (roll(d, 4) == 3)
        drv_json_set(vm, "expects", made_up_expects(d));
    if (roll(d, 3) == 0)
        drv_json_set(vm, "disks", disks);
    else
        json_object_put(disks);
    return vm;
}

static json_object *made_up_links(dice *d, guint nodes)
{
    json_object *links = json_object_new_array();

    for (guint i = roll(d, 8); i > 0; i--) {
        json_object *link = json_object_new_object();
        char name[16];

        g_snprintf(name, sizeof name, "n%u", roll(d, nodes));
        drv_json_set_string(link, "from", name);
        g_snprintf(name, sizeof name, "n%u", roll(d, nodes));
        drv_json_set_string(link, "to", name);
        add_number(d, link, "rate_bps");
        add_number(d, link, "rtt_us");
        json_object_array_add(links, link);
    }
    return links;
}

static json_object *made_up(const uint8_t *data, size_t size)
{
    dice d = {data, data + size};
    json_object *fleet = json_object_new_object();
    json_object *nodes = json_object_new_array(), *vms = json_object_new_array();
    guint node_count = 1 + roll(&d, NODES_MAX), vm_count = roll(&d, VMS_MAX + 1);

    for (guint i = 0; i < node_count; i++)
        json_object_array_add(nodes, made_up_node(&d, i));
    for (guint i = 0; i < vm_count; i++)
        json_object_array_add(vms, made_up_vm(&d, i, node_count));
    drv_json_set(fleet, "nodes", nodes);
    drv_json_set(fleet, "vms", vms);
    drv_json_set(fleet, "links", made_up_links(&d, node_count));
    return fleet;
}

/* ---- what must be so ---- */

static void look_at_range(json_object *range)
{
    gint64 p50 = drv_json_int(range, "p50", -1), p90 = drv_json_int(range, "p90", -1);

    require(p50 >= 0 && p90 >= p50);
}

/* A fleet with two of one UUID is planned, but its steps do not say which of the two is meant. */
static gboolean each_is_one(const drv_fleet *fleet)
{
    for (guint i = 0; i < fleet->vms->len; i++) {
        const drv_fleet_vm *vm = fleet->vms->pdata[i];

        if (drv_fleet_with_uuid(fleet, vm->uuid) != vm || vm->same_uuid)
            return FALSE;
    }
    return TRUE;
}

static void look_at_plan(const drv_fleet *fleet, json_object *plan)
{
    json_object *steps = drv_json_array(plan, "steps"), *refused = drv_json_array(plan, "refused");
    json_object *predicted = drv_json_object(plan, "predicted");

    for (gsize i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        gint64 start_ms = drv_json_int(step, "start_ms", -1);

        require(drv_json_int(step, "index", -1) == (gint64)i);
        require(start_ms >= 0 && drv_json_int(step, "end_ms", -1) >= start_ms);
    }
    for (gsize i = 0; i < drv_json_length(refused); i++) {
        json_object *entry = json_object_array_get_idx(refused, i);

        require(*drv_json_string(entry, "code", "") && *drv_json_string(entry, "message", ""));
    }
    look_at_range(drv_json_object(predicted, "time_ms"));
    look_at_range(drv_json_object(predicted, "wire_bytes"));
    look_at_range(drv_json_object(predicted, "longest_pause_ms"));
    if (each_is_one(fleet))
        keeps_room(fleet, plan, 1);
}

static void plan_all(const drv_fleet *fleet)
{
    const drv_fleet_vm *vm = fleet->vms->len ? fleet->vms->pdata[0] : NULL;

    for (guint i = 0; i < MIN(fleet->nodes->len, 3u); i++) {
        const drv_fleet_node *node = fleet->nodes->pdata[i];
        const char *nodes[] = {node->name, NULL};
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) plan = drv_plan_evacuate(fleet, nodes, &DRV_PLAN_LIMITS_DEFAULT, &error);

        require(!plan == !!error && !plan == !node->up);
        if (plan)
            look_at_plan(fleet, plan);
    }
    if (vm) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) plan = drv_plan_place_vm(fleet, vm->name, &DRV_PLAN_LIMITS_DEFAULT, &error);

        require(!plan == !!error);
        if (plan)
            look_at_plan(fleet, plan);
    }
}

static void read_again(const drv_fleet *fleet)
{
    g_autoptr(json_object) object = drv_fleet_to_json(fleet);
    g_autofree char *text = g_strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) parsed = drv_json_parse(text, "what was written", &error);
    g_autoptr(drv_fleet) again = parsed ? drv_fleet_from_json(parsed, &error) : NULL;
    g_autoptr(json_object) twice = NULL;

    if (!again)
        g_error("%s: %s", error->message, text);
    twice = drv_fleet_to_json(again);
    if (!g_str_equal(text, json_object_to_json_string_ext(twice, JSON_C_TO_STRING_PLAIN)))
        g_error("%s became %s", text, json_object_to_json_string_ext(twice, JSON_C_TO_STRING_PLAIN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) object = NULL;
    g_autoptr(drv_fleet) fleet = NULL;

    if (size > SIZE_MAX_BYTES)
        return 0;
    object = *text == '!' ? made_up(data + 1, size - 1) : drv_json_parse(text, "the file", &error);
    fleet = object ? drv_fleet_from_json(object, &error) : NULL;
    require(!fleet == !!error);
    if (fleet) {
        read_again(fleet);
        plan_all(fleet);
    }
    return 0;
}
