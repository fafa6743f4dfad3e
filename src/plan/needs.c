/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, directories, ports, secrets and devices that the definition names, judged kind by kind: see
 * target.h; hyper/needs.c has the table of what needs what.
 */
#include "plan/needs.h"

#include <string.h>

#include "plan/version.h"

/* Since 9.0 QEMU's NBD server closes its clients in the main loop, wherever the disk's I/O is done. */
#define SCSI_THREAD_MENDED "9.0.0"

typedef struct {
    json_object *need;
    json_object *answer;
    json_object *step;
    json_object *there; /* of the host */
    const drv_plan_target_goal *goal;
    drv_checks *checks;
    drv_about about;
    const char *what, *value, *error;
    gboolean later;
} context;

static drv_about about_of(json_object *need)
{
    const char *name = drv_json_string(need, "check", "");

    for (guint i = 0; i < DRV_ABOUT_COUNT; i++)
        if (g_str_equal(drv_check_table[i].id, name))
            return (drv_about)i;
    return DRV_ABOUT_NEEDS;
}

/* What its next start alone needs does not stop a move. */
static void found(context *c, gboolean stops, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

static void found(context *c, gboolean stops, const char *fmt, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (stops && !c->later)
        drv_checks_problem(c->checks, c->about, "%s", text);
    else
        drv_checks_warn(c->checks, c->about, "%s%s", c->later ? "at its next start: " : "", text);
}

static void judge_port(context *c)
{
    const char *address = drv_json_string(c->need, "address", "?");
    const char *target = c->goal->target, *vm = c->goal->vm;
    gint64 port = drv_json_int(c->need, "port", 0);

    if (drv_json_bool(c->answer, "unknown"))
        found(c, FALSE,
              "%s listens on %s, which is no address: whether %s has it is seen only when it starts" DRV_REMEDY
              "use an address, or 0.0.0.0",
              c->what, address, target);
    else if (c->error && drv_json_bool(c->answer, "in_use"))
        found(c, !c->goal->offline,
              "%s listens on port %" G_GINT64_FORMAT " of %s, which is in use on %s" DRV_REMEDY
              "give it another port%s while it is shut off (virsh edit %s), or stop what uses it "
              "there ('ss -lnp' says what)",
              c->what, port, address, target, c->about == DRV_ABOUT_GRAPHICS ? " or autoport='yes'" : "", vm);
    else if (c->error)
        found(c, TRUE,
              "%s listens on %s, which %s does not have (%s)" DRV_REMEDY "while it is shut off let it "
              "listen on 0.0.0.0 or 127.0.0.1 (virsh edit %s), or give %s that address",
              c->what, address, target, c->error, vm, target);
    else
        drv_checks_ok(c->checks, c->about, "%s can listen on %s at %s", c->what, address, target);
}

static void judge_new(context *c)
{
    g_autofree char *directory = g_path_get_dirname(c->value ? c->value : "/");

    found(c, TRUE,
          "%s makes %s, which it cannot at %s: %s" DRV_REMEDY "make that directory there (mkdir -p %s), "
          "or choose another path while it is shut off (virsh edit %s)",
          c->what, c->value, c->goal->target, c->error, directory, c->goal->vm);
}

static gboolean is_copied_live(json_object *step, const char *target)
{
    json_object *disks = drv_json_array(step, "disks");

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (g_strcmp0(drv_json_string(disk, "target", NULL), target) == 0)
            return g_str_equal(drv_json_string(disk, "how", ""), "copy") && !drv_json_bool(disk, "before");
    }
    return FALSE;
}

/* QEMU at the target ends with an assertion at the end of the copy, and the move has been for nothing. */
static void judge_scsi_thread(context *c)
{
    const char *qemu = drv_json_string(c->there, "qemu", NULL);
    guint64 version = drv_version_number(qemu);

    if (c->goal->offline || c->later || !version || version >= drv_version_number(SCSI_THREAD_MENDED) ||
        !is_copied_live(c->step, c->value))
        return;
    found(c, TRUE,
          "disk %s is on a virtio-scsi controller with an I/O thread, and QEMU %s at %s dies when such a "
          "disk is copied while the VM runs (mended in 9.0)" DRV_REMEDY "update QEMU there; or move it shut off "
          "(--offline); or take iothread out of the controller's <driver> and restart it (virsh edit %s)",
          c->value, qemu, c->goal->target, c->goal->vm);
}

/* What is lacking, and what to do, for kinds that are simply there or not. */
static const struct {
    const char *kind, *noun, *remedy;
} plain[] = {
    {"file", "the file", "put a copy of it there"},
    {"directory", "the directory", "make it there (mkdir -p), or mount what belongs there"},
    {"socket", "the socket", "start there what listens on it"},
    {"pipe", "the pipe", "make it there (mkfifo)"},
    {"device", "the device", "attach it there"},
    {"secret", "the libvirt secret",
     "define it there and give it its value (virsh secret-define, virsh "
     "secret-set-value)"},
    {"network-card", "the network device", "name one that it has"},
    {"tls", "TLS certificates for", "put them there (qemu.conf says where), or turn TLS off there"},
    {"hugetlbfs", "a file system for huge pages of so many KiB:",
     "mount one there (mount -t hugetlbfs -o "
     "pagesize=… …) and restart libvirtd"},
    {"pci", "the PCI device", "attach one there of that address"},
    {"usb", "the USB device", "plug it in there"},
    {"mdev", "the mediated device", "make it there (nodedev-create)"},
};

static void judge_plain(context *c, const char *kind)
{
    for (gsize i = 0; i < G_N_ELEMENTS(plain); i++)
        if (g_str_equal(plain[i].kind, kind)) {
            found(c, TRUE,
                  "%s lacks %s %s, which %s needs (%s)" DRV_REMEDY "%s, or take it out of the definition "
                  "while the VM is shut off (virsh edit %s)",
                  c->goal->target, plain[i].noun, c->value, c->what, c->error, plain[i].remedy, c->goal->vm);
            return;
        }
}

static void judge(context *c)
{
    const char *kind = drv_json_string(c->need, "kind", "");

    /* A template is copied only where there are no variables yet; mostly they go along. */
    if (c->about == DRV_ABOUT_FIRMWARE &&
        (!drv_json_string(c->step, "nvram", NULL) || drv_json_int(c->step, "nvram_bytes", 0) > 0))
        return;
    if (g_str_equal(kind, "tcp") || g_str_equal(kind, "udp"))
        judge_port(c);
    else if (g_str_equal(kind, "scsi-thread"))
        judge_scsi_thread(c);
    else if (!c->error)
        drv_checks_ok(c->checks, c->about, "%s has all that the definition names", c->goal->target);
    else if (g_str_equal(kind, "new-file"))
        judge_new(c);
    else
        judge_plain(c, kind);
}

void drv_plan_needs(json_object *facts, json_object *step, const drv_plan_target_goal *goal, drv_checks *checks)
{
    json_object *list = drv_json_array(drv_json_object(facts, "machine"), "needs");
    json_object *there = drv_json_object(facts, "there");
    json_object *answers = drv_json_array(there, "needs");
    gboolean screen = FALSE, other = FALSE;

    if (!list || !there)
        return;
    for (gsize i = 0; i < drv_json_length(list) && i < drv_json_length(answers); i++) {
        context c = {.need = json_object_array_get_idx(list, i),
                     .answer = json_object_array_get_idx(answers, i),
                     .step = step,
                     .there = there,
                     .goal = goal,
                     .checks = checks};

        c.about = about_of(c.need);
        c.what = drv_json_string(c.need, "what", "its definition");
        c.value = drv_json_string(c.need, "value", "?");
        c.error = drv_json_string(c.answer, "error", NULL);
        c.later = drv_json_bool(c.need, "later");
        screen |= c.about == DRV_ABOUT_GRAPHICS;
        other |= c.about == DRV_ABOUT_NEEDS;
        judge(&c);
    }
    if (!screen)
        drv_checks_skip(checks, DRV_ABOUT_GRAPHICS, "the VM has no screen that listens on a network");
    if (!other)
        drv_checks_skip(checks, DRV_ABOUT_NEEDS, "the definition names none");
}
