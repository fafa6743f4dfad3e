/* SPDX-License-Identifier: Apache-2.0 */
/* A job that ends with a question: see attention.h. */
#include "move/source/attention.h"

#include "move/job.h"
#include "move/source/report.h"

static gboolean is_live(drv_presence presence)
{
    return presence == DRV_PRESENCE_RUNNING || presence == DRV_PRESENCE_PAUSED || presence == DRV_PRESENCE_UNKNOWN;
}

static void add_command(json_object *commands, const char *node, const char *verb, const char *uuid)
{
    g_autofree char *command = g_strdup_printf("%s: virsh %s %s", node, verb, uuid);

    json_object_array_add(commands, json_object_new_string(command));
}

/* What makes the copy of @keep the VM, and the other's nothing. */
static json_object *commands_to_keep(const char *uuid, const char *keep, drv_presence kept, const char *other,
                                     drv_presence others)
{
    json_object *commands = json_object_new_array();

    if (is_live(others))
        add_command(commands, other, "destroy", uuid);
    if (others != DRV_PRESENCE_ABSENT)
        add_command(commands, other, "undefine --nvram", uuid);
    if (kept == DRV_PRESENCE_PAUSED)
        add_command(commands, keep, "resume", uuid);
    else if (kept == DRV_PRESENCE_OFF)
        add_command(commands, keep, "start", uuid);
    return commands;
}

/*
 * What boots a VM anew of which only a half is left. That half is ended first: the other end's libvirtd
 * may wait for it. The other end's definition is for Drover to remove when the VM runs.
 */
static json_object *commands_to_boot(const char *uuid, const char *keep, drv_presence kept, const char *other,
                                     drv_presence others)
{
    json_object *commands = json_object_new_array();

    if (is_live(kept))
        add_command(commands, keep, "destroy", uuid);
    if (is_live(others))
        add_command(commands, other, "destroy", uuid);
    add_command(commands, keep, "start", uuid);
    return commands;
}

/* Where it ran last, for what it wrote is there: at the target, unless the hand-over itself failed. */
static gboolean boots_at_source(const drv_settle_facts *facts)
{
    return facts->target == DRV_PRESENCE_ABSENT && !facts->resumed;
}

static char *join_commands(json_object *commands)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (gsize i = 0; i < drv_json_length(commands); i++)
        g_string_append_printf(text, "%s'%s'", i ? ", then " : "",
                               json_object_get_string(json_object_array_get_idx(commands, i)));
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *what_is_lost(drv_outgoing *outgoing, const drv_settle_facts *facts)
{
    const char *source = drv_job_source(outgoing->job);
    const char *target = drv_job_target(outgoing->job);

    if (facts->source_split && facts->target != DRV_PRESENCE_OFF && facts->target != DRV_PRESENCE_ABSENT)
        return g_strdup_printf("the way to %s was lost, and QEMU there waits for memory itself and "
                               "answers nobody, so it cannot be gone on with",
                               target);
    return g_strdup_printf("then its %s at %s ended: it is %s on %s and %s on %s, and neither has all of "
                           "its memory",
                           facts->source_split ? "running half" : "memory", facts->source_split ? target : source,
                           drv_presence_name(facts->source), source, drv_presence_name(facts->target), target);
}

/* The hand-over by post-copy is over and one half of the VM is gone, or cannot be reached. */
static char *why_lost(drv_outgoing *outgoing, const drv_settle_facts *facts, json_object *commands)
{
    g_autofree char *boot = join_commands(commands);
    g_autofree char *what = what_is_lost(outgoing, facts);
    gboolean at_source = boots_at_source(facts);

    return g_strdup_printf(
        "%s was handed over by post-copy, %s. Drover has ended neither. Its disks are whole; to boot it "
        "anew at %s%s: %s. Then 'drover reconcile %s'. (If it stays defined on %s, libvirt 9.0 there has "
        "not let go of it: restart libvirtd, no VM that runs notices)",
        drv_job_vm(outgoing->job), what, at_source ? drv_job_source(outgoing->job) : drv_job_target(outgoing->job),
        !at_source && facts->target == DRV_PRESENCE_ABSENT ? " (define it there first: it was transient)" : "", boot,
        drv_job_id(outgoing->job), drv_job_source(outgoing->job));
}

/* What to type for one copy, unless it is enough that it stays. */
static void add_choice(GString *why, const char *node, json_object *commands)
{
    g_autofree char *text = join_commands(commands);

    if (*text)
        g_string_append_printf(why, " To keep %s's: %s.", node, text);
}

static char *why_undecided(drv_outgoing *outgoing, const drv_settle_facts *facts, const GError *target_error,
                           json_object *keep_source, json_object *keep_target)
{
    const char *source = drv_job_source(outgoing->job);
    const char *target = drv_job_target(outgoing->job);
    g_autoptr(GString) why = g_string_new(NULL);

    g_string_append_printf(why, "%s is %s on %s and %s on %s%s", drv_job_vm(outgoing->job),
                           drv_presence_name(facts->source), source, drv_presence_name(facts->target), target,
                           facts->resumed ? " (it has run there)" : "");
    if (target_error)
        g_string_append_printf(why, ", which says: %s", target_error->message);
    g_string_append(why, ". Drover has touched neither.");
    if (facts->source == DRV_PRESENCE_ABSENT && facts->target == DRV_PRESENCE_ABSENT)
        g_string_append_printf(why,
                               " Somebody has removed it while it moved: define it anew where "
                               "the images of its disks are, %s's being the newest.",
                               target);
    if (facts->source != DRV_PRESENCE_ABSENT)
        add_choice(why, source, keep_source);
    if (facts->target != DRV_PRESENCE_ABSENT)
        add_choice(why, target, keep_target);
    g_string_append_printf(why, " Drover looks again every few seconds, at once with 'drover reconcile %s'",
                           drv_job_id(outgoing->job));
    return g_string_free(g_steal_pointer(&why), FALSE);
}

void drv_outgoing_need_attention(drv_outgoing *outgoing, const drv_settle_facts *facts, const GError *target_error)
{
    const char *uuid = drv_job_uuid(outgoing->job);
    const char *source = drv_job_source(outgoing->job);
    const char *target = drv_job_target(outgoing->job);
    gboolean lost = facts->source_split || facts->target_split;
    gboolean at_source = boots_at_source(facts);
    json_object *attention = json_object_new_object();
    json_object *keep_source, *keep_target;
    g_autofree char *why = NULL;

    if (lost) {
        keep_source =
            at_source ? commands_to_boot(uuid, source, facts->source, target, facts->target) : json_object_new_array();
        keep_target =
            at_source ? json_object_new_array() : commands_to_boot(uuid, target, facts->target, source, facts->source);
        why = why_lost(outgoing, facts, at_source ? keep_source : keep_target);
    } else {
        keep_source = commands_to_keep(uuid, source, facts->source, target, facts->target);
        keep_target = commands_to_keep(uuid, target, facts->target, source, facts->source);
        why = why_undecided(outgoing, facts, target_error, keep_source, keep_target);
    }
    drv_json_set_string(attention, "source", drv_presence_name(facts->source));
    drv_json_set_string(attention, "target", drv_presence_name(facts->target));
    drv_json_set_bool(attention, "resumed", facts->resumed);
    drv_json_set_bool(attention, "finish_delivered", facts->finish_ok);
    drv_json_set_string(attention, "target_error", target_error ? target_error->message : NULL);
    drv_json_set(attention, "keep_source", keep_source);
    drv_json_set(attention, "keep_target", keep_target);
    drv_job_set_attention(outgoing->job, attention);
    drv_outgoing_read_counters(outgoing);
    drv_outgoing_end(outgoing, DRV_STATE_NEEDS_ATTENTION, "needs-attention", DRV_ERROR_FAILED, why, NULL);
}
