/* SPDX-License-Identifier: Apache-2.0 */
/* What is between the hosts and what is at the target already: see target.h. */
#include "plan/target.h"

#include <stdlib.h>
#include <string.h>

#include "hyper/hyper.h"
#include "plan/machine.h"
#include "plan/needs.h"
#include "plan/resources.h"

/* From here on a user notices. Nothing in a move needs equal clocks, so it is never a problem. */
#define CLOCK_WARNING_MS 1000

void drv_plan_links(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *link = drv_json_object(facts, "link");
    const char *error = drv_json_string(link, "error", NULL);
    const char *address = drv_json_string(link, "address", "?");
    gint64 port = drv_json_int(link, "port", 0);
    gint64 trip_us = drv_json_int(link, "round_trip_us", -1);
    gint64 ahead_ms = drv_json_int(link, "clock_ahead_ms", G_MININT64);

    if (!link)
        return;
    if (!drv_json_bool(link, "member"))
        drv_checks_problem(checks, DRV_ABOUT_LINKS,
                           "%s does not know %s as a node of the cluster: it was "
                           "revoked, or has just joined" DRV_REMEDY "see 'drover node list' at both; a node "
                           "that was revoked must join again",
                           goal->source, goal->target);
    else if (error)
        drv_checks_problem(checks, DRV_ABOUT_LINKS,
                           "%s cannot reach %s at %s port %" G_GINT64_FORMAT ": %s" DRV_REMEDY
                           "see that its droverd runs and that no firewall is between them",
                           goal->source, goal->target, address, port, error);
    else if (trip_us >= 0)
        drv_checks_ok(checks, DRV_ABOUT_LINKS,
                      "%s reaches %s at %s port %" G_GINT64_FORMAT ", which answers "
                      "in %.1f ms",
                      goal->source, goal->target, address, port, (double)trip_us / 1000);
    if (ahead_ms == G_MININT64)
        return;
    if (ABS(ahead_ms) > CLOCK_WARNING_MS)
        drv_checks_warn(checks, DRV_ABOUT_CLOCK,
                        "the clock of %s is %.1f s %s that of %s, and so will be what "
                        "the guest reads from its RTC" DRV_REMEDY "have both clocks kept right (timedatectl "
                        "set-ntp true)",
                        goal->target, (double)ABS(ahead_ms) / 1000, ahead_ms > 0 ? "ahead of" : "behind", goal->source);
    else
        drv_checks_ok(checks, DRV_ABOUT_CLOCK, "the clocks are %" G_GINT64_FORMAT " ms apart", ABS(ahead_ms));
}

static gboolean writes_to(json_object *step, const char *directory)
{
    json_object *disks = drv_json_array(step, "disks");

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        g_autofree char *of = g_path_get_dirname(drv_json_string(disk, "target_path", "/"));

        if (g_str_equal(drv_json_string(disk, "how", ""), "copy") && !drv_json_bool(disk, "target_block") &&
            g_str_equal(of, directory))
            return TRUE;
    }
    return FALSE;
}

static void check_permissions(json_object *facts, json_object *step, const drv_plan_target_goal *goal,
                              drv_checks *checks)
{
    json_object *machine = drv_json_object(facts, "machine"), *there = drv_json_object(facts, "there");
    json_object *directories = drv_json_array(there, "directories");
    const char *group = drv_json_string(there, "qemu_group", NULL);
    const char *user = drv_json_string(there, "qemu_user", "QEMU's user");
    const char *error = drv_json_string(there, "sessions_error", NULL);

    if (!there || !machine)
        return;
    if (!group)
        drv_checks_problem(checks, DRV_ABOUT_PERMISSIONS,
                           "%s has no group libvirt-qemu, qemu or kvm" DRV_REMEDY
                           "'drover doctor' there says what is missing",
                           goal->target);
    if (error)
        drv_checks_problem(checks, DRV_ABOUT_PERMISSIONS,
                           "%s cannot make a session's directory: %s" DRV_REMEDY
                           "droverd must run as root and /run must be writable",
                           goal->target, error);
    for (gsize i = 0; i < drv_json_length(directories); i++) {
        json_object *directory = json_object_array_get_idx(directories, i);
        const char *path = drv_json_string(directory, "path", "?");

        error = drv_json_string(directory, "error", NULL);
        if (!writes_to(step, path))
            continue;
        if (error)
            drv_checks_problem(checks, DRV_ABOUT_PERMISSIONS,
                               "images cannot be made in %s on %s: %s" DRV_REMEDY
                               "make it writable for root there, or choose a pool with "
                               "--target-pool",
                               path, goal->target, error);
        else if (drv_json_bool(directory, "closed") && !drv_json_bool(machine, "own_label"))
            drv_checks_problem(checks, DRV_ABOUT_PERMISSIONS,
                               "QEMU's user %s cannot pass into %s on %s" DRV_REMEDY
                               "let it pass each directory of that path (chmod o+x), or choose a "
                               "pool with --target-pool",
                               user, path, goal->target);
    }
    drv_checks_ok(checks, DRV_ABOUT_PERMISSIONS,
                  "QEMU's group at %s is %s, and what must be written to can "
                  "be",
                  goal->target, group ? group : "?");
}

/* libvirt refuses to send a VM to what it takes for the host that the VM is on. */
static void check_host_uuid(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    const char *here = drv_json_string(drv_json_object(facts, "here"), "host_uuid", NULL);
    const char *there = drv_json_string(drv_json_object(facts, "there"), "host_uuid", NULL);

    if (!here || !there)
        return;
    if (!g_str_equal(here, there))
        drv_checks_ok(checks, DRV_ABOUT_HOST_UUID, "libvirt tells %s and %s apart", goal->source, goal->target);
    else if (goal->offline)
        drv_checks_warn(checks, DRV_ABOUT_HOST_UUID,
                        "%s and %s have the same host UUID (%s), and libvirt will "
                        "not migrate running VMs between them" DRV_REMEDY DRV_HOST_UUID_REMEDY,
                        goal->source, goal->target, here);
    else
        drv_checks_problem(checks, DRV_ABOUT_HOST_UUID,
                           "%s and %s have the same host UUID (%s), and libvirt "
                           "takes them for one host" DRV_REMEDY DRV_HOST_UUID_REMEDY,
                           goal->source, goal->target, here);
}

static void check_existing(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *there = drv_json_object(facts, "there");
    const char *by_uuid = drv_json_string(there, "existing_uuid", NULL);
    const char *by_name = drv_json_string(there, "existing_name", NULL);

    if (!there)
        return;
    if (by_uuid)
        drv_checks_problem(checks, DRV_ABOUT_EXISTING_VM,
                           "a VM with the UUID of %s exists at %s (%s)" DRV_REMEDY
                           "undefine it there (virsh undefine), if it is the copy of an earlier "
                           "stay",
                           goal->vm, goal->target, by_uuid);
    else if (by_name)
        drv_checks_problem(checks, DRV_ABOUT_EXISTING_VM,
                           "a VM with the name %s exists at %s (%s)" DRV_REMEDY "undefine or rename it", goal->vm,
                           goal->target, by_name);
    else
        drv_checks_ok(checks, DRV_ABOUT_EXISTING_VM, "%s has none of that name or UUID", goal->target);
}

static void check_leftovers(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *there = drv_json_object(facts, "there"), *here = drv_json_object(facts, "here");
    const char *attention = drv_json_string(here, "attention", NULL);
    const char *leaving = drv_json_string(there, "moving", NULL);

    if (!there)
        return;
    if (leaving)
        drv_checks_problem(checks, DRV_ABOUT_LEFTOVERS,
                           "%s has not yet finished the move of %s away from it "
                           "(job %s), and would remove its images" DRV_REMEDY "'drover jobs' shows when it has",
                           goal->target, goal->vm, leaving);
    if (!attention)
        attention = drv_json_string(there, "attention", NULL);
    if (attention)
        drv_checks_warn(checks, DRV_ABOUT_LEFTOVERS,
                        "job %s, an earlier move of it, needs attention" DRV_REMEDY
                        "'drover job %s' says what is where, and 'drover reconcile %s' looks again",
                        attention, attention, attention);
    if (drv_json_bool(there, "session"))
        drv_checks_warn(checks, DRV_ABOUT_LEFTOVERS,
                        "%s still has a session of an earlier move of it" DRV_REMEDY
                        "nothing need be done: it is cleared away when the next move begins",
                        goal->target);
    drv_checks_ok(checks, DRV_ABOUT_LEFTOVERS, "nothing of an earlier move is at %s", goal->target);
}

static void check_admission(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *there = drv_json_object(facts, "there");
    const char *why = drv_json_string(there, "admission_error", NULL);

    if (why)
        drv_checks_problem(checks, DRV_ABOUT_ADMISSION,
                           "%s does not let it in: %s" DRV_REMEDY "change "
                           "the definition while it is shut off (virsh edit %s), or let the operator of %s allow it in "
                           "/etc/drover/admission",
                           goal->target, why, goal->vm, goal->target);
    else if (drv_json_bool(there, "admitted"))
        drv_checks_ok(checks, DRV_ABOUT_ADMISSION, "%s lets in what the definition names", goal->target);
}

void drv_plan_target(json_object *facts, json_object *step, const drv_plan_target_goal *goal, drv_checks *checks)
{
    drv_plan_machine(facts, goal, checks);
    drv_plan_resources(facts, goal, checks);
    drv_plan_needs(facts, step, goal, checks);
    check_admission(facts, goal, checks);
    check_host_uuid(facts, goal, checks);
    check_permissions(facts, step, goal, checks);
    check_existing(facts, goal, checks);
    check_leftovers(facts, goal, checks);
}
