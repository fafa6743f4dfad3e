/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What droverd and a relay say to each other on the admin socket (SOCK_SEQPACKET,
 * one message a packet, big-endian). Both come from one package on one host, so a
 * version number is enough.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/control/control.h"

#define DRV_ADMIN_MAX 1024
#define DRV_ADMIN_VERSION 1

enum drv_admin_message {
    /* requests: one byte, and what is said */
    DRV_ADMIN_STATUS = 1, /* answered by DRV_ADMIN_STATUS_IS */
    DRV_ADMIN_WATCH,      /* from now on DRV_ADMIN_EVENT, the first at once */
    DRV_ADMIN_LINK,       /* with a descriptor; answered by DRV_ADMIN_DONE */
    DRV_ADMIN_RESUMED,    /* answered by DRV_ADMIN_DONE */
    DRV_ADMIN_END,        /* answered by the end of the connection */
    DRV_ADMIN_NEAR,       /* answered by DRV_ADMIN_DONE */
    DRV_ADMIN_STAND_BY,   /* as DRV_ADMIN_WATCH, but only changes, and the relay does not live on for it */
    DRV_ADMIN_ASKED,      /* with a memory of 4 + DRV_RELAY_ASKED_MAX: gets a u32 size and the call that waits */
    DRV_ADMIN_PASS,       /* it may pass; answered by DRV_ADMIN_DONE */
    DRV_ADMIN_DENY,       /* it may not, and the session ends; the rest is why. Likewise */
    /* answers */
    DRV_ADMIN_STATUS_IS = 64,
    DRV_ADMIN_EVENT,
    DRV_ADMIN_DONE,
    DRV_ADMIN_FAILED, /* the rest is text */
};

/** drv_admin_encode_status() - @kind is STATUS_IS or EVENT. Return: bytes. */
size_t drv_admin_encode_status(uint8_t out[DRV_ADMIN_MAX], uint8_t kind, const struct drv_relay_status *status);

/** drv_admin_decode_status() - Return: 0 or -EPROTO. */
int drv_admin_decode_status(struct drv_relay_status *status, const uint8_t *in, size_t size, struct drv_error *err);
