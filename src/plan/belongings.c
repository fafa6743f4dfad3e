/* SPDX-License-Identifier: Apache-2.0 */
/* What else goes along with a VM: see belongings.h; docs/state.rst has it in words. */
#include "plan/belongings.h"

#include <string.h>

typedef struct {
    const drv_plan_belongings_goal *goal;
    drv_checks *checks;
} context;

static const char *kind_there(json_object *facts, const char *name, const char *preferred)
{
    json_object *kinds = drv_json_array(drv_json_object(facts, "networks_there"), name);
    const char *other = NULL;

    for (gsize i = 0; i < drv_json_length(kinds); i++) {
        const char *kind = json_object_get_string(json_object_array_get_idx(kinds, i));

        if (g_str_equal(kind, preferred))
            return kind;
        other = kind;
    }
    return other;
}

static void plan_network(context *c, json_object *facts, json_object *interface, json_object *list, GHashTable *used)
{
    const char *network = drv_json_string(interface, "network", "");
    const char *colon = strchr(network, ':');
    g_autofree char *kind = colon ? g_strndup(network, (gsize)(colon - network)) : NULL;
    const char *name = colon ? colon + 1 : NULL, *mapped, *found;
    json_object *entry;

    if (!kind || (!g_str_equal(kind, "bridge") && !g_str_equal(kind, "network")))
        return;
    g_hash_table_add(used, (gpointer)name);
    mapped = drv_json_string(c->goal->map_networks, name, name);
    found = kind_there(facts, mapped, kind);
    if (!found || (mapped == name && !g_str_equal(found, kind))) {
        drv_checks_problem(c->checks, DRV_ABOUT_NETWORKS,
                           "%s has no %s %s, which the network card %s uses" DRV_REMEDY
                           "make it there, or name another with --map-network %s=NAME",
                           c->goal->target, mapped == name ? kind : "bridge or network", mapped,
                           drv_json_string(interface, "mac", "?"), name);
        return;
    }
    entry = json_object_new_object();
    drv_json_set_string(entry, "mac", drv_json_string(interface, "mac", ""));
    drv_json_set_string(entry, "from", network);
    {
        g_autofree char *to = g_strdup_printf("%s:%s", found, mapped);

        drv_json_set_string(entry, "to", to);
    }
    json_object_array_add(list, entry);
    drv_checks_ok(c->checks, DRV_ABOUT_NETWORKS, "%s has all that its cards are on", c->goal->target);
}

static void plan_networks(context *c, json_object *facts, json_object *step)
{
    json_object *interfaces = drv_json_array(facts, "networks");
    json_object *list = json_object_new_array();
    g_autoptr(GHashTable) used = g_hash_table_new(g_str_hash, g_str_equal);

    for (gsize i = 0; i < drv_json_length(interfaces); i++)
        plan_network(c, facts, json_object_array_get_idx(interfaces, i), list, used);
    if (!g_hash_table_size(used))
        drv_checks_skip(c->checks, DRV_ABOUT_NETWORKS, "the VM has no card on a bridge or network");
    drv_json_set(step, "networks", list);
    if (!c->goal->map_networks)
        return;
    json_object_object_foreach(c->goal->map_networks, name, value)
    {
        (void)value;
        if (!g_hash_table_contains(used, name))
            drv_checks_problem(c->checks, DRV_ABOUT_NETWORKS,
                               "--map-network %s: the VM has no network card on "
                               "a bridge or network of that name" DRV_REMEDY "leave it out",
                               name);
    }
}

static void check_snapshots(context *c, json_object *facts)
{
    gint64 count = drv_json_int(facts, "snapshots", 0);

    if (c->goal->offline && drv_json_bool(facts, "saved"))
        drv_checks_problem(c->checks, DRV_ABOUT_SNAPSHOTS,
                           "it has a saved state, which does not move" DRV_REMEDY
                           "start it, or drop that state (virsh managedsave-remove)");
    if (count && !c->goal->offline)
        drv_checks_problem(c->checks, DRV_ABOUT_SNAPSHOTS,
                           "snapshots: libvirt does not move a VM that has "
                           "any (%" G_GINT64_FORMAT ")" DRV_REMEDY "delete them (virsh snapshot-delete), or "
                           "move the VM shut off (--offline)",
                           count);
    else if (count && drv_json_bool(facts, "external_snapshots"))
        drv_checks_problem(c->checks, DRV_ABOUT_SNAPSHOTS,
                           "its snapshots have files of their own, which would "
                           "stay on %s" DRV_REMEDY "delete the snapshots or merge them (virsh blockcommit)",
                           c->goal->source);
    else if (count)
        drv_checks_ok(c->checks, DRV_ABOUT_SNAPSHOTS, "%" G_GINT64_FORMAT ", which go along", count);
    else
        drv_checks_skip(c->checks, DRV_ABOUT_SNAPSHOTS, "the VM has none");
}

static void check_firmware(context *c, json_object *facts, const char *loader, const char *nvram)
{
    const char *target = c->goal->target;

    if (!loader && !nvram) {
        drv_checks_skip(c->checks, DRV_ABOUT_FIRMWARE, "the VM has the emulator's own");
        return;
    }
    if (loader && !drv_json_bool(facts, "loader_there"))
        drv_checks_problem(c->checks, DRV_ABOUT_FIRMWARE,
                           "%s lacks the firmware %s" DRV_REMEDY "install it "
                           "there (Debian: apt install ovmf)",
                           target, loader);
    if (nvram && drv_json_bool(facts, "nvram_there") && !drv_json_bool(facts, "nvram_same"))
        drv_checks_problem(c->checks, DRV_ABOUT_FIRMWARE,
                           "UEFI variables %s exist on %s already: of an earlier "
                           "stay, or of another VM" DRV_REMEDY "move the file away",
                           nvram, target);
    if (nvram && drv_json_string(facts, "nvram_error", NULL))
        drv_checks_problem(c->checks, DRV_ABOUT_FIRMWARE,
                           "%s cannot be made on %s: %s" DRV_REMEDY "make it "
                           "writable for root there",
                           nvram, target, drv_json_string(facts, "nvram_error", ""));
    drv_checks_ok(c->checks, DRV_ABOUT_FIRMWARE, "%s has %s", target, loader ? loader : "what it needs");
}

static void check_tpm(context *c, json_object *facts, json_object *step)
{
    const char *target = c->goal->target;

    if (!drv_json_bool(facts, "tpm")) {
        drv_checks_skip(c->checks, DRV_ABOUT_TPM, "the VM has no emulated one");
        return;
    }
    if (!drv_json_bool(facts, "swtpm_there"))
        drv_checks_problem(c->checks, DRV_ABOUT_TPM,
                           "%s has no swtpm for the VM's TPM" DRV_REMEDY "install it "
                           "there (Debian: apt install swtpm swtpm-tools)",
                           target);
    if (c->goal->offline && drv_json_bool(facts, "tpm_there"))
        drv_checks_problem(c->checks, DRV_ABOUT_TPM,
                           "%s has TPM state of this VM already, of an earlier stay" DRV_REMEDY
                           "move /var/lib/libvirt/swtpm/%s away",
                           target, drv_json_string(step, "uuid", "?"));
    drv_checks_ok(c->checks, DRV_ABOUT_TPM, "%s has swtpm", target);
}

void drv_plan_belongings(json_object *facts, const drv_plan_belongings_goal *goal, json_object *step,
                         drv_checks *checks)
{
    context c = {goal, checks};
    const char *loader = drv_json_string(facts, "loader", NULL);
    const char *nvram = drv_json_string(facts, "nvram", NULL);
    gboolean shared_nvram = drv_json_bool(facts, "nvram_same");

    plan_networks(&c, facts, step);
    check_firmware(&c, facts, loader, nvram);
    check_tpm(&c, facts, step);
    check_snapshots(&c, facts);
    drv_json_set_string(step, "nvram", nvram && !shared_nvram ? nvram : NULL);
    /* 0: libvirt makes it there, from its template. */
    drv_json_set_int(step, "nvram_bytes",
                     drv_json_bool(facts, "nvram_raw") || goal->offline
                         ? drv_json_int(drv_json_object(facts, "nvram_image"), "size_bytes", 0)
                         : 0);
    drv_json_set_bool(step, "tpm", drv_json_bool(facts, "tpm"));
    /* Seen there before the move: one directory for both hosts, so nothing of it is the source's alone. */
    drv_json_set_bool(step, "tpm_shared", drv_json_bool(facts, "tpm_there"));
    drv_json_set_bool(step, "autostart", drv_json_bool(facts, "autostart"));
    drv_json_set_bool(step, "persistent", drv_json_bool(facts, "persistent"));
    drv_json_set_int(step, "checkpoints", drv_json_int(facts, "checkpoints", 0));
    drv_json_set_int(step, "snapshots", drv_json_int(facts, "snapshots", 0));
}
