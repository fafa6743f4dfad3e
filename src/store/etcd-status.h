/* SPDX-License-Identifier: Apache-2.0 */
/* How an etcd is: each member asked by itself, alarms, and whether what is in it can be used. */
#pragma once

#include <json-c/json.h>

#include "store/document.h"

json_object *drv_etcd_status(drv_store *store);
