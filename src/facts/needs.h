/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about what a definition names and its host must have, which plan/needs.c judges:
 * [{"check", "kind", "what", "value", "address", "port", "later"}…] (hyper/needs.h), and in the same order the
 * target's [{"error", "in_use", "unknown"}…]; without an error it is there.
 */
#pragma once

#include "node/context.h"

/** drv_need_facts_here() - at the source. Blocks on libvirt. Transfer full. */
json_object *drv_need_facts_here(drv_context *ctx, const char *uuid, GError **error);

/** drv_need_facts_answer() - at the target. Blocks on libvirt where a secret is asked for. Transfer full. */
json_object *drv_need_facts_answer(drv_context *ctx, json_object *needs);

/** drv_need_missing() - of one need that asks nothing of libvirt: why it is missing, or NULL. Transfer full. */
char *drv_need_missing(const char *kind, const char *value);
