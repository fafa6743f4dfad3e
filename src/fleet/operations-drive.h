/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that drives operations at the node that leads. */
#pragma once

#include "node/context.h"

/** drv_operations_start() - begin to drive them, in a thread that drv_serve_free() waits for. */
void drv_operations_start(drv_operations *operations);
