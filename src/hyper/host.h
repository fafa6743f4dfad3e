/* SPDX-License-Identifier: Apache-2.0 */
/* What is true of this host: processors, memory, versions. */
#pragma once

#include <glib.h>

#include "hyper/hyper.h"

gboolean drv_hyper_host(drv_hyper *hyper, drv_host_facts *facts, GError **error);
void drv_host_facts_clear(drv_host_facts *facts);
