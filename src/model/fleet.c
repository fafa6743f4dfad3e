/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet at one instant: see fleet.h. */
#include "model/fleet.h"

static void node_free(gpointer data)
{
    drv_fleet_node *node = data;

    g_free(node->name);
    g_free(node->error);
    g_free(node->maintenance);
    g_free(node);
}

static void vm_free(gpointer data)
{
    drv_fleet_vm *vm = data;

    g_free(vm->name);
    g_free(vm->uuid);
    g_free(vm->node);
    g_free(vm->state);
    g_free(vm);
}

void drv_member_free(drv_member *member)
{
    if (!member)
        return;
    g_free(member->name);
    g_free(member->address);
    g_free(member);
}

drv_fleet *drv_fleet_new(void)
{
    drv_fleet *fleet = g_new0(drv_fleet, 1);

    fleet->nodes = g_ptr_array_new_with_free_func(node_free);
    fleet->vms = g_ptr_array_new_with_free_func(vm_free);
    return fleet;
}

void drv_fleet_free(drv_fleet *fleet)
{
    if (!fleet)
        return;
    g_ptr_array_unref(fleet->nodes);
    g_ptr_array_unref(fleet->vms);
    g_free(fleet);
}

void drv_fleet_add(drv_fleet *fleet, const char *name, json_object *node, json_object *vms,
                   const char *why)
{
    drv_fleet_node *entry = g_new0(drv_fleet_node, 1);

    entry->name = g_strdup(name);
    entry->up = node != NULL;
    entry->error = g_strdup(why);
    entry->maintenance = g_strdup(drv_json_string(node, "maintenance", "none"));
    entry->cpus = (guint)drv_json_int(node, "cpus", 0);
    entry->memory_bytes = (guint64)drv_json_int(node, "memory_bytes", 0);
    entry->memory_free_bytes = (guint64)drv_json_int(node, "memory_free_bytes", 0);
    g_ptr_array_add(fleet->nodes, entry);

    for (gsize i = 0; i < drv_json_length(vms); i++) {
        json_object *object = json_object_array_get_idx(vms, i);
        drv_fleet_vm *vm = g_new0(drv_fleet_vm, 1);

        vm->name = g_strdup(drv_json_string(object, "name", ""));
        vm->uuid = g_strdup(drv_json_string(object, "uuid", ""));
        vm->node = g_strdup(name);
        vm->state = g_strdup(drv_json_string(object, "state", ""));
        vm->vcpus = (guint)drv_json_int(object, "vcpus", 0);
        vm->memory_bytes = (guint64)drv_json_int(object, "memory_bytes", 0);
        vm->arriving = drv_json_bool(object, "arriving");
        g_ptr_array_add(fleet->vms, vm);
    }
}

const drv_fleet_node *drv_fleet_find_node(const drv_fleet *fleet, const char *name)
{
    for (guint i = 0; i < fleet->nodes->len; i++) {
        const drv_fleet_node *node = fleet->nodes->pdata[i];

        if (g_str_equal(node->name, name))
            return node;
    }
    return NULL;
}

gboolean drv_fleet_has_vm(const drv_fleet *fleet, const char *node, const char *name,
                          const char *uuid)
{
    for (guint i = 0; i < fleet->vms->len; i++) {
        const drv_fleet_vm *vm = fleet->vms->pdata[i];

        if (g_str_equal(vm->node, node) &&
            (g_str_equal(vm->name, name) || g_str_equal(vm->uuid, uuid)))
            return TRUE;
    }
    return FALSE;
}

typedef struct {
    const drv_peers *peers;
    const drv_member *member;
    const char *path;
    guint timeout_ms;
    json_object *answer;
    GError *error;
    GThread *thread;
} question;

static gpointer ask_one(gpointer data)
{
    question *q = data;

    q->answer = q->peers->call(q->peers->data, q->member->name, "GET", q->path, NULL,
                               q->timeout_ms, &q->error);
    return NULL;
}

static void answer_free(gpointer answer)
{
    json_object_put(answer);
}

static void error_free(gpointer error)
{
    if (error)
        g_error_free(error);
}

GPtrArray *drv_model_ask_all(const drv_peers *peers, GPtrArray *members, const char *path,
                             guint timeout_ms, drv_model_local_func local, gpointer data,
                             GPtrArray **errors)
{
    GPtrArray *answers = g_ptr_array_new_with_free_func(answer_free);
    g_autofree question *questions = g_new0(question, members->len);

    *errors = g_ptr_array_new_with_free_func(error_free);
    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        questions[i] = (question){
            .peers = peers, .member = member, .path = path, .timeout_ms = timeout_ms};
        if (!member->self)
            questions[i].thread = g_thread_new("ask", ask_one, &questions[i]);
    }
    for (guint i = 0; i < members->len; i++) {
        if (questions[i].thread)
            g_thread_join(questions[i].thread);
        else
            questions[i].answer = local(path, data, &questions[i].error);
        g_ptr_array_add(answers, questions[i].answer);
        g_ptr_array_add(*errors, questions[i].error);
    }
    return answers;
}
