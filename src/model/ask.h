/* SPDX-License-Identifier: Apache-2.0 */
/* One question to every node at the same time. */
#pragma once

#include <glib.h>

#include "model/fleet.h"
#include "model/peers.h"

GPtrArray *drv_model_ask_all(const drv_peers *peers, GPtrArray *members, const char *path, guint timeout_ms,
                             drv_model_local_func local, gpointer data, GPtrArray **errors);

void drv_member_free(drv_member *member);
