/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a migration was rolled back: see first-cause.h. One trouble brings others: a relay that dies ends libvirt's
 * call, a call that has failed ends both relays, and a dead QEMU at the target ends all of them. What is said
 * is what came first. A relay that was gone or without its link when this end had given nothing up was
 * first: neither libvirt nor the target's QEMU ends it.
 */
#include "move/first-cause.h"

gboolean drv_cause_is_restart(const drv_cause *cause)
{
    return !cause->shut_off && !cause->gave_up && !cause->link_lost && !cause->relay_dead && !cause->call_error;
}

char *drv_cause_text(const drv_cause *cause, int *code)
{
    const char *vm = cause->vm, *source = cause->source, *target = cause->target;

    *code = DRV_ERROR_FAILED;
    if (cause->shut_off)
        return g_strdup_printf("%s is shut off at %s: it ended there during the migration, by itself or "
                               "with its host; 'virsh start %s' there starts it",
                               vm, source, vm);
    if (cause->gave_up)
        return g_strdup_printf("the migration would not converge: %s; %s goes on at %s. Allow a longer "
                               "pause (--max-pause), more time (--max-time), post-copy (--post-copy "
                               "if-needed), or migrate it when it is less busy",
                               cause->gave_up, vm, source);
    if (cause->link_lost) {
        *code = DRV_ERROR_UNREACHABLE;
        return g_strdup_printf("the connection with %s is lost: %s; %s goes on at %s. Migrate it again when "
                               "%s answers ('drover node list')",
                               target, cause->relay_error, vm, source, target);
    }
    if (cause->relay_dead)
        return g_strdup_printf("this node's relay died; %s goes on at %s. Migrate it again; should that come "
                               "again, 'journalctl -k' on %s says whether memory ran out",
                               vm, source, source);
    if (cause->call_error) {
        *code = cause->call_error->code;
        if (cause->qemu_words)
            return g_strdup_printf("QEMU ended at %s, and said last: \"%s\" (libvirt: %s); %s goes on at %s. "
                                   "When that is mended, migrate it again",
                                   target, cause->qemu_words, cause->call_error->message, vm, source);
        return g_strdup_printf("%s; %s goes on at %s. More may be in /var/log/libvirt/qemu/%s.log and in "
                               "libvirtd's messages (journalctl -u libvirtd) on both hosts; when that is "
                               "mended, migrate it again",
                               cause->call_error->message, vm, source, vm);
    }
    return g_strdup_printf("libvirt gave the migration up while droverd was restarted; %s goes on at %s. "
                           "Migrate it again",
                           vm, source);
}
