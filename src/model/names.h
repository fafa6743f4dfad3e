/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of short texts (CPU features, networks, labels as "key=value", groups of VMs), kept once however many
 * nodes and VMs have them: a fleet of thousands has a handful of sets of CPU features. Equal sets are
 * the same pointer. One pool is used by one thread at a time.
 */
#pragma once

#include <glib.h>

typedef struct drv_names_pool drv_names_pool;

typedef struct {
    const drv_names_pool *pool;
    guint id; /* of the set in its pool: 0, 1, … */
    guint count;
    guint ids[]; /* of its names in the pool, ascending */
} drv_names;

drv_names_pool *drv_names_pool_new(void);
void drv_names_pool_free(drv_names_pool *pool);

/** drv_names_get() - the set of these, in any order, repeated or not. Belongs to @pool. */
const drv_names *drv_names_get(drv_names_pool *pool, const char *const *names, guint count);

/** drv_names_text() - one name by its id. Belongs to @pool. */
const char *drv_names_text(const drv_names_pool *pool, guint id);

/* NULL is the empty set; both must be of one pool. */
gboolean drv_names_has(const drv_names *set, guint id);
/** drv_names_has_all() - whether @set has all that @wanted has. */
gboolean drv_names_has_all(const drv_names *set, const drv_names *wanted);

/** drv_names_missing() - what of @wanted @set lacks: "avx2, sha_ni", the first @most and "…". Transfer full. */
char *drv_names_missing(const drv_names *set, const drv_names *wanted, guint most);
