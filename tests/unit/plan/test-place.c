/* SPDX-License-Identifier: Apache-2.0 */
/* Placing a VM: which node is taken, and what is said when none or a wrong one is. */
#include "plan/place.h"

#define GIB (G_GINT64_CONSTANT(1) << 30)

static void add_node(drv_fleet *fleet, const char *name, gint64 free_bytes, json_object *vms)
{
    g_autoptr(json_object) node = json_object_new_object();

    drv_json_set_int(node, "memory_bytes", 16 * GIB);
    drv_json_set_int(node, "memory_free_bytes", free_bytes);
    drv_fleet_add(fleet, name, node, vms, NULL);
    json_object_put(vms);
}

static json_object *one_vm(const char *name, const char *uuid, const char *state)
{
    json_object *list = json_object_new_array();
    json_object *vm = json_object_new_object();

    drv_json_set_string(vm, "name", name);
    drv_json_set_string(vm, "uuid", uuid);
    drv_json_set_string(vm, "state", state);
    drv_json_set_int(vm, "memory_bytes", 2 * GIB);
    json_object_array_add(list, vm);
    return list;
}

#define UUID_WEB "5f3b1fd8-6f5d-4a1e-9f8e-0a0e5d0c0001"
#define UUID_OTHER "5f3b1fd8-6f5d-4a1e-9f8e-0a0e5d0c0002"
#define UUID_THIRD "5f3b1fd8-6f5d-4a1e-9f8e-0a0e5d0c0003"

static void test_most_room_wins(void)
{
    g_autoptr(drv_fleet) fleet = drv_fleet_new();
    g_autoptr(GError) error = NULL;
    const drv_fleet_vm *vm;

    add_node(fleet, "h1", 12 * GIB, one_vm("web1", UUID_WEB, "running"));
    add_node(fleet, "h2", 4 * GIB, NULL);
    add_node(fleet, "h3", 6 * GIB, NULL);
    add_node(fleet, "h4", 6 * GIB, NULL);
    vm = drv_plan_find_vm(fleet, "web1", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(drv_plan_place(fleet, vm, NULL, &error)->name, ==, "h3");
    g_assert_cmpstr(drv_plan_place(fleet, vm, "h2", &error)->name, ==, "h2");
    g_assert_no_error(error);
}

static void expect(const drv_fleet *fleet, const char *vm_name, const char *target, int code, const char *text)
{
    g_autoptr(GError) error = NULL;
    const drv_fleet_vm *vm = drv_plan_find_vm(fleet, vm_name, &error);

    if (vm)
        g_assert_null(drv_plan_place(fleet, vm, target, &error));
    g_assert_error(error, DRV_ERROR, code);
    if (!strstr(error->message, text))
        g_error("'%s' does not say '%s'", error->message, text);
}

static void test_refusals_say_why(void)
{
    g_autoptr(drv_fleet) fleet = drv_fleet_new();

    add_node(fleet, "h1", 12 * GIB, one_vm("web1", UUID_WEB, "running"));
    add_node(fleet, "h2", GIB, NULL);
    add_node(fleet, "h3", 8 * GIB, one_vm("web1", UUID_OTHER, "shut off"));
    drv_fleet_add(fleet, "h4", NULL, NULL, "connection refused");

    expect(fleet, "nosuch", NULL, DRV_ERROR_NOT_FOUND, "may be on h4");
    expect(fleet, UUID_WEB, "h9", DRV_ERROR_NOT_FOUND, "no node h9");
    expect(fleet, "web1", "h1", DRV_ERROR_CONFLICT, "already on h1");
    expect(fleet, "web1", "h4", DRV_ERROR_UNREACHABLE, "connection refused");
    expect(fleet, "web1", NULL, DRV_ERROR_REFUSED, "h2 has no room");
    expect(fleet, "web1", NULL, DRV_ERROR_REFUSED, "h3 has a VM with the name");
    expect(fleet, "web1", NULL, DRV_ERROR_REFUSED, "h4 cannot be asked: connection refused");
}

/* Whether the VM fits there is said by the checks, with all else. */
static void test_a_node_that_was_named_is_taken(void)
{
    g_autoptr(drv_fleet) fleet = drv_fleet_new();
    g_autoptr(GError) error = NULL;
    const drv_fleet_vm *vm;

    add_node(fleet, "h1", 12 * GIB, one_vm("web1", UUID_WEB, "running"));
    add_node(fleet, "h2", GIB, one_vm("web1", UUID_OTHER, "shut off"));
    vm = drv_plan_find_vm(fleet, "web1", &error);
    g_assert_cmpstr(drv_plan_place(fleet, vm, "h2", &error)->name, ==, "h2");
    g_assert_no_error(error);
}

static void test_room_includes_reserve(void)
{
    g_autoptr(drv_fleet) fleet = drv_fleet_new();
    g_autoptr(GError) error = NULL;

    add_node(fleet, "h1", 12 * GIB, one_vm("web1", UUID_WEB, "running"));
    add_node(fleet, "h2", 2 * GIB + (gint64)DRV_PLAN_RESERVE_BYTES - 1, NULL);
    expect(fleet, "web1", NULL, DRV_ERROR_REFUSED, "no room");
    add_node(fleet, "h3", 2 * GIB + (gint64)DRV_PLAN_RESERVE_BYTES, NULL);
    g_assert_cmpstr(drv_plan_place(fleet, drv_plan_find_vm(fleet, "web1", &error), NULL, &error)->name, ==, "h3");
}

static void test_name_on_several_nodes(void)
{
    g_autoptr(drv_fleet) fleet = drv_fleet_new();
    g_autoptr(GError) error = NULL;

    add_node(fleet, "h1", GIB, one_vm("web1", UUID_OTHER, "shut off"));
    add_node(fleet, "h2", GIB, one_vm("web1", UUID_WEB, "running"));
    g_assert_cmpstr(drv_plan_find_vm(fleet, "web1", &error)->node, ==, "h2");
    {
        /* The copy of a move under way does not count. */
        json_object *copy = one_vm("web1", UUID_WEB, "paused");

        drv_json_set_bool(json_object_array_get_idx(copy, 0), "arriving", TRUE);
        add_node(fleet, "h5", GIB, copy);
        g_assert_cmpstr(drv_plan_find_vm(fleet, "web1", &error)->node, ==, "h2");
    }
    add_node(fleet, "h3", GIB, one_vm("web1", UUID_OTHER, "paused"));
    g_assert_null(drv_plan_find_vm(fleet, "web1", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "UUID"));
}

/* An operator's word may be one VM's UUID and another one's name. */
static void test_named_like_a_uuid(void)
{
    g_autoptr(drv_fleet) fleet = drv_fleet_new();
    g_autoptr(GError) error = NULL;

    add_node(fleet, "h1", GIB, one_vm("web1", UUID_WEB, "running"));
    add_node(fleet, "h2", GIB, one_vm(UUID_WEB, UUID_OTHER, "shut off"));
    add_node(fleet, "h3", GIB, one_vm(UUID_THIRD, UUID_THIRD, "shut off"));
    expect(fleet, UUID_WEB, NULL, DRV_ERROR_CONFLICT, "is ambiguous");
    expect(fleet, UUID_WEB, NULL, DRV_ERROR_CONFLICT, "say web1 for the first, the UUID " UUID_OTHER);
    g_assert_cmpstr(drv_plan_find_vm(fleet, "web1", &error)->node, ==, "h1");
    g_assert_cmpstr(drv_plan_find_vm(fleet, UUID_OTHER, &error)->node, ==, "h2");
    g_assert_cmpstr(drv_plan_find_vm(fleet, UUID_THIRD, &error)->node, ==, "h3");
    /* What is known to be a UUID is never a name. */
    g_assert_cmpstr(drv_plan_vm_with_uuid(fleet, UUID_WEB, &error)->name, ==, "web1");
    g_assert_no_error(error);
    g_assert_null(drv_plan_vm_with_uuid(fleet, "web1", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
}

/* A VM that was defined again elsewhere, and whose UUID no longer says which. */
static void test_uuid_on_several_nodes(void)
{
    g_autoptr(drv_fleet) fleet = drv_fleet_new();

    add_node(fleet, "h1", GIB, one_vm("web1", UUID_WEB, "shut off"));
    add_node(fleet, "h2", GIB, one_vm("web1", UUID_WEB, "shut off"));
    expect(fleet, UUID_WEB, NULL, DRV_ERROR_CONFLICT, "virsh undefine");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/place/most-room-wins", test_most_room_wins);
    g_test_add_func("/place/refusals-say-why", test_refusals_say_why);
    g_test_add_func("/place/a-node-that-was-named", test_a_node_that_was_named_is_taken);
    g_test_add_func("/place/room-includes-reserve", test_room_includes_reserve);
    g_test_add_func("/place/name-on-several-nodes", test_name_on_several_nodes);
    g_test_add_func("/place/named-like-a-uuid", test_named_like_a_uuid);
    g_test_add_func("/place/uuid-on-several-nodes", test_uuid_on_several_nodes);
    return g_test_run();
}
