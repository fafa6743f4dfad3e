/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between VMs, the order of moves, and what bringing back and placing one VM do with them. */
#include <string.h>

#include "fleets.h"

#include "model/fleet-json.h"

#define NODE(name, free, more)                                                                                         \
    "{'name': '" name "', 'cpus': 8, 'memory_bytes': 64G, 'memory_free_bytes': " free more "}"
#define VM(name, node, size, more)                                                                                     \
    "{'name': '" name "', 'uuid': '" name "-uuid', 'node': '" node "', 'state': 'running', 'vcpus': 2,"                \
    " 'memory_bytes': " size more "}"
#define THREE "'nodes': [" NODE("h1", "20G", "") "," NODE("h2", "40G", "") "," NODE("h3", "20G", "") "]"

static void test_apart(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of("{" THREE ", 'vms': [" VM("a", "h1", "1G", ", 'apart': ['web']") ","
                 VM("b", "h1", "1G", ", 'apart': ['web']") "," VM("c", "h1", "1G", ", 'apart': ['web']") "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");
    const char *of_a = goes_to(plan, "a"), *of_b = goes_to(plan, "b");

    /* Two find a place, for the third there is none. */
    g_assert_cmpstr(of_a, !=, of_b);
    is_refused(plan, "c", "refused", "which is kept apart from c (group web)", "lift the rule --apart of c");
    keeps_room(fleet, plan, 3);
}

static void test_together(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of("{" THREE ", 'vms': [" VM("a", "h1", "12G", ", 'together': ['x']") ","
                 VM("b", "h1", "12G", ", 'together': ['x', 'y']") "," VM("c", "h1", "12G", ", 'together': ['y']")
                 "," VM("d", "h1", "1G", ", 'together': ['stays']") "," VM("e", "h3", "1G", ", 'together': ['stays']")
                 "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");

    /* Each would fit on h3 alone; by way of b all three belong together. */
    g_assert_cmpstr(goes_to(plan, "a"), ==, "h2");
    g_assert_cmpstr(goes_to(plan, "b"), ==, "h2");
    g_assert_cmpstr(goes_to(plan, "c"), ==, "h2");
    g_assert_cmpstr(goes_to(plan, "d"), ==, "h3");
}

/* A rule that is broken already does not keep a VM where it cannot stay. */
static void test_apart_from_its_group_already(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of("{" THREE ", 'vms': [" VM("a", "h1", "30G", ", 'together': ['x']") ","
                 VM("b", "h3", "1G", ", 'together': ['x']") "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");

    g_assert_cmpstr(goes_to(plan, "a"), ==, "h2");
    g_assert_nonnull(strstr(drv_json_string(step_of(plan, "a"), "why", ""), "h3 cannot take it"));
}

static void test_held(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of("{" THREE ", 'vms': [" VM("a", "h1", "1G", ", 'together': ['x']") ","
                 VM("gpu", "h1", "1G", ", 'together': ['x'], 'obstacles': ['it uses a PCI device; detach it']") "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");

    is_refused(plan, "gpu", "refused", "PCI device", "detach");
    is_refused(plan, "a", "refused", "kept together with gpu, which stays on h1", "lift the rule --together");
}

static void test_contradictions(void)
{
    g_autoptr(drv_fleet) fleet =
        fleet_of(
        "{" THREE ", 'vms': ["
        VM("a", "h1", "1G", ", 'together': ['x'], 'apart': ['y']") "," VM("b", "h2", "1G", ", 'together': ['x'], 'apart': ['y']") ","
        VM("c", "h1", "1G", ", 'together': ['z'], 'node_labels': {'rack': '1'}") ","
        VM("d", "h1", "1G", ", 'together': ['z'], 'node_labels': {'rack': '2'}") "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");

    is_refused(plan, "a", "invalid", "'apart y' of a and b", "lift one of the two rules");
    is_refused(plan, "a", "invalid", "'together x'", "drover vm goals b");
    is_refused(plan, "c", "invalid", "rack=1", "--node-label");
    is_refused(plan, "d", "invalid", "rack=2", "--together");
}

static void test_labels(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of(
        "{'nodes': [" NODE("h1", "20G", "") "," NODE("h2", "40G", "") ","
                   NODE("h3", "20G", ", 'labels': {'ssd': 'yes', 'rack': '7'}") "], 'vms': ["
        VM("a", "h1", "1G", ", 'node_labels': {'ssd': 'yes'}") "," VM("b", "h1", "1G", ", 'node_labels': {'rack': '8'}") "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");

    g_assert_cmpstr(goes_to(plan, "a"), ==, "h3");
    is_refused(plan, "b", "refused", "has not the label rack=8 that b wants", "lift the rule --node-label of b");
}

static void test_order(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of(
        "{" THREE ", 'vms': [" VM("long", "h1", "8G", "") "," VM("vital", "h1", "1G", ", 'priority': 5") ","
        VM("app", "h1", "1G", ", 'priority': 9, 'depends_on': ['db', 'elsewhere']") "," VM("db", "h1", "1G", "") "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");
    json_object *after = drv_json_array(step_of(plan, "app"), "after");

    /* db is as urgent as app, which depends on it. */
    g_assert_cmpint(index_of(plan, "db"), ==, 0);
    g_assert_cmpint(drv_json_int(step_of(plan, "db"), "priority", 0), ==, 9);
    g_assert_cmpint(index_of(plan, "app"), ==, 1);
    g_assert_cmpint(index_of(plan, "vital"), ==, 2);
    g_assert_cmpint(index_of(plan, "long"), ==, 3);
    g_assert_cmpuint(drv_json_length(after), ==, 1);
    g_assert_cmpint(json_object_get_int64(json_object_array_get_idx(after, 0)), ==, 0);
    g_assert_cmpint(drv_json_int(step_of(plan, "app"), "start_ms", 0), >=,
                    drv_json_int(step_of(plan, "db"), "end_ms", G_MAXINT64));
}

/* A word that is one VM's UUID and another one's name: it waits for both. */
static void test_order_by_uuid(void)
{
    g_autoptr(drv_fleet) fleet =
        fleet_of(
        "{" THREE ", 'vms': [" VM("app", "h1", "1G", ", 'depends_on': ['db-uuid']") "," VM("db", "h1", "2G", "") ","
        VM("db-uuid", "h1", "3G", "") "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");

    g_assert_cmpuint(drv_json_length(drv_json_array(step_of(plan, "app"), "after")), ==, 2);
}

static void test_circle(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of(
        "{" THREE ", 'vms': [" VM("a", "h1", "1G", ", 'depends_on': ['b']") "," VM("b", "h1", "1G", ", 'depends_on': ['c']") ","
        VM("c", "h1", "1G", ", 'depends_on': ['a', 'd']") "," VM("d", "h1", "1G", "") "]}");
    g_autoptr(json_object) plan = evacuate(fleet, "h1");
    json_object *warnings = drv_json_array(plan, "warnings");

    g_assert_cmpuint(drv_json_length(drv_json_array(plan, "steps")), ==, 4);
    g_assert_cmpint(index_of(plan, "d"), <, index_of(plan, "c"));
    g_assert_cmpuint(drv_json_length(warnings), ==, 1);
    g_assert_nonnull(strstr(json_object_get_string(json_object_array_get_idx(warnings, 0)),
                            "a, b, c depend on each other in a circle"));
}

/* ---- room that must become free ---- */

static drv_schedule *swap(const drv_fleet *fleet, const char *const *moves)
{
    GPtrArray *list = g_ptr_array_new();

    for (guint i = 0; moves[i]; i += 2)
        g_ptr_array_add(
            list, drv_move_new(drv_fleet_named(fleet, moves[i]), drv_fleet_find_node(fleet, moves[i + 1]), i, NULL));
    return drv_schedule_new(fleet, list, &DRV_PLAN_LIMITS_DEFAULT);
}

static const drv_move *move_of(GPtrArray *list, const char *vm)
{
    for (guint i = 0; i < list->len; i++)
        if (g_str_equal(((drv_move *)list->pdata[i])->vm->name, vm))
            return list->pdata[i];
    return NULL;
}

/* big → h2 needs what small leaves there, which fits on h3; urgent as big is it waits. */
static void test_room_must_become_free(void)
{
    g_autoptr(drv_fleet) fleet =
        fleet_of(
        "{'nodes': [" NODE("h1", "1G", "") "," NODE("h2", "5G", "") "," NODE("h3", "5G", "") "], 'vms': ["
        VM("big", "h1", "8G", ", 'priority': 9") "," VM("small", "h2", "4G", "") "," VM("other", "h2", "1G", "") "]}");
    const char *moves[] = {"big", "h2", "small", "h3", NULL};
    g_autoptr(drv_schedule) schedule = swap(fleet, moves);
    const drv_move *big = move_of(schedule->moves, "big"), *small = move_of(schedule->moves, "small");

    g_assert_cmpuint(schedule->stuck->len, ==, 0);
    g_assert_cmpuint(small->index, ==, 0);
    g_assert_cmpuint(big->after->len, ==, 1);
    g_assert_cmpuint(g_array_index(big->after, guint, 0), ==, 0);
    g_assert_cmpfloat(big->start_ms, >=, small->end_ms);
}

static void test_two_that_would_change_places(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of(
        "{'nodes': [" NODE("h1", "5G", "") "," NODE("h2", "5G", "") "," NODE("h3", "5G", "") "], 'vms': ["
        VM("a", "h1", "6G", "") "," VM("b", "h2", "6G", "") "," VM("c", "h1", "1G", ", 'depends_on': ['a']") ","
        VM("d", "h1", "1G", "") "]}");
    const char *moves[] = {"a", "h2", "b", "h1", "c", "h3", "d", "h3", NULL};
    g_autoptr(drv_schedule) schedule = swap(fleet, moves);

    /* Neither can be first, and c waits for a; nothing waits for ever, and d goes. */
    g_assert_cmpuint(schedule->moves->len, ==, 1);
    g_assert_nonnull(move_of(schedule->moves, "d"));
    g_assert_nonnull(move_of(schedule->stuck, "a"));
    g_assert_nonnull(move_of(schedule->stuck, "b"));
    g_assert_nonnull(move_of(schedule->stuck, "c"));
}

static void test_side_by_side(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of(
        "{" THREE ", 'vms': [" VM("a", "h1", "4G", "") "," VM("b", "h1", "4G", "") "," VM("c", "h1", "4G", "") ","
        VM("d", "h1", "4G", "") "], 'links': [{'from': 'h1', 'to': 'h2', 'rate_bps': 50000000},"
        "{'from': 'h1', 'to': 'h3', 'rate_bps': 50000000}]}");
    const char *nodes[] = {"h1", NULL};
    const drv_plan_limits one = {1, 4, 0}, two = {2, 4, 0}, slow = {2, 4, 5000000};
    g_autoptr(json_object) alone = drv_plan_evacuate(fleet, nodes, &one, NULL);
    g_autoptr(json_object) pairs = drv_plan_evacuate(fleet, nodes, &two, NULL);
    g_autoptr(json_object) slowly = drv_plan_evacuate(fleet, nodes, &slow, NULL);
    gint64 times[3];
    json_object *const plans[] = {alone, pairs, slowly};

    for (gsize i = 0; i < 3; i++) {
        json_object *time = drv_json_object(drv_json_object(plans[i], "predicted"), "time_ms");

        times[i] = drv_json_int(time, "p50", 0);
        g_assert_cmpint(drv_json_int(time, "p90", 0), >, times[i]);
    }
    g_assert_cmpint(drv_json_int(alone, "side_by_side", 0), ==, 1);
    g_assert_cmpint(drv_json_int(pairs, "side_by_side", 0), ==, 2);
    /* One link is not twice as fast for two; nor does it lose by it. */
    g_assert_cmpint(times[1] * 10, <=, times[0] * 11);
    g_assert_cmpint(times[1] * 10, >, times[0] * 5);
    g_assert_cmpint(times[2], >, times[1] * 4);
}

/* Where nothing is said a host bears a move for every two of its processors, one at least, two at most. */
static void test_moves_borne(void)
{
    static const struct {
        guint per_node, cpus, borne;
    } cases[] = {{0, 0, 2}, {0, 1, 1}, {0, 2, 1}, {0, 3, 1}, {0, 4, 2}, {0, 128, 2}, {3, 1, 3}, {1, 64, 1}};
    g_autoptr(drv_fleet) fleet =
        fleet_of(
        "{'nodes': [{'name': 'h1', 'cpus': 2, 'memory_bytes': 64G, 'memory_free_bytes': 32G},"
        NODE("h2", "32G", "") "," NODE("h3", "32G", "")
        "], 'vms': [" VM("a", "h1", "4G", "") "," VM("b", "h1", "4G", "") "," VM("c", "h1", "4G", "") "]}");
    const char *nodes[] = {"h1", NULL};
    g_autoptr(json_object) plan = drv_plan_evacuate(fleet, nodes, &DRV_PLAN_LIMITS_DEFAULT, NULL);
    json_object *limits = drv_json_object(plan, "limits");

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const drv_plan_limits given = {cases[i].per_node, 4, 0};
        const drv_fleet_node node = {.cpus = cases[i].cpus};

        g_assert_cmpuint(drv_plan_moves_borne(&given, &node), ==, cases[i].borne);
    }
    g_assert_cmpint(drv_json_int(plan, "side_by_side", 0), ==, 1);
    g_assert_cmpint(drv_json_int(limits, "per_node", 0), ==, 2);
    g_assert_cmpint(drv_json_int(drv_json_object(limits, "nodes"), "h1", 0), ==, 1);
    g_assert_cmpuint((guint)json_object_object_length(drv_json_object(limits, "nodes")), ==, 1);
}

static void test_limits(void)
{
    static const char *const wrong[] = {"{\"per_node\": 0}", "{\"per_link\": \"4\"}", "{\"per_node\": 5000}",
                                        "{\"bandwidth_bps\": -1}", "{\"bandwidth_bps\": 1.5}"};
    g_autoptr(json_object) right = drv_json_parse("{\"per_node\": 3}", "limits", NULL);
    drv_plan_limits limits;

    g_assert_true(drv_plan_limits_from_json(right, &limits, NULL));
    g_assert_cmpuint(limits.per_node, ==, 3);
    g_assert_cmpuint(limits.per_link, ==, 4);
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(json_object) object = drv_json_parse(wrong[i], "limits", NULL);
        g_autoptr(GError) error = NULL;

        g_test_message("%s", wrong[i]);
        g_assert_false(drv_plan_limits_from_json(object, &limits, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    }
}

/* ---- back, and one ---- */

static void test_return(void)
{
    g_autoptr(drv_fleet) fleet =
        fleet_of(
        "{'nodes': [" NODE("h1", "5G", ", 'maintenance': 'drained'") "," NODE("h2", "40G", "") "," NODE("h3", "20G", "") "],"
        "'vms': [" VM("a", "h2", "2G", "") "," VM("b", "h3", "2G", "") "," VM("c", "h3", "2G", "") ","
        VM("here", "h1", "1G", "") "]}");
    g_autoptr(json_object) list = drv_json_parse(
        "{\"l\": [{\"uuid\": \"a-uuid\"}, {\"uuid\": \"b-uuid\"}, {\"uuid\": \"c-uuid\"}, {\"uuid\": \"here-uuid\"},"
        " {\"uuid\": \"gone\"}, {\"uuid\": \"a-uuid\"}]}",
        "list", NULL);
    g_autoptr(json_object) plan =
        drv_plan_return(fleet, "h1", drv_json_array(list, "l"), &DRV_PLAN_LIMITS_DEFAULT, NULL);

    g_assert_cmpuint(drv_json_length(drv_json_array(plan, "steps")), ==, 2);
    g_assert_cmpstr(goes_to(plan, "a"), ==, "h1");
    g_assert_cmpstr(drv_json_string(step_of(plan, "a"), "bound", ""), ==, "target");
    g_assert_cmpstr(goes_to(plan, "b"), ==, "h1");
    is_refused(plan, "c", "refused", "h1 has no room for c", "leave it where it is");
    keeps_room(fleet, plan, 4);
}

static void test_place(void)
{
    g_autoptr(drv_fleet) fleet = fleet_of(
        "{" THREE ", 'vms': [" VM("a", "h1", "2G", ", 'apart': ['web']") "," VM("b", "h2", "2G", ", 'apart': ['web']") "]}");
    g_autoptr(json_object) plan = drv_plan_place_vm(fleet, "a", &DRV_PLAN_LIMITS_DEFAULT, NULL);
    json_object *candidates = drv_json_array(plan, "candidates");
    json_object *best = json_object_array_get_idx(candidates, 0);

    g_assert_cmpstr(goes_to(plan, "a"), ==, "h3");
    g_assert_cmpuint(drv_json_length(candidates), ==, 3);
    g_assert_cmpstr(drv_json_string(best, "node", ""), ==, "h3");
    g_assert_cmpfloat(drv_json_double(best, "score", 0), >, 0);
    for (gsize i = 1; i < 3; i++) {
        json_object *other = json_object_array_get_idx(candidates, i);
        gboolean own = g_str_equal(drv_json_string(other, "node", ""), "h1");

        g_assert_cmpfloat(drv_json_double(other, "score", -5), ==, -5);
        g_assert_nonnull(strstr(drv_json_string(other, "why", ""), own ? "already on h1" : "kept apart"));
    }
}

/* A fleet that was written is read as what it was: the same plan comes of it. */
static void test_written_and_read(void)
{
    g_autoptr(drv_fleet) fleet =
        fleet_of(
        "{'taken_ms': 7, 'nodes': [" NODE("h1", "9G", ", 'since_ms': 5, 'site': 'east', 'labels': {'rack': '7'}, 'networks': ['bridge:br0'],"
        "'cpu_features': ['sse4'], 'cpu_used': 1.5, 'pools': [{'name': 'p', 'free_bytes': 99, 'shared': true}]") ","
        NODE("h2", "9G", ", 'maintenance': 'draining', 'power': 'off'") ",{'name': 'h3', 'state': 'lost', 'error': 'why'}],"
        "'vms': [" VM("a", "h1", "2G", ", 'apart': ['x'], 'together': ['y'], 'depends_on': ['b'], 'priority': 3, 'cpu_used': 0.5,"
        "'node_labels': {'rack': '7'}, 'networks': ['bridge:br0'], 'cpu_features': ['sse4'], 'dirty_bps': 77, 'job': 'h1-3',"
        "'obstacles': ['o'], 'disks': [{'target': 'vda', 'bytes': 5, 'shared': true, 'pool': 'p'}], 'goals': {'max_pause_ms': 9}") "],"
        "'links': [{'from': 'h1', 'to': 'h2', 'rate_bps': 5, 'rtt_us': 6, 'measured_ms': 7}, {'from': 'h1', 'to': 'nowhere'}]}");
    g_autoptr(json_object) first = drv_fleet_to_json(fleet);
    g_autoptr(drv_fleet) again = drv_fleet_from_json(first, NULL);
    g_autoptr(json_object) second = drv_fleet_to_json(again);

    g_assert_cmpstr(json_object_to_json_string(first), ==, json_object_to_json_string(second));
    g_assert_cmpuint(again->links->len, ==, 1);
    g_assert_cmpint(((drv_fleet_vm *)again->vms->pdata[0])->dirty_bps, ==, 77);
    g_assert_true(((drv_fleet_node *)again->nodes->pdata[1])->off);
    g_assert_nonnull(strstr(json_object_to_json_string(first), "\"rack\": \"7\""));
}

static void test_no_fleets(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{}", "no \"nodes\""},
        {"{\"nodes\": [{}]}", "has no name"},
        {"{\"nodes\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", "two nodes called a"},
        {"{\"nodes\": [{\"name\": \"a\"}], \"vms\": [{\"name\": \"v\", \"node\": \"b\"}]}", "on node 'b'"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_object) object = drv_json_parse(rows[i].text, "row", NULL);
        g_autoptr(GError) error = NULL;

        g_assert_null(drv_fleet_from_json(object, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, rows[i].says));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rules/apart", test_apart);
    g_test_add_func("/rules/together", test_together);
    g_test_add_func("/rules/apart-from-its-group", test_apart_from_its_group_already);
    g_test_add_func("/rules/held", test_held);
    g_test_add_func("/rules/contradictions", test_contradictions);
    g_test_add_func("/rules/labels", test_labels);
    g_test_add_func("/rules/order", test_order);
    g_test_add_func("/rules/order-by-uuid", test_order_by_uuid);
    g_test_add_func("/rules/circle", test_circle);
    g_test_add_func("/rules/room-must-become-free", test_room_must_become_free);
    g_test_add_func("/rules/change-places", test_two_that_would_change_places);
    g_test_add_func("/rules/side-by-side", test_side_by_side);
    g_test_add_func("/rules/moves-borne", test_moves_borne);
    g_test_add_func("/rules/limits", test_limits);
    g_test_add_func("/rules/return", test_return);
    g_test_add_func("/rules/place", test_place);
    g_test_add_func("/rules/written-and-read", test_written_and_read);
    g_test_add_func("/rules/no-fleets", test_no_fleets);
    return g_test_run();
}
