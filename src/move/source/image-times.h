/* SPDX-License-Identifier: Apache-2.0 */
/* Whether images of a VM that is shut off were written to while they were copied: by somebody who mounts them, say. */
#pragma once

#include <glib.h>

#include "model/json.h"

/** drv_stamps_take() - when each image that @step copies, and each data file, was last written to. Transfer full. */
GArray *drv_stamps_take(json_object *step);
gboolean drv_stamps_equal(const GArray *one, const GArray *other);
