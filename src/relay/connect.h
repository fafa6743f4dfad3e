/* SPDX-License-Identifier: Apache-2.0 */
/* The source's links: connected, authenticated and greeted, all at the same time. */
#pragma once

#include "base/error.h"
#include "relay/control/settings.h"
#include "relay/link.h"

/**
 * drv_connect_links() - connect to the target's droverd as often as the settings say.
 * @here:  what this end says of itself
 * @links: receives settings->links links, or none on failure
 * @there: receives what the other end said on link 0
 */
int drv_connect_links(const struct drv_settings *settings, const struct drv_link_secret *secret,
                      const struct drv_hello *here, drv_link **links, struct drv_hello *there, struct drv_error *err);

/** drv_connect_hello() - send this end's HELLO on an authenticated link. */
int drv_connect_hello(drv_link *link, const struct drv_link_secret *secret, const struct drv_hello *here,
                      struct drv_error *err);

/**
 * drv_connect_read_hello() - read and check the other end's HELLO.
 * Return: 0; -EAGAIN: later; -errno.
 */
int drv_connect_read_hello(drv_link *link, const struct drv_link_secret *secret, unsigned links,
                           struct drv_hello *hello, struct drv_error *err);
