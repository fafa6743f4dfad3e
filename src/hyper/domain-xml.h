/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper and its tests: what Drover reads out of a domain's XML. Pure functions. */
#pragma once

#include <libxml/tree.h>

#include "hyper/hyper.h"
#include "hyper/xml.h"

/**
 * drv_domain_from_xml() - name, UUID, vCPUs, memory, disks, networks and obstacles; what XML
 * does not say (state, sizes) stays zero. DRV_ERROR_INVALID. Transfer full; any thread.
 */
drv_domain *drv_domain_from_xml(const char *xml, GError **error);

/**
 * drv_domain_xml_files() - every path that the domain's disks use: sources, their
 * backing chains, and mirrors. Transfer full, of char*; NULL: not XML.
 */
GPtrArray *drv_domain_xml_files(const char *xml);

void drv_domain_free(drv_domain *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_domain, drv_domain_free)
