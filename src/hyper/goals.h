/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/hyper and its tests: the goals that a VM carries along, one element in its libvirt metadata,
 * <drover:goals max_pause_ms="200" policy="gold"/>. Here they are attributes and text; what they mean is
 * in plan/goals.h. Pure functions.
 */
#pragma once

#include <libxml/tree.h>

#include "hyper/hyper.h"

/** drv_goals_read() - of a <domain>: name → value, both owned. NULL: it has none. Transfer full. */
GHashTable *drv_goals_read(xmlNodePtr domain);

/** drv_owner_read() - <drover:owner name="…"/> of a <domain>; NULL: there is none. Transfer full. */
char *drv_owner_read(xmlNodePtr domain);

/** drv_goals_element() - as libvirt wants it given. Transfer full. */
char *drv_goals_element(GHashTable *attributes);

/**
 * drv_hyper_set_goals() - in the metadata of the running VM and of its definition, as far as there are both.
 * @attributes: name → value, all that it shall have; NULL: none
 * DRV_ERROR_NOT_FOUND: no such VM here.
 */
gboolean drv_hyper_set_goals(drv_hyper *hyper, const char *uuid, GHashTable *attributes, GError **error);

/** drv_hyper_set_owner() - where the goals are. @owner: NULL: of nobody in particular. */
gboolean drv_hyper_set_owner(drv_hyper *hyper, const char *uuid, const char *owner, GError **error);
