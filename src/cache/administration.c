/* SPDX-License-Identifier: Apache-2.0 */
/* What operators see of the known-content store and may do to it: see cache.h. */
#include "cache/administration.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/durable.h"
#include "cache/retained.h"
#include "cache/store.h"
#include "hyper/gerror.h"
#include "model/json.h"

static json_object *pack_json(const drv_pack *pack)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "kind", "memory");
    drv_json_set_string(object, "id", pack->id);
    drv_json_set_string(object, "vm", pack->head.vm);
    drv_json_set_string(object, "uuid", pack->head.uuid);
    drv_json_set_string(object, "owner", pack->head.owner);
    drv_json_set_int(object, "bytes", (gint64)pack->bytes);
    drv_json_set_int(object, "created_ms", (gint64)pack->head.created_ms);
    drv_json_set_int(object, "used_ms", pack->used_ms);
    drv_json_set_int(object, "saved_bytes", (gint64)pack->saved_bytes);
    return object;
}

static json_object *kept_json(const drv_kept *kept)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "kind", "disk");
    drv_json_set_string(object, "id", kept->id);
    drv_json_set_string(object, "vm", kept->vm);
    drv_json_set_string(object, "uuid", kept->uuid);
    drv_json_set_string(object, "owner", kept->owner);
    drv_json_set_string(object, "disk", kept->disk);
    drv_json_set_string(object, "path", kept->path);
    drv_json_set_int(object, "bytes", (gint64)kept->bytes);
    drv_json_set_int(object, "created_ms", kept->created_ms);
    drv_json_set_int(object, "used_ms", kept->created_ms);
    drv_json_set_int(object, "saved_bytes", 0);
    return object;
}

static json_object *problem_json(const drv_content *content)
{
    json_object *object;

    if (!content->problem)
        return NULL;
    object = json_object_new_object();
    drv_json_set_string(object, "message", content->problem);
    drv_json_set_int(object, "at_ms", content->problem_ms);
    return object;
}

json_object *drv_content_list(drv_content *content)
{
    g_autoptr(GPtrArray) kept = NULL;
    json_object *answer = json_object_new_object();
    json_object *list = json_object_new_array();
    guint64 bytes = 0;

    g_mutex_lock(&content->lock);
    for (guint i = 0; i < content->packs->len; i++) {
        const drv_pack *pack = content->packs->pdata[i];

        bytes += pack->bytes;
        json_object_array_add(list, pack_json(pack));
    }
    kept = drv_kept_all_locked(content);
    for (guint i = 0; i < kept->len; i++) {
        bytes += ((drv_kept *)kept->pdata[i])->bytes;
        json_object_array_add(list, kept_json(kept->pdata[i]));
    }
    drv_json_set_bool(answer, "on", content->on);
    drv_json_set_int(answer, "saved_bytes", (gint64)content->saved_bytes);
    drv_json_set(answer, "problem", problem_json(content));
    g_mutex_unlock(&content->lock);
    drv_json_set_int(answer, "bytes", (gint64)bytes);
    drv_json_set_int(answer, "most_bytes", (gint64)content->most_bytes);
    drv_json_set_int(answer, "age_s", (gint64)content->age_s);
    drv_json_set_bool(answer, "key_kept", content->key_kept);
    drv_json_set(answer, "contents", list);
    return answer;
}

static gboolean is_meant(const char *name, const char *uuid, const char *whose, gint64 used_ms, json_object *what,
                         gint64 now_ms)
{
    const char *vm = drv_json_string(what, "vm", NULL), *owner = drv_json_string(what, "owner", NULL);
    gint64 age_s = drv_json_int(what, "older_than_s", -1);

    return (!vm || g_str_equal(vm, name) || g_str_equal(vm, uuid)) && (!owner || g_str_equal(owner, whose)) &&
           (age_s < 0 || now_ms - used_ms > age_s * 1000);
}

/* Whether @word is one VM's name and another one's UUID. Called with the lock held. */
static gboolean is_ambiguous_locked(drv_content *content, GPtrArray *kept, const char *word)
{
    gboolean as_uuid = FALSE, as_name = FALSE;

    for (guint i = 0; i < content->packs->len + kept->len; i++) {
        const drv_pack *pack = i < content->packs->len ? content->packs->pdata[i] : NULL;
        const drv_kept *image = pack ? NULL : kept->pdata[i - content->packs->len];
        gboolean its_uuid = g_str_equal(pack ? pack->head.uuid : image->uuid, word);

        as_uuid |= its_uuid;
        as_name |= !its_uuid && g_str_equal(pack ? pack->head.vm : image->vm, word);
    }
    return as_uuid && as_name;
}

json_object *drv_content_prune(drv_content *content, json_object *what, GError **error)
{
    g_autoptr(GPtrArray) kept = NULL;
    const char *vm = drv_json_string(what, "vm", NULL);
    gint64 now_ms = drv_clock_real_ms();
    guint64 removed = 0, bytes = 0;
    json_object *answer;

    if (!drv_json_bool(what, "all") && !vm && !drv_json_string(what, "owner", NULL) &&
        drv_json_int(what, "older_than_s", -1) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "say what shall go: all, vm, owner, or older_than_s");
        return NULL;
    }
    g_mutex_lock(&content->lock);
    kept = drv_kept_all_locked(content);
    if (vm && is_ambiguous_locked(content, kept, vm)) {
        g_mutex_unlock(&content->lock);
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s is ambiguous: it is the name of one VM and the UUID of another; say the first by "
                    "its UUID, the other by its name ('drover content list --json' has both)",
                    vm);
        return NULL;
    }
    for (guint i = content->packs->len; i-- > 0;) {
        drv_pack *pack = content->packs->pdata[i];

        if (!is_meant(pack->head.vm, pack->head.uuid, pack->head.owner, pack->used_ms, what, now_ms))
            continue;
        removed++;
        bytes += pack->bytes;
        drv_content_remove_locked(content, pack);
    }
    for (guint i = 0; i < kept->len; i++) {
        const drv_kept *image = kept->pdata[i];

        if (!is_meant(image->vm, image->uuid, image->owner, image->created_ms, what, now_ms))
            continue;
        removed++;
        bytes += image->bytes;
        drv_kept_remove_locked(content, image);
    }
    g_mutex_unlock(&content->lock);
    answer = json_object_new_object();
    drv_json_set_int(answer, "removed", (gint64)removed);
    drv_json_set_int(answer, "bytes", (gint64)bytes);
    return answer;
}

json_object *drv_content_set(drv_content *content, json_object *what, GError **error)
{
    g_autofree char *off = g_build_filename(content->dir, "off", NULL);
    struct drv_error problem = {0};
    json_object *on = NULL;
    int rc;

    if (!json_object_object_get_ex(what, "on", &on) || !json_object_is_type(on, json_type_boolean)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "say whether content is kept: \"on\"");
        return NULL;
    }
    if (json_object_get_boolean(on)) {
        rc = drv_durable_unlink(off, &problem);
    } else {
        rc = drv_durable_write(off, "", 0, 0600, &problem);
    }
    if (rc < 0) {
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
        return NULL;
    }
    g_mutex_lock(&content->lock);
    content->on = json_object_get_boolean(on) && content->watcher;
    g_mutex_unlock(&content->lock);
    if (!json_object_get_boolean(on))
        drv_content_remove_all(content);
    return drv_content_list(content);
}
