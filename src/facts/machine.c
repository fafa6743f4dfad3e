/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM needs of its host, and what the target has of it: see machine.h. */
#include "facts/machine.h"

#include "base/clock.h"
#include "facts/host.h"
#include "facts/needs.h"
#include "hyper/admission.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/host.h"
#include "hyper/machine-xml.h"
#include "hyper/machine.h"
#include "hyper/userfault.h"
#include "model/json.h"
#include "node/relay-session.h"

/* The fastest of some: what else the hosts do shall not count. */
#define TRIPS 3

/* ---- both ends ---- */

static json_object *machine_json(const drv_machine *machine)
{
    json_object *object = json_object_new_object();
    json_object *pins = json_object_new_array(), *pages = json_object_new_array();

    drv_json_set_string(object, "emulator", machine->emulator);
    drv_json_set_string(object, "arch", machine->arch);
    drv_json_set_string(object, "machine", machine->type);
    drv_json_set_string(object, "virt_type", machine->virt_type);
    drv_json_set_string(object, "cpu", machine->cpu);
    drv_json_set_string(object, "cpu_name", machine->cpu_name);
    drv_json_set_string(object, "cpu_check", machine->cpu_check);
    drv_json_set_string(object, "nodes", machine->nodes);
    drv_json_set_bool(object, "nodes_strict", machine->nodes_strict);
    drv_json_set_bool(object, "own_label", machine->own_label);
    for (guint i = 0; i < machine->pins->len; i++) {
        const drv_pin *pin = machine->pins->pdata[i];
        json_object *entry = json_object_new_object();

        drv_json_set_string(entry, "what", pin->what);
        drv_json_set_string(entry, "cpus", pin->cpus);
        json_object_array_add(pins, entry);
    }
    for (guint i = 0; i < machine->pages->len; i++) {
        const drv_pages *of = machine->pages->pdata[i];
        json_object *entry = json_object_new_object();

        drv_json_set_int(entry, "size_kib", (gint64)of->size_kib);
        drv_json_set_int(entry, "bytes", (gint64)of->bytes);
        json_object_array_add(pages, entry);
    }
    drv_json_set(object, "pins", pins);
    drv_json_set(object, "pages", pages);
    return object;
}

/* Only what libvirt is asked with. */
static drv_machine *machine_from_json(json_object *object)
{
    drv_machine *machine = g_new0(drv_machine, 1);

    machine->emulator = g_strdup(drv_json_string(object, "emulator", NULL));
    machine->arch = g_strdup(drv_json_string(object, "arch", NULL));
    machine->type = g_strdup(drv_json_string(object, "machine", NULL));
    machine->virt_type = g_strdup(drv_json_string(object, "virt_type", NULL));
    machine->cpu = g_strdup(drv_json_string(object, "cpu", NULL));
    return machine;
}

static void set_cpu(drv_context *ctx, json_object *object, const drv_machine *machine)
{
    g_autoptr(GPtrArray) missing = NULL;
    g_autofree char *incompatible = NULL;
    g_autoptr(GError) error = NULL;
    json_object *list;

    if (!machine->cpu)
        return;
    if (!drv_hyper_compare_cpu(ctx->hyper, machine, &missing, &incompatible, &error)) {
        drv_json_set_string(object, "cpu_error", error->message);
        return;
    }
    list = json_object_new_array();
    for (guint i = 0; i < missing->len; i++)
        json_object_array_add(list, json_object_new_string(missing->pdata[i]));
    drv_json_set(object, "cpu_missing", list);
    drv_json_set_string(object, "cpu_incompatible", incompatible);
}

static gboolean set_host(drv_context *ctx, json_object *object, const char *uuid, GError **error)
{
    g_autofree char *lock_manager = drv_host_setting("lock_manager", "nop");
    g_autofree char *moving = drv_node_leaving_by(ctx, uuid), *in_need = drv_node_in_need(ctx, uuid);
    drv_host_facts host = {0};

    if (!drv_hyper_host(ctx->hyper, &host, error))
        return FALSE;
    drv_json_set_string(object, "qemu", host.qemu_version);
    drv_json_set_string(object, "host_uuid", host.uuid);
    drv_json_set_int(object, "memory_free_bytes", (gint64)host.memory_free_bytes);
    drv_host_facts_clear(&host);
    drv_json_set_string(object, "lock_manager", lock_manager);
    drv_json_set_string(object, "moving", moving);
    drv_json_set_string(object, "attention", in_need);
    return TRUE;
}

/* ---- the source ---- */

gboolean drv_machine_facts_here(drv_context *ctx, const char *uuid, json_object *facts, GError **error)
{
    g_autoptr(drv_machine) machine = drv_hyper_machine(ctx->hyper, uuid, error);
    g_autoptr(json_object) here = json_object_new_object();
    g_autoptr(GPtrArray) definitions = NULL;
    json_object *json, *needs;

    if (!machine || !set_host(ctx, here, uuid, error))
        return FALSE;
    set_cpu(ctx, here, machine);
    needs = drv_need_facts_here(ctx, uuid, error);
    if (!needs)
        return FALSE;
    definitions = drv_hyper_bare_definitions(ctx->hyper, uuid, error);
    if (!definitions) {
        json_object_put(needs);
        return FALSE;
    }
    json = machine_json(machine);
    drv_json_set(json, "definitions", json_object_new_array());
    for (guint i = 0; i < definitions->len; i++)
        json_object_array_add(drv_json_array(json, "definitions"), json_object_new_string(definitions->pdata[i]));
    drv_json_set(json, "needs", needs);
    drv_json_set(facts, "machine", json);
    drv_json_set(facts, "here", g_steal_pointer(&here));
    return TRUE;
}

/* The way is measured with questions that need nothing of the target but its droverd. */
static void measure(drv_context *ctx, const char *target, json_object *link)
{
    gint64 best_us = G_MAXINT64, ahead_ms = 0;
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < TRIPS; i++) {
        gint64 before_us = g_get_monotonic_time(), before_ms = drv_clock_real_ms();
        g_autoptr(json_object) answer =
            drv_node_call(ctx, target, "GET", "/v1/peer/clock", NULL, DRV_NODE_PEER_TIMEOUT_MS, &error);
        gint64 trip_us = g_get_monotonic_time() - before_us;

        if (g_error_matches(error, DRV_ERROR, DRV_ERROR_UNREACHABLE)) {
            drv_json_set_string(link, "error", error->message);
            return;
        }
        if (!answer) /* it was reached, and is of a version that does not tell its clock */
            return;
        if (trip_us < best_us) {
            best_us = trip_us;
            ahead_ms = drv_json_int(answer, "clock_ms", 0) - (before_ms + trip_us / 2000);
        }
    }
    drv_json_set_int(link, "round_trip_us", best_us);
    drv_json_set_int(link, "clock_ahead_ms", ahead_ms);
}

json_object *drv_machine_facts_link(drv_context *ctx, const char *target)
{
    g_autoptr(GPtrArray) members = ctx->peers->members(ctx->peers->data);
    json_object *link = json_object_new_object();

    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        if (!g_str_equal(member->name, target))
            continue;
        drv_json_set_bool(link, "member", TRUE);
        drv_json_set_string(link, "address", member->address);
        drv_json_set_int(link, "port", member->port);
        measure(ctx, target, link);
    }
    return link;
}

/* ---- the target ---- */

static void set_pages(json_object *there, json_object *machine)
{
    json_object *wanted = drv_json_array(machine, "pages");
    const char *nodes = drv_json_bool(machine, "nodes_strict") ? drv_json_string(machine, "nodes", NULL) : NULL;
    json_object *list = json_object_new_array();

    for (gsize i = 0; i < drv_json_length(wanted); i++) {
        gint64 size_kib = drv_json_int(json_object_array_get_idx(wanted, i), "size_kib", 0);
        drv_host_pages pages = drv_host_hugepages((guint64)MAX(size_kib, 0), nodes);
        json_object *entry = json_object_new_object();

        drv_json_set_int(entry, "size_kib", (gint64)pages.size_kib);
        drv_json_set_int(entry, "total_bytes", (gint64)pages.total_bytes);
        drv_json_set_int(entry, "free_bytes", (gint64)pages.free_bytes);
        drv_json_set_string(entry, "nodes", nodes);
        json_object_array_add(list, entry);
    }
    drv_json_set(there, "pages", list);
    if (drv_json_string(machine, "nodes", NULL))
        drv_json_set_int(there, "nodes_free_bytes", drv_host_nodes_free(drv_json_string(machine, "nodes", "")));
}

static void set_directories(json_object *there, GPtrArray *directories, const char *user)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; i < directories->len; i++) {
        const char *path = directories->pdata[i];
        json_object *entry = json_object_new_object();
        g_autofree char *error = drv_host_can_write(path);

        drv_json_set_string(entry, "path", path);
        drv_json_set_string(entry, "error", error);
        drv_json_set_bool(entry, "closed", !drv_host_can_pass(path, user));
        json_object_array_add(list, entry);
    }
    drv_json_set(there, "directories", list);
}

static void set_permissions(drv_context *ctx, json_object *there, GPtrArray *directories)
{
    const char *group = drv_session_qemu_group();
    g_autofree char *user = drv_host_qemu_user();
    g_autofree char *error = drv_host_can_write(ctx->sessions_dir);

    drv_json_set_string(there, "qemu_group", group);
    drv_json_set_string(there, "qemu_user", user);
    drv_json_set_string(there, "sessions_error", error);
    set_directories(there, directories, user);
}

/* By UUID or by name. */
typedef drv_domain *(*look_up)(drv_hyper *hyper, const char *what, GError **error);

static gboolean set_existing(drv_context *ctx, json_object *there, const char *key, look_up by, const char *what,
                             GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(drv_domain) domain = by(ctx->hyper, what, &problem);

    if (domain)
        drv_json_set_string(there, key, drv_domain_state_name(domain->state));
    else if (!g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    return TRUE;
}

/* By the rules that will be asked when the VM comes. */
static void set_admission(drv_context *ctx, json_object *there, json_object *told)
{
    json_object *definitions = drv_json_array(drv_json_object(told, "machine"), "definitions");
    g_autoptr(GError) error = NULL;
    drv_uuid uuid;

    if (!definitions || drv_uuid_parse(&uuid, drv_json_string(told, "uuid", ""), NULL) < 0)
        return;
    for (gsize i = 0; i < drv_json_length(definitions); i++)
        if (!drv_hyper_admit(ctx->hyper, json_object_get_string(json_object_array_get_idx(definitions, i)), &uuid,
                             drv_json_string(told, "vm", ""), NULL, &error)) {
            drv_json_set_string(there, "admission_error", error->message);
            return;
        }
    drv_json_set_bool(there, "admitted", TRUE);
}

json_object *drv_machine_facts_there(drv_context *ctx, json_object *told, GPtrArray *directories, GError **error)
{
    g_autoptr(json_object) there = json_object_new_object();
    json_object *needs = drv_json_object(told, "machine");
    g_autoptr(drv_machine) machine = machine_from_json(needs);
    const char *uuid = drv_json_string(told, "uuid", "");
    g_autofree char *cpus = drv_host_online("cpu");
    g_autofree char *nodes = drv_host_online("node");
    g_autoptr(GError) problem = NULL;
    g_autoptr(GError) unknown = NULL;
    json_object *wanted;

    if (!set_host(ctx, there, uuid, error) ||
        !set_existing(ctx, there, "existing_uuid", drv_hyper_domain, uuid, error) ||
        !set_existing(ctx, there, "existing_name", drv_hyper_domain_named, drv_json_string(told, "vm", ""), error))
        return NULL;
    if (machine->type && !drv_hyper_knows_machine(ctx->hyper, machine, &unknown))
        drv_json_set_string(there, "machine_error", unknown->message);
    else
        set_cpu(ctx, there, machine);
    drv_json_set_string(there, "cpus", cpus);
    drv_json_set_string(there, "nodes", nodes);
    set_pages(there, needs);
    wanted = drv_json_array(needs, "needs");
    if (wanted)
        drv_json_set(there, "needs", drv_need_facts_answer(ctx, wanted));
    set_admission(ctx, there, told);
    if (!drv_hyper_can_post_copy(NULL, &problem))
        drv_json_set_string(there, "post_copy_error", problem->message);
    set_permissions(ctx, there, directories);
    drv_json_set_bool(there, "session", drv_node_is_coming(ctx, uuid));
    return g_steal_pointer(&there);
}
