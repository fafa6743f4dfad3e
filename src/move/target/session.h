/* SPDX-License-Identifier: Apache-2.0 */
/* The target's end of a migration: what it makes beforehand, the resume, and giving up. */
#pragma once

#include "node/context.h"

/**
 * drv_incoming_open() - record the session, make the images, start the relay, watch it.
 * @source: the node that asks
 * Return: {"content"}: see cache/cache.h; NULL: everything made is removed again.
 */
json_object *drv_incoming_open(drv_context *ctx, const char *source, json_object *request, GError **error);

/** drv_incoming_take_up() - a session of an earlier droverd, from its stored document. */
void drv_incoming_take_up(drv_context *ctx, const char *json);

/** drv_incoming_look() - {"domain","busy","resumed","finish_delivered"}: what is here. @about: {"uuid","job"}. */
json_object *drv_incoming_look(drv_context *ctx, const char *session, json_object *about, GError **error);

/** drv_incoming_finish() - the source is through: make sure the VM runs, end the session. Again: the same answer. */
json_object *drv_incoming_finish(drv_context *ctx, const char *session, json_object *about, GError **error);

/**
 * drv_incoming_export() - let the session write to an image that was made for it; not @open: end that.
 * @what: see arrival.h
 */
gboolean drv_incoming_export(drv_context *ctx, const char *source, const char *session, json_object *what,
                             gboolean open, GError **error);

/** drv_incoming_define() - of a VM that is shut off: @parcel of arrival.h. */
gboolean drv_incoming_define(drv_context *ctx, const char *source, const char *session, json_object *parcel,
                             GError **error);

/**
 * drv_incoming_abandon() - destroy the copy that has never run and all that was made. DRV_ERROR_CONFLICT if it has run.
 * Return: {"qemu_words"}: what its QEMU said last (hyper/qemu-log.h), if that has ended by itself. Transfer full.
 */
json_object *drv_incoming_abandon(drv_context *ctx, const char *source, const char *session, GError **error);

/** drv_incoming_hand_link() - see drv_serve_hand_link(). */
gboolean drv_incoming_hand_link(drv_context *ctx, const char *session, int fd, GError **error);
