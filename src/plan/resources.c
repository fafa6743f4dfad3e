/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, huge pages, processors and NUMA nodes at the target: see target.h. */
#include "plan/resources.h"

#include "plan/place.h"
#include "plan/ranges.h"

static void check_memory(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *there = drv_json_object(facts, "there");
    gint64 free_bytes = drv_json_int(there, "memory_free_bytes", -1);
    guint64 needed = goal->memory_bytes + DRV_PLAN_RESERVE_BYTES;
    gboolean huge = drv_json_length(drv_json_array(drv_json_object(facts, "machine"), "pages")) > 0;

    if (free_bytes < 0)
        return;
    if (goal->offline && (guint64)free_bytes < needed)
        drv_checks_warn(checks, DRV_ABOUT_MEMORY,
                        "when it starts it needs %" G_GUINT64_FORMAT " MiB of memory with "
                        "what %s keeps for itself, and %" G_GINT64_FORMAT " MiB are free there now" DRV_REMEDY
                        "move or shut down a VM there before it starts",
                        needed >> 20, goal->target, free_bytes >> 20);
    else if (goal->offline)
        drv_checks_ok(checks, DRV_ABOUT_MEMORY,
                      "a VM that is shut off needs none; %" G_GINT64_FORMAT " MiB are free at %s", free_bytes >> 20,
                      goal->target);
    else if (huge)
        drv_checks_skip(checks, DRV_ABOUT_MEMORY, "its memory is in huge pages");
    else if ((guint64)free_bytes < needed)
        drv_checks_problem(checks, DRV_ABOUT_MEMORY,
                           "%s has no room for it: it needs %" G_GUINT64_FORMAT
                           " MiB of memory with what the node keeps for itself, and %" G_GINT64_FORMAT
                           " MiB are free" DRV_REMEDY "choose another node, or move or shut down a VM there",
                           goal->target, needed >> 20, free_bytes >> 20);
    else
        drv_checks_ok(checks, DRV_ABOUT_MEMORY,
                      "%s has %" G_GINT64_FORMAT " MiB free, the VM needs %" G_GUINT64_FORMAT " MiB", goal->target,
                      free_bytes >> 20, goal->memory_bytes >> 20);
}

static void check_hugepages(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *pages = drv_json_array(drv_json_object(facts, "machine"), "pages");
    json_object *there = drv_json_array(drv_json_object(facts, "there"), "pages");

    if (pages && !drv_json_length(pages))
        drv_checks_skip(checks, DRV_ABOUT_HUGEPAGES, "the VM uses none");
    for (gsize i = 0; i < drv_json_length(pages) && i < drv_json_length(there); i++) {
        json_object *answer = json_object_array_get_idx(there, i);
        gint64 size_kib = drv_json_int(answer, "size_kib", 0);
        gint64 needed = drv_json_int(json_object_array_get_idx(pages, i), "bytes", 0);
        gint64 total = drv_json_int(answer, "total_bytes", 0);
        gint64 free_bytes = drv_json_int(answer, "free_bytes", 0);
        const char *where = drv_json_string(answer, "nodes", NULL);
        gint64 count = size_kib > 0 ? (needed / 1024 + size_kib - 1) / size_kib : 0;
        g_autofree char *on =
            where ? g_strdup_printf("%s (NUMA nodes %s)", goal->target, where) : g_strdup(goal->target);

        if (size_kib <= 0 || total < needed)
            drv_checks_problem(checks, DRV_ABOUT_HUGEPAGES,
                               "it needs %" G_GINT64_FORMAT " huge pages of %" G_GINT64_FORMAT
                               " KiB and %s has %" G_GINT64_FORMAT DRV_REMEDY "make them there "
                               "(virsh allocpages %" G_GINT64_FORMAT "KiB %" G_GINT64_FORMAT " --add), or "
                               "remove <hugepages> while it is shut off (virsh edit %s)",
                               count, size_kib, on, size_kib > 0 ? total / 1024 / size_kib : 0, size_kib, count,
                               goal->vm);
        else if (free_bytes < needed && goal->offline)
            drv_checks_warn(checks, DRV_ABOUT_HUGEPAGES,
                            "it needs %" G_GINT64_FORMAT " huge pages of %" G_GINT64_FORMAT
                            " KiB when it starts, and %" G_GINT64_FORMAT " are free at %s now",
                            count, size_kib, free_bytes / 1024 / size_kib, on);
        else if (free_bytes < needed)
            drv_checks_problem(checks, DRV_ABOUT_HUGEPAGES,
                               "it needs %" G_GINT64_FORMAT " huge pages of %" G_GINT64_FORMAT
                               " KiB and %" G_GINT64_FORMAT " are free at %s" DRV_REMEDY
                               "make more there (virsh allocpages %" G_GINT64_FORMAT "KiB %" G_GINT64_FORMAT
                               " --add), or shut down a VM that uses them",
                               count, size_kib, free_bytes / 1024 / size_kib, on, size_kib, count);
        else
            drv_checks_ok(checks, DRV_ABOUT_HUGEPAGES,
                          "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                          " KiB are free at %s, the VM needs %" G_GINT64_FORMAT,
                          free_bytes / 1024 / size_kib, size_kib, on, count);
    }
}

static void check_pinning(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *pins = drv_json_array(drv_json_object(facts, "machine"), "pins");
    const char *online = drv_json_string(drv_json_object(facts, "there"), "cpus", NULL);
    g_autoptr(GString) lost = g_string_new(NULL);

    if (pins && !drv_json_length(pins))
        drv_checks_skip(checks, DRV_ABOUT_PINNING, "the VM is not pinned");
    for (gsize i = 0; online && i < drv_json_length(pins); i++) {
        json_object *pin = json_object_array_get_idx(pins, i);
        g_autofree char *missing = drv_ranges_missing(drv_json_string(pin, "cpus", ""), online);

        if (missing)
            g_string_append_printf(lost, "%s%s to %s", lost->len ? ", " : "", drv_json_string(pin, "what", "?"),
                                   missing);
    }
    if (lost->len)
        drv_checks_problem(checks, DRV_ABOUT_PINNING,
                           "it is pinned to processors that %s does not have (it "
                           "has %s): %s" DRV_REMEDY "pin it to processors that both hosts have (virsh vcpupin, "
                           "virsh emulatorpin, or virsh edit %s)",
                           goal->target, online, lost->str, goal->vm);
    else if (online && drv_json_length(pins))
        drv_checks_ok(checks, DRV_ABOUT_PINNING, "%s has all processors that it is pinned to", goal->target);
}

static void check_numa(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *machine = drv_json_object(facts, "machine"), *there = drv_json_object(facts, "there");
    const char *nodes = drv_json_string(machine, "nodes", NULL);
    const char *online = drv_json_string(there, "nodes", NULL);
    gint64 free_bytes = drv_json_int(there, "nodes_free_bytes", -1);
    g_autofree char *missing = nodes && online ? drv_ranges_missing(nodes, online) : NULL;

    if (!nodes) {
        if (machine)
            drv_checks_skip(checks, DRV_ABOUT_NUMA, "its memory is not bound to NUMA nodes");
        return;
    }
    if (missing)
        drv_checks_problem(checks, DRV_ABOUT_NUMA,
                           "its memory is bound to NUMA nodes %s, and %s has no node "
                           "%s (it has %s)" DRV_REMEDY "bind it to nodes that both hosts have, or to none "
                           "(virsh edit %s: <numatune>)",
                           nodes, goal->target, missing, online, goal->vm);
    else if (!goal->offline && drv_json_bool(machine, "nodes_strict") && free_bytes >= 0 &&
             !drv_json_length(drv_json_array(machine, "pages")) && (guint64)free_bytes < goal->memory_bytes)
        drv_checks_problem(checks, DRV_ABOUT_NUMA,
                           "it needs %" G_GUINT64_FORMAT " MiB on NUMA nodes %s of %s "
                           "and %" G_GINT64_FORMAT " MiB are free there" DRV_REMEDY "bind it to more nodes, "
                           "or move or shut down a VM there",
                           goal->memory_bytes >> 20, nodes, goal->target, free_bytes >> 20);
    else if (online)
        drv_checks_ok(checks, DRV_ABOUT_NUMA, "%s has the NUMA nodes %s that its memory is bound to", goal->target,
                      nodes);
}

void drv_plan_resources(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    check_memory(facts, goal, checks);
    check_hugepages(facts, goal, checks);
    check_pinning(facts, goal, checks);
    check_numa(facts, goal, checks);
}
