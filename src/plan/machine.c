/* SPDX-License-Identifier: Apache-2.0 */
/* CPU, machine type, QEMU and locks: see target.h; docs/preflight.rst has the rules. */
#include "plan/machine.h"

#include <string.h>

#include "plan/version.h"

static gboolean has_text(json_object *list, const char *text)
{
    for (gsize i = 0; i < drv_json_length(list); i++)
        if (g_strcmp0(json_object_get_string(json_object_array_get_idx(list, i)), text) == 0)
            return TRUE;
    return FALSE;
}

/* Features that the target lacks. What the guest has not got at its source either, it does not lose. */
static char *lost_features(json_object *here, json_object *there, gboolean strict)
{
    json_object *missing = drv_json_array(there, "cpu_missing");
    GString *text = g_string_new(NULL);

    for (gsize i = 0; i < drv_json_length(missing); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(missing, i));

        if (name && (strict || !has_text(drv_json_array(here, "cpu_missing"), name)))
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", name);
    }
    return g_string_free(text, text->len == 0);
}

static char *cpu_remedy(const drv_plan_target_goal *goal)
{
    const char *choose = "a model that both hosts have: write the output of 'virsh domcapabilities' of both into one "
                         "file, and 'virsh hypervisor-cpu-baseline FILE' says which";

    return goal->offline ? g_strdup_printf("take them out of its <cpu> (virsh edit %s), or choose %s", goal->vm, choose)
                         : g_strdup_printf("shut it down and choose %s (virsh edit %s); or move it shut off "
                                           "(--offline) and change its <cpu> then",
                                           choose, goal->vm);
}

static void check_cpu(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *machine = drv_json_object(facts, "machine");
    json_object *here = drv_json_object(facts, "here"), *there = drv_json_object(facts, "there");
    const char *name = drv_json_string(machine, "cpu_name", "CPU");
    const char *error = drv_json_string(there, "cpu_error", NULL);
    const char *mismatch = drv_json_string(there, "cpu_incompatible", NULL);
    gboolean strict = goal->offline && g_strcmp0(drv_json_string(machine, "cpu_check", "none"), "none") != 0;
    g_autofree char *remedy = cpu_remedy(goal);
    g_autofree char *lost = NULL;

    if (!drv_json_string(machine, "cpu", NULL)) {
        drv_checks_skip(checks, DRV_ABOUT_CPU,
                        "%s names no model: what the VM gets is decided when it "
                        "starts",
                        name);
        return;
    }
    if (error && drv_json_string(here, "cpu_error", NULL)) {
        drv_checks_warn(checks, DRV_ABOUT_CPU, "%s could not be compared on either host: %s", name, error);
        return;
    }
    if (error) {
        drv_checks_problem(checks, DRV_ABOUT_CPU, "%s cannot provide the CPU %s: %s" DRV_REMEDY "%s", goal->target,
                           name, error, remedy);
        return;
    }
    lost = lost_features(here, there, strict);
    if (lost)
        drv_checks_problem(checks, DRV_ABOUT_CPU, "%s lacks features of the VM's CPU (%s): %s" DRV_REMEDY "%s",
                           goal->target, name, lost, remedy);
    else if (mismatch && !drv_json_length(drv_json_array(there, "cpu_missing")) &&
             (strict || !drv_json_string(here, "cpu_incompatible", NULL)))
        drv_checks_problem(checks, DRV_ABOUT_CPU, "%s cannot provide the CPU %s: %s" DRV_REMEDY "%s", goal->target,
                           name, mismatch, remedy);
    else if (drv_json_array(there, "cpu_missing"))
        drv_checks_ok(checks, DRV_ABOUT_CPU, "%s provides %s with all that the guest has of it", goal->target, name);
}

static void check_machine_type(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *machine = drv_json_object(facts, "machine"), *there = drv_json_object(facts, "there");
    const char *type = drv_json_string(machine, "machine", NULL);
    const char *error = drv_json_string(there, "machine_error", NULL);

    if (!type || !there)
        return;
    if (error)
        drv_checks_problem(checks, DRV_ABOUT_MACHINE_TYPE,
                           "%s cannot run %s %s (%s): %s" DRV_REMEDY
                           "install a QEMU there that has it ('virsh domcapabilities' there says what "
                           "it has), or change <type machine=…> while the VM is shut off (virsh edit "
                           "%s)",
                           goal->target, drv_json_string(machine, "arch", "?"), type,
                           drv_json_string(machine, "virt_type", "?"), error, goal->vm);
    else
        drv_checks_ok(checks, DRV_ABOUT_MACHINE_TYPE, "%s %s is known to %s", drv_json_string(machine, "arch", "?"),
                      type, goal->target);
}

static void check_qemu(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    const char *here = drv_json_string(drv_json_object(facts, "here"), "qemu", NULL);
    const char *there = drv_json_string(drv_json_object(facts, "there"), "qemu", NULL);
    guint64 from = drv_version_number(here), to = drv_version_number(there);

    if (!from || !to)
        return;
    if (goal->offline)
        drv_checks_ok(checks, DRV_ABOUT_QEMU_VERSION,
                      "%s at %s, %s at %s: a VM that is shut off starts "
                      "anew",
                      here, goal->source, there, goal->target);
    else if (from / 1000 <= to / 1000)
        drv_checks_ok(checks, DRV_ABOUT_QEMU_VERSION, "%s at %s, %s at %s", here, goal->source, there, goal->target);
    else if (goal->post_copy)
        drv_checks_problem(checks, DRV_ABOUT_QEMU_VERSION,
                           "%s has QEMU %s, older than %s at %s: it may "
                           "refuse the guest's devices, which in post-copy loses the guest" DRV_REMEDY
                           "update QEMU there, or move without post-copy",
                           goal->target, there, here, goal->source);
    else
        drv_checks_warn(checks, DRV_ABOUT_QEMU_VERSION,
                        "%s has QEMU %s, older than %s at %s: QEMU "
                        "promises only the way to the same or a newer one; if it refuses the VM goes on "
                        "at %s" DRV_REMEDY "update QEMU there",
                        goal->target, there, here, goal->source, goal->source);
}

static void check_lock_manager(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    const char *here = drv_json_string(drv_json_object(facts, "here"), "lock_manager", NULL);
    const char *there = drv_json_string(drv_json_object(facts, "there"), "lock_manager", NULL);

    if (!here || !there)
        return;
    if (g_str_equal(here, there))
        drv_checks_ok(checks, DRV_ABOUT_LOCK_MANAGER, "%s at both hosts", here);
    else if (goal->offline)
        drv_checks_warn(checks, DRV_ABOUT_LOCK_MANAGER,
                        "%s at %s, %s at %s: images are not guarded in the "
                        "same way" DRV_REMEDY "set the same lock_manager in /etc/libvirt/qemu.conf of both",
                        here, goal->source, there, goal->target);
    else
        drv_checks_problem(checks, DRV_ABOUT_LOCK_MANAGER,
                           "the lock manager is %s at %s and %s at %s, and "
                           "libvirt refuses to move between the two" DRV_REMEDY "set the same lock_manager in "
                           "/etc/libvirt/qemu.conf of both and restart libvirtd",
                           here, goal->source, there, goal->target);
}

static void check_post_copy(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *there = drv_json_object(facts, "there");
    const char *error = drv_json_string(there, "post_copy_error", NULL);

    if (!goal->post_copy)
        drv_checks_skip(checks, DRV_ABOUT_POST_COPY, "post-copy is not to be used");
    else if (error)
        drv_checks_problem(checks, DRV_ABOUT_POST_COPY, "%s", error);
    else if (there)
        drv_checks_ok(checks, DRV_ABOUT_POST_COPY, "VMs can arrive at %s by post-copy", goal->target);
}

void drv_plan_machine(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks)
{
    /* A host that cannot run the machine type cannot say anything about its CPU either. */
    if (drv_json_string(drv_json_object(facts, "there"), "machine_error", NULL))
        drv_checks_skip(checks, DRV_ABOUT_CPU, "not compared: see the machine type");
    else if (drv_json_object(facts, "there") && drv_json_object(facts, "machine"))
        check_cpu(facts, goal, checks);
    check_machine_type(facts, goal, checks);
    check_qemu(facts, goal, checks);
    check_lock_manager(facts, goal, checks);
    check_post_copy(facts, goal, checks);
}
