/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about the disks of a VM at its source, for facts.h: of its running definition and of the saved one, from
 * both and from the images themselves.
 */
#pragma once

#include "facts/probe-markers.h"
#include "hyper/belongings.h"
#include "hyper/probe.h"
#include "node/context.h"

/** What is kept while facts are gathered. All borrowed. */
typedef struct {
    drv_markers *markers;
    gboolean offline;
    json_object *seeds; /* older images that were named, by disk */
} drv_disk_gathering;

typedef enum { DRV_DIGEST_NONE, DRV_DIGEST_SOME, DRV_DIGEST_WHOLE } drv_digest_kind;

/** drv_disk_facts_set_file() - FILE's members. */
void drv_disk_facts_set_file(json_object *object, const drv_file_facts *facts);
/** drv_disk_facts_set_image() - "file" or "file_error", and what tells the target whether it has the same. */
void drv_disk_facts_set_image(drv_disk_gathering *g, json_object *object, const char *path, drv_digest_kind digest);

/** drv_disk_facts() - sets "disks": those of @domain, then those that only its saved definition names. */
void drv_disk_facts(drv_context *ctx, drv_disk_gathering *g, const drv_domain *domain, const drv_belongings *has,
                    json_object *facts);
