/* SPDX-License-Identifier: Apache-2.0 */
/* What the source sends of a VM besides its memory: see belongings.h. */
#include "move/source/belongings.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/durable.h"
#include "base/log.h"
#include "cache/retained.h"
#include "facts/tpm.h"
#include "hyper/belongings.h"
#include "hyper/content.h"
#include "hyper/disk.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "move/job.h"
#include "move/source/report.h"
#include "node/names.h"

/* What a TPM keeps is some kilobytes; the request that carries it is limited. */
#define TPM_MOST_BYTES (256 << 10)

static gboolean is_offline(json_object *step)
{
    return g_str_equal(drv_json_string(step, "method", ""), "offline");
}

/* ---- the definition ---- */

drv_rewrite *drv_departure_rewrite(json_object *step, gboolean *proven)
{
    drv_rewrite *rewrite = drv_rewrite_new();
    json_object *disks = drv_json_array(step, "disks");
    json_object *networks = drv_json_array(step, "networks");

    *proven = FALSE;
    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        const char *path = drv_json_string(disk, "path", "");
        const char *target_path = drv_json_string(disk, "target_path", path);
        gboolean block = drv_json_bool(disk, "target_block");
        gboolean before = drv_json_bool(disk, "before");
        /* A volume is named by a pool, which need not be there. */
        gboolean moves = !g_str_equal(path, target_path) || g_str_equal(drv_json_string(disk, "type", ""), "volume");

        *proven |= drv_json_bool(disk, "proven");
        if (drv_node_is_copied(disk))
            drv_rewrite_add_disk(rewrite, drv_json_string(disk, "target", ""), moves ? target_path : NULL, block,
                                 drv_json_bool(disk, "flatten"), !before && !block);
    }
    for (gsize i = 0; i < drv_json_length(networks); i++) {
        json_object *network = json_object_array_get_idx(networks, i);
        const char *from = drv_json_string(network, "from", "");
        const char *to = drv_json_string(network, "to", from);

        if (!g_str_equal(from, to))
            drv_rewrite_add_network(rewrite, from, to);
    }
    return rewrite;
}

GStrv drv_departure_disks(json_object *step)
{
    json_object *disks = drv_json_array(step, "disks");
    GPtrArray *targets = g_ptr_array_new();

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (drv_node_is_copied(disk) && !drv_json_bool(disk, "before"))
            g_ptr_array_add(targets, g_strdup(drv_json_string(disk, "target", "")));
    }
    g_ptr_array_add(targets, NULL);
    return (GStrv)g_ptr_array_free(targets, FALSE);
}

/* ---- the parcel ---- */

static json_object *strings(const GPtrArray *list)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < list->len; i++)
        json_object_array_add(array, json_object_new_string(list->pdata[i]));
    return array;
}

static gboolean add_tpm(const char *root, const char *inner, json_object *files, gsize *total, GError **error)
{
    g_autofree char *path = *inner ? g_build_filename(root, inner, NULL) : g_strdup(root);
    const struct passwd *user;
    const struct group *group;
    json_object *file;
    struct stat st;

    if (lstat(path, &st) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot read the TPM's state %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return TRUE;
    file = json_object_new_object();
    json_object_array_add(files, file);
    user = getpwuid(st.st_uid);
    group = getgrgid(st.st_gid);
    drv_json_set_string(file, "path", inner);
    drv_json_set_int(file, "mode", st.st_mode & 0777);
    drv_json_set_string(file, "user", user ? user->pw_name : "root");
    drv_json_set_string(file, "group", group ? group->gr_name : "root");
    if (S_ISREG(st.st_mode)) {
        g_autofree char *bytes = NULL;
        g_autofree char *text = NULL;
        gsize length = 0;

        if (!g_file_get_contents(path, &bytes, &length, error))
            return FALSE;
        *total += length;
        if (*total > TPM_MOST_BYTES) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                        "the TPM's state in %s is larger than "
                        "any TPM's",
                        root);
            return FALSE;
        }
        text = g_base64_encode((const guchar *)bytes, length);
        drv_json_set_string(file, "data", text);
    } else {
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
            g_autofree char *deeper = *inner ? g_build_filename(inner, name, NULL) : g_strdup(name);

            if (!g_str_equal(name, ".lock") && !add_tpm(root, deeper, files, total, error))
                return FALSE;
        }
    }
    return TRUE;
}

static gboolean add_offline(json_object *step, const drv_belongings *has, json_object *parcel, GError **error)
{
    gboolean proven;
    g_autoptr(drv_rewrite) rewrite = drv_departure_rewrite(step, &proven);
    g_autofree char *definition = NULL;
    g_autofree char *tpm_dir = NULL;
    drv_uuid uuid;
    gsize total = 0;

    if (!drv_door_uuid(&uuid, drv_json_string(step, "uuid", NULL), error))
        return FALSE;
    tpm_dir = drv_tpm_dir(&uuid);
    if (!has->definition) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "the VM has no definition any more");
        return FALSE;
    }
    definition = drv_rewrite_xml(rewrite, has->definition, FALSE, error);
    if (!definition)
        return FALSE;
    drv_json_set_string(parcel, "definition", definition);
    drv_json_set(parcel, "snapshots", strings(has->snapshots));
    drv_json_set_int(parcel, "current_snapshot", has->current_snapshot);
    if (has->tpm && g_file_test(tpm_dir, G_FILE_TEST_IS_DIR)) {
        json_object *files = json_object_new_array();

        drv_json_set(parcel, "tpm", files);
        return add_tpm(tpm_dir, "", files, &total, error);
    }
    return TRUE;
}

json_object *drv_departure_parcel(drv_context *ctx, json_object *step, GError **error)
{
    const char *uuid = drv_json_string(step, "uuid", "");
    g_autoptr(json_object) parcel = json_object_new_object();
    json_object *networks = drv_json_array(step, "networks");
    json_object *macs = json_object_new_array();
    drv_belongings has;
    gboolean good;

    drv_json_set(parcel, "macs", macs);
    for (gsize i = 0; i < drv_json_length(networks); i++)
        json_object_array_add(
            macs, json_object_new_string(drv_json_string(json_object_array_get_idx(networks, i), "mac", "")));
    if (!drv_hyper_belongings(ctx->hyper, uuid, &has, error))
        return NULL;
    drv_json_set_bool(parcel, "autostart", has.autostart);
    drv_json_set(parcel, "checkpoints", strings(has.checkpoints));
    good = !is_offline(step) || add_offline(step, &has, parcel, error);
    drv_belongings_clear(&has);
    return good ? g_steal_pointer(&parcel) : NULL;
}

/* ---- contents ---- */

/* Called while qemu-img runs. */
static gboolean show_progress(gpointer data)
{
    drv_outgoing *outgoing = data;
    struct drv_relay_status relay;
    gboolean dead;

    g_mutex_lock(&outgoing->lock);
    relay = outgoing->relay;
    dead = outgoing->relay_dead || relay.state == DRV_RELAY_LOST;
    g_mutex_unlock(&outgoing->lock);
    outgoing->stats.disk_processed_bytes = relay.channel[DRV_CHANNEL_DISK].local_in_bytes;
    outgoing->stats.disk_total_bytes = MAX(outgoing->stats.disk_total_bytes, outgoing->stats.disk_processed_bytes);
    outgoing->stats.disk_remaining_bytes = outgoing->stats.disk_total_bytes - outgoing->stats.disk_processed_bytes;
    drv_job_progress(outgoing->job, drv_progress_update(&outgoing->progress, drv_job_state(outgoing->job),
                                                        &outgoing->stats, &relay, drv_clock_ms()));
    return !dead && !drv_job_cancel_requested(outgoing->job) && !drv_node_is_stopping(outgoing->ctx);
}

/* One image: the target serves it, qemu-img writes to it, the target closes it. */
static gboolean send_image(drv_outgoing *outgoing, const char *path, const char *format, const char *target_path,
                           const char *target_format, gint64 file_bytes, gboolean zero, GError **error)
{
    g_autoptr(json_object) what = json_object_new_object();
    g_autofree char *uri = g_strdup_printf("nbd+unix:///?socket=%s/%s", outgoing->dir, DRV_SOCKET_DISK);
    guint64 rate_bps = (guint64)drv_json_int(drv_job_step(outgoing->job), "bandwidth_bps", 0);
    json_object *answer;

    drv_json_set_string(what, "path", target_path);
    drv_json_set_string(what, "format", target_format);
    drv_json_set_int(what, "file_bytes", file_bytes);
    answer = drv_outgoing_call_session(outgoing, "POST", "/export", what, error);
    if (!answer)
        return FALSE;
    json_object_put(answer);
    if (!drv_content_copy(path, format, uri, "raw", zero, rate_bps, show_progress, outgoing, error))
        return FALSE;
    answer = drv_outgoing_call_session(outgoing, "POST", "/unexport", what, error);
    json_object_put(answer);
    return answer != NULL;
}

static gboolean send_disk(drv_outgoing *outgoing, json_object *disk, GError **error)
{
    json_object *bases = drv_json_array(disk, "bases");
    const char *path = drv_json_string(disk, "path", "");
    const char *target_path = drv_json_string(disk, "target_path", path);
    const char *format = drv_json_string(disk, "format", "raw");
    gboolean block = drv_json_bool(disk, "target_block");

    if (!drv_json_bool(disk, "verbatim"))
        return send_image(outgoing, path, format, target_path, format, 0, !block, error);
    for (gsize i = 0; i < drv_json_length(bases); i++) {
        json_object *base = json_object_array_get_idx(bases, i);
        const char *file = drv_json_string(base, "path", "");

        if (!send_image(outgoing, file, "raw", file, "raw", drv_json_int(base, "size_bytes", 0), TRUE, error))
            return FALSE;
    }
    return send_image(outgoing, path, "raw", target_path, "raw", drv_json_int(disk, "file_bytes", 0), TRUE, error);
}

gboolean drv_departure_sends_before(json_object *step)
{
    json_object *disks = drv_json_array(step, "disks");

    for (gsize i = 0; i < drv_json_length(disks); i++)
        if (drv_json_bool(json_object_array_get_idx(disks, i), "before"))
            return TRUE;
    return FALSE;
}

gboolean drv_departure_send(drv_outgoing *outgoing, gboolean all, GError **error)
{
    json_object *step = drv_job_step(outgoing->job);
    json_object *disks = drv_json_array(step, "disks");
    const char *nvram = drv_json_string(step, "nvram", NULL);
    gint64 nvram_bytes = drv_json_int(step, "nvram_bytes", 0);

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (drv_node_is_copied(disk) && (all || drv_json_bool(disk, "before")))
            outgoing->stats.disk_total_bytes += (guint64)drv_json_int(disk, "needed_bytes", 0);
    }
    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (drv_node_is_copied(disk) && (all || drv_json_bool(disk, "before")) && !send_disk(outgoing, disk, error))
            return FALSE;
    }
    if (all && nvram && nvram_bytes > 0)
        return send_image(outgoing, nvram, "raw", nvram, "raw", nvram_bytes, TRUE, error);
    return TRUE;
}

/* ---- afterwards ---- */

/* It was missing here as well, and that was said before. */
static gboolean was_missing(json_object *step, const char *path)
{
    json_object *disks = drv_json_array(step, "disks");

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (g_str_equal(drv_json_string(disk, "how", ""), "missing") &&
            g_str_equal(drv_json_string(disk, "path", ""), path))
            return TRUE;
    }
    return FALSE;
}

gboolean drv_departure_is_whole(drv_outgoing *outgoing, GError **error)
{
    json_object *step = drv_job_step(outgoing->job);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) problem = NULL;
    g_autoptr(json_object) answer = drv_outgoing_call_session(outgoing, "POST", "/whole", NULL, &problem);
    json_object *missing = drv_json_array(answer, "missing");

    /* A target of an older version cannot tell. */
    if (!answer && (problem->code == DRV_ERROR_NOT_FOUND || problem->code == DRV_ERROR_INVALID))
        return TRUE;
    if (!answer) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    for (gsize i = 0; i < drv_json_length(missing); i++) {
        json_object *file = json_object_array_get_idx(missing, i);
        const char *path = drv_json_string(file, "path", "?");

        if (!was_missing(step, path))
            g_string_append_printf(text, "%s%s for its disk %s", text->len ? ", " : "", path,
                                   drv_json_string(file, "disk", "?"));
    }
    if (text->len)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s would not start at %s, which lacks %s",
                    drv_job_vm(outgoing->job), drv_job_target(outgoing->job), text->str);
    return !text->len;
}

static void remove_file(drv_outgoing *outgoing, const char *path, const char *what)
{
    g_autoptr(GError) error = NULL;

    if (!drv_hyper_disk_remove(outgoing->ctx->hyper, path, &error))
        drv_outgoing_note_stay(outgoing, what, error->message);
}

/* For its return, if there is room. */
static gboolean keep(drv_outgoing *outgoing, json_object *step, json_object *disk)
{
    const drv_kept_image image = {.vm = drv_job_vm(outgoing->job),
                                  .uuid = drv_job_uuid(outgoing->job),
                                  .owner = drv_json_string(step, "owner", NULL),
                                  .disk = drv_json_string(disk, "target", NULL),
                                  .path = drv_json_string(disk, "path", ""),
                                  .format = drv_json_string(disk, "format", "raw")};

    return drv_kept_take(outgoing->ctx->content, outgoing->ctx->hyper, &image);
}

/* An image is kept only if it is all of the disk; its data file goes after it, which names it. */
static void release_disk(drv_outgoing *outgoing, json_object *step, json_object *disk, const char *path)
{
    json_object *data = drv_json_array(disk, "data");

    if (g_file_test(path, G_FILE_TEST_IS_REGULAR) && (drv_json_length(data) || !keep(outgoing, step, disk)))
        remove_file(outgoing, path, "the source's copy of a moved disk");
    for (gsize i = 0; i < drv_json_length(data) && !g_file_test(path, G_FILE_TEST_EXISTS); i++)
        remove_file(outgoing, json_object_get_string(json_object_array_get_idx(data, i)),
                    "the data file of a moved disk");
}

void drv_departure_release(drv_outgoing *outgoing)
{
    json_object *step = drv_job_step(outgoing->job);
    json_object *disks = drv_json_array(step, "disks");
    const char *nvram = drv_json_string(step, "nvram", NULL);
    drv_uuid uuid;

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        const char *path = drv_json_string(disk, "path", NULL);

        /* A medium, a base or a device is not the VM's alone. */
        if (path && drv_node_is_copied(disk) && (!drv_json_bool(disk, "before") || drv_json_bool(disk, "leaves")))
            release_disk(outgoing, step, disk, path);
    }
    if (nvram)
        remove_file(outgoing, nvram, "the source's copy of the UEFI variables");
    if (drv_json_bool(step, "tpm") && !drv_json_bool(step, "tpm_shared") &&
        drv_door_uuid(&uuid, drv_json_string(step, "uuid", NULL), NULL)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_domain) domain = drv_hyper_domain(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), &error);

        if (!domain && g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            drv_tpm_remove(&uuid);
    }
}
