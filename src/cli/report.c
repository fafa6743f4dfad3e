/* SPDX-License-Identifier: Apache-2.0 */
/* How a move ended: see report.h. */
#include "cli/report.h"

#include "cli/predicted.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/units.h"
#include "hyper/gerror.h"

const char *drv_report_outcome(json_object *job)
{
    const char *outcome = drv_json_string(drv_json_object(job, "report"), "outcome", NULL);
    const char *state = drv_json_string(job, "state", NULL);

    if (outcome)
        return outcome;
    if (!drv_json_bool(job, "ended"))
        return "running";
    if (g_strcmp0(drv_json_string(job, "error_code", NULL), "cancelled") == 0 && g_strcmp0(state, "done") != 0 &&
        g_strcmp0(state, "needs-attention") != 0)
        return "cancelled";
    return state ? state : "failed";
}

const char *drv_report_error(json_object *job)
{
    const char *error = drv_json_string(job, "error", NULL);

    return error ? error : drv_json_string(drv_json_object(job, "report"), "error", NULL);
}

drv_exit drv_report_exit(json_object *job)
{
    static const struct {
        const char *outcome;
        drv_exit code;
    } codes[] = {{"done", DRV_EXIT_DONE},
                 {"cancelled", DRV_EXIT_CANCELLED},
                 {"needs-attention", DRV_EXIT_ATTENTION},
                 {"rolled-back", DRV_EXIT_FAILED}};
    const char *outcome = drv_report_outcome(job);
    const char *why = drv_json_string(job, "error_code", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++)
        if (g_str_equal(codes[i].outcome, outcome))
            return codes[i].code;
    if (why) {
        g_autoptr(GError) error = g_error_new_literal(DRV_ERROR, (int)drv_error_code_from_name(why), "");
        drv_exit code = drv_exit_from_error(error);

        /* Whoever asked did so properly and was let in: these are between the nodes. */
        return code == DRV_EXIT_USAGE || code == DRV_EXIT_DENIED ? DRV_EXIT_FAILED : code;
    }
    return DRV_EXIT_FAILED;
}

static json_object *text_or(const char *text)
{
    return text ? json_object_new_string(text) : NULL;
}

json_object *drv_report_json(json_object *job, const char *vm, const char *target, const char *outcome,
                             const char *error)
{
    static const char *const numbers[] = {
        "total_ms",       "pause_ms",   "allowed_pause_ms", "memory_bytes",    "qemu_bytes",
        "wire_bytes",     "disk_bytes", "disk_wire_bytes",  "from_disk_bytes", "seed_bytes",
        "recycled_bytes", "copy_ms",    "fixed_ms",         "link_bps",        "rounds"};
    json_object *report = drv_json_object(job, "report");
    json_object *out = json_object_new_object();

#define KNOWN(key, otherwise)                                                                                          \
    (drv_json_string(report, key, NULL) ? drv_json_string(report, key, NULL)                                           \
     : drv_json_string(job, key, NULL)  ? drv_json_string(job, key, NULL)                                              \
                                        : (otherwise))
    json_object_object_add(out, "vm", text_or(KNOWN("vm", vm)));
    json_object_object_add(out, "source", text_or(KNOWN("source", NULL)));
    json_object_object_add(out, "target", text_or(KNOWN("target", target)));
#undef KNOWN
    json_object_object_add(out, "method", text_or(drv_json_string(report, "method", NULL)));
    json_object_object_add(out, "outcome", text_or(outcome ? outcome : drv_report_outcome(job)));
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        guint64 value;

        json_object_object_add(out, numbers[i],
                               drv_show_get_number(report, numbers[i], &value) ? json_object_new_uint64(value) : NULL);
    }
    json_object_object_add(out, "ladder",
                           drv_json_array(report, "ladder") ? json_object_get(drv_json_array(report, "ladder"))
                                                            : json_object_new_array());
    json_object_object_add(out, "stays",
                           drv_json_array(report, "stays") ? json_object_get(drv_json_array(report, "stays"))
                                                           : json_object_new_array());
    json_object_object_add(out, "predicted", json_object_get(drv_json_object(report, "predicted")));
    json_object_object_add(out, "seen_before",
                           report ? json_object_new_boolean(drv_json_bool(report, "seen_before")) : NULL);
    json_object_object_add(out, "error", text_or(error ? error : drv_report_error(job)));
    return out;
}

/* "  memory       1.0 GiB" — nothing when it is not known. */
static void print_bytes(FILE *out, json_object *report, const char *key, const char *what)
{
    guint64 bytes;
    g_autofree char *text = NULL;

    if (!drv_show_get_number(report, key, &bytes))
        return;
    text = drv_units_bytes(bytes);
    fprintf(out, "  %-13s%s", what, text);
    if (g_str_equal(key, "qemu_bytes")) {
        guint64 rounds;

        if (drv_show_get_number(report, "rounds", &rounds) && rounds)
            fprintf(out, " in %" G_GUINT64_FORMAT " round%s", rounds, rounds == 1 ? "" : "s");
    }
    fputc('\n', out);
}

/* What was done for it to converge, when and why. */
static void print_ladder(FILE *out, json_object *ladder)
{
    for (gsize i = 0; i < drv_json_length(ladder); i++) {
        json_object *entry = json_object_array_get_idx(ladder, i);
        g_autofree char *rung = drv_text_clean(drv_json_string(entry, "rung", "?"));
        g_autofree char *why = drv_text_clean(drv_json_string(entry, "why", ""));

        fprintf(out, "  %-13sat %.1f s %s: %s\n", i ? "" : "ladder", (double)drv_json_int(entry, "at_ms", 0) / 1000.0,
                rung, why);
    }
}

/* What of it is still at its source, and why. */
static void print_stays(FILE *out, json_object *stays)
{
    for (gsize i = 0; i < drv_json_length(stays); i++) {
        g_autofree char *text = drv_text_clean(json_object_get_string(json_object_array_get_idx(stays, i)));

        fprintf(out, "  %-13s%s\n", i ? "" : "stays there", text);
    }
}

void drv_report_print(FILE *out, json_object *job)
{
    json_object *report = drv_json_object(job, "report");
    const char *outcome = drv_report_outcome(job);
    g_autofree char *vm_raw = drv_show_text(job, "vm");
    g_autofree char *source_raw = drv_show_text(job, "source");
    g_autofree char *target_raw = drv_show_text(job, "target");
    g_autofree char *vm = drv_text_clean(vm_raw);
    g_autofree char *source = drv_text_clean(source_raw);
    g_autofree char *target = drv_text_clean(target_raw);
    g_autofree char *total = drv_show_duration(report, "total_ms");
    g_autofree char *pause = drv_show_duration(report, "pause_ms");
    g_autofree char *beside = NULL;
    guint64 bytes;

    if (g_str_equal(outcome, "done") && g_str_equal(drv_json_string(report, "method", ""), "offline"))
        fprintf(out, "%s moved from %s to %s in %s; it was shut off.\n", vm, source, target, total);
    else if (g_str_equal(outcome, "done"))
        fprintf(out, "%s moved from %s to %s in %s; it stood still for %s.\n", vm, source, target, total, pause);
    else if (g_str_equal(outcome, "cancelled"))
        fprintf(out, "%s was not moved: cancelled. It goes on at %s.\n", vm, source);
    else if (g_str_equal(outcome, "needs-attention"))
        fprintf(out,
                "%s needs attention: its move from %s to %s can be neither finished nor "
                "undone by droverd alone.\n",
                vm, source, target);
    else if (g_str_equal(outcome, "running"))
        fprintf(out, "%s moves from %s to %s.\n", vm, source, target);
    else
        fprintf(out, "%s was not moved to %s. It goes on at %s.\n", vm, target, source);
    print_bytes(out, report, "memory_bytes", "memory");
    print_bytes(out, report, "qemu_bytes", "QEMU wrote");
    if (drv_show_get_number(report, "disk_bytes", &bytes) && bytes)
        print_bytes(out, report, "disk_bytes", "disks");
    if (drv_show_get_number(report, "seed_bytes", &bytes) && bytes)
        print_bytes(out, report, "seed_bytes", "older disks");
    print_bytes(out, report, "wire_bytes", "on the wire");
    if (drv_show_get_number(report, "recycled_bytes", &bytes) && bytes)
        print_bytes(out, report, "recycled_bytes", "known before");
    if (drv_json_string(report, "method", NULL)) {
        g_autofree char *method = drv_text_clean(drv_json_string(report, "method", NULL));

        fprintf(out, "  %-13s%s\n", "method", method);
    }
    print_ladder(out, drv_json_array(report, "ladder"));
    print_stays(out, drv_json_array(report, "stays"));
    beside = drv_predicted_beside(report);
    if (beside)
        fprintf(out, "  %-13s%s\n", "predicted", beside);
}
