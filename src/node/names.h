/* SPDX-License-Identifier: Apache-2.0 */
/* Names that come from outside: from another node, an operator or the store. */
#pragma once

#include <glib.h>

#include "base/ids.h"

/** drv_door_uuid() - a UUID that came from outside. DRV_ERROR_INVALID. */
gboolean drv_door_uuid(drv_uuid *uuid, const char *text, GError **error);
/** drv_door_session() - likewise, the id of a session. */
gboolean drv_door_session(drv_session_id *id, const char *text, GError **error);
