/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's first look at this host. What its QEMU can do it finds out when it is first asked, by running it,
 * which takes long while the host is busy. So droverd asks as soon as it is up, and whoever plans a move
 * meanwhile waits for a node that is still looking, instead of taking it for one that is lost.
 */
#pragma once

#include "node/context.h"

/** drv_first_look_start() - in a thread. Once. */
void drv_first_look_start(drv_context *ctx);

/** drv_first_look_goes_on() - at this node. Any thread. */
gboolean drv_first_look_goes_on(drv_context *ctx);

/* Below what a client waits for an answer. */
#define DRV_FIRST_LOOK_MS 15000
