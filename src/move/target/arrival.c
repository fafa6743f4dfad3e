/* SPDX-License-Identifier: Apache-2.0 */
/* What is made at the target for a VM: see arrival.h. */
#include "move/target/arrival.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/durable.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/paths.h"
#include "facts/tpm.h"
#include "hyper/admission.h"
#include "hyper/belongings.h"
#include "hyper/content.h"
#include "hyper/disk.h"
#include "hyper/flush.h"
#include "hyper/probe.h"
#include "model/json.h"
#include "node/names.h"

#define EXPORT_PID_FILE "export.pid"

/* ---- images ---- */

gboolean drv_arrival_remove(drv_context *ctx, json_object *made, GError **error)
{
    /* Backwards: an image before its bases, which are in use as long as it is there. */
    for (gsize i = drv_json_length(made); i-- > 0;) {
        json_object *entry = json_object_array_get_idx(made, i);
        const char *device = drv_json_string(entry, "device", NULL);
        const char *tpm = drv_json_string(entry, "tpm", NULL);
        drv_uuid uuid;

        if (tpm && !drv_door_uuid(&uuid, tpm, error))
            return FALSE;
        if (tpm)
            drv_tpm_remove(&uuid);
        else if (device ? !drv_probe_blank(device, error)
                        : !drv_hyper_disk_remove(ctx->hyper, json_object_get_string(entry), error))
            return FALSE;
    }
    return TRUE;
}

/* A file that libvirt makes may not be there, if the guest came without it. */
static int flush_made(json_object *entry, struct drv_error *problem)
{
    const char *device = drv_json_string(entry, "device", NULL);
    int rc = 0;

    if (!drv_json_string(entry, "tpm", NULL))
        rc = drv_durable_file(device ? device : json_object_get_string(entry), problem);
    return rc == -ENOENT ? 0 : rc;
}

gboolean drv_arrival_flush(const char *vm, const drv_uuid *uuid, json_object *made, GError **error)
{
    g_autofree char *tpm_dir = drv_tpm_dir(uuid);
    struct drv_error problem = {0};
    int rc = 0;

    for (gsize i = 0; !rc && i < drv_json_length(made); i++)
        rc = flush_made(json_object_array_get_idx(made, i), &problem);
    /* Of a running guest swtpm has written it, and it is not in the list. */
    if (!rc && g_file_test(tpm_dir, G_FILE_TEST_IS_DIR))
        rc = drv_durable_tree(tpm_dir, &problem);
    if (rc) {
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
        return FALSE;
    }
    drv_fault("target-images-flushed");
    return drv_hyper_flush_definition(vm, error);
}

/* ---- contents that are sent before, or without, a live move ---- */

static gboolean was_made(json_object *made, const char *path)
{
    for (gsize i = 0; i < drv_json_length(made); i++) {
        json_object *entry = json_object_array_get_idx(made, i);
        const char *device = drv_json_string(entry, "device", NULL);

        if (g_strcmp0(device ? device : json_object_get_string(entry), path) == 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean check_made(json_object *made, const char *path, GError **error)
{
    if (path && was_made(made, path))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "%s was not made for this session", path ? path : "nothing");
    return FALSE;
}

static void forget(int *written)
{
    if (*written >= 0)
        close(*written);
    *written = -1;
}

/* What the other node wrote as raw bytes must never be opened as an image: that could name any file. */
static gboolean check_format(json_object *step, const char *path, const char *format, GError **error)
{
    g_autoptr(GHashTable) formats = drv_arrival_formats(step, TRUE);
    const char *made = formats ? g_hash_table_lookup(formats, path) : NULL;

    if (g_str_equal(format, made ? made : "raw"))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "%s was not made to be written to as %s", path, format);
    return FALSE;
}

GHashTable *drv_arrival_formats(json_object *step, gboolean written)
{
    GHashTable *formats = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    json_object *disks = drv_json_array(step, "disks");

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        const char *path = drv_json_string(disk, "target_path", drv_json_string(disk, "path", NULL));
        gboolean raw = written && drv_json_bool(disk, "verbatim");

        if (path && drv_node_is_copied(disk))
            g_hash_table_replace(formats, g_strdup(path),
                                 g_strdup(raw ? "raw" : drv_json_string(disk, "format", "raw")));
    }
    return formats;
}

gboolean drv_arrival_export(const char *dir, json_object *step, json_object *made, json_object *what, int *written,
                            GError **error)
{
    const char *path = drv_json_string(what, "path", NULL);
    const char *format = drv_json_string(what, "format", "raw");
    g_autofree char *socket = g_build_filename(dir, DRV_SOCKET_DISK, NULL);
    g_autofree char *pid_file = g_build_filename(dir, EXPORT_PID_FILE, NULL);

    if (!check_made(made, path, error) || (step && !check_format(step, path, format, error)))
        return FALSE;
    if (!drv_content_unexport(socket, pid_file, error))
        return FALSE;
    forget(written);
    *written = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return drv_content_export(path, format, socket, pid_file, error);
}

gboolean drv_arrival_unexport(const char *dir, json_object *made, json_object *what, int *written, GError **error)
{
    drv_autoclose int fd = *written;
    const char *path = drv_json_string(what, "path", NULL);
    gint64 bytes = drv_json_int(what, "file_bytes", 0);
    g_autofree char *socket = g_build_filename(dir, DRV_SOCKET_DISK, NULL);
    g_autofree char *pid_file = g_build_filename(dir, EXPORT_PID_FILE, NULL);

    struct drv_error problem = {0};
    gboolean ended = drv_content_unexport(socket, pid_file, error);

    *written = -1;
    if (!what || !ended)
        return ended;
    if (!check_made(made, path, error))
        return FALSE;
    if (bytes > 0 && truncate(path, bytes) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot give %s its length: %s", path, g_strerror(errno));
        return FALSE;
    }
    if (fd >= 0 ? drv_durable_open_file(fd, path, &problem) : drv_durable_file(path, &problem)) {
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
        return FALSE;
    }
    return TRUE;
}

/* ---- definition and small files ---- */

static gboolean note_tpm(const drv_uuid *uuid, json_object *files, json_object *made, drv_made_keep keep, gpointer data,
                         GError **error)
{
    json_object *entry;

    if (!drv_json_length(files))
        return TRUE;
    if (!drv_tpm_is_free(uuid, error))
        return FALSE;
    entry = json_object_new_object();
    drv_json_set_string(entry, "tpm", uuid->text);
    json_object_array_add(made, entry);
    return keep(data, error);
}

static GPtrArray *strings(json_object *array)
{
    GPtrArray *list = g_ptr_array_new();

    for (gsize i = 0; i < drv_json_length(array); i++)
        g_ptr_array_add(list, (gpointer)json_object_get_string(json_object_array_get_idx(array, i)));
    return list;
}

/* An image that came byte by byte names its base, and perhaps the file of its data, by itself. */
static gboolean check_names(drv_context *ctx, json_object *step, GError **error)
{
    json_object *disks = drv_json_array(step, "disks");
    g_autoptr(drv_admission) admission = drv_hyper_admission(ctx->hyper, error);

    for (gsize i = 0; admission && i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (drv_json_bool(disk, "verbatim") && drv_node_is_copied(disk) &&
            !drv_admission_check_image(admission,
                                       drv_json_string(disk, "target_path", drv_json_string(disk, "path", "")),
                                       drv_json_string(disk, "format", "raw"), error))
            return FALSE;
    }
    return admission != NULL;
}

gboolean drv_arrival_define(drv_context *ctx, const drv_uuid *uuid, const char *vm, json_object *step,
                            json_object *parcel, json_object *made, drv_made_keep keep, gpointer data, GError **error)
{
    g_autoptr(GHashTable) formats = drv_arrival_formats(step, FALSE);
    const char *definition = drv_json_string(parcel, "definition", NULL);
    g_autoptr(GPtrArray) snapshots = strings(drv_json_array(parcel, "snapshots"));
    g_autoptr(GPtrArray) checkpoints = strings(drv_json_array(parcel, "checkpoints"));

    if (!definition) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "there is no definition in the parcel");
        return FALSE;
    }
    if (!drv_hyper_admit(ctx->hyper, definition, uuid, vm, formats, error) || !check_names(ctx, step, error) ||
        !note_tpm(uuid, drv_json_array(parcel, "tpm"), made, keep, data, error))
        return FALSE;
    return drv_tpm_write(uuid, drv_json_array(parcel, "tpm"), error) &&
           drv_hyper_define(ctx->hyper, definition, error) &&
           drv_hyper_redefine_checkpoints(ctx->hyper, uuid->text, checkpoints, error) &&
           drv_hyper_redefine_snapshots(ctx->hyper, uuid->text, snapshots,
                                        (int)drv_json_int(parcel, "current_snapshot", -1), error) &&
           drv_arrival_flush(vm, uuid, made, error);
}

void drv_arrival_settle(drv_context *ctx, const char *uuid, json_object *parcel, gboolean trusted)
{
    g_autoptr(GPtrArray) checkpoints = strings(drv_json_array(parcel, "checkpoints"));
    g_autoptr(GError) error = NULL;

    /* A definition brought its checkpoints along. */
    if (checkpoints->len && !drv_json_string(parcel, "definition", NULL) &&
        !drv_hyper_redefine_checkpoints(ctx->hyper, uuid, checkpoints, &error))
        drv_log_warning("checkpoints are lost, take a new one: %s vm=%s", error->message, uuid);
    g_clear_error(&error);
    if (trusted && drv_json_bool(parcel, "autostart") && !drv_hyper_set_autostart(ctx->hyper, uuid, TRUE, &error))
        drv_log_warning("it will not start with this host: %s vm=%s", error->message, uuid);
}

/* ---- hooks ---- */

#define HOOK_TIMEOUT_MS 10000

typedef struct {
    drv_context *ctx;
    char **env;
    char *vm;
} hook_call;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static gpointer run_hooks(gpointer data)
{
    hook_call *call = data;
    g_autoptr(GDir) dir = g_dir_open(DRV_HOOKS_DIR "/arrived.d", 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        if (*name != '.')
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, by_name);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_build_filename(DRV_HOOKS_DIR "/arrived.d", names->pdata[i], NULL);
        const char *argv[] = {path, NULL};
        g_autoptr(GError) error = NULL;

        if (!g_file_test(path, G_FILE_TEST_IS_EXECUTABLE) || g_file_test(path, G_FILE_TEST_IS_DIR))
            continue;
        if (!drv_content_run(argv, (const char *const *)call->env, HOOK_TIMEOUT_MS, &error))
            drv_log_warning("hook failed: %s vm=%s", error->message, call->vm);
    }
    g_strfreev(call->env);
    g_free(call->vm);
    drv_node_thread_ended(call->ctx);
    g_free(call);
    return NULL;
}

void drv_arrival_announce(drv_context *ctx, const char *vm, const char *uuid, const char *source, const char *method,
                          json_object *parcel)
{
    g_autoptr(GPtrArray) macs = strings(drv_json_array(parcel, "macs"));
    g_autofree char *all = NULL;
    hook_call *call;

    if (!g_file_test(DRV_HOOKS_DIR "/arrived.d", G_FILE_TEST_IS_DIR))
        return;
    g_ptr_array_add(macs, NULL);
    all = g_strjoinv(" ", (char **)macs->pdata);
    call = g_new0(hook_call, 1);
    call->ctx = ctx;
    call->vm = g_strdup(vm);
    call->env = g_get_environ();
    call->env = g_environ_setenv(call->env, "DROVER_VM", vm, TRUE);
    call->env = g_environ_setenv(call->env, "DROVER_UUID", uuid, TRUE);
    call->env = g_environ_setenv(call->env, "DROVER_SOURCE", source, TRUE);
    call->env = g_environ_setenv(call->env, "DROVER_TARGET", ctx->node, TRUE);
    call->env = g_environ_setenv(call->env, "DROVER_METHOD", method, TRUE);
    call->env = g_environ_setenv(call->env, "DROVER_MACS", all, TRUE);
    drv_node_thread(ctx, "hooks", run_hooks, call);
}
