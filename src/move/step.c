/* SPDX-License-Identifier: Apache-2.0 */
/* A step as it comes through a door: see step.h. */
#include "move/step.h"

#include "model/json.h"

static gboolean invalid(GError **error, const struct drv_error *problem)
{
    drv_gerror_from(error, DRV_ERROR_INVALID, problem);
    return FALSE;
}

gboolean drv_step_file(json_object *object, const char *key, drv_path *path, GError **error)
{
    struct drv_error problem = {0};
    drv_volume_name name;
    drv_path directory;

    return (drv_path_parse(path, drv_json_string(object, key, NULL), &problem) == 0 &&
            drv_path_split(path, &directory, &name, &problem) == 0) ||
           invalid(error, &problem);
}

static gboolean check_disk(json_object *disk, GError **error)
{
    json_object *bases = drv_json_array(disk, "bases");
    struct drv_error problem = {0};
    drv_disk_name name;
    drv_path path;

    if (drv_disk_name_parse(&name, drv_json_string(disk, "target", NULL), &problem) < 0)
        return invalid(error, &problem);
    if (!drv_node_is_copied(disk))
        return TRUE;
    if (!drv_step_file(disk, drv_json_string(disk, "target_path", NULL) ? "target_path" : "path", &path, error))
        return FALSE;
    for (gsize i = 0; i < drv_json_length(bases); i++)
        if (!drv_step_file(json_object_array_get_idx(bases, i), "path", &path, error))
            return FALSE;
    return TRUE;
}

gboolean drv_step_parse(json_object *step, drv_step_names *names, GError **error)
{
    json_object *disks = drv_json_array(step, "disks");
    struct drv_error problem = {0};
    drv_path path;

    if (drv_uuid_parse(&names->uuid, drv_json_string(step, "uuid", NULL), &problem) < 0 ||
        drv_vm_name_parse(&names->vm, drv_json_string(step, "vm", NULL), &problem) < 0 ||
        drv_node_name_parse(&names->source, drv_json_string(step, "source", NULL), &problem) < 0 ||
        drv_node_name_parse(&names->target, drv_json_string(step, "target", NULL), &problem) < 0)
        return invalid(error, &problem);
    for (gsize i = 0; i < drv_json_length(disks); i++)
        if (!check_disk(json_object_array_get_idx(disks, i), error))
            return FALSE;
    if (drv_json_string(step, "nvram", NULL) && !drv_step_file(step, "nvram", &path, error))
        return FALSE;
    drv_json_set_string(step, "uuid", names->uuid.text);
    return TRUE;
}
