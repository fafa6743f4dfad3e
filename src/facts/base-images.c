/* SPDX-License-Identifier: Apache-2.0 */
/* The target's older image of a disk: see base-images.h. */
#include "facts/base-images.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/retained.h"
#include "hyper/admission.h"
#include "hyper/belongings.h"
#include "hyper/probe.h"
#include "hyper/serve.h"
#include "model/json.h"

#define SOCKET "older.sock"

static json_object *new_seed(const char *kind, const char *path, const char *format)
{
    json_object *seed = json_object_new_object();

    drv_json_set_string(seed, "kind", kind);
    drv_json_set_string(seed, "path", path);
    drv_json_set_string(seed, "format", format);
    return seed;
}

static json_object *bad_seed(const char *path, const char *why)
{
    json_object *seed = new_seed("named", path, NULL);

    drv_json_set_string(seed, "error", why);
    return seed;
}

/* A guest may have written a qcow2's header into its raw disk: what a file looks like says nothing. */
static const char *format_of(const char *path)
{
    return g_str_has_suffix(path, ".qcow2") || g_str_has_suffix(path, ".qcow") ? "qcow2" : "raw";
}

/* A path, or "POOL/VOLUME". */
static json_object *named(drv_context *ctx, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = *name == '/' ? g_strdup(name) : drv_hyper_volume_path(ctx->hyper, name, &error);
    drv_file_facts facts;

    if (!path)
        return bad_seed(name, error->message);
    if (!drv_probe_file(path, &facts, &error))
        return bad_seed(path, error->message);
    drv_file_facts_clear(&facts);
    return facts.exists ? new_seed("named", path, format_of(path)) : bad_seed(path, "there is no such file");
}

/* The topmost of the images that it is based on: as long as the source's, by the same path. */
static json_object *base_of(json_object *told)
{
    json_object *chain = drv_json_array(told, "chain");

    for (gsize i = 0; i < drv_json_length(chain); i++) {
        json_object *base = json_object_array_get_idx(chain, i);
        const char *path = drv_json_string(base, "path", "");
        drv_file_facts facts;
        gboolean there;

        if (!drv_probe_file(path, &facts, NULL))
            continue;
        there = facts.exists && !facts.block && (gint64)facts.size_bytes == drv_json_int(base, "size_bytes", -1);
        drv_file_facts_clear(&facts);
        if (there)
            return new_seed("base", path, drv_json_string(base, "format", "raw"));
    }
    return NULL;
}

json_object *drv_seed_find(drv_context *ctx, json_object *told, json_object *all)
{
    const char *name = drv_json_string(told, "seed", NULL);
    g_autoptr(json_object) kept = NULL;

    if (!drv_json_string(told, "export", NULL))
        return NULL; /* it is not mirrored */
    if (name)
        return named(ctx, name);
    kept = drv_kept_find(ctx->content, drv_json_string(all, "uuid", ""), drv_json_string(all, "owner", NULL),
                         drv_json_string(told, "target", ""));
    if (kept)
        return new_seed("kept", drv_json_string(kept, "path", ""), drv_json_string(kept, "format", "raw"));
    return base_of(told);
}

/* Transfer full; NULL: it is gone. */
static json_object *known_here(drv_context *ctx, json_object *step, json_object *disk)
{
    json_object *seed = drv_json_object(disk, "seed");

    if (!seed)
        return NULL;
    if (!g_str_equal(drv_json_string(seed, "kind", ""), "kept")) {
        /* Answers tell what is in it. */
        g_autoptr(drv_admission) admission = drv_hyper_admission(ctx->hyper, NULL);

        return admission && drv_admission_check_file(admission, drv_json_string(seed, "path", ""), NULL)
                   ? json_object_get(seed)
                   : NULL;
    }
    return drv_kept_find(ctx->content, drv_json_string(step, "uuid", ""), drv_json_string(step, "owner", NULL),
                         drv_json_string(disk, "target", ""));
}

guint drv_seeds_open(drv_context *ctx, const char *dir, json_object *step, int *fds, json_object *answer)
{
    g_autofree char *socket = g_build_filename(dir, SOCKET, NULL);
    json_object *disks = drv_json_array(step, "disks");
    json_object *older = json_object_new_array();
    guint count = 0;

    for (gsize i = 0; i < drv_json_length(disks) && count < DRV_OLDER_IMAGES; i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        const char *export = drv_json_string(disk, "export", NULL);
        g_autoptr(json_object) seed = known_here(ctx, step, disk);
        g_autoptr(GError) error = NULL;
        int fd;

        if (!seed || !export || strlen(export) > DRV_OLDER_NAME_MAX || !drv_node_is_copied(disk))
            continue;
        fd = drv_serve_image(drv_json_string(seed, "path", ""), drv_json_string(seed, "format", "raw"), socket, &error);
        if (fd < 0) {
            drv_log_warning("no older image serves the copy of %s of %s: %s", drv_json_string(disk, "target", "?"),
                            drv_json_string(step, "vm", "?"), error->message);
            continue;
        }
        fds[count++] = fd;
        json_object_array_add(older, json_object_new_string(export));
    }
    drv_json_set(answer, "older", older);
    return count;
}
