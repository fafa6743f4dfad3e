/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this node can take a VM: see preflight.h. */
#include "run/preflight.h"

#include "run/session.h"

static void add_reason(GString *reasons, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

static void add_reason(GString *reasons, const char *fmt, ...)
{
    va_list args;

    if (reasons->len)
        g_string_append(reasons, "; ");
    va_start(args, fmt);
    g_string_append_vprintf(reasons, fmt, args);
    va_end(args);
}

static void check_absent(drv_run *run, const char *what, const char *name, GString *reasons)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain = drv_hyper_domain(run->hyper, name, &error);

    if (domain)
        add_reason(reasons, "a VM with the %s %s exists there (%s): undefine or rename it", what,
                   name, drv_domain_state_name(domain->state));
}

static gboolean needs_post_copy(json_object *step)
{
    const char *method = drv_json_string(step, "method", "");

    return g_str_equal(method, "post-copy") || g_str_equal(method, "hybrid") ||
           g_str_equal(drv_json_string(step, "post_copy", "never"), "if-needed");
}

gboolean drv_run_preflight(drv_run *run, json_object *step, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(GString) reasons = g_string_new(NULL);
    drv_host_facts facts = {0};
    guint64 needed = g_str_equal(drv_json_string(step, "method", ""), "offline")
                         ? 0
                         : (guint64)drv_json_int(step, "memory_bytes", 0);

    if (!drv_hyper_host(run->hyper, &facts, error))
        return FALSE;
    if (facts.memory_free_bytes < needed)
        add_reason(reasons,
                   "it needs %" G_GUINT64_FORMAT " MiB of memory and %" G_GUINT64_FORMAT
                   " MiB are free",
                   needed >> 20, facts.memory_free_bytes >> 20);
    drv_host_facts_clear(&facts);
    check_absent(run, "UUID", drv_json_string(step, "uuid", ""), reasons);
    if (!reasons->len)
        check_absent(run, "name", drv_json_string(step, "vm", ""), reasons);
    if (needs_post_copy(step) && !drv_hyper_can_post_copy(NULL, &problem))
        add_reason(reasons, "%s", problem->message);
    if (!drv_session_qemu_group())
        add_reason(reasons, "it has no group libvirt-qemu, qemu or kvm: 'drover doctor' there says "
                            "what is missing");
    if (!reasons->len)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "%s cannot go to %s: %s",
                drv_json_string(step, "vm", "?"), run->node, reasons->str);
    return FALSE;
}
