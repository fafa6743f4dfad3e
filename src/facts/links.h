/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node knows of its links to others: rate and round trip, from probes and from moves. One
 * document a link, at the node where it begins, in the bucket "links" under the other's name:
 *
 *   {"from", "to", "rate_bps", "rtt_us", "measured_ms", "by": "probe"|"move", "moves": [plan/history.h]}
 *
 * A probe goes the way of a move: a session of its own, two relays, TLS, over the one port. It carries
 * noise for at most 0.4 s.
 */
#pragma once

#include "node/context.h"

/** drv_links_start() - probe in the background what has not been measured for hours, one link at a time. */
void drv_links_start(drv_context *ctx);

/** drv_links_known() - the document, empty if there is none. Transfer full. */
json_object *drv_links_known(drv_context *ctx, const char *to);

/** drv_links_measured() - a move has seen it. 0: not known. */
void drv_links_measured(drv_context *ctx, const char *to, guint64 rate_bps, guint64 rtt_us);

/**
 * drv_links_probe() - measure the link from here to @to now, unless that was done less than @age_ms ago.
 * DRV_ERROR_CONFLICT: a probe is under way. Return: the LINK of docs/rest.rst, transfer full.
 */
json_object *drv_links_probe(drv_context *ctx, const char *to, gint64 age_ms, GError **error);

/** drv_links_local() - {"links": [LINK…]}, of this node's. Transfer full. */
json_object *drv_links_local(drv_context *ctx, GError **error);
