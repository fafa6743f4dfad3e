/* SPDX-License-Identifier: Apache-2.0 */
/* Whether nothing is left behind or taken away: see whole.h. */
#include "plan/whole.h"

static void check_cold_start(json_object *facts, json_object *disks, const drv_plan_disks_goal *goal,
                             drv_checks *checks)
{
    g_autoptr(GString) more = g_string_new(NULL);

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (drv_json_bool(disk, "saved"))
            g_string_append_printf(more, "%s%s: %s", more->len ? ", " : "", drv_json_string(disk, "target", "?"),
                                   drv_json_string(disk, "how", "?"));
    }
    if (drv_json_bool(facts, "transient"))
        drv_checks_skip(checks, DRV_ABOUT_COLD_START, "no definition of it is kept: it ends with its shutdown");
    else if (drv_checks_has(checks, DRV_ABOUT_DISKS))
        drv_checks_skip(checks, DRV_ABOUT_COLD_START, "not known as long as its disks cannot go");
    else if (more->len)
        drv_checks_ok(checks, DRV_ABOUT_COLD_START, "%s has what its saved definition names; that alone names %s",
                      goal->target, more->str);
    else
        drv_checks_ok(checks, DRV_ABOUT_COLD_START, "%s has all that its saved definition names", goal->target);
}

static void warn_needed(json_object *file, const char *disk, const drv_plan_disks_goal *goal, drv_checks *checks)
{
    const char *who = drv_json_string(file, "needed_by", NULL);

    if (who)
        drv_checks_warn(checks, DRV_ABOUT_OTHERS,
                        "disk %s: %s: %s; it is copied, and the file stays on %s as well" DRV_REMEDY
                        "nothing; if it shall not stay, move away those that need it first",
                        disk, drv_json_string(file, "path", "?"), who, goal->source);
}

static gboolean leaves(json_object *disks, const char *target, gboolean saved)
{
    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (g_str_equal(drv_json_string(disk, "target", ""), target) && drv_json_bool(disk, "saved") == saved)
            return drv_json_bool(disk, "leaves");
    }
    return FALSE;
}

static void check_others(json_object *facts, json_object *disks, const drv_plan_disks_goal *goal, drv_checks *checks)
{
    json_object *of = drv_json_array(facts, "disks");
    const char *error = drv_json_string(facts, "uses_error", NULL);
    gboolean any = FALSE;

    for (gsize i = 0; i < drv_json_length(of); i++) {
        json_object *disk = json_object_array_get_idx(of, i);
        json_object *data = drv_json_array(disk, "data");
        const char *target = drv_json_string(disk, "target", "?");

        if (!leaves(disks, target, drv_json_bool(disk, "saved")))
            continue;
        any = TRUE;
        warn_needed(disk, target, goal, checks);
        for (gsize k = 0; k < drv_json_length(data); k++)
            if (drv_json_bool(json_object_array_get_idx(data, k), "own"))
                warn_needed(json_object_array_get_idx(data, k), target, goal, checks);
    }
    if (!any)
        drv_checks_skip(checks, DRV_ABOUT_OTHERS, "no image leaves %s", goal->source);
    else if (error)
        drv_checks_warn(checks, DRV_ABOUT_OTHERS,
                        "whether others need its images is not known: %s; it is asked "
                        "again before any goes",
                        error);
    else
        drv_checks_ok(checks, DRV_ABOUT_OTHERS, "nothing that stays on %s needs what goes", goal->source);
}

void drv_plan_whole(json_object *facts, json_object *disks, const drv_plan_disks_goal *goal, drv_checks *checks)
{
    check_cold_start(facts, disks, goal, checks);
    check_others(facts, disks, goal, checks);
}
