/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a VM, empty, where they will be: see make-images.h. */
#include "move/make-images.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/durable.h"
#include "cache/retained.h"
#include "facts/host.h"
#include "hyper/admission.h"
#include "hyper/disk.h"
#include "hyper/probe.h"
#include "model/json.h"

static gboolean make_file(drv_context *ctx, const char *path, const char *format, guint64 size_bytes,
                          guint64 needed_bytes, json_object *made, drv_made_keep keep, gpointer data, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autoptr(drv_admission) admission = drv_hyper_admission(ctx->hyper, error);

    /* Before it is recorded: what is recorded is removed again. */
    if (!admission || !drv_admission_check_nvram(admission, path, error))
        return FALSE;
    /* What exists must never get into the list of what may be removed. */
    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s exists already on %s", path, ctx->node);
        return FALSE;
    }
    drv_kept_make_room(ctx->content, directory, needed_bytes);
    json_object_array_add(made, json_object_new_string(path));
    return keep(data, error) && drv_hyper_disk_create(ctx->hyper, path, format, size_bytes, needed_bytes, error);
}

static gboolean take_device(const char *path, json_object *made, drv_made_keep keep, gpointer data, GError **error)
{
    json_object *entry;

    if (!drv_probe_is_unused(path, error) || !drv_probe_is_blank(path, error))
        return FALSE;
    entry = json_object_new_object();
    drv_json_set_string(entry, "device", path);
    json_object_array_add(made, entry);
    return keep(data, error);
}

static guint64 whole_sectors(gint64 bytes)
{
    return ((guint64)bytes + 511) & ~(guint64)511;
}

/* A data file is nothing that libvirt would give to QEMU: here it is QEMU's from the beginning. */
static gboolean give_to_qemu(const char *path, GError **error)
{
    g_autofree char *name = drv_host_qemu_user();
    const struct passwd *user = getpwnam(name);
    drv_autoclose int fd = user ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;

    if (!user || (fd >= 0 && fchown(fd, user->pw_uid, user->pw_gid) == 0))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot give the data file %s to %s: %s", path, name,
                g_strerror(errno));
    return FALSE;
}

static gboolean make_verbatim(drv_context *ctx, json_object *disk, const char *path, json_object *made,
                              drv_made_keep keep, gpointer data, GError **error)
{
    json_object *bases = drv_json_array(disk, "bases");

    for (gsize i = 0; i < drv_json_length(bases); i++) {
        json_object *base = json_object_array_get_idx(bases, i);

        if (!make_file(ctx, drv_json_string(base, "path", ""), "raw",
                       whole_sectors(drv_json_int(base, "size_bytes", 0)),
                       (guint64)drv_json_int(base, "allocation_bytes", 0), made, keep, data, error) ||
            (drv_json_string(base, "of", NULL) && !give_to_qemu(drv_json_string(base, "path", ""), error)))
            return FALSE;
    }
    return make_file(ctx, path, "raw", whole_sectors(drv_json_int(disk, "file_bytes", 0)),
                     (guint64)drv_json_int(disk, "needed_bytes", 0), made, keep, data, error);
}

static gboolean check_nvram(drv_context *ctx, const char *path, GError **error)
{
    g_autoptr(drv_admission) admission = drv_hyper_admission(ctx->hyper, error);

    return admission && drv_admission_check_nvram(admission, path, error);
}

gboolean drv_make_images(drv_context *ctx, json_object *step, json_object *made, drv_made_keep keep, gpointer data,
                         GError **error)
{
    json_object *disks = drv_json_array(step, "disks");
    const char *nvram = drv_json_string(step, "nvram", NULL);
    gint64 nvram_bytes = drv_json_int(step, "nvram_bytes", 0);

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        const char *path = drv_json_string(disk, "target_path", drv_json_string(disk, "path", ""));
        gboolean good;

        if (!g_str_equal(drv_json_string(disk, "how", ""), "copy"))
            continue;
        if (drv_json_bool(disk, "target_block"))
            good = take_device(path, made, keep, data, error);
        else if (drv_json_bool(disk, "verbatim"))
            good = make_verbatim(ctx, disk, path, made, keep, data, error);
        else
            good = make_file(ctx, path, drv_json_string(disk, "format", "raw"),
                             (guint64)drv_json_int(disk, "capacity_bytes", 0),
                             (guint64)drv_json_int(disk, "needed_bytes", drv_json_int(disk, "allocation_bytes", 0)),
                             made, keep, data, error);
        if (!good)
            return FALSE;
    }
    if (nvram) {
        g_autofree char *directory = g_path_get_dirname(nvram);

        if (!check_nvram(ctx, nvram, error))
            return FALSE;
        drv_durable_make_directory(directory, 0755, NULL);
    }
    /* Of a running VM QEMU writes them when the guest is here. Then no template is needed. */
    if (nvram && nvram_bytes > 0 && !g_file_test(nvram, G_FILE_TEST_EXISTS))
        return make_file(ctx, nvram, "raw", whole_sectors(nvram_bytes), (guint64)nvram_bytes, made, keep, data, error);
    /* libvirt makes it when the guest comes, and leaves it when the move fails. */
    if (nvram && !g_file_test(nvram, G_FILE_TEST_EXISTS)) {
        json_object_array_add(made, json_object_new_string(nvram));
        return keep(data, error);
    }
    return TRUE;
}
