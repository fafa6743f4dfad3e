/* SPDX-License-Identifier: Apache-2.0 */
/* Names that come from outside: see names.h. */
#include "node/names.h"

#include "hyper/gerror.h"

static gboolean invalid(GError **error, const struct drv_error *problem)
{
    drv_gerror_from(error, DRV_ERROR_INVALID, problem);
    return FALSE;
}

gboolean drv_door_uuid(drv_uuid *uuid, const char *text, GError **error)
{
    struct drv_error problem = {0};

    return drv_uuid_parse(uuid, text, &problem) == 0 || invalid(error, &problem);
}

gboolean drv_door_session(drv_session_id *id, const char *text, GError **error)
{
    struct drv_error problem = {0};

    return drv_session_id_parse(id, text, &problem) == 0 || invalid(error, &problem);
}
