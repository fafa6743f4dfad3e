/* SPDX-License-Identifier: Apache-2.0 */
/* What the source asks the target of a session: see outgoing.h. */
#include "move/source/outgoing.h"

json_object *drv_outgoing_about_vm(drv_outgoing *outgoing)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "uuid", drv_job_uuid(outgoing->job));
    drv_json_set_string(object, "job", drv_job_id(outgoing->job));
    drv_json_set_bool(object, "was_running", drv_json_bool(drv_job_step(outgoing->job), "was_running"));
    return object;
}

json_object *drv_outgoing_call_session(drv_outgoing *outgoing, const char *method, const char *what, json_object *body,
                                       GError **error)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/sessions/%s%s", outgoing->session.text, what);
    g_autoptr(json_object) about = body ? json_object_get(body) : drv_outgoing_about_vm(outgoing);

    return drv_node_call(outgoing->ctx, drv_job_target(outgoing->job), method, path, about, DRV_NODE_PREPARE_TIMEOUT_MS,
                         error);
}
